"""Label Studio JSON: a list of tasks with an image and the regions drawn on it.

Source: the pages of the Label Studio manual on the JSON format and on exported annotations. Places are in percent of the image's
width and height, measured from the outer corner of the first pixel. Rectangles turn clockwise about their top left corner,
ellipses about their centre. `data.image` is read as a path (`/data/local-files/?d=PATH`), an uploaded file
(`/data/upload/1/HASH-NAME`) or as it is, and written as the first of these. The first annotation of a task that is not cancelled
counts; predictions count only where no task has annotations.

What the format has no place for (object ids, scores, track ids, pixel sizes) stands under `meta` with the key `morphoscope`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from morphoscope.errors import InputError
from morphoscope.io.images import SUFFIXES
from morphoscope.io.label_formats.label_studio_rle import brush_of, mask_of
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import (
    Records,
    box_of,
    ellipse_of,
    first_character,
    load_json,
    number,
    plain_path,
    ring_of,
    score_of,
    size,
    text,
    turned,
    whole,
)
from morphoscope.io.label_formats.writing import FILLED, filled, first_frames, inside_image, write_text
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, Shape

FOLDER = False
OURS = "morphoscope"
LOCAL = "/data/local-files/?d="
KINDS = {"rectangle": "box", "ellipse": "ellipse", "polygon": "polygon", "keypoint": "point", "brush": "mask"}


def recognises(path: Path) -> bool:
    """A .json file whose content is a list."""
    return path.is_file() and path.suffix.lower() == ".json" and first_character(path) == "["


def read(path: Path) -> LabelSet:
    """Labels of an export; tasks and regions to blame are named.

    Raises:
        InputError: no Label Studio file, or a damaged one.
    """
    tasks = load_json(path)
    if not isinstance(tasks, list):
        raise InputError(f"{path} is no Label Studio file: wanted a list of tasks, got {type(tasks).__name__}")
    records = Records(path)
    annotated = any(isinstance(task, dict) and task.get("annotations") for task in tasks)
    if not annotated and any(isinstance(task, dict) and task.get("predictions") for task in tasks):
        records.note("there are no annotations: predictions are read in their place")
    for k, task in enumerate(tasks):
        place = f"task {k + 1}" + (f" (id {task['id']!r:.40})" if isinstance(task, dict) and "id" in task else "")
        with records.record(place):
            _read_task(task, place, "annotations" if annotated else "predictions", records)
    return records.found(root=path.parent)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write tasks with annotations, ready for import; returns what cannot be held.

    Raises:
        InputError: an image size is not known.
    """
    known, said = first_frames(labels.with_sizes())
    tasks = []
    for k, (file, facts, found) in enumerate(known.by_image(), start=1):
        regions = [_region(label, n, facts) for n, label in enumerate(found, start=1)]
        more: dict[str, Any] = {"width": facts.width, "height": facts.height}
        if facts.pixel_size_nm is not None:
            more["pixel_size_nm"] = list(facts.pixel_size_nm)
        task = {"id": k, "data": {"image": LOCAL + quote(file)}, "meta": {OURS: more}}
        tasks.append(task | {"annotations": [{"id": k, "result": [region for region in regions if region is not None]}]})
    write_text(path, json.dumps(tasks, ensure_ascii=False, allow_nan=False))
    masks = [label for label in known.labels if isinstance(label.shape, Mask)]
    cut = not all(inside_image(label.shape, known.images[label.file]) for label in masks)
    changes = {"polygon with holes": FILLED} | ({"mask": FILLED} if cut else {})
    holds = ("object_id", "score", "track_id", "empty images", "pixel_size_nm", "frame")
    return said + losses(known, changed_shapes=changes, holds=holds)


def _read_task(task: dict[str, Any], place: str, where: str, records: Records) -> None:
    file = _image(task["data"], records)
    more = _ours(task)
    scale = more.get("pixel_size_nm")
    pixel_size = None if scale is None else (number(scale[0], least=1e-4), number(scale[1], least=1e-4))
    facts = ImageFacts(size(more.get("width")), size(more.get("height")), pixel_size_nm=pixel_size)
    drawn = [one for one in task.get(where) or [] if not one.get("was_cancelled")]
    if len(drawn) > 1:
        records.note(f"tasks with several {where}: the first is read")
    regions = drawn[0]["result"] if drawn else []
    known = records.images.setdefault(file, facts)
    for n, region in enumerate(regions, start=1):
        with records.record(f"{place}, result {n}"):
            kind = _kind(region, records)
            if kind is None:
                continue
            width, height = (whole(region[f"original_{side}"], least=1) for side in ("width", "height"))
            if known.width is None:
                known = records.images[file] = ImageFacts(width, height, pixel_size_nm=pixel_size)
            records.labels.append(_label(region, file, _shape(kind, region["value"], width, height), records))


def _image(data: dict[str, Any], records: Records) -> str:
    pictures = [
        v for v in data.values() if isinstance(v, str) and v.lower().split("?")[0 if "?d=" not in v else -1].endswith(SUFFIXES)
    ]
    given = text(data.get("image") or next(iter(pictures), None), "an image in the data of the task")
    if "?d=" in given:
        return plain_path(unquote(given.split("?d=", 1)[1]))
    if re.search(r"(^|/)data/upload/", given):
        return re.sub(r"^[0-9a-f]{8}-", "", unquote(given.rsplit("/", 1)[-1]))
    if re.match(r"[a-z0-9]+://", given):
        records.note("images given by an address: they are taken by the last part of it, from the folder of the labels")
        return unquote(given.split("?")[0].rsplit("/", 1)[-1])
    return plain_path(given)


