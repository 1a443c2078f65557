"""The sections of a run's page that do not depend on what was done: figures, methods, provenance, timings, files."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from morphoscope.report.captions import caption_of
from morphoscope.report.page import plain, table, text

LARGE = 150_000  # bytes

FILES: dict[str, str] = {
    "overlay.mp4": "video with boxes, ellipses and track numbers",
    "quantities.csv": "the quantities above",
    "frames.parquet": "a row per frame: count, density, median and quartiles of size",
    "objects.parquet": "a row per object per frame",
    "tracks.parquet": "a row per track: life, how it began and ended, growth, D with localisation error, D_eff",
    "scores.parquet": "a row per image: extent of each class with its interval, patches, scale, conditions",
    "scores.csv": "the same as CSV",
    "images.parquet": "a row per image: category, probabilities, decision, prediction set, distance, size, scale",
    "images.csv": "the same as CSV",
    "sorted": "images by decision and category; moving them and `labels take` corrects",
    "orientation.parquet": "a row per image: aligned fraction with its interval, S2, direction, coherence length, by all methods",
    "orientation.csv": "the same as CSV",
    "histogram.csv": "histograms of direction of each image and method",
    "maps": "maps, a page per class (of wires: direction in degrees, wires, alignment)",
    "trends.csv": "test of monotonicity and slope of each score and series",
    "response.csv": "response surfaces on a grid, with their interval",
    "next.csv": "what to measure or label next",
    "masks": "label images, a value for each particle",
    "particles.csv": "number, covered area, sizes and shapes of the particles of each frame",
    "size_distribution.csv": "histogram of diameters by number and by area, as in the figure",
    "samples.csv": "mean and median of each sample with intervals between fields of view",
    "sample_comparison.csv": "differences between samples: size of the effect and test",
    "structure.csv": "spacing, hexatic order, cells and clusters of each frame",
    "pair_correlation.csv": "g(r) with its interval",
    "structure_factor.csv": "S(q) with its interval",
    "nearest_neighbours.csv": "share of particles whose nearest neighbour is farther than a distance",
    "displacement.csv": "displacement of each frame, how well it matched, stage jumps",
    "msd.csv": "mean squared displacement of all tracks at each lag",
    "van_hove.csv": "distribution of displacements at the recipe's lag",
    "survival.csv": "Kaplan-Meier curve of the tracks' lives",
    "diffusion_by_size.csv": "D_eff in bins of size, as in the figure",
    "growth_segments.csv": "straight stretches of growth between change points, of the 200 longest tracks",
    "events.csv": "objects that merged or split",
    "frames.csv": "the same as CSV",
    "objects.csv": "the same as CSV",
    "tracks.csv": "the same as CSV",
    "run.json": "inputs, recipe, model, versions, timings",
    "recipe.toml": "the settings of this run",
    "figures": "all figures",
}


def figures_section(folder: Path, figures: Sequence[tuple[str, str]], left_out: Sequence[tuple[str, str]]) -> str:
    """Figures with their captions, and why others are not there."""
    shown: list[str] = []
    for name, caption in figures:
        path = folder / "figures" / f"{name}.png"
        if not path.is_file():
            continue
        data = path.read_bytes()
        said = text(caption or caption_of(name) or plain(name))
        wide = ' class="wide"' if _is_wide(data) else ""
        shown.append(
            f'<figure{wide}><img alt="{text(plain(name))}" src="{_embedded(data)}">'
            f"<figcaption><b>Figure {len(shown) + 1}.</b> {said}</figcaption></figure>"
        )
    reasons = "".join(f"<li>{text(plain(name))}: {text(why)}.</li>" for name, why in left_out)
    if not (shown or reasons):
        return ""
    drawn = f'<div class="figures">{"".join(shown)}</div>' if shown else ""
    without = f'<h3>Figures with nothing to show</h3><ul class="soft">{reasons}</ul>' if reasons else ""
    return f'<section id="figures"><h2>Figures</h2>{drawn}{without}</section>'


def _embedded(png: bytes) -> str:
    """A picture for the page itself: large ones as WebP, a quarter of the size; the PNG stays in the run folder."""
    kind, data = "png", png
    if len(png) > LARGE:
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        smaller = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 90])[1].tobytes() if image is not None else png
        kind, data = ("webp", smaller) if len(smaller) < len(png) else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _is_wide(png: bytes) -> bool:
    width, height = struct.unpack(">II", png[16:24]) if len(png) >= 24 else (1, 1)
    return bool(width >= 1000 or width > 1.9 * height)


def methods_section(paragraph: str, cited: Sequence[str], card: Mapping[str, Any] | None) -> str:
    """A paragraph to paste, what to cite, and the limits of the model."""
    items = "".join(f"<li>{text(line)}</li>" for line in cited)
    limits = (card or {}).get("limits")
    known = f"<h3>Limits of the model</h3><p>{text(limits)}</p>" if limits else ""
    return (
        '<section id="methods"><h2>Methods, to paste</h2>'
        f'<blockquote id="paragraph">{text(paragraph)}</blockquote>'
        '<button type="button" data-copy="paragraph">Copy</button>'
        f'<h3>Cite</h3><ol class="cite">{items}</ol>{known}</section>'
    )


def provenance_section(run: Mapping[str, Any], card: Mapping[str, Any] | None) -> str:
    """Inputs, calibration, model, versions and recipe."""
    inputs = [
        [text(i.get("path", "")), str(int(i["frames"])) if i.get("frames") else "", f"<code>{text(i.get('sha256', ''))}</code>"]
        for i in run.get("inputs") or ()
    ]
    model = run.get("model") or {}
    used = [
        ["Model", text(model.get("name") or (card or {}).get("name") or "")],
        ["Model SHA-256", f"<code>{text(model['sha256'])}</code>" if model.get("sha256") else ""],
        *([text(plain(k)), text(run[k])] for k in ("provider", "precision", "created") if run.get(k)),
        *([text(plain(k)), text(v)] for k, v in (run.get("counts") or {}).items()),
    ]
    versions = ", ".join(f"{text(k)}&nbsp;{text(v)}" for k, v in (run.get("versions") or {}).items())
    used.append(["Versions", versions])
    recipe = json.dumps(run.get("recipe") or {}, indent=2, default=str, ensure_ascii=False)
    return (
        '<section id="provenance"><h2>Provenance</h2>'
        f"<h3>Inputs</h3>{table(['file', 'frames', 'SHA-256'], inputs, numeric=(1,))}"
        f"<h3>Calibration</h3>{table(['what', 'value', 'from'], _calibration(run.get('calibration') or {}))}"
        f"<h3>Run</h3>{table([], [row for row in used if row[1]])}"
        f"<details><summary>All settings of the recipe</summary><pre>{text(recipe)}</pre></details></section>"
    )


def _calibration(calibration: Mapping[str, Any]) -> list[list[str]]:
    source = calibration.get("provenance") or {}
    unknown = '<span class="soft">unknown</span>'
    size, interval = calibration.get("pixel_size_nm"), calibration.get("frame_interval_s")
    y, x = (size, size) if not isinstance(size, (list, tuple)) else size
    pixel = f"{float(x):.6g} nm" + ("" if x == y else f" (x), {float(y):.6g} nm (y)") if size else unknown
    told = calibration.get("told") or {}  # of inputs that have scales and times of their own
    pixel = pixel if size or "pixel_size" not in told else text(told["pixel_size"])
    between = f"{float(interval):.6g} s" if interval else text(told["times"]) if "times" in told else unknown
    rows = [
        ["Pixel size", pixel, text(source.get("pixel_size_nm", ""))],
        ["Time between frames", between, text(source.get("frame_interval_s", ""))],
    ]
    for axis in calibration.get("axes") or ():
        line = f"{axis['start']:.6g} + {axis['step']:.6g} \u00d7 frame"
        rows.append([text(plain(axis["name"])), text(f"{line} ({axis['unit']})"), text(source.get("axes", ""))])
    return rows


def timings_section(run: Mapping[str, Any], frames: int) -> str:
    """How long each stage took, in all and per frame."""
    timings = {str(k): float(v) for k, v in (run.get("timings_s") or {}).items()}
    if not timings:
        return ""
    top = max(max(timings.values()), 1e-9)
    per_frame = max(frames, 1)
    rows = [
        [
            text(plain(stage)),
            f"{seconds:.2f}",
            f"{1000 * seconds / per_frame:.1f}",
            f'<span class="bar" style="width:{max(1, round(260 * seconds / top))}px"></span>',
        ]
        for stage, seconds in timings.items()
    ]
    return f"<section><h2>Timings</h2>{table(['stage', 's', 'ms per frame', ''], rows, numeric=(1, 2))}</section>"


def files_section(folder: Path) -> str:
    """Links to the files of a run that are there."""
    rows = [
        [f'<a href="{text(quote(name))}">{text(name)}</a>', text(meaning)]
        for name, meaning in FILES.items()
        if (folder / name).exists()
    ]
    if not rows:
        return ""
    return f'<section id="files"><h2>Files beside this page</h2>{table([], rows)}</section>'


def footer(run: Mapping[str, Any]) -> str:
    """The last line."""
    version = (run.get("versions") or {}).get("morphoscope", "")
    said = f"Made by morphoscope {text(version)}".strip()
    return f"<footer>{said}. This page holds all it shows and asks for nothing from the network.</footer>"
