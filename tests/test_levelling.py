"""Height maps levelled: tilt, bow and jumps put on by hand come off again and particles stay; heights and volumes of solids."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.measure.heights import heights
from morphoscope.measure.levelling import Level, level, without_scars
from morphoscope.measure.line_levels import ground_seen
from morphoscope.recipe import FramesRecipe

Map = NDArray[np.float64]
SHAPE = (120, 150)
NOISE = 0.3
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
TILT = 0.3 * X - 0.2 * Y
BOW = 12 * ((X / 75 - 1) ** 2 + 0.5 * (Y / 60 - 1) ** 2 - 0.4 * (X / 75 - 1) * (Y / 60 - 1))


def domes(seed: int, cover: float = 0.15) -> Map:
    """Half ellipsoids of 5 to 15 nm on a flat ground."""
    rng = np.random.default_rng(seed)
    z = np.zeros(SHAPE)
    while (z > 0).mean() < cover:
        x, y, r, top = rng.uniform(0, SHAPE[1]), rng.uniform(0, SHAPE[0]), rng.uniform(5, 9), rng.uniform(5, 15)
        z = np.maximum(z, top * np.sqrt(np.maximum(1 - ((X - x) ** 2 + (Y - y) ** 2) / r**2, 0)))
    return z


def noise(seed: int) -> Map:
    return NOISE * np.random.default_rng((seed, 1)).normal(size=SHAPE)


def jumps(seed: int, size: float = 6.0) -> Map:
    return size * np.random.default_rng((seed, 2)).normal(size=(SHAPE[0], 1)) + 0 * X


CASES = {
    "plane": TILT,
    "quadratic": TILT + BOW,
    "rows": jumps(0) - 0.2 * Y,
    "plane+rows": TILT + jumps(0),
    "quadratic+rows": TILT + BOW + jumps(0),
}


@pytest.mark.parametrize("how", CASES)
@pytest.mark.parametrize("cover", [0.0, 0.15, 0.4])
def test_what_was_put_on_comes_off(how: str, cover: float) -> None:
    flat = domes(3, cover)
    found = level(flat + CASES[how] + noise(3) + 100.0, how)  # type: ignore[arg-type]
    wrong = found - flat - noise(3)
    assert found.dtype == np.float32
    assert abs(float(wrong.mean())) < 0.06
    assert float(np.abs(wrong.mean(axis=1)).max()) < 0.25 and float(np.abs(wrong.mean(axis=0)).max()) < 0.15


def test_plain_medians_of_lines_would_not_do() -> None:
    """What the masking is for: beside many particles the median of a line lies above its ground."""
    flat = domes(3, 0.4)
    raw = flat + jumps(0) + noise(3)
    plain = raw - np.median(raw, axis=1, keepdims=True)
    ours = level(raw, "rows")
    ground = flat == 0
    assert abs(float(ours[ground].mean())) < 0.1 < 0.5 < abs(float(plain[ground].mean()))


def lattice(radius: float, kind: str, side: int = 216) -> Map:
    """5 x 5 caps or plates of 20 nm in rows along the scan lines."""
    y, x = np.mgrid[:side, :side].astype(float)
    rng = np.random.default_rng(4)
    places = [(22 + 43 * i + rng.uniform(-3, 3), 22 + 43 * j + rng.uniform(-3, 3)) for i, j in np.ndindex(5, 5)]
    square = np.min([(x - a) ** 2 + (y - b) ** 2 for a, b in places], axis=0) / radius**2
    return np.asarray(20 * (np.sqrt(np.maximum(1 - square, 0)) if kind == "cap" else square < 1))


@pytest.mark.parametrize(("kind", "radius"), [("cap", 14), ("cap", 17), ("plate", 14), ("plate", 16)])
def test_lines_that_are_mostly_covered_keep_their_level(kind: str, radius: float) -> None:
    flat = lattice(radius, kind)
    rng = np.random.default_rng(5)
    still = flat + NOISE * rng.normal(size=flat.shape)
    tilted = still + 0.3 * np.arange(len(flat)) - 0.2 * np.arange(len(flat))[:, None]
    assert (flat == 0).mean(axis=1).min() < 0.4
    for size in (0.0, 3.0):
        found = level(tilted + size * rng.normal(size=(len(flat), 1)), "plane+rows")
        assert np.abs((found - still).mean(axis=1)).max() < 0.25
        assert ground_seen(found).doubts() == ()


def test_where_too_little_ground_is_left_that_is_said() -> None:
    flat = lattice(9, "cap")
    flat[50] = 20 + np.arange(216.0)
    stored = flat + NOISE * np.random.default_rng(5).normal(size=flat.shape)
    assert "1 of 216 scan lines" in ground_seen(stored).doubts()[0]
    flat = np.where(lattice(20, "plate") > 0, 0, -20)
    assert "below" in " ".join(ground_seen(flat + NOISE * np.random.default_rng(5).normal(size=flat.shape)).doubts())


def test_rows_leave_the_slope_along_the_lines() -> None:
    found = level(domes(1) + TILT + jumps(1) + noise(1), "rows")
    assert np.polyfit(np.arange(SHAPE[1]), np.median(found, axis=0), 1)[0] == pytest.approx(0.3, abs=0.01)
    assert level(TILT, "none") == pytest.approx(TILT, rel=1e-6)


@given(
    st.sampled_from(["plane", "quadratic", "plane+rows", "quadratic+rows"]),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.integers(0, 5),
)
@settings(max_examples=6, deadline=None)
def test_levelling_does_not_see_what_it_takes_out(how: str, put: tuple[float, float, float], seed: int) -> None:
    raw = domes(seed) + noise(seed)
    more = put[0] * X + put[1] * Y + 50 * put[2]
    if "quadratic" in how:
        more = more + put[2] * BOW
    if "rows" in how:
        more = more + jumps(seed)
    assert level(raw + more, how) == pytest.approx(level(raw, how), abs=0.02)  # type: ignore[arg-type]


@given(st.sampled_from(["plane", "quadratic", "plane+rows", "quadratic+rows"]), st.floats(0.01, 100), st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_a_mirrored_or_stretched_map_is_levelled_alike(how: str, factor: float, seed: int) -> None:
    raw = domes(seed) + TILT + jumps(seed) * ("rows" in how) + noise(seed)
    found = level(raw, how)  # type: ignore[arg-type]
    assert level(raw[:, ::-1], how)[:, ::-1] == pytest.approx(found, abs=0.02)  # type: ignore[arg-type]
    assert level(raw[::-1], how)[::-1] == pytest.approx(found, abs=0.02)  # type: ignore[arg-type]
    assert level(factor * raw, how) == pytest.approx(factor * found, abs=0.02 * factor)  # type: ignore[arg-type]


def test_a_map_without_noise_keeps_its_steps() -> None:
    z = np.zeros((64, 64))
    z[20:30, 20:30] = 5
    assert level(z + 0.5 * X[:64, :64], "quadratic+rows") == pytest.approx(z, abs=1e-5)


def test_lines_without_ground_keep_their_height_over_the_others() -> None:
    z = np.zeros(SHAPE)
    z[40:70] = 8.0
    found = level(z + TILT + noise(2), "plane")
    assert (found - noise(2))[40:70].mean() == pytest.approx(8.0, abs=0.1)


def test_scars_are_filled_and_particles_are_not() -> None:
    flat = domes(4, 0.1)
    scarred = flat + jumps(4) + noise(4)
    clean = scarred.copy()
    scarred[33, 20:60] += 9
    scarred[80, 90:130] -= 7
    filled = without_scars(scarred)
    away = np.ones(SHAPE, bool)
    away[[33, 80]] = False
    wrong = np.abs(filled - clean)
    assert np.median(wrong[33, 20:60]) < 0.5 and np.median(wrong[80, 90:130]) < 0.5
    assert (wrong[away] > 1e-9).mean() < 0.01
    assert np.abs(level(scarred, "plane+rows", scars=True) - flat)[33, 25:55].mean() < 1


@pytest.mark.parametrize(
    ("wrong", "words"), [(np.zeros(5), "3 x 3"), (np.full((9, 9), np.nan), "finite"), (np.eye(3, dtype=int)[:2], "3 x 3")]
)
def test_what_is_no_map_is_refused(wrong: Map, words: str) -> None:
    with pytest.raises(InputError, match=words):
        level(wrong)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="quadratic"):
        level(np.zeros((9, 9)), "cubic")  # type: ignore[arg-type]


def _solid(kind: str, radius: float, top: float) -> tuple[Map, float, float]:
    """A solid on a ground at 3 nm, its volume in px nm^2, and its mean height over its upper half's disc."""
    r = np.hypot(X - 74.2, Y - 61.7) / radius
    if kind == "cylinder":
        return 3 + top * (r < 1), math.pi * radius**2 * top, top
    if kind == "cone":
        return 3 + top * np.maximum(1 - r, 0), math.pi / 3 * radius**2 * top, top * 2 / 3
    return 3 + top * np.maximum(1 - r**2, 0), math.pi / 2 * radius**2 * top, top * 3 / 4


