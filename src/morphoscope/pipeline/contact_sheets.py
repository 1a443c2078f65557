"""Small pictures of the images of a run, chosen by decision and category, to look through on the report page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pandas as pd

from morphoscope.errors import MorphoscopeError
from morphoscope.io.frames import Image
from morphoscope.measure.honest import BETWEEN
from morphoscope.measure.scale_bar import to_bytes
from morphoscope.pipeline.classify_images import Looker
from morphoscope.pipeline.classify_job import READERS
from morphoscope.pipeline.classify_results import ACCEPT, FOREIGN, JOIN, PERSON, REJECT, REVIEW
from morphoscope.report.contact_sheet import Sheet, Tile

SHOWN = {REVIEW: 18, ACCEPT: 12, FOREIGN: 24, REJECT: 6}  # images of a sheet
MOST_SHEETS = 40
CHANCE = "prob_"
SIDE, QUALITY = 200, 78  # px of the longer side of a small picture, and of its compression
HEADS = {
    REVIEW: "Left to a person, proposed as {label}",
    ACCEPT: "Accepted as {label}",
    FOREIGN: "Foreign: like none of the images learnt",
    REJECT: "Rejected by a person",
}
ORDERS = {
    REVIEW: "from the least certain to the most",
    ACCEPT: "from the least certain to the most",
    FOREIGN: "the farthest first",
    REJECT: "in their order",
}


def contact_sheets(images: pd.DataFrame, looker: Looker) -> list[Sheet]:
    """A sheet for each category that is left to a person, one of foreign images, one for each that is accepted.

    Args:
        images: `schema.IMAGES`.
        looker: reads them again.
    """
    numbers = {file.name: k for k, file in enumerate(looker.files)}
    chosen = list(_chosen(images))[:MOST_SHEETS]
    with ThreadPoolExecutor(READERS) as pool:
        made = [
            [pool.submit(_tile, row, numbers[str(row["file"])], looker) for row in rows.to_dict("records")]
            for _, _, _, rows in chosen
        ]
        return [
            Sheet(HEADS[decision].format(label=label), decision, count, ORDERS[decision], tuple(one.result() for one in tiles))
            for (decision, label, count, _), tiles in zip(chosen, made, strict=True)
        ]


def _chosen(images: pd.DataFrame) -> Iterator[tuple[str, str, int, pd.DataFrame]]:
    """Decision, category, number and those rows of it that are shown."""
    for decision in (REVIEW, FOREIGN, ACCEPT, REJECT):
        rows = images[images["decision"] == decision]
        whole = decision in (FOREIGN, REJECT)
        for label, some in [("", rows)] if whole else rows.groupby("label", sort=True):
            if len(some):
                yield decision, str(label), len(some), _some(some, decision)


def _some(rows: pd.DataFrame, decision: str) -> pd.DataFrame:
    if decision == FOREIGN:
        return rows.sort_values("foreign", ascending=False, kind="stable").head(SHOWN[decision])
    ordered = rows.sort_values("probability", kind="stable", na_position="last") if decision != REJECT else rows
    count = min(SHOWN[decision], len(ordered))
    if decision == ACCEPT:
        return ordered.iloc[np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))]
    return ordered.head(count)


def _tile(row: Mapping[str, Any], number: int, looker: Looker) -> Tile:
    frame = int(row["frame"]) if "frame" in row else 0
    name = f"{row['file']}, frame {frame}" if "frame" in row else str(row["file"])
    try:
        with looker.open(number) as film:
            picture = embedded(film.image(frame))
    except (MorphoscopeError, OSError):  # it was there a moment ago
        picture = ""
    return Tile(name, picture, _said(row))


def _said(row: Mapping[str, Any]) -> str:
    """What stands under a picture."""
    if row["by"] == PERSON:
        return "by a person" if row["decision"] != ACCEPT else f"{row['label']}, by a person"
    if row["decision"] == FOREIGN:
        return f"{row['foreign']:.2f} times the limit; most like {row['label']}"
    others = [name for name in str(row["labels"]).split(JOIN) if name != row["label"]] if isinstance(row["labels"], str) else []
    chances = {name.removeprefix(CHANCE): p for name, p in row.items() if name.startswith(CHANCE)}
    second = max((name for name in chances if name != row["label"]), key=lambda name: chances[name], default=None)
    if second is not None and second not in others and chances[second] >= BETWEEN:
        others.append(second)
    told = "".join(f", or {name} {_percent(chances[name])}" for name in others)
    return f"{row['label']} {_percent(row['probability'])}{told}"


def _percent(share: float) -> str:
    """A share that is not called 100 % unless it is."""
    said = f"{100 * min(share, 0.9999):.0f}" if share < 0.995 else f"{np.floor(1000 * share) / 10:.1f}"
    return f"{said}\N{NO-BREAK SPACE}%"


def embedded(image: Image) -> str:
    """A small picture (WebP, base64) of an image (h, w) or (h, w, 3) of any dtype."""
    step = max(1, min(image.shape[:2]) // (4 * SIDE))
    seen = image[::step, ::step]
    if seen.dtype != np.uint8:
        seen = to_bytes(seen) if seen.ndim == 2 else _colour_bytes(seen)
    zoom = SIDE / max(seen.shape[:2])
    size = (max(1, round(seen.shape[1] * zoom)), max(1, round(seen.shape[0] * zoom)))
    small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR) if small.ndim == 3 else small
    return base64.b64encode(cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()).decode()


def _colour_bytes(image: Image) -> Image:
    low, high = (float(v) for v in np.quantile(image, (0.001, 0.999)))
    return np.asarray(np.clip((image.astype(np.float32) - low) * (255 / max(high - low, 1e-9)), 0, 255), np.uint8)
