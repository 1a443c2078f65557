"""What a run of `orient` leaves in its folder: tables, figures, the report; and what it says in words and single numbers."""

from __future__ import annotations

import gc
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from morphoscope.calibration import Calibration
from morphoscope.io.tables import write_csv, write_table
from morphoscope.pipeline.image_parts import ERROR, SAID, good_rows
from morphoscope.pipeline.orient_image import LEARNED, LGO, SHORT, TENSOR, orient_image
from morphoscope.pipeline.orient_job import ASPECT, CORRELATION, HISTOGRAM, OrientJob
from morphoscope.recipe_text import recipe_toml
from morphoscope.report import orient_figures as draw
from morphoscope.report.orient_report import write_orient_report
from morphoscope.report.score_cards import Card
from morphoscope.report.style import save_figure
from morphoscope.schema import ORIENTATION, ORIENTATION_HISTOGRAM, QUANTITIES, conform

SHOWN, STILL_DPI = 6, 170
MOST_SAID = 8
LEARNED_BY = "learned model: probability of aligned wires over probability of wires"
CAPTIONS = {
    "orientation_histogram": (
        "Directions of the wires, the mean over images: share of the wires' area (learned), of edges (structure tensor) and of "
        "gradients (local gradient orientation) in each direction, counter-clockwise from the x axis."
    ),
    "orientation_correlation": (
        "How far order reaches: mean of cos 2(difference of directions) of wires at a distance, by the learned model; pale: "
        "single images, dark: their mean."
    ),
    "aligned_fractions": (
        "Aligned fraction of each image by the three methods, with the 95 % interval of the learned one, which orders the images."
    ),
}


def orientation_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The table of images (`schema.ORIENTATION`)."""
    table = good_rows(rows)
    table = table.drop(columns=[c for c in table.columns if c in (ERROR, SAID, CORRELATION) or str(c).startswith(HISTOGRAM)])
    if "frame" in table:
        table = table.assign(frame=table["frame"].fillna(0))
    order = [name for name in ORIENTATION if name in table]
    return conform(table[order], ORIENTATION)[order]


def histogram_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Histograms of all images and methods (`schema.ORIENTATION_HISTOGRAM`)."""
    parts, good = [], good_rows(rows)
    for row in good.to_dict("records"):
        frame = {} if "frame" not in good else {"frame": 0 if pd.isna(row["frame"]) else int(row["frame"])}
        for name in (LEARNED, TENSOR, LGO):
            share = row.get(f"{HISTOGRAM}{name}")
            if share is None or isinstance(share, float):
                continue
            angle = (np.arange(len(share)) + 0.5) * 180 / len(share)
            of = {"file": row["file"], **frame, "method": name}
            parts.append(pd.DataFrame({**of, "angle_deg": angle, "share": np.asarray(share, float)}))
    table = pd.concat(parts, ignore_index=True)
    order = [name for name in ORIENTATION_HISTOGRAM if name in table]
    return conform(table[order], ORIENTATION_HISTOGRAM)[order]


def write_orient_outputs(job: OrientJob, rows: pd.DataFrame, table: pd.DataFrame, info: dict[str, Any]) -> None:
    """Write everything but run.json."""
    folder, recipe, told = job.output, job.recipe, quantities(table)
    with job.clock.stage("write tables"):
        write_table(folder / "orientation.parquet", table)
        if recipe.report.csv:
            write_csv(folder / "orientation.csv", table)
        write_csv(folder / "histogram.csv", histogram_table(rows))
        write_csv(folder / "quantities.csv", told)
        (folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    with job.clock.stage("figures"):
        captions = _stills(job, table, good_rows(rows)[ASPECT].to_numpy(float)) if recipe.report.overlay else {}
        captions |= _curves(folder, rows, table, svg=recipe.report.svg)
    with job.clock.stage("report"):
        timed = {name: round(seconds, 3) for name, seconds in job.clock.seconds.items()}
        write_orient_report(
            folder,
            run={**info, "timings_s": timed, "calibration": {**info["calibration"], "told": _scales(table)}},
            table=table,
            cards=cards(table),
            quantities=told,
            card=job.finder.card.model_dump(mode="json"),
            figures=list(captions.items()),
        )


def _scales(table: pd.DataFrame) -> dict[str, str]:
    sizes = table["pixel_size_nm"].dropna()
    return {} if sizes.empty else {"pixel_size": f"per file: {sizes.min():.6g} to {sizes.max():.6g} nm, {len(sizes)} images"}


def _curves(folder: Path, rows: pd.DataFrame, table: pd.DataFrame, *, svg: bool) -> dict[str, str]:
    """Figures over all images, means over those without doubt, and their captions."""
    sure = np.flatnonzero(table["doubt"] == "") if (table["doubt"] == "").any() else np.arange(len(table))
    good = good_rows(rows).iloc[sure]
    found = [np.asarray(g, float) for g in good[CORRELATION]]
    sizes = table["pixel_size_nm"].to_numpy(float)[sure]
    drawn = {
        "orientation_histogram": partial(draw.histogram_figure, histogram_table(good)),
        "orientation_correlation": partial(draw.correlation_figure, found, sizes),
    }
    if table["aligned_fraction"].notna().sum() > 1:
        drawn["aligned_fractions"] = partial(draw.fraction_figure, table)
    for name, make in drawn.items():
        save_figure(make(), folder / "figures", name, svg)
        gc.collect()  # a figure is full of circles, and the next one must not come on top of it
    return {name: CAPTIONS[name] for name in drawn}


def _stills(job: OrientJob, table: pd.DataFrame, aspects: NDArray[np.float64]) -> dict[str, str]:
    """Images shown with their maps: of many those from the least to the most aligned; a caption for each.

    `aspects` is the height over the width of each image's px.
    """
    captions = {}
    order = np.argsort(table["aligned_fraction"].to_numpy(float), kind="stable")
    order = order[: max(int(table["aligned_fraction"].notna().sum()), 1)]
    chosen = np.sort(order[np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int))])
    numbers = {file.name: k for k, file in enumerate(job.files)}
    for k, (row, aspect) in enumerate(zip(table.iloc[chosen].to_dict("records"), aspects[chosen], strict=True), start=1):
        frame, nm = int(row.get("frame", 0)), float(row["pixel_size_nm"])
        scale, known = Calibration(), math.isfinite(nm)
        stored = Calibration(pixel_size_nm=(nm * aspect**0.5, nm / aspect**0.5)) if known else scale
        scale = Calibration(pixel_size_nm=(nm, nm)) if known else scale
        with job.open(numbers[str(row["file"])]) as film:
            found = orient_image(film.image(frame), job.finder, job.recipe, stored, film.metadata)
        name = f"orientation_{k}"
        save_figure(draw.orientation_figure(found.picture, found.told, scale), job.output / "figures", name, dpi=STILL_DPI)
        gc.collect()
        called = f"{row['file']}, frame {frame}" if "frame" in row else str(row["file"])
        captions[name] = f"{called}: {_fraction_text(row)}. {draw.CAPTION}" + (draw.COMPARED if job.recipe.orient.compare else "")
    return captions


