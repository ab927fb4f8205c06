"""From the filter's result to what other tools read: cleansed labels, an nnU-Net data set, a list to exclude.

Given labels and images are only read. Each export says in a JSON file where it comes from
(:mod:`monai_selfcleanse.provenance`).
"""

from .exclusion import EXCLUSION_COLUMNS, write_exclusion_list
from .labels import cleanse_file, write_cleansed_labels
from .nnunet import write_nnunet_dataset

__all__ = [
    "EXCLUSION_COLUMNS",
    "cleanse_file",
    "write_cleansed_labels",
    "write_exclusion_list",
    "write_nnunet_dataset",
]
