from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.track.displacement import BACK, BATCH, DETOURS, Links, detours, displacement, partners


def places(table: pd.DataFrame) -> np.ndarray:
    return table[["shift_x_px", "shift_y_px"]].to_numpy()


def links_of(path, rng=None, noise=0.0, *, wrong=None, quality=0.9):
    """All links of the frames of a path, those in `wrong` (first, second) -> (dx, dy) replaced."""
    rows = []
    for i in range(len(path)):
        for j in partners(i):
            step = path[i] - path[j] + (rng.normal(0, noise, 2) if rng else 0)
            step = (wrong or {}).get((j, i), step)
            if step is not None:
                rows.append((j, i, *step, max(noise, 0.01) ** 2, quality))
    return Links.of(rows)


def walk(n, seed=0, jumps=()):
    steps = np.random.default_rng(seed).normal(0, 0.3, (n, 2))
    steps[:1] = 0
    for at, jump in jumps:
        steps[at] += jump
    return np.cumsum(steps, axis=0)


def test_partners_are_fixed_by_the_number_alone():
    assert partners(0) == () and partners(1) == (0,) and partners(2) == (1, 0)
    assert partners(BATCH) == (BATCH - 1, 0) and partners(BATCH + 1) == (BATCH,)
    assert partners(BATCH + 5) == (BATCH + 4, BATCH)
    key = 20 * BATCH
    assert partners(key) == (key - 1, *(key - k * BATCH for k in BACK))
    assert all(len(set(partners(i))) == len(partners(i)) <= 1 + len(BACK) for i in range(500))
    assert all(j < i and (j == i - 1 or j % BATCH == 0) for i in range(500) for j in partners(i))


def test_detours_are_earlier_frames_that_are_no_partners():
    assert detours(0) == detours(1) == () and detours(3) == (1,)
    assert detours(BATCH + 2) == (BATCH - 1, BATCH - 2, 0) and detours(20 * BATCH + 9)[:DETOURS] == tuple(
        20 * BATCH + 9 - k for k in (2, 3, 4)
    )
    for i in range(500):
        assert not set(detours(i)) & set(partners(i)) and all(0 <= j < i - 1 for j in detours(i))
        assert all(i - j <= 1 + DETOURS or j % BATCH == 0 for j in detours(i))


@pytest.mark.parametrize("n", [0, 1, 2, 33, 200])
def test_true_links_give_the_path(n):
    path = walk(n, jumps=[(20, [40, -30]), (70, [-55, 2])] if n > 70 else [])
    found = displacement(links_of(path), n)
    assert places(found) == pytest.approx(path.reshape(n, 2), abs=1e-4)
    assert np.flatnonzero(found["jump"]).tolist() == ([20, 70] if n > 70 else [])
    assert (found["shift_quality"][1:] > 0.8).all() and list(found.columns)[-1] == "shift_quality"


def test_the_sum_of_steps_alone_is_the_path_where_there_are_no_keys():
    path = walk(50)
    chain = [(i - 1, i, *(path[i] - path[i - 1]), 0.01, 0.8) for i in range(1, 50)]
    assert places(displacement(Links.of(chain), 50)) == pytest.approx(path)


def test_errors_do_not_add_up():
    n, noise = 3000, 0.05
    errors, sums = [], []
    for seed in range(6):
        path, rng = walk(n, seed), np.random.default_rng(seed + 100)
        links = links_of(path, rng, noise)
        errors.append(places(displacement(links, n)) - path)
        pairs = np.flatnonzero(links.second - links.first == 1)
        pairs = pairs[np.unique(links.second[pairs], return_index=True)[1]]
        sums.append(np.cumsum(np.stack([links.dx, links.dy], 1)[pairs], axis=0) - path[1:])
    end, plain = (np.sqrt(np.mean([e[-1] ** 2 for e in which])) for which in (errors, sums))
    assert plain > 1.5  # 0.05 sqrt(3000) = 2.7
    assert end < 0.35  # about 0.05 sqrt(3000 / 256 + ...)
    assert np.sqrt(np.mean(np.diff(errors, axis=1) ** 2)) < 1.2 * noise


