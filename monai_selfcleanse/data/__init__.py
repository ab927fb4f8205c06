"""Where cases come from: readers, checks, splits, and the built-in phantom."""

from .acdc import ACDC_STRUCTURES, find_acdc_cases
from .case_dataset import CaseDataset
from .checks import DatasetError, check_case, check_cases
from .cohort import Cohort, split_patients
from .decathlon import find_decathlon_cases
from .layouts import find_cases
from .phantom import phantom_frames, write_phantom

__all__ = [
    "ACDC_STRUCTURES",
    "CaseDataset",
    "Cohort",
    "DatasetError",
    "check_case",
    "check_cases",
    "find_acdc_cases",
    "find_cases",
    "find_decathlon_cases",
    "phantom_frames",
    "split_patients",
    "write_phantom",
]
