from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.physics.pair_correlation import _expected, _Sums, circle_inside, pair_correlation
from morphoscope.physics.points import Points
from morphoscope.physics.structure_factor import amplitudes, structure_factor, waves

NONE = Calibration()
SCALE = Calibration(pixel_size_nm=(2.0, 2.0), frame_interval_s=0.5)
FIELD = (-0.5, -0.5, 119.5, 79.5)


def table(xy, frame=0):
    return pd.DataFrame({"frame": frame, "x_px": xy[:, 0], "y_px": xy[:, 1]})


def poisson(rng, n=80, frames=1):
    return table(rng.uniform((-0.5, -0.5), (119.5, 79.5), (n * frames, 2)), np.repeat(np.arange(frames), n))


def slow_g(xy, edges, *, isotropic, steps=20_000):
    """The same sum pair by pair, circles followed in small steps."""
    (x0, y0, x1, y1), n = FIELD, len(xy)
    area, total = (x1 - x0) * (y1 - y0), np.zeros(len(edges) - 1)
    turn = (np.arange(steps) + 0.5) * 2 * np.pi / steps
    for i in range(n):
        for j in range(n):
            r = math.dist(xy[i], xy[j])
            if i == j or r >= edges[-1]:
                continue
            if isotropic:
                x, y = xy[i, 0] + r * np.cos(turn), xy[i, 1] + r * np.sin(turn)
                weight = 1 / (np.mean((x > x0) & (x < x1) & (y > y0) & (y < y1)) * area)
            else:
                weight = 1 / ((x1 - x0 - abs(xy[i, 0] - xy[j, 0])) * (y1 - y0 - abs(xy[i, 1] - xy[j, 1])))
            total[np.searchsorted(edges, r, side="right") - 1] += weight
    return total * area**2 / (n * (n - 1) * np.pi * np.diff(edges**2))


@pytest.mark.parametrize("isotropic", [False, True])
def test_g_against_pairs_taken_one_by_one(isotropic):
    objects = poisson(np.random.default_rng(0), n=40)
    found = pair_correlation(
        objects, SCALE, field=FIELD, r_max_px=40, bins=13, correction="isotropic" if isotropic else "translation"
    )
    slow = slow_g(objects[["x_px", "y_px"]].to_numpy(), np.linspace(0, 40, 14), isotropic=isotropic)
    assert found["g"].to_numpy() == pytest.approx(slow, rel=2e-3 if isotropic else 1e-9)
    assert found["r_nm"].to_numpy() == pytest.approx(2 * found["r_px"]) and found["r_high_px"].iloc[-1] == 40


def test_part_of_a_circle_in_the_field():
    made = Points(0, np.arange(3), np.array([[0.0, 0.0], [5.0, 0.0], [5.0, 5.0]]), np.array([10.0, 20.0]))
    part = circle_inside(made, np.arange(3), np.array([3.0, 4.0, 5.0]))
    assert part == pytest.approx([1 / 4, 1 / 2, 1.0])
    past_both = circle_inside(made, np.array([1]), np.array([10.0]))  # cut by both sides: two arcs of 30 degrees are left below
    assert past_both == pytest.approx([1 / 6])


@pytest.mark.parametrize("correction", ["translation", "isotropic"])
def test_points_thrown_at_random_have_g_1_in_every_bin(correction):
    objects = poisson(np.random.default_rng(1), frames=300)
    found = pair_correlation(objects, NONE, field=FIELD, r_max_px=40, bins=10, correction=correction)
    expected = 300 * 80 * 79 / 2 * np.pi * np.diff(np.linspace(0, 40, 11) ** 2) / (120 * 80)
    assert (np.abs(found["g"].to_numpy() - 1) < 4.5 / np.sqrt(expected * 0.5)).all()
    assert found["g"].iloc[-1] == pytest.approx(1, abs=0.01)  # without correction: 0.6


