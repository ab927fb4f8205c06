"""From a judgement to what is left behind: report, cleansed labels, exports.

Given labels and images are only read. Each export says in a JSON file where it comes from
(:mod:`monai_selfcleanse.results.provenance`).
"""

from .cleansed_labels import cleanse_file, write_cleansed_labels
from .exclusion import EXCLUSION_COLUMNS, write_exclusion_list
from .nnunet import write_nnunet_dataset
from .raters import compare_raters
from .report import write_report
from .slices import SLICE_COLUMNS, slice_rows
from .tables import read_rows
from .tensorboard import summary_writer
from .truth import TruthSummary, compare_with_truth
from .write import closing_table, write_results

__all__ = [
    "EXCLUSION_COLUMNS",
    "SLICE_COLUMNS",
    "TruthSummary",
    "cleanse_file",
    "closing_table",
    "compare_raters",
    "compare_with_truth",
    "read_rows",
    "slice_rows",
    "summary_writer",
    "write_cleansed_labels",
    "write_exclusion_list",
    "write_nnunet_dataset",
    "write_report",
    "write_results",
]