@pytest.mark.parametrize("kind", ["cylinder", "cone", "paraboloid"])
def test_heights_and_volumes_of_solids(kind: str) -> None:
    z, volume, mean = _solid(kind, 20.0, 12.0)
    labels = (z > 3 + 6) * 7
    (row,) = heights(z, labels, calibration=Calibration((2.0, 3.0))).itertuples()
    assert row.mask_label == 7
    assert row.height_max_nm == pytest.approx(12.0, rel=0.07 if kind == "cone" else 0.01)
    assert row.height_mean_nm == pytest.approx(mean, rel=0.02)
    assert row.volume_nm3 == pytest.approx(6 * volume, rel=0.02 if kind != "cone" else 0.2)
    assert np.isnan(heights(z, labels)["volume_nm3"]).all()


def test_each_particle_stands_on_its_own_ground() -> None:
    """A step in the ground between two equal cylinders is not part of their heights."""
    z = np.where(X > 75, 40.0, 0.0)
    labels = np.zeros(SHAPE, np.int32)
    for k, x in ((4, 35), (2, 115)):
        disc = np.hypot(X - x, Y - 60) < 9
        z, labels[disc] = z + 5 * disc, k
    found = heights(z + noise(0), labels, calibration=Calibration((1.0, 1.0)))
    assert found["mask_label"].tolist() == [2, 4]
    assert found["height_mean_nm"].tolist() == pytest.approx([5, 5], abs=0.1)
    assert found["volume_nm3"].tolist() == pytest.approx([5 * math.pi * 81] * 2, rel=0.03)


