"""What a run of `score` leaves in its folder: tables, figures, defects laid over pictures, the report."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from morphoscope.calibration import Calibration
from morphoscope.io.films import Film
from morphoscope.io.frames import Image
from morphoscope.io.tables import write_csv, write_table
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.folder import MAPS
from morphoscope.pipeline.mask_files import mask_names
from morphoscope.pipeline.scale import Scale
from morphoscope.pipeline.score_axes import label_of
from morphoscope.pipeline.score_error import all_as_trained, model_error
from morphoscope.pipeline.score_findings import cards, quantities
from morphoscope.pipeline.score_images import score_image
from morphoscope.pipeline.score_job import Job
from morphoscope.pipeline.score_maps import read_map
from morphoscope.pipeline.score_results import ALL, GRID, Fitted, ScoreResults
from morphoscope.recipe_text import recipe_toml
from morphoscope.report import score_figures as draw
from morphoscope.report.score_report import write_score_report
from morphoscope.report.style import nothing_drawn, save_figure

SHOWN, STILL_DPI = 6, 160  # images with their defects
MANY_PATCHES = 400  # of such an image that are scored once more for a finer map, where no dense pass does it
MOST_MAPS = 8  # classes of an image that are shown
FINER = 4  # steps of a patch's width from px to px of a map that is shown, where that costs little


def write_score_outputs(job: Job, results: ScoreResults, info: dict[str, Any]) -> None:
    """Write everything but run.json; `told` in its content is what the methods speak of."""
    folder, recipe, card = job.output, job.recipe, job.scorer.card
    told = quantities(results, card)
    with job.clock.stage("write tables"):
        _write_tables(folder, results, told, csv=recipe.report.csv)
        (folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    info["told"] = _told(job, results)
    with job.clock.stage("figures"):
        drawn = _figures(results, card)
        left_out: dict[str, str] = {}
        for name, make in drawn.items():
            why = _save(make(), folder, name, svg=recipe.report.svg)
            left_out |= {name: why} if why else {}
        stills = _stills(job, results) if recipe.score.maps and recipe.report.overlay else {}
    with job.clock.stage("report"):
        timed = {name: round(seconds, 3) for name, seconds in job.clock.seconds.items()}
        write_score_report(
            folder,
            run={**info, "timings_s": timed, "calibration": {**info["calibration"], "told": _scales_and_times(results)}},
            scores=results.scores,
            cards=cards(results, card),
            quantities=told,
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


def _write_tables(folder: Path, results: ScoreResults, told: pd.DataFrame, *, csv: bool) -> None:
    write_table(folder / "scores.parquet", results.scores)
    if csv:
        write_csv(folder / "scores.csv", results.scores)
    for name, table in (("trends", results.trends), ("response", results.response), ("next", results.next)):
        if len(table):
            write_csv(folder / f"{name}.csv", table)
    write_csv(folder / "quantities.csv", told)


def _told(job: Job, results: ScoreResults) -> dict[str, Any]:
    card, patch = job.scorer.card, results.scores["patch_px"]
    trained = all_as_trained(results.scores, card)
    own = card.extent_error if trained.any() else {}
    return {
        "patch_px": [float(patch.min()), float(patch.max())],
        "model_error": [f"S_{name}" for name in results.classes if name in own],
        "bootstrap": [f"S_{name}" for name in results.classes if name not in own or not trained.all()],
        "trend": results.along.column if results.along is not None and len(results.trends) else None,
        "surface": list(results.surfaces[0].axes) if results.surfaces else None,
        "series": int(results.series.nunique()),
    }


def _figures(results: ScoreResults, card: ModelCard) -> dict[str, Callable[[], Figure]]:
    drawn: dict[str, Callable[[], Figure]] = {}
    along = results.along
    if along is not None:
        panels = {
            f"S_{name}": draw.curves(results.scores, f"S_{name}", along.values, results.series, results.trends)
            for name in results.classes
        }
        drawn["time_series"] = partial(draw.time_series, panels, along.label, what=what_is(card))
    if results.surfaces:
        first, second = results.surfaces[0].axes
        shown = [_panel(one, results.next) for one in results.surfaces if one.depends]
        drawn["response_surface"] = partial(draw.response_surface, shown, (label_of(first), label_of(second)))
    return drawn


def what_is(card: ModelCard) -> str:
    """What the numbers of a score are, in words."""
    if card.answer == "ordinal":
        return "degree / highest"
    if card.postprocess == "neighbours-1":
        return "mean of the map"
    return "mean probability" if card.answer == "exclusive" else "share of the area"


def _panel(one: Fitted, upcoming: pd.DataFrame) -> draw.Panel:
    measured = one.rows[list(one.axes)].to_numpy(float)
    points, found = one.points, one.found
    mean, half = (values.reshape(GRID, GRID) for values in (found.mean, (found.high - found.low) / 2))
    x, y = points[:GRID, 0], points[::GRID, 1]
    joint = upcoming.loc[upcoming["score"] == ALL, list(one.axes)].to_numpy(float)
    return draw.Panel(one.score, x, y, mean, half, measured, one.rows[one.score].to_numpy(float), joint)


def _scales_and_times(results: ScoreResults) -> dict[str, str]:
    """What images state of scale and time themselves, for the table of the calibration."""
    sizes = results.scores["pixel_size_nm"].dropna().to_numpy(float)
    told = {}
    if len(sizes):
        low, high = float(sizes.min()), float(sizes.max())
        between = f"{low:.6g} nm" if high <= 1.0001 * low else f"{low:.6g} to {high:.6g} nm"
        told["pixel_size"] = f"per file: {between}" + ("" if len(sizes) == len(results.scores) else f", {len(sizes)} images")
    if results.along is not None:
        known = results.along.values[np.isfinite(results.along.values)]
        told["times"] = f"{results.along.label}, {known.min():.6g} to {known.max():.6g}" if len(known) else "unknown"
    return told


class _Still(NamedTuple):
    """An image to show: what it is called, its scale, its picture and maps."""

    called: str
    scale: Calibration
    picture: Image
    maps: list[draw.Laid]


def _stills(job: Job, results: ScoreResults) -> dict[str, str]:
    """The images that show most of each class, with their maps, as figures; a caption for each."""
    stills = [_still(job, results.scores.iloc[at]) for at in _chosen(results)]
    tops = [
        max(
            [
                np.nan_to_num(min(2 * model_error(job.scorer.card, name), 1.0)),
                *(float(np.nanmax(still.maps[k].values)) for still in stills),
            ]
        )
        for k, name in enumerate(results.classes[:MOST_MAPS])
    ]
    captions = {}
    for number, still in enumerate(stills, start=1):
        name = f"defects_{number}"
        _save(draw.defect_map(still.picture, still.maps, still.scale, tops), job.output, name, dpi=STILL_DPI)
        captions[name] = (
            f"{still.called}: the picture, and the score of each patch in colour over it; each class has its own range of "
            "colours, the same in all pictures and at least twice the model's error."
        )
    return captions


def _still(job: Job, row: pd.Series) -> _Still:
    file, frame = str(row["file"]), int(row["frame"]) if "frame" in row else 0
    path = next(one.path for one in job.files if one.name == file)
    with Film(path, job.recipe.frames.part, job.recipe.frames.channel, job.sidecars) as film:
        picture, metadata = film.image(frame), film.metadata
    nm = float(row["pixel_size_nm"])
    scale = Calibration(pixel_size_nm=(nm, nm) if np.isfinite(nm) else None)
    found = read_map(job.output / mask_names((one.name for one in job.files), MAPS)[file], frame)
    step = found.patch_px / FINER
    cheap = job.scorer.card.dense or picture.shape[0] * picture.shape[1] <= MANY_PATCHES * step**2
    if job.recipe.score.stride_px is None and cheap:
        finer = job.recipe.score.model_copy(update={"stride_px": step})
        found = score_image(picture, job.scorer, job.recipe.model_copy(update={"score": finer}), Scale(scale), metadata).maps
    maps = [
        draw.Laid(f"S_{name} = {_said(row, f'S_{name}')}", values, found.x_px, found.y_px, found.stride_px)
        for name, values in zip(found.classes, found.values, strict=True)
    ]
    return _Still(f"{file}, frame {frame}" if "frame" in row else file, scale, picture, maps[:MOST_MAPS])


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
