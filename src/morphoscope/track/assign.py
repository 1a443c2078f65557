"""The pairing of greatest total gain, exactly and in time that grows with the number of pairs.

Pairs that no alternative can outweigh are taken first; what is left falls apart into small groups that share no pair, which are
solved in batches by sparse assignment (Jonker and Volgenant 1987, as SciPy has it). Only a group of thousands of pairs, as
objects that move farther than they are apart make, goes to an auction (Bertsekas 1988), whose total is short of the greatest by
less than `CLOSE` of the largest gain for each pair made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
LARGE = 2000  # pairs in one group
CLOSE = 0.002
BATCH = 1000  # pairs solved together: the time of one solution grows faster than their number
ROUNDS = 6


def assign(rows: Ints, columns: Ints, gain: Array, shape: tuple[int, int]) -> Ints:
    """For each column its row in the pairing of greatest total gain, -1 for none.

    Args:
        rows: (n,) row of each possible pair; each row and each column is used once at most.
        columns: (n,) its column.
        gain: (n,) what the pair is worth beside leaving both alone; pairs worth 0 or less are not made.
        shape: number of rows and of columns.
    """
    mate = np.full(shape[1], -1, np.int64)
    useful = gain > 0
    rows, columns, gain = rows[useful], columns[useful], gain[useful]
    for _ in range(ROUNDS):
        sure = gain >= _best_other(rows, gain, shape[0]) + _best_other(columns, gain, shape[1])
        if not sure.any():
            break
        taken = _first_of_each(rows, columns, sure)
        mate[columns[taken]] = rows[taken]
        free = ~(_members(rows[taken], shape[0])[rows] | _members(columns[taken], shape[1])[columns])
        rows, columns, gain = rows[free], columns[free], gain[free]
    for batch in _batches(rows, columns, shape):
        solve = _auction if len(batch) > LARGE + BATCH else _solve
        i, j = solve(rows[batch], columns[batch], gain[batch])
        mate[j] = i
    return mate


def _best_other(group: Ints, gain: Array, size: int) -> Array:
    """For each pair the greatest gain among the other pairs of its group, 0 where there is none."""
    best, second = np.zeros(size), np.zeros(size)
    np.maximum.at(best, group, gain)
    top = gain == best[group]
    single = np.bincount(group[top], minlength=size) == 1
    np.maximum.at(second, group[~top], gain[~top])
    second = np.where(single, second, best)
    return np.asarray(np.where(top, second[group], best[group]))


def _first_of_each(rows: Ints, columns: Ints, sure: NDArray[np.bool_]) -> Ints:
    """Of the sure pairs, which can only meet where they are worth the same, those that share nothing."""
    at = np.flatnonzero(sure)
    at = at[np.unique(rows[at], return_index=True)[1]]
    return np.asarray(at[np.unique(columns[at], return_index=True)[1]])


def _members(numbers: Ints, size: int) -> NDArray[np.bool_]:
    found = np.zeros(size, bool)
    found[numbers] = True
    return found


def _batches(rows: Ints, columns: Ints, shape: tuple[int, int]) -> list[Ints]:
    """The pairs in batches, none of which cuts a group of pairs that share rows or columns."""
    if not len(rows):
        return []
    n = shape[0] + shape[1]
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, shape[0] + columns)), shape=(n, n))
    group = connected_components(graph, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    size = np.diff(np.r_[first, len(order)])
    batch = np.cumsum(size > LARGE) + np.cumsum(np.r_[0, size[:-1] > LARGE]) + first // BATCH
    cuts = first[np.flatnonzero(np.diff(batch)) + 1]
    return list(np.split(order, cuts))


def _solve(rows: Ints, columns: Ints, gain: Array) -> tuple[Ints, Ints]:
    """Greatest gain: real pairs, a way out for each row and column, and the transposed pairs, so that all can be paired."""
    row, i = np.unique(rows, return_inverse=True)
    column, j = np.unique(columns, return_inverse=True)
    n, m = len(row), len(column)
    alone = float(gain.max())
    all_rows = np.concatenate([i, np.arange(n), n + np.arange(m), n + j])
    all_columns = np.concatenate([j, m + np.arange(n), np.arange(m), m + i])
    # zero weights would be taken for missing ones
    weights = 1.0 + np.concatenate([alone - gain, np.full(n + m, alone / 2), np.zeros(len(i))])
    graph = coo_matrix((weights, (all_rows, all_columns)), shape=(n + m, n + m)).tocsr()
    chosen_row, chosen_column = min_weight_full_bipartite_matching(graph)
    real = (chosen_row < n) & (chosen_column < m)
    return row[chosen_row[real]], column[chosen_column[real]]


def _auction(rows: Ints, columns: Ints, gain: Array) -> tuple[Ints, Ints]:
    """Rows bid for columns until none wants another; all that are free bid at once."""
    row, i = np.unique(rows, return_inverse=True)
    column, j = np.unique(columns, return_inverse=True)
    worth, choice = _padded(i, j, gain, len(row))
    step = CLOSE * float(gain.max())
    price, owner = np.zeros(len(column) + 1), np.full(len(column) + 1, -1, np.int64)
    free = np.arange(len(row))
    while len(free):
        value = worth[free] - price[choice[free]]
        at = value.argmax(axis=1)
        here = np.arange(len(free))
        best = value[here, at]
        value[here, at] = -np.inf
        other = np.maximum(value.max(axis=1), 0)
        bids = best > 0  # who gains nothing by any column stays alone
        free, wanted = free[bids], choice[free[bids], at[bids]]
        offer = price[wanted] + (best - other)[bids] + step
        order = np.lexsort((free, -offer, wanted))
        won = order[np.unique(wanted[order], return_index=True)[1]]
        put_out = owner[wanted[won]]
        owner[wanted[won]], price[wanted[won]] = free[won], offer[won]
        lost = np.ones(len(free), bool)
        lost[won] = False
        free = np.concatenate([free[lost], put_out[put_out >= 0]])
    taken = np.flatnonzero(owner[:-1] >= 0)
    return row[owner[taken]], column[taken]


def _padded(rows: Ints, columns: Ints, gain: Array, n: int) -> tuple[Array, Ints]:
    """The gains and columns of each row side by side; what is missing is worth -inf in a column that no one has."""
    order = np.argsort(rows, kind="stable")
    count = np.bincount(rows, minlength=n)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    worth = np.full((n, max(int(count.max()), 2)), -np.inf)
    choice = np.full(worth.shape, int(columns.max()) + 1, np.int64)
    worth[rows[order], place], choice[rows[order], place] = gain[order], columns[order]
    return worth, choice