def test_least_squares_agrees_with_a_dense_solution():
    n, rng = 60, np.random.default_rng(1)
    path = walk(n)
    links = links_of(path, rng, 0.05)
    rows = np.zeros((len(links.first), n))
    rows[np.arange(len(rows)), links.second] += 1
    rows[np.arange(len(rows)), links.first] -= 1
    dense = np.linalg.lstsq(rows[:, 1:], np.stack([links.dx, links.dy], 1), rcond=None)[0]
    assert places(displacement(links, n))[1:] == pytest.approx(dense, abs=0.03)  # Tukey's weights differ a little from 1


def test_wrong_links_are_left_out_and_jumps_are_kept_sharp():
    path, rng = walk(160, 2, jumps=[(77, [45, 10])]), np.random.default_rng(0)
    wrong = {(76, 77): (0.0, 0.0), (99, 100): (12.0, 0.0), (64, 90): (-8.0, 30.0), (32, 96): (3.0, -3.0)}
    found = displacement(links_of(path, rng, 0.03, wrong=wrong), 160)
    assert np.abs(places(found) - path).max() < 0.2
    assert np.flatnonzero(found["jump"]).tolist() == [77]


def test_many_bad_key_links_do_not_outvote_good_steps():
    path, rng = walk(128, 3), np.random.default_rng(0)
    links = links_of(path, rng, 0.02)
    lag = links.second - links.first
    bad = (lag > 1) & (lag < BATCH) & (rng.random(len(lag)) < 0.1)
    shake = rng.normal(0, 20, (len(lag), 2)) * bad[:, None]
    found = displacement(links._replace(dx=links.dx + shake[:, 0], dy=links.dy + shake[:, 1]), 128)
    assert np.abs(places(found) - path).max() < 0.15 and not found["jump"].any()


def test_content_that_was_lost_stays_where_it_was_and_is_told():
    path = walk(100)
    lost = {(j, i): None for i in range(60, 100) for j in partners(i) if j < 60}
    found = displacement(links_of(path, wrong=lost), 100)
    moved = places(found)
    assert moved[60] == pytest.approx(moved[59], abs=1e-3)
    assert moved[61:] - moved[60] == pytest.approx(path[61:] - path[60], abs=1e-3)
    assert found["shift_quality"][60] == 0 and (found["shift_quality"].drop(60) > 0.8).all()
    blind = {(j, i): None for i in range(100) for j in partners(i) if 40 in (i, j)}
    found = displacement(links_of(path, wrong=blind), 100)
    assert found["shift_quality"][40] == 0
    assert places(found)[40] == pytest.approx((path[39] + path[41]) / 2, abs=1e-3)
    assert np.delete(places(found), 40, axis=0) == pytest.approx(np.delete(path, 40, axis=0), abs=1e-3)


def test_without_any_link_nothing_moves():
    found = displacement(Links.of([]), 5)
    assert (places(found) == 0).all() and found["shift_quality"].tolist() == [1, 0, 0, 0, 0]
    unknown = Links.of([(0, 1, 3.0, 4.0, np.nan, 0.0), (1, 2, np.nan, 0.0, 1.0, 0.5)])
    assert (places(displacement(unknown, 3)) == 0).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 90), st.integers(0, 10_000), st.floats(0.01, 100))
def test_order_of_links_turns_and_units_make_no_difference(n, seed, unit):
    rng = np.random.default_rng(seed)
    links = links_of(walk(n, seed), rng, 0.1)
    found = displacement(links, n)
    order = rng.permutation(len(links.first))
    mixed = displacement(Links(*(column[order] for column in links)), n)
    assert places(mixed) == pytest.approx(places(found), abs=1e-6)
    turned = displacement(links._replace(dx=-links.dy, dy=links.dx), n)
    assert places(turned) == pytest.approx(places(found)[:, ::-1] * [-1, 1], abs=1e-6)
    scaled = Links(links.first, links.second, links.dx * unit, links.dy * unit, links.variance * unit**2, links.quality)
    assert places(displacement(scaled, n)) == pytest.approx(places(found) * unit, rel=1e-6, abs=1e-6 * unit)
