from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from morphoscope.measure.matching import iou_matrix, iou_pairs, match_boxes, match_greedy, precision_recall_f1


def slow_iou(a, b):
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / both if both > 0 else 0.0


def slow_greedy(iou, threshold):
    iou, pairs = iou.copy(), []
    while iou.size and iou.max() >= threshold and iou.max() > 0:
        i, j = np.unravel_index(iou.argmax(), iou.shape)
        pairs.append((i, j))
        iou[i, :] = iou[:, j] = -1
    return pairs


def boxes(rng, n, field=100.0):
    corner = rng.uniform(0, field, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(2, 20, (n, 2))], axis=1)


def test_iou_against_plain_loops():
    rng = np.random.default_rng(0)
    a, b = boxes(rng, 12), boxes(rng, 9)
    assert iou_matrix(a, b) == pytest.approx(np.array([[slow_iou(p, q) for q in b] for p in a]))
    assert iou_matrix(np.empty((0, 4)), b).shape == (0, 9)
    assert iou_matrix(np.zeros((1, 4)), np.zeros((1, 4))) == 0


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(0, 7), st.integers(0, 7)), elements=st.sampled_from([0, 0.1, 0.3, 0.5, 0.9])))
def test_greedy_against_plain_search(iou):
    assert [tuple(pair) for pair in match_greedy(iou, 0.2)] == slow_greedy(iou, 0.2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_order_of_rows_and_columns_does_not_matter(seed, n, m):
    rng = np.random.default_rng(seed)
    iou, rows, columns = rng.permutation(n * m).reshape(n, m) / (n * m), rng.permutation(n), rng.permutation(m)
    shuffled = match_greedy(iou[np.ix_(rows, columns)], 0.3)
    back = np.column_stack([rows[shuffled[:, 0]], columns[shuffled[:, 1]]])
    assert back.tolist() == match_greedy(iou, 0.3).tolist()


def test_two_thousand_by_two_thousand_with_every_entry_in_play():
    iou = np.random.default_rng(2).uniform(0.2, 1, (2000, 2000))
    pairs = match_greedy(iou, 0.15)
    assert len(pairs) == len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == 2000
    assert (np.diff(iou[pairs[:, 0], pairs[:, 1]]) <= 0).all()


def test_highest_of_the_whole_matrix_first():
    assert match_greedy(np.array([[0.6, 0.9], [0.0, 0.7]]), 0.15).tolist() == [[0, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_sparse_matching_equals_the_matrix(seed):
    rng = np.random.default_rng(seed)
    a, b = boxes(rng, 80), boxes(rng, 70)
    rows, columns, values = iou_pairs(a, b)
    dense = np.zeros((80, 70))
    dense[rows, columns] = values
    assert dense == pytest.approx(iou_matrix(a, b))
    assert match_boxes(a, b, 0.1).tolist() == match_greedy(iou_matrix(a, b), 0.1).tolist()
    assert match_boxes(a[:0], b, 0.1).shape == (0, 2)
    one, two = rng.integers(0, 2, 80), rng.integers(0, 2, 70)
    same = np.where(one[:, None] == two, iou_matrix(a, b), 0)
    assert match_boxes(a, b, 0.1, classes=(one, two)).tolist() == match_greedy(same, 0.1).tolist()


def test_five_thousand_boxes():
    rng = np.random.default_rng(1)
    truth = boxes(rng, 5000, 4000.0)
    pairs = match_boxes(truth + 0.5, truth, 0.5)
    assert (pairs[:, 0] == pairs[:, 1]).mean() > 0.98 and len(pairs) > 4800


def test_scores():
    assert precision_recall_f1(6, 2, 4) == pytest.approx((0.75, 0.6, 2 / 3))
    assert precision_recall_f1(0, 0, 0) == (0, 0, 0)