def test_clustered_points_have_the_g_of_theory():
    rng, spread = np.random.default_rng(2), 2.0
    parts = []
    for frame in range(150):  # Thomas process: parents 0.01 per px2, 5 children each on average
        parents = rng.uniform((-15, -15), (135, 95), (rng.poisson(0.01 * 150 * 110), 2))
        children = np.repeat(parents, rng.poisson(5, len(parents)), axis=0)
        parts.append(table(children + rng.normal(0, spread, children.shape), frame))
    found = pair_correlation(pd.concat(parts), NONE, field=FIELD, r_max_px=12, bins=12)
    low, high = found["r_low_px"] ** 2, found["r_high_px"] ** 2
    bump = (np.exp(-low / (4 * spread**2)) - np.exp(-high / (4 * spread**2))) / (np.pi * (high - low) * 0.01)
    assert found["g"].to_numpy() == pytest.approx(1 + bump, rel=0.06)
    assert ((found["low"] < 1 + bump) & (1 + bump < found["high"])).mean() > 0.7
    S = structure_factor(pd.concat(parts), NONE, field=FIELD, q_max_per_px=2, bins=20)
    assert S["S"].to_numpy() == pytest.approx(1 + 5 * np.exp(-(S["q_per_px"] ** 2) * spread**2), rel=0.15)


def test_hard_discs_keep_their_distance_and_crowd_beyond_it():
    rng, disc, box = np.random.default_rng(7), 4.0, np.array([150.0, 110.0])
    parts = []
    for frame in range(250):
        places = np.empty((0, 2))
        while len(places) < 80:
            new = rng.uniform(0, 1, 2) * box
            apart = np.abs(places - new)
            if not len(places) or (np.minimum(apart, box - apart) ** 2).sum(axis=1).min() > disc**2:
                places = np.vstack([places, new])
        inside = ((places > 0) & (places < [120, 80])).all(axis=1)
        parts.append(table(places[inside] - 0.5, frame))
    g = pair_correlation(pd.concat(parts), NONE, field=FIELD, r_max_px=12, bins=6)
    r = np.linspace(0, 12, 6001)
    r = (r[1:] + r[:-1]) / 2
    half = np.minimum(r / (2 * disc), 1)
    overlap = 2 * disc**2 * np.arccos(half) - r * np.sqrt(np.maximum(disc**2 - r**2 / 4, 0))
    theory = np.where(r > disc, 1 + 80 / box.prod() * overlap, 0)  # to first order in the density
    truth = (theory * r).reshape(6, -1).sum(axis=1) / r.reshape(6, -1).sum(axis=1)
    assert (g["g"][:2] == 0).all() and g["low"][:2].isna().all()
    assert g["g"][2:].to_numpy() == pytest.approx(truth[2:], abs=0.03) and truth[2] > 1.05


def test_a_lattice_has_its_shells_and_its_peaks():
    i, j = np.meshgrid(np.arange(20), np.arange(20))
    xy = np.stack([6 * i.ravel() + 2.5, 4 * j.ravel() + 1.5], axis=1)
    g = pair_correlation(table(xy), NONE, field=FIELD, r_max_px=9, bins=90)
    shells = [4, 6, math.hypot(4, 6), 8]
    filled = g.loc[g["n_pairs"] > 0]
    assert all(min(abs(filled["r_px"] - r)) <= 0.1 for r in shells) and len(filled) == len(shells)
    around = (
        (g["g"] * np.pi * (g["r_high_px"] ** 2 - g["r_low_px"] ** 2)).groupby(np.round(g["r_px"]).astype(int)).sum() * 399 / 9600
    )
    assert around[4] == pytest.approx(2, rel=0.01) and around[6] == pytest.approx(2, rel=0.01)
    n, m = waves(np.array([120.0, 80.0]), 3.2)
    power = np.abs(amplitudes(Points(0, np.arange(400), xy + 0.5, np.array([120.0, 80.0])), n, m)) ** 2 / 400
    peaks = (n % 20 == 0) & (m % 20 == 0)
    assert power[peaks] == pytest.approx(400) and power[~peaks] == pytest.approx(0, abs=1e-12) and peaks.sum() > 5


