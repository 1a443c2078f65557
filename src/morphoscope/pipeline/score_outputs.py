"""What a run of `score` leaves in its folder: tables, figures, defects laid over pictures, the report."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from morphoscope.calibration import Calibration
from morphoscope.io.films import Film
from morphoscope.io.tables import write_csv, write_table
from morphoscope.pipeline.folder import MAPS
from morphoscope.pipeline.mask_files import mask_names
from morphoscope.pipeline.score_axes import label_of
from morphoscope.pipeline.score_job import Job
from morphoscope.pipeline.score_maps import read_map
from morphoscope.pipeline.score_results import GRID, Fitted, ScoreResults
from morphoscope.recipe_text import recipe_toml
from morphoscope.report import score_figures as draw
from morphoscope.report.score_report import write_score_report
from morphoscope.report.style import nothing_drawn, save_figure

SHOWN, STILL_DPI = 6, 160  # images with their defects
MOST_MAPS = 8  # classes of an image that are shown


def write_score_outputs(job: Job, results: ScoreResults, info: dict[str, Any]) -> None:
    """Write everything but run.json; `told` in its content is what the methods speak of."""
    folder, recipe, card = job.output, job.recipe, job.scorer.card
    with job.clock.stage("write tables"):
        _write_tables(folder, results, csv=recipe.report.csv)
        (folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    info["told"] = _told(job, results)
    with job.clock.stage("figures"):
        drawn = _figures(results)
        left_out: dict[str, str] = {}
        for name, make in drawn.items():
            why = _save(make(), folder, name, svg=recipe.report.svg)
            left_out |= {name: why} if why else {}
        stills = _stills(job, results) if recipe.score.maps and recipe.report.overlay else {}
    with job.clock.stage("report"):
        timed = {name: round(seconds, 3) for name, seconds in job.clock.seconds.items()}
        write_score_report(
            folder,
            run={**info, "timings_s": timed},
            scores=results.scores,
            quantities=results.quantities,
            upcoming=results.next,
            card=card.model_dump(mode="json"),
            figures=[*((name, "") for name in drawn), *stills.items()],
            left_out=list(left_out.items()),
        )


def _save(figure: Figure, folder: Path, name: str, *, svg: bool = False, dpi: int = 220) -> str:
    """Save a figure; why there is none where it shows nothing."""
    why = nothing_drawn(figure)
    if not why:
        save_figure(figure, folder / "figures", name, svg, dpi=dpi)
    del figure
    gc.collect()  # a figure is full of circles, and the next one must not come on top of it
    return why


def _write_tables(folder: Path, results: ScoreResults, *, csv: bool) -> None:
    write_table(folder / "scores.parquet", results.scores)
    if csv:
        write_csv(folder / "scores.csv", results.scores)
    for name, table in (("trends", results.trends), ("response", results.response), ("next", results.next)):
        if len(table):
            write_csv(folder / f"{name}.csv", table)
    write_csv(folder / "quantities.csv", results.quantities)


def _told(job: Job, results: ScoreResults) -> dict[str, Any]:
    own = job.scorer.card.extent_error
    patch = results.scores["patch_px"]
    return {
        "patch_px": [float(patch.min()), float(patch.max())],
        "model_error": [f"S_{name}" for name in results.classes if name in own],
        "bootstrap": [f"S_{name}" for name in results.classes if name not in own],
        "trend": results.along.column if results.along is not None and len(results.trends) else None,
        "surface": list(results.surfaces[0].axes) if results.surfaces else None,
        "series": int(results.series.nunique()),
    }


def _figures(results: ScoreResults) -> dict[str, Callable[[], Figure]]:
    drawn: dict[str, Callable[[], Figure]] = {}
    along = results.along
    if along is not None:
        panels = {
            f"S_{name}": draw.curves(results.scores, f"S_{name}", along.values, results.series, results.trends)
            for name in results.classes
        }
        drawn["time_series"] = partial(draw.time_series, panels, along.label)
    if results.surfaces:
        first, second = results.surfaces[0].axes
        shown = [_panel(one) for one in results.surfaces]
        drawn["response_surface"] = partial(draw.response_surface, shown, (label_of(first), label_of(second)))
    return drawn


def _panel(one: Fitted) -> draw.Panel:
    measured = one.rows[list(one.axes)].to_numpy(float)
    points, found = one.points, one.found
    mean, half = (values.reshape(GRID, GRID) for values in (found.mean, (found.high - found.low) / 2))
    x, y = points[:GRID, 0], points[::GRID, 1]
    upcoming = one.next[list(one.axes)].to_numpy(float)
    return draw.Panel(one.score, x, y, mean, half, measured, one.rows[one.score].to_numpy(float), upcoming)


def _stills(job: Job, results: ScoreResults) -> dict[str, str]:
    """The images that show most of each class, with their maps, as figures; a caption for each."""
    names = mask_names((file.name for file in job.files), MAPS)
    paths = {file.name: file.path for file in job.files}
    captions = {}
    for k, at in enumerate(_chosen(results), start=1):
        row = results.scores.iloc[at]
        file, frame = str(row["file"]), int(row["frame"]) if "frame" in row else 0
        found = read_map(job.output / names[file], frame)
        titles = [f"S_{name} = {_said(row, f'S_{name}')}" for name in found.classes]
        maps = [
            draw.Laid(title, values, found.x_px, found.y_px, found.stride_px)
            for title, values in zip(titles, found.values, strict=True)
        ]
        nm = float(row["pixel_size_nm"])
        with Film(paths[file], job.recipe.frames.part, job.recipe.frames.channel, job.sidecars) as film:
            picture = film.image(frame)
        scale = Calibration(pixel_size_nm=(nm, nm) if np.isfinite(nm) else None)
        _save(draw.defect_map(picture, maps[:MOST_MAPS], scale), job.output, f"defects_{k}", dpi=STILL_DPI)
        of = f"{file}, frame {frame}" if "frame" in row else file
        captions[f"defects_{k}"] = f"{of}: the picture, and the score of each patch in colour over it."
    return captions


def _said(row: Any, name: str) -> str:
    low, high = float(row[f"{name}_low"]), float(row[f"{name}_high"])
    return f"{row[name]:.3f}" + (f" ({low:.3f} to {high:.3f})" if np.isfinite(low) else "")


def _chosen(results: ScoreResults) -> list[int]:
    """Images to show: over time the first, the last and those between; else those with most of each class, in turn."""
    count = len(results.scores)
    if results.along is not None and results.series.nunique() == 1 and count > 1:
        order = np.argsort(results.along.values, kind="stable")
        return [int(order[i]) for i in np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))]
    ranked = [np.argsort(-results.scores[f"S_{name}"].to_numpy(float), kind="stable") for name in results.classes]
    mixed = [int(order[k]) for k in range(min(SHOWN, count)) for order in ranked]
    return list(dict.fromkeys(mixed))[:SHOWN]
