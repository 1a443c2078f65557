"""COCO: one JSON file with `images`, `annotations` and `categories`.

Source: the data format page of the COCO data set and its API. `bbox` [x, y, width, height] and `segmentation` are px from the
outer corner of the first pixel; a keypoint is the number of a pixel, whose centre is half a px further. Rings of one
segmentation are parts of one object, and there are no holes: polygons with holes are written as run lengths.

What COCO has no place for (object and track ids, scores, frames, turned boxes, ellipses, holes, pixel sizes, the complete region)
stands under the key `morphoscope`, which other tools leave alone; a shape there counts only while the annotation's `bbox` still
surrounds it. A frame of a stack is an image entry of its own with the name of the file. Category ids are numbered anew, in order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.label_formats.coco_rle import counts_of, mask_of, text_of_counts
from morphoscope.io.label_formats.reading import (
    Records,
    box_of,
    first_character,
    interval_of,
    load_json,
    number,
    plain_path,
    ring_of,
    score_of,
    size,
    text,
    whole,
)
from morphoscope.io.label_formats.writing import filled, inside_image, window, write_text
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Mask, Point, Polygon, Ring, Shape, as_polygon, rasterize, shape_from_dict, shape_to_dict
from morphoscope.recipe import Region

FOLDER = False
OURS = "morphoscope"


def recognises(path: Path) -> bool:
    """A .json file whose content is an object."""
    return path.is_file() and path.suffix.lower() == ".json" and first_character(path) == "{"


def read(path: Path) -> LabelSet:
    """Labels of a COCO file; annotations to blame are named.

    Raises:
        InputError: no COCO file, or a damaged one.
    """
    content = load_json(path)
    wanted = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in wanted):
        raise InputError(f"{path} is no COCO file: wanted an object with lists {', '.join(wanted)}")
    records = Records(path)
    names = _categories(content["categories"], records)
    entries = _images(content["images"], records)
    for k, annotation in enumerate(content["annotations"]):
        with records.record(f"annotation {k + 1}{_id(annotation)}"):
            label = _label(annotation, entries, names, records)
            if label is not None:
                records.labels.append(label)
    return records.found(root=path.parent, classes=list(names.values()), complete_region=_region(content.get(OURS), path))


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write a COCO file; everything can be held.

    Raises:
        InputError: the size of an image is not known.
    """
    labels = labels.with_sizes()
    numbers = {name: k + 1 for k, name in enumerate(labels.classes)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for file, facts, found in labels.by_image():
        for frame in sorted({0, *(label.frame for label in found)}):
            images.append(_image_entry(len(images) + 1, file, facts, frame))
            for label in found:
                if label.frame == frame:
                    entry = {"id": len(annotations) + 1, "image_id": len(images), "category_id": numbers[label.label]}
                    annotations.append(entry | _annotation(label, facts))
    categories = [{"id": k, "name": name, "supercategory": ""} for name, k in numbers.items()]
    content: dict[str, Any] = {"images": images, "annotations": annotations, "categories": categories}
    if labels.complete_region is not None:
        content[OURS] = {"complete_region": labels.complete_region.model_dump()}
    write_text(path, json.dumps(content, ensure_ascii=False, allow_nan=False))
    return []


def _categories(given: list[Any], records: Records) -> dict[int, str]:
    names = {}
    for k, category in enumerate(given):
        with records.record(f"category {k + 1}"):
            names[whole(category["id"], least=-(2**53), most=2**53)] = text(category["name"], "a name")
    return names


def _images(given: list[Any], records: Records) -> dict[int, tuple[str, int]]:
    """File and frame of each image id."""
    entries: dict[int, tuple[str, int]] = {}
    for k, image in enumerate(given):
        with records.record(f"image {k + 1}{_id(image)}"):
            file = plain_path(text(image["file_name"], "a file name"))
            more = _ours(image)
            frame = whole(more.get("frame", 0))
            entries[whole(image["id"], least=-(2**53), most=2**53)] = (file, frame)
            facts = ImageFacts(
                size(image.get("width")),
                size(image.get("height")),
                whole(more.get("frames", 1), least=1),
                _scale(more),
                interval_of(more.get("frame_interval_s")),
            )
            if file in records.images and not frame:
                records.note("files named by several image entries are taken for one image each")
            records.images.setdefault(file, facts)
    return entries


def _label(
    annotation: dict[str, Any], entries: dict[int, tuple[str, int]], names: dict[int, str], records: Records
) -> Label | None:
    if annotation["image_id"] not in entries:
        raise ValueError(f"there is no image of id {annotation['image_id']!r:.40}")
    if annotation["category_id"] not in names:
        raise ValueError(f"there is no category of id {annotation['category_id']!r:.40}")
    file, frame = entries[annotation["image_id"]]
    shape = _shape(annotation, records.images[file], records)
    if shape is None:
        return None
    if any(annotation.get("keypoints") or ()) and not isinstance(shape, Point):
        records.note("keypoints of objects that have a box or outline: left out")
    more = _ours(annotation)
    own_id = None if OURS in annotation else annotation.get("id")
    object_id, track_id = more.get("object_id", own_id), more.get("track_id", annotation.get("track_id"))
    return Label(
        file=file,
        label=names[annotation["category_id"]],
        shape=shape,
        frame=frame,
        object_id=None if object_id is None else str(object_id),
        score=score_of(more.get("score", annotation.get("score"))),
        track_id=None if track_id is None else whole(track_id, least=-(2**53), most=2**53),
    )


def _shape(annotation: dict[str, Any], facts: ImageFacts, records: Records) -> Shape | None:
    kept = _ours(annotation).get("shape")
    if kept is not None:
        shape = shape_from_dict(kept)
        if np.allclose(_corners(annotation["bbox"]), shape.bounds, atol=1e-3):
            return shape
        records.note("annotations moved or resized by another tool: taken by their box or segmentation")
    given = annotation.get("segmentation")
    if isinstance(given, dict):
        if annotation.get("iscrowd"):
            records.note("regions marked as crowds are taken for one object each")
        return mask_of(given)
    if given:
        return _polygon([ring_of(values) for values in given], facts, records)
    points = annotation.get("keypoints")
    if points and not (annotation.get("bbox") and any(annotation["bbox"][2:])):
        return _point(points, records)
    return box_of(*_corners(annotation["bbox"]))


def _polygon(rings: list[Ring], facts: ImageFacts, records: Records) -> Shape:
    """Rings are parts of one object: where they overlap, what lies in several is inside."""
    shape = Polygon(tuple(rings))
    if not _overlapping(rings) or not (facts.width and facts.height):
        return shape
    x0, y0, height, width = window(shape, facts)
    moved = [tuple((x - x0, y - y0) for x, y in ring) for ring in rings]
    parts = np.any([rasterize(Polygon((ring,)), height, width) for ring in moved], axis=0)
    if np.array_equal(parts, rasterize(Polygon(tuple(moved)), height, width)):
        return shape
    records.note("polygons whose parts overlap are read as masks of all parts")
    return Mask.from_pixels(parts, x0, y0)


def _point(values: Sequence[Any], records: Records) -> Point | None:
    seen = [values[k : k + 3] for k in range(0, len(values), 3) if values[k + 2]]
    if len(seen) != 1:
        records.note("annotations of several keypoints and nothing else: left out")
        return None
    return Point(number(seen[0][0]) + 0.5, number(seen[0][1]) + 0.5)


def _corners(box: Sequence[Any]) -> tuple[float, float, float, float]:
    x, y, width, height = (number(value) for value in box)
    return x, y, x + width, y + height


def _overlapping(rings: Sequence[Ring]) -> bool:
    boxes = [Polygon((ring,)).bounds for ring in rings]
    return any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for k, a in enumerate(boxes) for b in boxes[k + 1 :])


