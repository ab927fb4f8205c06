"""Which layout a data set has, and its cases."""

from __future__ import annotations

import os

from .acdc import find_acdc_cases
from .decathlon import decathlon_folders, find_decathlon_cases

__all__ = ["find_cases"]


def find_cases(directory: str | os.PathLike) -> tuple[list[dict[str, str]], list[str]]:
    """Cases of a folder and what is broken about its files' names, in whichever layout it has.

    A folder with one of images and one of labels (:mod:`.decathlon`) is in the Decathlon's layout, any other in ACDC's
    (:mod:`.acdc`).

    Raises:
        ValueError: the folder is missing, or has neither layout; the message says what was expected.
    """
    if decathlon_folders(directory) is not None:
        return find_decathlon_cases(directory)
    try:
        return find_acdc_cases(directory)
    except ValueError as error:
        raise ValueError(
            f"{error}; or, in the Decathlon's layout, imagesTr/NAME.nii.gz and labelsTr/NAME.nii.gz"
        ) from error
