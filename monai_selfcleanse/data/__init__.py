"""Where cases come from: readers, checks, splits, and the built-in phantom."""

from .acdc import ACDC_STRUCTURES, find_acdc_cases
from .case_dataset import CaseDataset
from .checks import DatasetError, check_case, check_cases
from .cohort import Cohort, split_patients
from .datalist import find_datalist_cases
from .decathlon import find_decathlon_cases
from .layouts import check_structures, find_cases
from .nnunet import find_nnunet_cases
from .noisy_cohort import choose_patients, corrupt_cohort
from .noisy_copy import copy_with_noise
from .phantom import phantom_frames, write_phantom
from .raters import cases_of_raters

__all__ = [
    "ACDC_STRUCTURES",
    "CaseDataset",
    "Cohort",
    "DatasetError",
    "cases_of_raters",
    "check_case",
    "check_cases",
    "check_structures",
    "choose_patients",
    "copy_with_noise",
    "corrupt_cohort",
    "find_acdc_cases",
    "find_cases",
    "find_datalist_cases",
    "find_decathlon_cases",
    "find_nnunet_cases",
    "phantom_frames",
    "split_patients",
    "write_phantom",
]
