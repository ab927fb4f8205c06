"""Judge the labels of a data set by predictions that are there already: no training, one case in memory at a time.

:func:`audit_labels` takes a list of cases, a :class:`PredictionSource` (a network, or a folder of somebody's
predictions) and a :class:`monai_selfcleanse.core.judge.LabelJudge`, and leaves behind what a training does: the
report and the cleansed labels. :func:`judge_labels` does the same for labels and predictions that are at hand as
arrays.
"""

from .array_case import LabelledCase
from .arrays import ArrayJudgement, judge_labels
from .audit import audit_labels
from .folder import FolderPredictions
from .network import NetworkPredictions
from .source import LoadedCase, PredictionSource

__all__ = [
    "ArrayJudgement",
    "FolderPredictions",
    "LabelledCase",
    "LoadedCase",
    "NetworkPredictions",
    "PredictionSource",
    "audit_labels",
    "judge_labels",
]
