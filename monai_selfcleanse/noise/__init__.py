"""Synthetic label noise that looks like what annotators do, as MONAI transforms and as whole-cohort corruption."""

from .array import DilateLabel, DropLabel, ErodeLabel, LabelNoise, apply_noise
from .dictionary import (
    DilateLabelD,
    DilateLabeld,
    DilateLabelDict,
    DropLabelD,
    DropLabeld,
    DropLabelDict,
    ErodeLabelD,
    ErodeLabeld,
    ErodeLabelDict,
    LabelNoised,
)  # fmt: skip
from .presets import PRESETS, Annotator, make_annotator

__all__ = [
    "PRESETS",
    "Annotator",
    "DilateLabel", "DilateLabelD", "DilateLabelDict", "DilateLabeld",
    "DropLabel", "DropLabelD", "DropLabelDict", "DropLabeld",
    "ErodeLabel", "ErodeLabelD", "ErodeLabelDict", "ErodeLabeld",
    "LabelNoise", "LabelNoised",
    "apply_noise",
    "make_annotator",
]  # fmt: skip