def test_waves_summed_one_by_one():
    rng = np.random.default_rng(3)
    size = np.array([31.0, 17.0])
    xy = np.concatenate([rng.uniform(0, 1, (60, 2)) * size, [[0, 0], size, [31.0, 0]]])
    n, m = waves(size, 4.0)
    found = amplitudes(Points(0, np.arange(63), xy, size), n, m)
    phase = 2j * np.pi * (np.outer(n, xy[:, 0]) / size[0] + np.outer(m, xy[:, 1]) / size[1])
    assert found == pytest.approx(np.exp(-phase).sum(axis=1), abs=63e-9)
    known = {(a, b) for a in range(-21, 22) for b in range(-21, 22) if 0 < math.hypot(a / size[0], b / size[1]) * 2 * np.pi <= 4}
    taken = set(zip(n.tolist(), m.tolist(), strict=True))
    assert taken | {(-a, -b) for a, b in taken} == known and len(taken) == len(n)
    assert 2 * len(taken) - sum((-a, -b) in taken for a, b in taken) == len(known)


def test_frames_are_pooled_and_told_apart():
    rng = np.random.default_rng(4)
    objects = pd.concat([poisson(rng, 30), poisson(rng, 60).assign(frame=7), poisson(rng, 1).assign(frame=9)])
    kwargs = {"field": FIELD, "bins": 5, "by_frame": True}
    g, S = (pair_correlation(objects, NONE, r_max_px=30, **kwargs), structure_factor(objects, NONE, q_max_per_px=1, **kwargs))
    assert g["frame"].unique().tolist() == S["frame"].unique().tolist() == [0, 7, 9] and len(g) == len(S) == 15
    alone = pair_correlation(objects[objects["frame"] == 7], NONE, field=FIELD, r_max_px=30, bins=5)
    assert g.loc[g["frame"] == 7, "g"].to_numpy() == pytest.approx(alone["g"])
    pooled = pair_correlation(objects, NONE, field=FIELD, r_max_px=30, bins=5)
    mixed = (g.loc[g["frame"] == 0, "g"].to_numpy() * 30 * 29 + alone["g"].to_numpy() * 60 * 59) / (30 * 29 + 60 * 59)
    assert pooled["g"].to_numpy() == pytest.approx(mixed) and g.loc[g["frame"] == 9, "g"].isna().all()
    assert S.loc[S["frame"] == 9, "S"].to_numpy() == pytest.approx(np.ones(5))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    correction=st.sampled_from(["translation", "isotropic"]),
    turn=st.booleans(),
    mirror=st.booleans(),
    factor=st.sampled_from([0.5, 3.0]),
)
def test_turning_mirroring_shuffling_and_rescaling_change_nothing(seed, correction, turn, mirror, factor):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1, (50, 2)) * [120, 80]
    new, size = xy.copy(), np.array([120.0, 80.0])
    if mirror:
        new[:, 0] = 120 - new[:, 0]
    if turn:
        new, size = np.stack([80 - new[:, 1], new[:, 0]], axis=1), size[::-1]
    new, size = rng.permutation(new) * factor + [5, -3], size * factor
    moved = (5.0, -3.0, 5.0 + size[0], size[1] - 3.0)
    one = pair_correlation(table(xy), NONE, field=(0, 0, 120, 80), r_max_px=35.7, bins=9, correction=correction)
    two = pair_correlation(table(new), NONE, field=moved, r_max_px=35.7 * factor, bins=9, correction=correction)
    assert two["g"].to_numpy() == pytest.approx(one["g"].to_numpy(), rel=1e-6)
    assert two["n_pairs"].tolist() == one["n_pairs"].tolist()
    first = structure_factor(table(xy), NONE, field=(0, 0, 120, 80), q_max_per_px=1.013, bins=9)
    second = structure_factor(table(new), NONE, field=moved, q_max_per_px=1.013 / factor, bins=9)
    assert second["S"].to_numpy() == pytest.approx(first["S"].to_numpy(), rel=1e-6)
    assert second["n_waves"].tolist() == first["n_waves"].tolist()


def test_unequal_pixels_are_told_in_nm():
    rng = np.random.default_rng(5)
    nm = rng.uniform(0, 1, (60, 2)) * [240, 160]
    square = Calibration(pixel_size_nm=(1.0, 1.0))
    flat = Calibration(pixel_size_nm=(4.0, 1.0))  # y, x
    one = pair_correlation(table(nm), square, field=(0, 0, 240, 160), r_max_px=60, bins=6)
    two = pair_correlation(table(nm / [1, 4]), flat, field=(0, 0, 240, 40), r_max_px=30, bins=6)
    assert two["r_nm"].to_numpy() == pytest.approx(one["r_nm"]) and two["g"].to_numpy() == pytest.approx(one["g"])
    S, T = (
        structure_factor(table(nm / [1, f]), c, field=(0, 0, 240, 160 / f), q_max_per_px=q, bins=6)
        for f, c, q in ((1, square, 0.5), (4, flat, 1.0))
    )
    assert T["q_per_nm"].to_numpy() == pytest.approx(S["q_per_nm"]) and T["S"].to_numpy() == pytest.approx(S["S"])


