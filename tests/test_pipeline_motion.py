"""What a run tells of motion: its tables, its figures, and runs that have too little for them."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from doubles import BlobDetector, film, write_stack
from morphoscope.pipeline import Run, analyze
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.report import figures
from morphoscope.schema import DIFFUSION_BY_SIZE, DISPLACEMENT, EVENTS, GROWTH_SEGMENTS, MSD, SURVIVAL, VAN_HOVE

CALIBRATED = {"pixel_size_nm": 0.5, "frame_interval_s": 2.0}
TABLES = {
    "displacement": DISPLACEMENT,
    "msd": MSD,
    "van_hove": VAN_HOVE,
    "survival": SURVIVAL,
    "diffusion_by_size": DIFFUSION_BY_SIZE,
    "growth_segments": GROWTH_SEGMENTS,
    "events": EVENTS,
}
MOTION = {"displacement", "msd", "van_hove", "survival", "slowest_fastest", "track_story"}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but coarsely: most of the time goes into their pixels."""
    monkeypatch.setattr(figures, "save_figure", partial(figures.save_figure, dpi=40))


def recipe(**sections: dict[str, object]) -> Recipe:
    return parse_recipe({"report": {"overlay": False, "track": 1}, "calibration": CALIBRATED, **sections})


def names(run: Run, folder: str, kind: str) -> set[str]:
    return {path.stem for path in (run.path / folder).glob(f"*.{kind}")}


def told(run: Run) -> set[str]:
    """Figures drawn, and those of which the report says that they have nothing to show."""
    page = (run.path / "report.html").read_text()
    left_out = re.findall(r"<li>([\w ]+): [^<]+\.</li>", page.partition("Figures with nothing to show")[2].partition("</ul>")[0])
    drawn = names(run, "figures", "png")
    assert not drawn & {name.lower().replace(" ", "_") for name in left_out}
    return drawn | {name.lower().replace(" ", "_") for name in left_out}


def moving() -> pd.DataFrame:
    """A table of Brownian particles, 5 of which come late and 5 of which go early."""
    rng = np.random.default_rng(5)
    place = np.cumsum(rng.normal(0, 0.4, (30, 25, 2)), axis=0) + np.stack(np.divmod(np.arange(25), 5), axis=1) * 40 + 100
    frame, particle = np.indices((30, 25)).reshape(2, -1)
    table = pd.DataFrame({"frame": frame, "x": place[..., 0].ravel(), "y": place[..., 1].ravel(), "size": 3.0})
    late, early = (particle < 5) & (frame < 10), (particle > 19) & (frame > 12)
    return table[~(late | early)].reset_index(drop=True)


def test_a_run_leaves_its_tables_of_motion_and_lists_them(tmp_path: Path) -> None:
    stack = write_stack(tmp_path / "film.tif", film(12, shift_per_frame=(1.5, -0.75)))
    settings = recipe(track={"events": True}, physics={"lag_frames": 2, "steady": [2, 10]})
    run = analyze(stack, settings, tmp_path / "run", detector=BlobDetector())
    page = run.report.read_text(encoding="utf-8")
    for name, columns in TABLES.items():
        assert list(pd.read_csv(run.path / f"{name}.csv").columns) == list(columns) and f'href="{name}.csv"' in page
    assert told(run) >= MOTION | {"diffusion_by_size"}
    moved = pd.read_csv(run.path / "displacement.csv")
    assert np.allclose(moved["shift_x_nm"], 0.5 * 1.5 * np.arange(12), atol=0.3) and moved["shift_quality"].between(0, 1).all()
    assert set(run.tracks["began"]) == {"start"} and set(run.tracks["ended"]) == {"end"}
    assert run.tracks["localisation_nm"].notna().all() and not (tmp_path / "run" / "survival.csv").read_text().strip().count("\n")
    rows = run.quantities.set_index("name")
    assert rows.loc["tracks there from the start", "value"] == 5 and rows.loc["mean life of those", "value"] == 12
    assert "pooled D, steady frames and inner region" in rows.index and rows.loc["pooled D", "unit"] == "nm2/s"


@pytest.mark.parametrize(
    ("frames", "settings", "absent"),
    [
        (6, {"calibration": {}}, {"diffusion_by_size"}),
        (6, {"calibration": {"pixel_size_nm": 0.5}}, {"diffusion_by_size"}),
        (2, {"track": {"min_points": 1}}, set()),
        (3, {"track": {"min_points": 50}}, MOTION - {"displacement"}),
        (1, {}, MOTION),
        (6, {"physics": {"lag_frames": 30}}, set()),
        (6, {"report": {"overlay": False, "track": 4711}}, set()),
    ],
)
def test_runs_with_little_to_tell_do_not_fail(tmp_path: Path, frames: int, settings: dict[str, object], absent: set[str]) -> None:
    stack = write_stack(tmp_path / "film.tif", film(frames))
    run = analyze(stack, recipe(**settings), tmp_path / "run", detector=BlobDetector())
    drawn = names(run, "figures", "png")
    assert run.exit_code == 0 and not absent & drawn
    if absent <= {"diffusion_by_size"}:
        assert told(run) >= MOTION
    known = run.quantities[run.quantities["name"] != "median life (Kaplan-Meier)"]
    assert known["value"].notna().all()


def test_a_table_tells_of_lives_and_motion_without_pictures(tmp_path: Path) -> None:
    settings = recipe(track={"register_frames": False, "memory": 3}, frames={"region": {"x0": 0, "y0": 0, "x1": 400, "y1": 400}})
    run = analyze(moving(), settings, tmp_path / "run")
    assert run.tracks["began"].value_counts().to_dict() == {"start": 20, "appeared": 5}
    assert run.tracks["ended"].value_counts().to_dict() == {"end": 20, "gap": 5}
    rows = run.quantities.set_index("name")
    true = 0.4**2 / 2 * 0.25 / 2
    assert rows.loc["pooled D", "low"] < true < rows.loc["pooled D", "high"]
    assert rows.loc["pooled D", "value"] == pytest.approx(true, rel=0.25)
    assert {"msd", "van_hove"} <= names(run, "figures", "png") and "survival" in told(run)
    page = (run.path / "report.html").read_text()
    assert "Survival: no track was seen to appear and to end." in page and 'alt="Survival"' not in page
    assert "on a frame" not in page and "its picture" not in page and "counts that were given" not in page
    exact = pd.read_csv(run.path / "msd.csv")
    assert exact["msd_nm2"].iloc[0] == pytest.approx(2 * 0.4**2 * 0.25, rel=0.15)
