"""A height map that shows too little ground is levelled wrongly: the run says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gwyfile.objects import GwyContainer, GwyDataField, GwySIUnit

from morphoscope.cli.info import describe
from morphoscope.io.open import open_frames
from morphoscope.pipeline import analyze, outputs
from morphoscope.recipe import parse_recipe


def write_gwy(path: Path, heights_nm: np.ndarray) -> Path:
    nm, unit = 1e-9, GwySIUnit(unitstr="m")
    size = [4 * n * nm for n in heights_nm.shape]
    field = GwyDataField(heights_nm * nm, xreal=size[1], yreal=size[0], si_unit_xy=unit, si_unit_z=unit)
    GwyContainer({"/0/data": field, "/0/data/title": "Height"}).tofile(str(path))
    return path


@pytest.mark.parametrize("series", [True, False])
@pytest.mark.parametrize("gap", [6, 25])
def test_a_map_that_cannot_be_levelled_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, series: bool, gap: int
) -> None:
    monkeypatch.setattr(outputs, "_save", lambda *_, **__: {})
    y, x = np.mgrid[:120, :160]
    z = 15.0 * ((x % 40 > gap) & (y % 40 > gap)) + np.random.default_rng(1).normal(0, 0.2, x.shape)
    frames = {"level": "plane+rows", "series": series}
    recipe = parse_recipe({"frames": frames, "report": {"overlay": False}, "detect": {"model": "otsu"}})
    warned = " ".join(analyze(write_gwy(tmp_path / "map.gwy", z), recipe, tmp_path / "run").warnings)
    assert ("Look at the levelled map" in warned) == ("below what was taken for the ground" in warned) == (gap == 6)


def test_no_scale_bar_is_looked_for_in_a_height_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("looked for a bar")

    monkeypatch.setattr("morphoscope.models.scale_bar.find_scale_bar", refuse)
    path = write_gwy(tmp_path / "map.gwy", np.random.default_rng(0).normal(0, 1, (60, 80)))
    with open_frames(path) as frames:
        assert describe(path, frames)["scale_bar"] is None
