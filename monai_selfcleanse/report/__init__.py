"""From the filter's result to what a person reads: the ranked list, the slices to look at, and a page with pictures."""

from .html import write_html
from .rows import REPORT_COLUMNS, report_rows, structures_by_case
from .slices import SLICE_COLUMNS, slice_rows
from .suspects import Suspect, look_at_suspects
from .truth import TruthSummary, compare_with_truth
from .write import REPORT_FILES, UNREADABLE_FILE, write_report

__all__ = [
    "REPORT_COLUMNS",
    "REPORT_FILES",
    "SLICE_COLUMNS",
    "UNREADABLE_FILE",
    "Suspect",
    "TruthSummary",
    "compare_with_truth",
    "look_at_suspects",
    "report_rows",
    "slice_rows",
    "structures_by_case",
    "write_html",
    "write_report",
]
