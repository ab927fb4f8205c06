"""Judge the labels of a data set by predictions that are there already: no training, one case in memory at a time.

:func:`audit_labels` takes a list of cases, a :class:`PredictionSource` (a network, or a folder of somebody's
predictions) and a :class:`monai_selfcleanse.core.judgement.LabelJudge`, and leaves behind what a training does: the
report and the cleansed labels.
"""

from .audit import audit_labels
from .folder import FolderPredictions, border_probabilities
from .network import NetworkPredictions
from .source import LoadedCase, PredictionSource

__all__ = [
    "FolderPredictions",
    "LoadedCase",
    "NetworkPredictions",
    "PredictionSource",
    "audit_labels",
    "border_probabilities",
]
