"""Ignite handlers that wire filter, cleanser and report into a MONAI training."""

from .broadcast_buffers import BroadcastBuffers
from .cleansing_board import CleansingBoard
from .cleansing_report import CleansingReport
from .ema_restart import EMARestart
from .epoch_seeder import EpochSeeder
from .events import SelfCleanseEvents
from .existing_handler import existing_handler
from .finite_loss import FiniteLoss, LossNotFiniteError
from .folder_lock import FolderLock
from .label_cleanser import LabelCleanser, LabelCleanserResult
from .label_filter import LabelFilter, LabelFilterResult
from .label_redrawer import LabelRedrawer
from .plain_end import PlainEnd
from .training_checkpoint import TrainingCheckpoint
from .training_rounds import TrainingRounds
from .weights_saver import WeightsSaver

__all__ = [
    "BroadcastBuffers",
    "CleansingBoard",
    "CleansingReport",
    "EMARestart",
    "EpochSeeder",
    "FiniteLoss",
    "FolderLock",
    "LabelCleanser",
    "LabelCleanserResult",
    "LabelFilter",
    "LabelFilterResult",
    "LabelRedrawer",
    "LossNotFiniteError",
    "PlainEnd",
    "SelfCleanseEvents",
    "TrainingCheckpoint",
    "TrainingRounds",
    "WeightsSaver",
    "existing_handler",
]
