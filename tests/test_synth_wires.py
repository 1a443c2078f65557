"""Drawn wires: truth against closed forms and slow oracles, the definition of aligned wires, folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.cli.main import main
from morphoscope.errors import UsageError
from morphoscope.io.open import open_frames
from morphoscope.measure.alignment import (
    FEWEST,
    STRIP,
    Directions,
    coherently_aligned,
    directions,
    local_order,
    order_parameter,
)
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.synth.wire_paths import Pieces
from morphoscope.synth.wire_scene import WireScene, random_wires
from morphoscope.synth.wires import FINE, WirePicture, draw_pieces
from morphoscope.synth.write_wires import independent_wires, write_wires

SMALL = (96, 112)
STILL = {"noise": 0.0, "texture": 0.0, "rough": 0.0, "curl": 0.0, "spread_deg": 0.0, "width_spread": 0.0}


def slow_order(field: Directions, wire: np.ndarray, at: tuple[int, int], radius: float) -> float:
    """The definition, pixel by pixel."""
    y, x = np.mgrid[: wire.shape[0], : wire.shape[1]]
    dx, dy = x - at[1], -(y - at[0])
    theta = np.deg2rad(field.angle_deg[at])
    beside = (np.hypot(dx, dy) <= radius) & (np.abs(dy * np.cos(theta) - dx * np.sin(theta)) > STRIP * radius)
    along = field.cos2 * np.cos(2 * theta) + field.sin2 * np.sin(2 * theta)
    return float((along * wire * beside).sum() / max((wire * beside).sum(), FEWEST * beside.sum()))


def test_a_single_piece_is_drawn_where_it_lies_with_its_width_and_direction() -> None:
    pieces = Pieces(np.array([[20.0, 60.0]]), np.array([[80.0, 25.0]]), np.array([17 / 6]), np.array([0]))
    seen = draw_pieces(pieces, SMALL)
    length, width = np.hypot(60, 35), 17 / 3
    assert (seen.wire >= 0).sum() / FINE**2 == pytest.approx(length * width + np.pi * width**2 / 4, rel=0.03)
    on = seen.wire >= 0
    assert np.allclose(np.rad2deg(seen.angle[on]), np.rad2deg(np.arctan2(35, 60)), atol=1e-3)
    y, x = np.nonzero(on)
    assert ((x + 0.5) / FINE - 0.5).mean() == pytest.approx(50, abs=0.2)
    assert ((y + 0.5) / FINE - 0.5).mean() == pytest.approx(42.5, abs=0.2)


def test_the_later_wire_lies_on_top() -> None:
    start, end = np.array([[10.0, 48.0], [56.0, 10.0]]), np.array([[100.0, 48.0], [56.0, 86.0]])
    seen = draw_pieces(Pieces(start, end, np.array([4.0, 4.0]), np.array([0, 1])), SMALL)
    assert seen.wire[48 * FINE + 1, 56 * FINE + 1] == 1 and seen.wire[48 * FINE + 1, 30 * FINE + 1] == 0


def test_parallel_wires_run_the_way_asked_for_and_are_all_aligned() -> None:
    scene = WireScene(shape=(160, 160), pattern="parallel", angle_deg=40.0, following=1.0, length_px=600, **STILL)
    picture = WirePicture(scene)
    assert np.nanmax(np.abs(picture.orientation_deg - 40)) < 1.0
    assert picture.aligned_fraction == 1.0
    assert order_parameter(picture.field, picture.mask).s2 == pytest.approx(1.0, abs=1e-3)
    assert order_parameter(picture.field, picture.mask).director_deg == pytest.approx(40, abs=0.5)


def test_the_angle_is_counter_clockwise_as_seen() -> None:
    picture = WirePicture(shape=(128, 128), pattern="parallel", angle_deg=45.0, following=1.0, coverage=0.2, **STILL)
    mask = picture.mask.astype(float)
    rising = (mask[:-6, 6:] * mask[6:, :-6]).sum()  # up to the right
    falling = (mask[:-6, :-6] * mask[6:, 6:]).sum()
    assert rising > 1.5 * falling


def test_wires_that_run_anyhow_are_hardly_aligned() -> None:
    found = [WirePicture(random_wires(k, shape=(160, 160), pattern="random", width_px=4.0)) for k in range(3)]
    assert np.mean([picture.aligned_fraction for picture in found]) < 0.1


def test_the_coverage_is_about_as_asked_for() -> None:
    shares = [WirePicture(WireScene(seed=k, shape=(192, 192), coverage=0.4)).mask.mean() for k in range(4)]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.08)


@given(seed=st.integers(0, 30), at=st.tuples(st.integers(0, 95), st.integers(0, 111)))
@settings(deadline=None, max_examples=15)
def test_local_order_is_that_of_the_definition(seed: int, at: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 180) + np.cumsum(rng.normal(0, 1.5, SMALL[1]))[None, :] + np.zeros(SMALL)
    wire = rng.random(SMALL) < 0.5
    field = directions(np.where(wire, angle % 180, np.nan))
    wire[at] = True
    field = directions(np.where(wire, angle % 180, np.nan))
    assert local_order(field, wire, radius_px=24)[at] == pytest.approx(slow_order(field, wire, at, 24), abs=0.08)


def test_a_wire_is_no_neighbour_of_its_own() -> None:
    wire = np.zeros((128, 128), bool)
    wire[60:66] = True
    field = directions(np.where(wire, 0.0, np.nan))
    assert not coherently_aligned(field, wire).any()
    wire[76:82] = True
    field = directions(np.where(wire, 0.0, np.nan))
    assert coherently_aligned(field, wire)[63, 64]


def test_a_wire_across_aligned_ones_is_not_aligned_and_they_stay_so() -> None:
    angle, wire = np.zeros((128, 128)), np.ones((128, 128), bool)
    angle[:, 60:66] = 90
    found = coherently_aligned(directions(angle), wire)
    assert not found[:, 60:66].any()
    assert found[:, 20:55].all()


@given(way=st.integers(0, 3), mirrored=st.booleans())
@settings(deadline=None, max_examples=8)
def test_turned_and_mirrored_fields_have_turned_and_mirrored_order(way: int, mirrored: bool) -> None:
    picture = WirePicture(WireScene(seed=3, shape=(96, 96), pattern="waves"))
    angle, wire = picture.orientation_deg, picture.mask
    base = local_order(directions(angle), wire)

    def turned(part: np.ndarray) -> np.ndarray:
        return np.rot90(part[:, ::-1] if mirrored else part, way)

    new = (turned(-angle if mirrored else angle) + 90 * way) % 180
    found = local_order(directions(new), turned(wire))
    assert np.abs(found - turned(base))[turned(wire)].mean() < 0.02


def test_s2_of_two_equal_crossed_parts_is_nought_and_without_wires_unknown() -> None:
    angle = np.zeros((8, 8))
    angle[:4] = 90
    assert order_parameter(directions(angle), np.ones((8, 8))).s2 == pytest.approx(0, abs=1e-6)
    assert np.isnan(order_parameter(directions(angle), np.zeros((8, 8))).s2)
    assert directions(np.array([[np.nan, 30.0]])).cos2.tolist() == [[0.0, pytest.approx(0.5)]]


def test_the_same_scene_gives_the_same_picture_and_another_seed_another() -> None:
    scene = WireScene(seed=5, shape=SMALL)
    assert np.array_equal(WirePicture(scene).image, WirePicture(scene).image)
    assert not np.array_equal(WirePicture(scene).mask, WirePicture(replace(scene, seed=6)).mask)


def test_a_picture_without_wires_has_no_fraction() -> None:
    picture = WirePicture(shape=SMALL, coverage=0.0)
    assert not picture.mask.any() and np.isnan(picture.aligned_fraction)
    assert picture.image.shape == SMALL


def test_the_info_bar_is_one() -> None:
    picture = WirePicture(WireScene(seed=1, shape=(240, 320), bar=True))
    assert picture.image.shape[0] > 240
    assert find_info_bar(picture.image) == 240


@pytest.mark.parametrize("wrong", [{"following": 1.5}, {"coverage": 1.0}, {"width_px": 0.5}, {"shape": (32, 300)}])
def test_impossible_scenes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        WireScene(**wrong)


def test_a_folder_holds_pictures_and_truth(tmp_path: Path) -> None:
    scenes = independent_wires(1, 2, shape=(96, 96))
    folder = write_wires(scenes, tmp_path / "d", radius_px=24)
    truth = pd.read_csv(folder / "truth.csv")
    assert list(truth["file"]) == ["001.tif", "002.tif"] and (truth["radius_px"] == 24).all()
    picture = WirePicture(scenes[1], radius_px=24)
    assert truth["aligned_fraction"][1] == pytest.approx(picture.aligned_fraction, abs=1e-6)
    stored = tifffile.imread(folder / "orientation" / "002.tif")
    assert np.array_equal(np.isnan(stored), ~picture.mask)
    with open_frames(folder / "image" / "002.tif") as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((10.0, 10.0))
        assert np.array_equal(frames[0], picture.image)
    write_wires(scenes[:1], folder)
    assert sorted(p.name for p in (folder / "image").iterdir()) == ["001.tif"]
    with pytest.raises(UsageError):
        write_wires([], folder)


def test_the_command_draws_wires(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "wires"
    given_ = ["synth", "wires", "-o", str(out), "--pictures", "1", "--size", "96x80", "--pattern", "parallel", "--following", "1"]
    for code in (0, 2):
        with pytest.raises(SystemExit) as ended:
            main(given_)
        assert ended.value.code == code
    assert "orient" in capsys.readouterr().out
    assert len(list((out / "image").iterdir())) == 1
