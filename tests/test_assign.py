from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from morphoscope.track import assign as module
from morphoscope.track.assign import assign


def total(rows, columns, gain, mate):
    worth = {(i, j): g for i, j, g in zip(rows.tolist(), columns.tolist(), gain.tolist(), strict=True)}
    return sum(worth[int(i), j] for j, i in enumerate(mate) if i >= 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_all_pairings_is_found(seed):
    gain = np.random.default_rng(seed).uniform(-1, 3, (4, 4)).round(1)
    rows, columns = (i.ravel() for i in np.indices((4, 4)))
    mate = assign(rows, columns, gain.ravel(), (4, 4))
    choices = (c for c in itertools.product([-1, 0, 1, 2, 3], repeat=4) if len(set(c) - {-1}) == sum(i >= 0 for i in c))
    best = max(sum(gain[i, j] for j, i in enumerate(c) if i >= 0) for c in choices)
    assert total(rows, columns, gain.ravel(), mate) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_sparse_pairs_with_ties_are_worth_what_a_dense_solver_finds(seed, n, m, whole):
    rng = np.random.default_rng(seed)
    rows, columns = np.divmod(rng.choice(n * m, rng.integers(1, n * m + 1), replace=False), m)
    gain = rng.integers(-2, 6, len(rows)).astype(float) if whole else rng.normal(1, 2, len(rows))
    dense = np.zeros((n, m))
    dense[rows, columns] = np.maximum(gain, 0)
    mate = assign(rows, columns, gain, (n, m))
    used = mate[mate >= 0]
    assert len(set(used.tolist())) == len(used)
    assert total(rows, columns, gain, mate) == pytest.approx(dense[linear_sum_assignment(-dense)].sum())


def crowd(n):
    """Pairs of objects that moved half as far as they are apart: one group that shares nearly everything."""
    rng = np.random.default_rng(0)
    before = rng.uniform(0, np.sqrt(n), (n, 2))
    distance, at = cKDTree(before + rng.normal(0, 0.5, before.shape)).query(before, k=8, distance_upper_bound=2)
    near = np.isfinite(distance)
    return np.repeat(np.arange(n), near.sum(axis=1)), at[near].astype(np.int64), 4 - distance[near] ** 2


def test_a_crowd_goes_to_an_auction_that_is_nearly_as_good(monkeypatch):
    rows, columns, gain = crowd(600)
    close = total(rows, columns, gain, assign(rows, columns, gain, (600, 600)))
    monkeypatch.setattr(module, "LARGE", 10**9)
    mate = assign(rows, columns, gain, (600, 600))
    best = total(rows, columns, gain, mate)
    assert best - module.CLOSE * gain.max() * (mate >= 0).sum() <= close <= best + 1e-9
    assert close > 0.998 * best


def test_nothing_to_pair():
    none = np.empty(0, np.int64)
    assert assign(none, none, np.empty(0), (3, 2)).tolist() == [-1, -1]
    assert assign(np.array([0]), np.array([1]), np.array([-1.0]), (1, 2)).tolist() == [-1, -1]
