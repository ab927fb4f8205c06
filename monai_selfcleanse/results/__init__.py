"""From a judgement to what is left behind: report, cleansed labels, exports.

Given labels and images are only read. Each export says in a JSON file where it comes from
(:mod:`monai_selfcleanse.results.provenance`).
"""

from .applied import AppliedLabels, read_applied
from .cleansed_labels import cleanse_file, write_cleansed_labels
from .corrected_labels import LEFT_OUT_COLUMNS, Applied, apply_decisions
from .decisions import DECISION_COLUMNS, Decision, add_decisions, read_decisions
from .exclusion import EXCLUSION_COLUMNS, write_exclusion_list
from .label_set import JudgedLabels, LabelSet, write_labels
from .nnunet import write_nnunet_dataset, write_nnunet_labels
from .raters import compare_raters
from .record import JudgedRun, read_record, write_record
from .report import write_report
from .slices import SLICE_COLUMNS, slice_rows
from .splits import nnunet_splits, write_exclusion_files
from .tables import read_rows
from .tensorboard import summary_writer
from .truth import TruthSummary, compare_with_truth
from .write import closing_table, write_results

__all__ = [
    "DECISION_COLUMNS",
    "EXCLUSION_COLUMNS",
    "LEFT_OUT_COLUMNS",
    "SLICE_COLUMNS",
    "Applied",
    "AppliedLabels",
    "Decision",
    "JudgedLabels",
    "JudgedRun",
    "LabelSet",
    "TruthSummary",
    "add_decisions",
    "apply_decisions",
    "cleanse_file",
    "closing_table",
    "compare_raters",
    "compare_with_truth",
    "nnunet_splits",
    "read_applied",
    "read_decisions",
    "read_record",
    "read_rows",
    "slice_rows",
    "summary_writer",
    "write_cleansed_labels",
    "write_exclusion_files",
    "write_exclusion_list",
    "write_labels",
    "write_nnunet_dataset",
    "write_nnunet_labels",
    "write_record",
    "write_report",
    "write_results",
]
