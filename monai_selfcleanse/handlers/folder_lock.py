"""Handler that keeps other runs out of a training's folder."""

from __future__ import annotations

import os

from ignite.engine import Engine, Events

from ..bad_input import exit_on_bad_input
from ..distributed import on_rank_zero
from ..run_folder import RunFolder

__all__ = ["FolderLock"]


class FolderLock:
    """Keep other trainings and audits out of a training's folders while it runs.

    They would put each other's targets out of force, and mix their results. Attach it before those who write: it takes
    the folder before the other handlers start (:class:`monai_selfcleanse.data.Cohort` has it already where it writes
    there), and lets go when all of them have completed. A training that fails keeps it until another one in its process
    completes, or the process ends.

    Args:
        directory: the output folder, made if it is missing.
        ckpt_dir: folder of weights and checkpoint, which is kept, too; None for the output folder's own.

    Raises:
        ValueError: when training starts, another process has one of them.
    """

    def __init__(self, directory: str | os.PathLike, ckpt_dir: str | os.PathLike | None = None) -> None:
        self.folder, self.ckpt_dir = RunFolder(directory), ckpt_dir

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self._take, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self._take)

    def _take(self, engine: Engine) -> None:
        exit_on_bad_input(lambda: on_rank_zero(lambda: self.folder.hold(self.ckpt_dir)))
        if not engine.has_event_handler(self._release, Events.COMPLETED):  # behind those who write when it completes
            engine.add_event_handler(Events.COMPLETED, self._release)

    def _release(self) -> None:
        on_rank_zero(lambda: self.folder.free(self.ckpt_dir))