def _fraction_text(row: dict[str, Any]) -> str:
    value, low, high = (100 * float(row[f"aligned_fraction{end}"]) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return "hardly any wires"
    return f"{value:.1f} %" + (f" ({low:.1f} to {high:.1f} %)" if math.isfinite(low) else "") + " of the wires coherently aligned"


def findings(table: pd.DataFrame) -> list[str]:
    """A sentence for each of the first images."""
    said = []
    for row in table.head(MOST_SAID).to_dict("records"):
        called = f"{row['file']}, frame {row['frame']}" if "frame" in row else str(row["file"])
        if not math.isfinite(row["aligned_fraction"]):
            said.append(f"{called}: {_fraction_text(row)}")
            continue
        said.append(
            f"{called}: {_fraction_text(row)}; S2 {row['S2']:.2f} along {row['director_deg']:.0f} degrees; {_reach_text(row)}"
            + (f" (in doubt: {row['doubt']})" if row["doubt"] else "")
        )
    if len(table) > MOST_SAID:
        said.append(f"and {len(table) - MOST_SAID} more in orientation.parquet")
    return said


def _reach_text(row: dict[str, Any]) -> str:
    px, nm = float(row["coherence_length_px"]), float(row["coherence_length_nm"])
    if not math.isfinite(px):
        return "no coherence length: order does not fall within the picture"
    return f"coherence length {nm:.4g} nm ({px:.3g} px)" if math.isfinite(nm) else f"coherence length {px:.3g} px"


def cards(table: pd.DataFrame) -> list[Card]:
    """The main results for the head of the report."""
    shown = []
    for row in quantities(table).to_dict("records"):
        if not math.isfinite(float(row["value"])) or (row["unit"] == "px" and table["pixel_size_nm"].notna().all()):
            continue
        percent = row["name"].startswith(("aligned", "share"))
        value, low, high = (100 * float(row[k]) if percent else float(row[k]) for k in ("value", "low", "high"))
        unit = "%" if percent else str(row["unit"])
        between = f"95 %: {low:.3g} to {high:.3g} {unit}".strip() if math.isfinite(low) else ""
        shown.append(Card(row["name"], f"{value:.3g} {unit}".strip(), tuple(filter(None, (between, f"n = {row['n']}")))))
    return shown


def quantities(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES`: means over images without doubt, if there are any; of a single image its own values."""
    table = table[sure] if (sure := table["doubt"] == "").any() else table
    named = [
        ("aligned fraction", "aligned_fraction", "", LEARNED_BY),
        ("share of the picture with wires", "wire_share", "", "learned model: mean probability of wires"),
        ("share of the picture with aligned wires", "aligned_share", "", "learned model: product of the two above"),
        ("order parameter S2", "S2", "", "learned model: length of the mean of exp(2 i theta) over wires"),
        ("main direction", "director_deg", "degrees", "learned model: counter-clockwise from the x axis"),
        ("coherence length", "coherence_length_nm", "nm", "learned model: g(r) - S2^2 has fallen to 1/e"),
        ("coherence length in px", "coherence_length_px", "px", "the same in px of the picture"),
    ]
    for method, short in SHORT.items():
        if f"aligned_fraction_{short}" in table:
            named.append((f"aligned fraction by {method}", f"aligned_fraction_{short}", "", method))
            named.append((f"order parameter S2 by {method}", f"S2_{short}", "", method))
    rows = [_mean(table, *one) for one in named if not (one[1] == "director_deg" and len(table) > 1)]
    return conform(pd.DataFrame(rows, columns=list(QUANTITIES)), QUANTITIES)


def _mean(table: pd.DataFrame, name: str, column: str, unit: str, method: str) -> dict[str, Any]:
    values = table[column].dropna().to_numpy(float)
    low = high = math.nan
    if len(table) == 1 and f"{column}_low" in table:
        low, high = (float(table[f"{column}_{end}"].iloc[0]) for end in ("low", "high"))
        method += "; interval: blocks of the picture and the model's error"
    elif len(values) > 1:
        half = float(student.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
        middle = float(values.mean())
        low, high = max(middle - half, 0.0), middle + half if unit else min(middle + half, 1.0)
        method += "; mean over images, interval: scatter between them"
    value = float(values.mean()) if len(values) else math.nan
    return {"name": name, "value": value, "low": low, "high": high, "unit": unit, "n": len(values), "method": method}