def _kind(region: dict[str, Any], records: Records) -> str | None:
    """The kind of shape of a region; None where it is none that can be read."""
    kind, value = text(region.get("type"), "a type"), region.get("value") or {}
    found = KINDS.get(kind.removesuffix("labels"))
    if kind == "labels":
        keys = {"rle": "mask", "points": "polygon", "radiusX": "ellipse", "height": "box", "x": "point"}
        found = next((shape for key, shape in keys.items() if key in value), None)
    if found is None:
        records.note(f"results of the type {kind}: left out")
    elif not _names(region):
        records.note("regions without a label: left out")
        return None
    elif found == "polygon" and value.get("closed") is False:
        records.note("polygons that are not closed: left out")
        return None
    return found


def _names(region: dict[str, Any]) -> list[str]:
    value = region.get("value") or {}
    return next((value[key] for key in (region.get("type"), "labels") if value.get(key)), [])


def _label(region: dict[str, Any], file: str, shape: Shape, records: Records) -> Label:
    names = _names(region)
    if region.get("image_rotation"):
        records.note("regions drawn on an image shown rotated: read as places on the image as it is stored")
    if len(names) > 1:
        records.note("regions with several labels: the first is taken")
    meta = region.get("meta")
    more = _ours(region)
    own_id = None if isinstance(meta, dict) and OURS in meta else region.get("id")
    object_id, track_id = more.get("object_id", own_id), more.get("track_id")
    return Label(
        file=file,
        label=text(names[0], "a label"),
        shape=shape,
        object_id=None if object_id is None else str(object_id),
        score=score_of(more.get("score", region.get("score"))),
        track_id=None if track_id is None else whole(track_id, least=-(2**53), most=2**53),
    )


def _shape(kind: str, value: dict[str, Any], width: int, height: int) -> Shape:
    if kind == "mask":
        return mask_of(value["rle"], height, width)
    if kind == "polygon":
        return Polygon(
            (
                ring_of(
                    [number(v) / 100 * side for point in value["points"] for v, side in zip(point, (width, height), strict=True)]
                ),
            )
        )
    x, y = number(value["x"]) / 100 * width, number(value["y"]) / 100 * height
    angle = number(value.get("rotation") or 0)
    if kind == "point":
        return Point(x, y)
    if kind == "ellipse":
        across, down = number(value["radiusX"]) / 50 * width, number(value["radiusY"]) / 50 * height
        return ellipse_of(x, y, across, down, -angle)
    box = box_of(x, y, x + number(value["width"]) / 100 * width, y + number(value["height"]) / 100 * height)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    centre = x + box.width / 2 * cos - box.height / 2 * sin, y + box.width / 2 * sin + box.height / 2 * cos
    return Box(*centre, box.width, box.height, turned(-angle)) if turned(-angle) else box


def _ours(record: dict[str, Any]) -> dict[str, Any]:
    meta = record.get("meta")
    found = meta.get(OURS) if isinstance(meta, dict) else None
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"wanted an object under meta, {OURS}, got {found!r:.40}")
    return found or {}


def _region(label: Label, number_: int, facts: ImageFacts) -> dict[str, Any] | None:
    """A region of a task; None for a mask without a pixel inside the image."""
    shape: Shape | None = label.shape
    if isinstance(shape, Mask) or (isinstance(shape, Polygon) and len(shape.rings) > 1):
        shape = filled(shape, facts)
    if shape is None:
        return None
    kind = next(name for name, ours in KINDS.items() if ours == shape.kind) + "labels"
    more = {"object_id": label.object_id, "score": label.score, "track_id": label.track_id}
    return {
        "id": f"r{number_}",
        "type": kind,
        "from_name": shape.kind,
        "to_name": "image",
        "original_width": facts.width,
        "original_height": facts.height,
        "image_rotation": 0,
        "value": {**_value(shape, facts.width or 1, facts.height or 1), kind: [label.label]},
        "meta": {OURS: {key: value for key, value in more.items() if value is not None}},
    }


def _value(shape: Shape, width: int, height: int) -> dict[str, Any]:
    across, down = 100 / width, 100 / height
    if isinstance(shape, Mask):
        return {"format": "rle", "rle": brush_of(shape, height, width)}
    if isinstance(shape, Polygon):
        return {"points": [[x * across, y * down] for x, y in shape.rings[0]], "closed": True}
    if isinstance(shape, Point):
        return {"x": shape.x * across, "y": shape.y * down, "width": 100 / max(width, height)}
    rotation = turned(-shape.angle_deg)
    if isinstance(shape, Ellipse):
        radii = {"radiusX": shape.major / 2 * across, "radiusY": shape.minor / 2 * down}
        return {"x": shape.x * across, "y": shape.y * down, **radii, "rotation": rotation}
    x, y = shape.ring[0]
    return {"x": x * across, "y": y * down, "width": shape.width * across, "height": shape.height * down, "rotation": rotation}
