"""Heights of particles as single numbers: of the same frames, edges and fields of view as their diameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.test_height_maps import LEVEL, drawn, particles, write_gwy

from morphoscope.calibration import Calibration
from morphoscope.physics.heights import height_rows
from morphoscope.pipeline import outputs, segment
from morphoscope.pipeline.particles import particles_of
from morphoscope.recipe import parse_recipe


def tall(height: list[float], file: list[str] | str = "a", **columns: object) -> pd.DataFrame:
    made = {"height_max_nm": height, "volume_nm3": np.nan, "file": file, "equivalent_diameter_px": 9.0, "edge_weight": 1.0}
    return pd.DataFrame(made | columns)


def test_rows_of_heights() -> None:
    assert height_rows(pd.DataFrame({"area_px": [1.0]})) == []
    table = tall([4.0, 6.0, 50.0], edge_weight=[1.0, 1.0, np.nan])
    rows = {row["name"]: row for row in height_rows(table)}
    assert set(rows) == {"mean height", "median height"}
    assert rows["mean height"]["value"] == 5.0 and rows["mean height"]["n"] == 2
    assert rows["mean height"]["low"] == pytest.approx(5 - 12.706 * 1.0, abs=0.01)
    assert "one field of view" in rows["mean height"]["method"]
    assert height_rows(table, edge="keep")[0]["value"] == 20.0
    assert height_rows(tall([4.0, 6.0], edge_weight=[3.0, 1.0]))[0]["value"] == 4.5


def test_many_particles_of_few_places_do_not_narrow_the_interval_of_the_height() -> None:
    table = tall([10.0] * 50 + [12.0] * 50, ["a"] * 50 + ["b"] * 50)
    apart, together = height_rows(table)[0], height_rows(table, independent=False, name="final {}", where="frame 9")[0]
    assert apart["high"] - apart["low"] > 20 * (together["high"] - together["low"]) > 0
    assert "2 fields of view" in apart["method"] and together["name"] == "final mean height" and "frame 9" in together["method"]


def test_the_particles_of_a_series_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_save", lambda *_, **__: {})
    run = segment(write_gwy(tmp_path / "map.gwy", drawn(particles())), parse_recipe(LEVEL), tmp_path / "run")
    objects, frames = (
        pd.concat([table.assign(frame=k) for k in range(3)], ignore_index=True) for table in (run.objects, run.frames)
    )
    told = particles_of(objects, frames, parse_recipe(LEVEL), Calibration((4.0, 4.0)), valid_px=32000, box=None)
    rows = {row["name"]: row for row in told.rows}
    assert len(objects) == 48 and "mean height" not in rows
    assert rows["first mean height"]["n"] == rows["final mean height"]["n"] == rows["first mean diameter"]["n"] <= 16
