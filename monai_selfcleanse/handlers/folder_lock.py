"""Handler that keeps other runs out of a training's folder."""

from __future__ import annotations

import os
from contextlib import ExitStack

from ignite.engine import Engine, Events

from ..distributed import only_run
from ..options import exit_on_bad_input

__all__ = ["FolderLock"]


class FolderLock:
    """Keep other trainings and audits out of a folder while a training runs.

    They would put each other's targets out of force, and mix their results. Attach it first. The folder is free again
    when the training completes, or its process ends.

    Args:
        directory: the folder, made if it is missing.

    Raises:
        ValueError: when training starts, another process has it.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory = directory
        self._held = ExitStack()

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self._take, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self._take)
            engine.add_event_handler(Events.COMPLETED, self._release)

    def _take(self) -> None:
        self._release()
        exit_on_bad_input(lambda: self._held.enter_context(only_run(self.directory)))

    def _release(self) -> None:
        self._held.close()
