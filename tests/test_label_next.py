"""Images to label next: the most unsure ones, and not ten copies of one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import UsageError
from morphoscope.measure.label_next import label_next, unsureness


def test_unsureness_is_the_gap_of_the_two_most_probable() -> None:
    found = unsureness([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.2, 0.6], [1 / 3, 1 / 3, 1 / 3]])
    assert found == pytest.approx([0, 1, 0.6, 1])
    assert unsureness([[1.0], [1.0]]).tolist() == [0, 0]


def test_copies_of_one_doubtful_image_count_as_one() -> None:
    angle = np.deg2rad([0, 0, 0, 0, 90, 45])
    features = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.array([[1], [2], [3], [1], [9], [1]])
    assert label_next([0.9, 0.89, 0.88, 0.9, 0.5, 0.5], features, 3).tolist() == [0, 4, 5]
    assert label_next([0.9, 0.89, 0.88, 0.9, 0.5, 0.5], features, 5).tolist() == [0, 4, 5, 3, 1]  # copies by unsureness


def slow(unsure, features, count):
    """The same rule, written out."""
    chosen = [max(range(len(unsure)), key=lambda i: (unsure[i], -i))]
    while len(chosen) < min(count, len(unsure)):
        rest = [i for i in range(len(unsure)) if i not in chosen]

        def gain(i):
            return unsure[i] * min(
                1 - features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j]) for j in chosen
            )

        chosen.append(max(rest, key=lambda i: (gain(i), -i)))
    return chosen


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 14))
def test_it_is_the_rule_written_out(seed: int, n: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    unsure, features = rng.uniform(0.1, 1, n), rng.normal(size=(n, 4))
    found = label_next(unsure, features, count).tolist()
    assert found == slow(unsure, features, count)
    assert len(set(found)) == min(n, count)


def test_little_and_wrong_input() -> None:
    assert label_next([], np.zeros((0, 3)), 5).tolist() == []
    assert label_next([0.3], [[1, 2]], 0).tolist() == []
    assert label_next([0, 0], [[0, 0], [0, 0]], 2).tolist() == [0, 1]
    with pytest.raises(UsageError, match="features for each image"):
        label_next([0.3, 0.2], [[1, 2]], 1)