def _ours(record: dict[str, Any]) -> dict[str, Any]:
    found = record.get(OURS) or {}
    if not isinstance(found, dict):
        raise ValueError(f"wanted an object under {OURS!r}, got {found!r:.40}")
    return found


def _scale(more: dict[str, Any]) -> tuple[float, float] | None:
    if more.get("pixel_size_nm") is None:
        return None
    y, x = (number(value, least=1e-4) for value in more["pixel_size_nm"])
    return y, x


def _region(more: Any, path: Path) -> Region | None:
    given = more.get("complete_region") if isinstance(more, dict) else None
    try:
        return None if given is None else Region.model_validate(given)
    except ValueError as error:
        raise InputError(f"{path}: complete_region must be x0, y0, x1, y1 in px, got {given!r:.80}") from error


def _id(record: Any) -> str:
    return f" (id {record['id']!r:.40})" if isinstance(record, dict) and "id" in record else ""


def _image_entry(number_: int, file: str, facts: ImageFacts, frame: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number_, "file_name": file, "width": facts.width, "height": facts.height}
    more: dict[str, Any] = {"frame": frame} if frame else {}
    if facts.frames != 1:
        more["frames"] = facts.frames
    if facts.pixel_size_nm is not None:
        more["pixel_size_nm"] = list(facts.pixel_size_nm)
    if facts.frame_interval_s is not None:
        more["frame_interval_s"] = facts.frame_interval_s
    return entry | {OURS: more} if more else entry


def _annotation(label: Label, facts: ImageFacts) -> dict[str, Any]:
    shape = label.shape
    x0, y0, x1, y1 = shape.bounds
    segmentation, exact = _segmentation(shape, facts)
    entry: dict[str, Any] = {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": shape.area_px,
        "iscrowd": 0,
        "segmentation": segmentation,
    }
    if isinstance(shape, Point):
        entry |= {"keypoints": [shape.x - 0.5, shape.y - 0.5, 2], "num_keypoints": 1}
    more: dict[str, Any] = {"object_id": label.object_id, "score": label.score, "track_id": label.track_id}
    more["shape"] = None if exact else shape_to_dict(shape)
    return entry | {OURS: {key: value for key, value in more.items() if value is not None}}


def _segmentation(shape: Shape, facts: ImageFacts) -> tuple[Any, bool]:
    """The segmentation, and whether the shape is read back from it as it was."""
    if isinstance(shape, Point) or (isinstance(shape, Box) and shape.angle_deg == 0):
        return [], True
    if isinstance(shape, Mask) or (isinstance(shape, Polygon) and _overlapping(shape.rings)):
        height, width = facts.height or 0, facts.width or 0
        counts = counts_of(filled(shape, facts), height, width)
        exact = isinstance(shape, Mask) and inside_image(shape, facts)
        return {"size": [height, width], "counts": text_of_counts(counts)}, exact
    rings = as_polygon(shape).rings
    return [[value for corner in ring for value in corner] for ring in rings], isinstance(shape, Polygon)
