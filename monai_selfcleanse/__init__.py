"""Medical segmentation when some of the labels are wrong, on MONAI: find them, redraw them, train in spite of them.

>>> from monai_selfcleanse import judge_labels  # labels and predictions at hand as arrays

The parts, from the bottom up: :mod:`.core` (the mathematics, on arrays), :mod:`.cases` (one case on disk),
:mod:`.noise` (synthetic label noise), :mod:`.data`, :mod:`.transforms`, :mod:`.losses`, :mod:`.prepare_batch`,
:mod:`.metrics` and :mod:`.handlers` (named as in MONAI; what a training uses), :mod:`.results` (reports and exports),
:mod:`.audit` (judging without training), :mod:`.monai_label` and :mod:`.cli`.
"""

__version__ = "0.1.0"

from .audit.arrays import judge_labels

__all__ = ["__version__", "judge_labels"]
