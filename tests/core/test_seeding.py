"""Randomness that follows from a seed and a name alone."""

from __future__ import annotations

from monai_selfcleanse.core.seeding import case_generator


def test_generator_depends_on_all_of_seed_case_and_name() -> None:
    keys = [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y"), (11, "", "x"), (1, "1", "x"), (1, "", "1x")]
    assert len({case_generator(*key).random() for key in keys}) == len(keys)


def test_generator_is_the_same_in_every_process_and_version() -> None:
    # Once published, the splits and the noise of a seed must not change.
    assert case_generator(0, "patient001", "split").bit_generator.random_raw() == 8206323797547999195
