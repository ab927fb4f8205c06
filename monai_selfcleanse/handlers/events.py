"""Ignite events of this package, fired on the trainer."""

from __future__ import annotations

from ignite.engine import Engine, EventEnum

__all__ = ["SelfCleanseEvents", "register_self_cleanse_events"]


class SelfCleanseEvents(EventEnum):
    """Custom events; hook a handler on with ``trainer.add_event_handler(SelfCleanseEvents.LABELS_FILTERED, ...)``.

    * ``LABELS_FILTERED``: :class:`LabelFilter` has judged all labels; its result is
      ``engine.state.label_filter_result``.
    * ``LABELS_CLEANSED``: :class:`LabelCleanser` has left suspects out, or put new targets into force; its result is
      ``engine.state.label_cleanser_result``.
    """

    LABELS_FILTERED = "labels_filtered"
    LABELS_CLEANSED = "labels_cleansed"


def register_self_cleanse_events(engine: Engine) -> None:
    """Make the events known to an engine; harmless if they are."""
    engine.register_events(*SelfCleanseEvents)
