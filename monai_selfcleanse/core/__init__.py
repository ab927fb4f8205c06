"""The mathematics, on arrays: evidence about a label, the mixture, the judgement, and the cleansed label.

Nothing here reads a file or knows an engine, and nothing imports another part of the package.
"""

from .border import BorderProbabilities
from .cleansing import cleanse_label, untrusted_voxels
from .evidence import EVIDENCE, structure_evidence, surprise
from .judge import LabelJudge
from .judgement import Judgement
from .leaving_out import cases_to_leave_out
from .mixture import FilterDecision, ScoreMixture, filter_labels, fit_score_mixture
from .reason import reason_for
from .rounds import epochs_of_rounds, total_epochs
from .size_bias import drawn_without_size_bias, filter_without_size_bias

__all__ = [
    "EVIDENCE",
    "BorderProbabilities",
    "FilterDecision",
    "Judgement",
    "LabelJudge",
    "ScoreMixture",
    "cases_to_leave_out",
    "cleanse_label",
    "drawn_without_size_bias",
    "epochs_of_rounds",
    "filter_labels",
    "filter_without_size_bias",
    "fit_score_mixture",
    "reason_for",
    "structure_evidence",
    "surprise",
    "total_epochs",
    "untrusted_voxels",
]
