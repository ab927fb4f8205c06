"""From a judgement to what is left behind: report, cleansed labels, exports.

Given labels and images are only read. Each export says in a JSON file where it comes from
(:mod:`monai_selfcleanse.results.provenance`).
"""

from .cleansed_labels import cleanse_file, write_cleansed_labels
from .decisions import DECISION_COLUMNS, Decision, add_decisions, read_decisions
from .exclusion import EXCLUSION_COLUMNS, write_exclusion_list
from .nnunet import write_nnunet_dataset
from .raters import compare_raters
from .record import JudgedRun, read_record, write_record
from .report import write_report
from .slices import SLICE_COLUMNS, slice_rows
from .tables import read_rows
from .tensorboard import summary_writer
from .truth import TruthSummary, compare_with_truth
from .write import closing_table, write_results

__all__ = [
    "DECISION_COLUMNS",
    "Decision",
    "EXCLUSION_COLUMNS",
    "SLICE_COLUMNS",
    "JudgedRun",
    "TruthSummary",
    "add_decisions",
    "cleanse_file",
    "closing_table",
    "compare_raters",
    "compare_with_truth",
    "read_decisions",
    "read_record",
    "read_rows",
    "slice_rows",
    "summary_writer",
    "write_cleansed_labels",
    "write_exclusion_list",
    "write_nnunet_dataset",
    "write_record",
    "write_report",
    "write_results",
]
