"""How many epochs each round has, and where an epoch lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_selfcleanse.core.rounds import epochs_of_rounds, place_of, total_epochs


@pytest.mark.parametrize(
    ("epochs", "rounds", "expected"),
    [(60, 1, [60]), (60, 2, [60, 60]), (40, 3, [40, 40, 40]), (1, 1, [1]), (1, 2, [1, 1])],
)
def test_each_round_has_the_epochs_asked_for(epochs: int, rounds: int, expected: list[int]) -> None:
    assert epochs_of_rounds(total_epochs(epochs, rounds), rounds) == expected


@given(st.integers(1, 300), st.integers(1, 5))
def test_a_total_is_split_as_it_was_added_up(epochs: int, rounds: int) -> None:
    total = total_epochs(epochs, rounds)
    found = epochs_of_rounds(total, rounds)
    assert found == [epochs] * rounds


@given(st.integers(1, 300), st.integers(1, 5))
def test_any_total_is_split_into_rounds_that_fill_it(total: int, rounds: int) -> None:
    """As where MONAI Label says how many epochs the trainer has."""
    found = epochs_of_rounds(total, rounds)
    assert sum(found) == total
    assert min(found) >= 1
    assert len(found) in (1, rounds)
    assert len(found) == rounds or total < rounds
    assert max(found) - min(found) < rounds


@pytest.mark.parametrize(("epochs", "rounds"), [("many", 2), (10, "two"), (10, 0)])
def test_what_others_refuse_counts_as_one_round(epochs: object, rounds: object) -> None:
    assert total_epochs(epochs, rounds) == epochs
    assert epochs_of_rounds(epochs, rounds) == [epochs]


def test_every_epoch_has_its_place() -> None:
    places = [place_of(epoch, [2, 3]) for epoch in range(1, 7)]
    assert places == [(1, 1, 2), (1, 2, 2), (2, 1, 3), (2, 2, 3), (2, 3, 3), (2, 4, 3)]
