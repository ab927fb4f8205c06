"""One case on disk: its dictionary, its files, what looks saw of it, and what a training takes it for."""

from .case import check_unique_cases, decollated, label_file_of, with_values
from .grid import turn_onto
from .image_file import ImageFile, open_image
from .label_file import GivenLabel, read_label, save_index_map
from .look import score_case
from .seen import Redrawing, SeenCase
from .store import CaseStore, StoreLike
from .view import CaseView, view_case

__all__ = [
    "CaseStore",
    "CaseView",
    "GivenLabel",
    "ImageFile",
    "Redrawing",
    "SeenCase",
    "StoreLike",
    "check_unique_cases",
    "decollated",
    "label_file_of",
    "open_image",
    "read_label",
    "save_index_map",
    "score_case",
    "turn_onto",
    "view_case",
    "with_values",
]