@given(st.floats(-50, 50), st.integers(1, 1000))
@settings(max_examples=10, deadline=None)
def test_height_is_over_the_ground_whatever_its_level_and_number(shift: float, number: int) -> None:
    z = domes(2, 0.05) + noise(2)
    labels = (domes(2, 0.05) > 3).astype(np.int64)
    one, other = heights(z, labels), heights(z + shift, labels * number)
    assert other["height_max_nm"].tolist() == pytest.approx(one["height_max_nm"].tolist(), abs=1e-4)
    assert other["mask_label"].tolist() == [number]


def test_a_map_full_of_particles_and_one_without() -> None:
    assert heights(np.zeros((9, 9)), np.zeros((9, 9), int)).empty
    full = heights(np.full((9, 9), 4.0), np.ones((9, 9), int))
    assert full["height_mean_nm"].tolist() == [4.0]
    with pytest.raises(InputError, match="one shape"):
        heights(np.zeros((9, 9)), np.zeros((8, 9), int))


def test_the_recipe_knows_the_same_ways() -> None:
    assert get_args(FramesRecipe.model_fields["level"].annotation) == get_args(Level)


def test_a_map_that_is_all_texture_is_levelled_as_a_whole() -> None:
    """No ground stands out: the surface is that of all pixels, as least squares has it."""
    texture = 4 * np.sin(X / 3) * np.cos(Y / 4) + noise(5)
    assert level(texture + TILT, "plane") == pytest.approx(texture - texture.mean(), abs=0.5)


def test_heights_in_coarse_steps_are_levelled() -> None:
    """Steps larger than the noise: the middle difference between neighbours is 0 in spite of the slope."""
    flat = domes(3)
    found = level(np.round(flat + 0.1 * X - 0.05 * Y + noise(3)), "plane")
    ground = flat == 0
    assert float(np.polyfit(X[ground], found[ground], 1)[0]) == pytest.approx(0, abs=1e-3)
    assert float(found[ground].std()) < 0.5
