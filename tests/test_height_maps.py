"""From a file of an AFM to heights of particles: levelled, outlined, measured; what is no height map is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from gwyfile.objects import GwyContainer, GwyDataField, GwySIUnit

from morphoscope.calibration import Calibration
from morphoscope.errors import RecipeError
from morphoscope.pipeline import outputs, segment
from morphoscope.pipeline.masks import Found, Masks, ThresholdSegmenter
from morphoscope.pipeline.prepare import open_input
from morphoscope.pipeline.stages import make_plan
from morphoscope.recipe import parse_recipe
from morphoscope.schema import HEIGHTS

SHAPE = (160, 200)
PIXEL_NM = 4.0
LEVEL = {"frames": {"level": "quadratic+rows"}, "report": {"overlay": False}, "detect": {"model": "otsu"}}


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_save", lambda *_, **__: {})


def particles() -> pd.DataFrame:
    """Half ellipsoids with known tops: x, y, radius in px, top in nm."""
    rng = np.random.default_rng(7)
    rows: list[tuple[float, float, float, float]] = []
    while len(rows) < 16:
        x, y = rng.uniform(14, SHAPE[1] - 14), rng.uniform(14, SHAPE[0] - 14)
        if all(np.hypot(x - a, y - b) > 30 for a, b, _, _ in rows):
            rows.append((x, y, rng.uniform(6, 10), rng.uniform(9, 15)))
    return pd.DataFrame(rows, columns=["x", "y", "radius", "top"])


def drawn(truth: pd.DataFrame) -> np.ndarray:
    """Their height map in nm, with tilt, bow, jumps of lines and noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    z = np.zeros(SHAPE)
    for p in truth.itertuples():
        z = np.maximum(z, p.top * np.sqrt(np.maximum(1 - ((x - p.x) ** 2 + (y - p.y) ** 2) / p.radius**2, 0)))
    rng = np.random.default_rng(8)
    z += 0.3 * x - 0.15 * y + 15 * ((x / 100 - 1) ** 2 + 0.6 * (y / 80 - 1) ** 2)
    return np.asarray(z + 5 * rng.normal(size=(SHAPE[0], 1)) + 0.2 * rng.normal(size=SHAPE))


def write_gwy(path: Path, heights_nm: np.ndarray, unit: str = "m") -> Path:
    size = [n * PIXEL_NM * 1e-9 for n in SHAPE]
    field = GwyDataField(
        heights_nm * 1e-9, xreal=size[1], yreal=size[0], si_unit_xy=GwySIUnit(unitstr="m"), si_unit_z=GwySIUnit(unitstr=unit)
    )
    GwyContainer({"/0/data/title": "Height", "/0/data": field}).tofile(str(path))
    return path


def test_a_gwyddion_file_gives_particles_with_heights(tmp_path: Path) -> None:
    truth = particles()
    path = write_gwy(tmp_path / "map.gwy", drawn(truth))
    run = segment(path, parse_recipe(LEVEL), tmp_path / "run")
    found = run.objects
    near = [int(np.hypot(found["x_px"] - p.x, found["y_px"] - p.y).argmin()) for p in truth.itertuples()]
    assert len(found) == len(truth) == len(set(near))
    own = found.iloc[near].reset_index(drop=True)
    assert np.hypot(own["x_px"] - truth["x"], own["y_px"] - truth["y"]).max() < 1
    assert (own["height_max_nm"] / truth["top"] - 1).abs().max() < 0.06
    volume = 2 / 3 * np.pi * truth["radius"] ** 2 * truth["top"] * PIXEL_NM**2
    assert (own["volume_nm3"] / volume - 1).abs().max() < 0.06
    assert (own["height_mean_nm"] < own["height_max_nm"]).all()
    named = run.quantities.set_index("name")
    row = named.loc["mean height"]
    assert row["unit"] == "nm" and row["value"] == pytest.approx(truth["top"].mean(), rel=0.03)
    assert row["low"] < truth["top"].mean() < row["high"]
    assert named.loc["median volume", "value"] == pytest.approx(volume.median(), rel=0.06)
    assert any("levelled (quadratic+rows)" in note for note in run.info["notes"])
    assert not any("not levelled" in warning for warning in run.info["warnings"])


