"""Particles through whole runs: pictures of samples, a video, positions alone; what lies in the folder and in the report."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from doubles import BlobDetector, film, write_stack
from morphoscope.cli.main import main
from morphoscope.pipeline import Run, analyze, outputs
from morphoscope.recipe import parse_recipe
from morphoscope.report import figures

SIDE = 240
PLAIN = {"calibration": {"pixel_size_nm": 0.5, "scale_bar": "off"}, "report": {"overlay": False}}
OTSU = {"detect": {"model": "otsu"}, "segment": {"separate_px": 0.0, "smallest_px": 10}}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but coarsely and once, and what they held is left lying: most of the time goes into that."""

    def save(figure: Figure, folder: Path, name: str, *_: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.png", dpi=40)

    monkeypatch.setattr(figures, "save_figure", save)
    monkeypatch.setattr(outputs.gc, "collect", lambda: 0)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on nothing is drawn."""
    return lambda: monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})


def picture(seed: int, median: float = 14.0, cell: int = 30) -> np.ndarray:
    """Bright discs on a dark ground, one in each cell of a shifted grid."""
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE), 40.0, np.float32)
    shift = rng.uniform(-cell, 0, 2)
    for corner in np.argwhere(np.ones((SIDE // cell + 2,) * 2)) * cell + shift:
        d = min(median * math.exp(0.15 * rng.normal()), cell - 4)
        x, y = corner + d / 2 + 1 + rng.uniform(0, cell - d - 3, 2)
        cv2.circle(image, (round(16 * x), round(16 * y)), round(8 * (d - 1)), 200.0, -1, cv2.LINE_AA, 4)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of two samples, and beside it which is which."""
    folder = tmp_path_factory.mktemp("fields")
    (folder / "image").mkdir()
    for k in range(6):
        cv2.imwrite(str(folder / "image" / f"{'ab'[k // 3]}{k}.png"), picture(k, 14.0 if k < 3 else 17.0))
    (folder / "samples.csv").write_text("file,sample\na*,small\nb*,large\n")
    (folder / "recipe.toml").write_text(
        '[frames]\nsamples = "samples.csv"\n[calibration]\npixel_size_nm = 0.5\nscale_bar = "off"\n'
        "[segment]\nseparate_px = 0.0\nsmallest_px = 10\n[report]\noverlay = false\n"
    )
    return folder


def names(run: Path, kind: str) -> set[str]:
    return {path.stem for path in run.glob(f"*.{kind}")}


def test_samples_from_the_command_line(fields: Path, tmp_path: Path, plain: Callable[[], None]) -> None:
    out = tmp_path / "run"
    args = ["segment", str(fields / "image"), "--model", "otsu", "--recipe", str(fields / "recipe.toml"), "-o", str(out)]
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 0
    run = Run(out)
    assert set(run.objects["sample"]) == set(run.frames["sample"]) == {"small", "large"}
    rows = run.quantities.set_index("name")
    for sample, true in (("small", 7.0), ("large", 8.5)):
        row = rows.loc[f"median diameter of sample {sample}"]
        assert row["low"] < true < row["high"] and row["value"] == pytest.approx(true, rel=0.06)
    tables = {"samples", "sample_comparison", "particles", "size_distribution", "structure", "pair_correlation"}
    assert tables | {"structure_factor", "nearest_neighbours"} <= names(out, "csv")
    drawn = {path.stem for path in (out / "figures").glob("*.png")}
    assert {"size_distribution", "shape_distribution", "sample_comparison", "structure_curves"} <= drawn
    assert not {"density_and_size", "size_boxes", "structure_over_time"} & drawn
    page = run.report.read_text()
    for words in ("Median diameter of sample small", "Welch", "Lantuejoul", "samples.csv", "left out of size statistics"):
        assert words in page
    assert "rates are per frame" not in page and run.info["counts"]["samples"] == 2
    pairs = pd.read_csv(out / "sample_comparison.csv").set_index("quantity")
    assert pairs.loc["diameter", "p_holm"] < 0.01 and pairs.loc["diameter", "ratio"] == pytest.approx(14 / 17, rel=0.05)

    plain()
    bare = parse_recipe({**PLAIN, **OTSU, "frames": {"series": False}, "physics": {"structure": False}})
    again = analyze(fields / "image", bare, out, overwrite=True)
    left = names(again.path, "csv")
    assert "particles" in left and not (left & {"samples", "sample_comparison", "structure", "pair_correlation"})
    assert not (out / "figures" / "sample_comparison.png").exists() and "sample" not in again.objects.columns


def test_a_video_of_particles_is_followed(tmp_path: Path) -> None:
    frames = 255 - film(3, shift_per_frame=(0.5, 0.0))
    settings = parse_recipe({**PLAIN, **OTSU, "physics": {"cluster_distance_px": 42.0}, "track": {"enabled": False}})
    run = analyze(write_stack(tmp_path / "film.tif", frames), settings, tmp_path / "run")
    rows = run.quantities.set_index("name")
    assert (
        rows.loc["first median diameter", "value"] == pytest.approx(6.4, rel=0.03) == rows.loc["final median diameter", "value"]
    )
    assert "no places of their own" in rows.loc["final median diameter", "method"]
    structure = pd.read_csv(run.path / "structure.csv")
    assert (
        structure["frame"].tolist() == list(range(3)) and (structure["n_clusters"] == 2).all() and (structure["count"] == 5).all()
    )
    drawn = {path.stem for path in (run.path / "figures").glob("*.png")}
    assert {"size_distribution", "structure_over_time", "density_and_size"} <= drawn
    page = run.report.read_text()
    assert "not taken as fields of view" in page and "fewer than ten particles a frame" in page


def test_positions_tell_of_structure_where_asked(tmp_path: Path, plain: Callable[[], None]) -> None:
    plain()
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(3), 200)
    table = pd.DataFrame({"frame": frame, "x": rng.uniform(0, 300, 600), "y": rng.uniform(0, 300, 600)})
    region = {"region": {"x0": 0, "y0": 0, "x1": 300, "y1": 300}}
    asked = parse_recipe({"frames": region, "physics": {"structure": True}, "track": {"enabled": False}})
    run = analyze(table, asked, tmp_path / "run")
    rows = run.quantities.set_index("name")
    assert rows.loc["final Clark-Evans ratio", "value"] == pytest.approx(1, abs=0.12)
    curve = pd.read_csv(run.path / "pair_correlation.csv")
    assert set(curve["part"]) == {"first", "final"} and curve["g"].mean() == pytest.approx(1, abs=0.1)
    assert curve["r_nm"].isna().all() and "cluster" not in " ".join(rows.index) and "members" not in " ".join(rows.index)
    boxed = analyze(table, parse_recipe({"physics": {"structure": True}, "track": {"enabled": False}}), tmp_path / "boxed")
    said = "box around all positions for the field"
    assert any(said in note for note in boxed.info["notes"]) and not any(said in note for note in run.info["notes"])
    silent = analyze(table, parse_recipe({"frames": region, "track": {"enabled": False}}), tmp_path / "silent")
    assert not names(silent.path, "csv") & {"structure", "particles", "pair_correlation"}


def test_loops_may_be_compared_by_sample(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k, image in enumerate(film(4)):
        cv2.imwrite(str(folder / f"{'ab'[k // 2]}{k}.png"), image)
    (tmp_path / "s.csv").write_text("file,sample\na*,one\nb2.png,two\n")
    settings = parse_recipe({**PLAIN, "frames": {"samples": str(tmp_path / "s.csv")}})
    run = analyze(folder, settings, tmp_path / "run", detector=BlobDetector())
    found = pd.read_csv(run.path / "samples.csv")
    assert set(found["quantity"]) == {"size, major axis", "number density"} and found["n_places"].tolist() == [2, 1, 2, 1]
    assert any("1 of 4 files" in note and "b3.png" in note for note in run.info["notes"])
    assert pd.read_csv(run.path / "sample_comparison.csv")["p_value"].isna().all()
    assert (run.path / "figures" / "sample_comparison.png").exists()
