"""Medical segmentation when some of the labels are wrong, on MONAI: find them, redraw them, train in spite of them.

>>> from monai_selfcleanse import judge_labels  # labels and predictions at hand as arrays

The parts, from the bottom up:

* :mod:`.version`;
* :mod:`.core`: the mathematics, on arrays;
* :mod:`.files`, :mod:`.distributed` and :mod:`.progress`: files that are whole or not there, processes that work as
  one, and a bar;
* :mod:`.run_folder` and :mod:`.bad_input`: the output folder, and how bad input ends;
* :mod:`.cases`: one case on disk; :mod:`.earlier_results`: what an earlier run has left;
* :mod:`.noise`: synthetic label noise;
* :mod:`.data`, :mod:`.transforms`, :mod:`.losses`, :mod:`.lr_scheduler`, :mod:`.networks`, :mod:`.prepare_batch` and
  :mod:`.metrics`: what a training uses, named as in MONAI;
* :mod:`.results`: reports and exports;
* :mod:`.handlers`, :mod:`.audit` and :mod:`.monai_label`: judging in a training, without one, and in MONAI Label;
  :mod:`.review`: deciding about suspects in a browser;
* :mod:`.cli`: the command line.

A part is loaded when it is asked for, and loads those below it alone.
"""

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .audit.arrays import judge_labels

__all__ = ["__version__", "judge_labels"]


def __getattr__(name: str) -> Any:
    if name != "judge_labels":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .audit.arrays import judge_labels

    return judge_labels


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