def test_intervals_are_as_wide_as_g_scatters_near_and_at_most_half_wider_far_away():
    rng = np.random.default_rng(8)
    found = [pair_correlation(poisson(rng, rng.poisson(150)), NONE, field=FIELD, r_max_px=40, bins=8) for _ in range(150)]
    g, low, high = (np.array([f[c] for f in found]) for c in ("g", "low", "high"))
    wide = (high - low).mean(axis=0) / 2 / 2.03 / g.std(axis=0)  # 2.03: t of 35 degrees of freedom
    assert wide[0] == pytest.approx(1.0, abs=0.15) and (wide[4:] > 1.1).all() and (wide[4:] < 1.6).all()
    assert ((low < 1) & (high > 1)).mean(axis=0) == pytest.approx(0.95, abs=0.06)


def test_the_share_of_each_tile_in_all_pairs():
    rng, edges = np.random.default_rng(9), np.linspace(0, 40, 5)
    sums = _Sums(edges)
    for frame in range(300):
        sums.add(Points(frame, np.arange(60), rng.uniform(0, 1, (60, 2)) * [120, 80], np.array([120.0, 80.0])), "translation")
    mean = 2 / 3 * np.diff(edges**3) / np.diff(edges**2)
    found, theory = sums.touch / sums.pairs, _expected(mean, np.array([120.0, 80.0]))
    assert (np.sqrt(((found / theory - 1) ** 2).mean(axis=0)) < [0.16, 0.09, 0.07, 0.07]).all()  # chance alone
    assert found.sum(axis=0) == pytest.approx(theory.sum(axis=0), rel=0.025) and theory[:, 3].max() / theory[:, 3].min() > 1.2


def test_frames_that_show_the_same_make_no_narrower_interval():
    still = pd.concat([poisson(np.random.default_rng(9), 150).assign(frame=k) for k in range(5)])
    alone = pair_correlation(still[still["frame"] == 0], NONE, field=FIELD, r_max_px=40, bins=10)
    both = pair_correlation(still, NONE, field=FIELD, r_max_px=40, bins=10)
    assert (both["high"] - both["low"]).to_numpy() == pytest.approx((alone["high"] - alone["low"]).to_numpy())


def test_nothing_and_wrong_requests():
    none = poisson(np.random.default_rng(0))[:0]
    for by_frame in (False, True):
        g, S = (make(none, NONE, field=FIELD, by_frame=by_frame) for make in (pair_correlation, structure_factor))
        assert g["g"].isna().all() and S.empty and ("frame" in g.columns) == ("frame" in S.columns) == by_frame
    some = poisson(np.random.default_rng(0)).assign(x_px=lambda t: t["x_px"].where(t.index > 3))
    assert (
        pair_correlation(some, NONE, field=FIELD)["r_nm"].isna().all()
        and structure_factor(some, NONE, field=FIELD)["S"].mean() > 0.9
    )
    for make, wrong in (
        (pair_correlation, {"r_max_px": 41}),
        (pair_correlation, {"r_max_px": 0}),
        (pair_correlation, {"bins": 0}),
        (pair_correlation, {"correction": "none"}),
        (pair_correlation, {"field": (5, 0, 5, 9)}),
        (structure_factor, {"q_max_per_px": 0.01}),
        (structure_factor, {"q_max_per_px": 1000}),
        (structure_factor, {"q_max_per_px": math.nan}),
        (structure_factor, {"confidence": 1}),
    ):
        with pytest.raises(UsageError):
            make(some, NONE, **{"field": FIELD} | wrong)
    with pytest.raises(InputError, match="y_px"):
        pair_correlation(some.drop(columns="y_px"), NONE, field=FIELD)