def test_a_map_that_is_not_levelled_is_warned_of(tmp_path: Path) -> None:
    path = write_gwy(tmp_path / "map.gwy", drawn(particles()))
    run = segment(path, parse_recipe(LEVEL | {"frames": {}}), tmp_path / "run")
    assert any("not levelled" in warning for warning in run.info["warnings"])


def test_levelling_comes_before_inverting(tmp_path: Path) -> None:
    path = write_gwy(tmp_path / "map.gwy", drawn(particles()))
    inverted = parse_recipe({"frames": {"level": "quadratic+rows", "invert": True}})
    with open_input(path, parse_recipe(LEVEL)) as up, open_input(path, inverted) as down:
        np.testing.assert_array_equal(up[0], -down[0])
        (_, block), *_ = up.blocks(0, 1, 4)
        np.testing.assert_array_equal(block[0], up[0])
        assert up.metadata["height_unit"] == "nm" and up.name(0) == "map.gwy" and "levelled" in repr(up)


@pytest.mark.parametrize("asked", [{"level": "plane"}, {"scars": True}])
def test_what_is_no_height_map_is_not_levelled(tmp_path: Path, asked: dict[str, object]) -> None:
    tifffile.imwrite(tmp_path / "picture.tif", np.zeros((40, 50), np.uint8))
    write_gwy(tmp_path / "phase.gwy", drawn(particles()), unit="V")
    for name, words in (("picture.tif", "does not state"), ("phase.gwy", "values in V")):
        with pytest.raises(RecipeError, match=words):
            open_input(tmp_path / name, parse_recipe({"frames": asked}))


def test_pictures_have_no_heights(tmp_path: Path) -> None:
    z = drawn(particles())
    picture = np.clip(z - z.min(), 0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "picture.tif", picture)
    run = segment(tmp_path / "picture.tif", parse_recipe(LEVEL | {"frames": {}}), tmp_path / "run")
    assert "height_max_nm" not in run.objects.columns and "mean height" not in set(run.quantities["name"])


def plateaus() -> tuple[np.ndarray, np.ndarray]:
    """A disc 10 nm high and around it one of 30 nm that reaches the edge: heights and labels (120, 120)."""
    y, x = np.mgrid[:120, :120]
    away = np.hypot(y - 60, x - 60)
    labels = (away <= 10).astype(np.int32)
    labels[((away >= 13) & (away <= 45) & (x > 60)) | ((x >= 75) & (abs(y - 60) < 40))] = 2
    return np.select([labels == 1, labels == 2], [10.0, 30.0]), labels


@pytest.mark.parametrize("edge", ["keep", "leave out"])
@pytest.mark.parametrize("exclude", [[], [{"x0": 0, "y0": 50, "x1": 48, "y1": 70}]])
def test_neither_neighbours_that_are_left_out_nor_excluded_parts_are_ground(edge: str, exclude: list[dict[str, int]]) -> None:
    recipe = parse_recipe({"segment": {"edge": edge}, "frames": {"exclude": exclude}})
    z, labels = plateaus()
    finder = Masks(ThresholdSegmenter("otsu", recipe.segment), recipe.segment)
    plan = replace(make_plan(recipe, z.shape, Calibration((1.0, 1.0)), finder.card), heights=True)
    z[~plan.valid_mask()] = 500
    measured = finder.measure(z, Found(labels, ("particle",) * 2), plan)
    assert len(measured.objects) == (2 if edge == "keep" else 1)
    one = measured.objects.iloc[0]
    assert one["volume_nm3"] == pytest.approx(10 * (labels == 1).sum()) and one["height_max_nm"] == 10


def test_masks_that_are_given_on_a_height_map_have_heights(tmp_path: Path) -> None:
    path = write_gwy(tmp_path / "map.gwy", drawn(particles()))
    found = segment(path, parse_recipe(LEVEL), tmp_path / "run")
    given = parse_recipe({**LEVEL, "detect": {"objects": str(found.path / "masks")}})
    again = segment(path, given, tmp_path / "again")
    pd.testing.assert_frame_equal(again.objects[list(HEIGHTS)], found.objects[list(HEIGHTS)])
    assert again.objects["volume_nm3"].gt(0).all()
