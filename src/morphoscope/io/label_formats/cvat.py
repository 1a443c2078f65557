"""CVAT XML 1.1, "CVAT for images" and "CVAT for video".

Source: the XML annotation format page of the CVAT manual. Coordinates are px from the outer corner of the first pixel; a rotation
turns clockwise about the centre, in degrees; a mask holds run lengths of its box, row by row, outside first. A video is one file:
its tracks hold a shape for every frame they are seen in, and `outside="1"` says where they end.

Labels of one stack or video are written as a video, all others as images. `object_id` and `score`, and in images `track_id` and
`frame`, are attributes that CVAT itself passes over, as all that its task does not define; a shape of a video that belongs to no
track is a track of one frame with the attribute `single`. Polygons have no holes: those are written as masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import (
    MOST_PIXELS,
    Records,
    box_of,
    ellipse_of,
    load_xml,
    number,
    plain_path,
    ring_of,
    score_of,
    size,
    text,
    turned,
    whole,
    xml_root_name,
)
from morphoscope.io.label_formats.writing import FILLED, filled, plain, write_xml, xml_text
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, Shape

FOLDER = False
OTHERS = ("tag", "polyline", "cuboid", "skeleton")
SEEN = {"outside": "0", "occluded": "0", "keyframe": "1"}
GONE = {"outside": "1", "occluded": "0", "keyframe": "1"}
Element = ElementTree.Element


def recognises(path: Path) -> bool:
    """An XML file that starts with the element `annotations`."""
    return path.is_file() and path.suffix.lower() == ".xml" and xml_root_name(path) == "annotations"


def read(path: Path) -> LabelSet:
    """Labels of a CVAT file; elements to blame are named.

    Raises:
        InputError: no CVAT file, or a damaged one.
    """
    root = load_xml(path)
    if root.tag != "annotations":
        raise InputError(f"{path} is no CVAT file: wanted the element annotations, got {root.tag}")
    records = Records(path)
    for k, image in enumerate(root.iterfind("image")):
        with records.record(f"image {k + 1} (id {image.get('id')})"):
            _read_image(image, k, records)
    tracks = root.findall("track")
    if tracks or (root.find("image") is None and root.find("meta") is not None):
        with records.record("meta"):
            file = _video(root, records)
            for k, track in enumerate(tracks):
                _read_track(track, f"track {k + 1} (id {track.get('id')})", file, records)
    names = [name.text or "" for name in root.iterfind("meta/*/labels/label/name")]
    return records.found(root=path.parent, classes=[name for name in names if name.strip()])


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write a CVAT file; returns what it cannot hold.

    Raises:
        InputError: an image size is not known, or a name that XML cannot hold.
    """
    known = labels.with_sizes()
    root = Element("annotations")
    _add(root, "version", "1.1")
    facts = next(iter(known.images.values()), ImageFacts())
    moving = facts.frames > 1 or any(label.frame or label.track_id is not None for label in known.labels)
    if len(known.images) == 1 and moving:
        _write_video(root, known)
    else:
        _write_images(root, known)
    write_xml(path, root)
    holds = ("frame", "object_id", "score", "track_id", "empty images", "classes")
    return losses(known, changed_shapes={"polygon with holes": FILLED}, holds=holds)


def _read_image(image: Element, k: int, records: Records) -> None:
    file = plain_path(text(image.get("name"), "a name"))
    facts = ImageFacts(size(image.get("width")), size(image.get("height")), whole(image.get("frames", 1), least=1))
    records.images.setdefault(file, facts)
    for n, element in enumerate(image):
        with records.record(f"image {k + 1} ({file}), {element.tag} {n + 1}"):
            shape = _shape(element, records)
            if shape is not None:
                records.labels.append(_label(element, element, shape, file, frame=whole(image.get("frame", 0))))


def _video(root: Element, records: Records) -> str:
    """The file of a video, with its facts put among the images."""
    meta = root.find("meta")
    task = next((one for one in (meta if meta is not None else ()) if one.tag in ("task", "job")), Element("task"))
    source = task.findtext("source") or (meta.findtext("source") if meta is not None else None) or task.findtext("name")
    file = plain_path(text(source, "the name of the video in meta/source"))
    original = next(
        (one for one in (task.find("original_size"), root.find("meta/original_size")) if one is not None), Element("x")
    )
    frames = max(size(task.findtext("size")) or 1, 1)
    records.images[file] = ImageFacts(size(original.findtext("width")), size(original.findtext("height")), frames)
    return file


def _read_track(track: Element, place: str, file: str, records: Records) -> None:
    for element in track:
        with records.record(f"{place}, frame {element.get('frame')}"):
            shape = None if element.get("outside") == "1" else _shape(element, records)
            if shape is not None:
                found = _label(track, element, shape, file, frame=whole(element.attrib["frame"]))
                records.labels.append(found)


def _label(owner: Element, element: Element, shape: Shape, file: str, *, frame: int) -> Label:
    own = {one.get("name"): one.text or "" for one in element.iterfind("attribute")}
    track_id = owner.get("id") if owner.tag == "track" and own.get("single") != "true" else own.get("track_id")
    return Label(
        file=file,
        label=text(owner.get("label"), "a label"),
        shape=shape,
        frame=frame,
        object_id=own.get("object_id"),
        score=score_of(own.get("score")),
        track_id=None if track_id is None else whole(track_id, least=-(2**53), most=2**53),
    )


def _shape(element: Element, records: Records) -> Shape | None:
    given = element.attrib
    if element.tag == "box":
        box = box_of(*(number(given[key]) for key in ("xtl", "ytl", "xbr", "ybr")))
        return Box(box.x, box.y, box.width, box.height, turned(-number(given.get("rotation", 0))))
    if element.tag == "ellipse":
        x, y, across, down = (number(given[key]) for key in ("cx", "cy", "rx", "ry"))
        return ellipse_of(x, y, 2 * across, 2 * down, -number(given.get("rotation", 0)))
    if element.tag == "polygon":
        return Polygon((ring_of(_points(given["points"])),))
    if element.tag == "mask":
        return _mask(given)
    if element.tag == "points":
        values = [number(value) for value in _points(given["points"])]
        if len(values) == 2:
            return Point(*values)
        records.note("groups of several points: left out")
    elif element.tag in OTHERS:
        records.note(f"annotations of the kind {element.tag}: left out")
    return None


def _points(given: str) -> list[str]:
    return [value for pair in given.split(";") for value in pair.split(",")]


def _mask(given: dict[str, str]) -> Mask:
    left, top = (whole(given[key], least=-(10**7)) for key in ("left", "top"))
    width, height = (whole(given[key], least=1) for key in ("width", "height"))
    runs = [whole(value) for value in given["rle"].split(",")]
    if sum(runs) != width * height or width * height > MOST_PIXELS:
        raise ValueError(f"wanted run lengths that add up to {width} x {height} px, at most {MOST_PIXELS}, got {sum(runs)}")
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return Mask.from_pixels(pixels, left, top)


def _write_images(root: Element, labels: LabelSet) -> None:
    _add_meta(root, labels, "annotation", len(labels.images))
    number_ = 0
    for file, facts, found in labels.by_image():
        for frame in sorted({0, *(label.frame for label in found)}):
            values: dict[str, Any] = {"id": number_, "name": file, "width": facts.width, "height": facts.height}
            values |= ({"frame": frame} if frame else {}) | ({"frames": facts.frames} if facts.frames != 1 else {})
            image = _add(root, "image", **values)
            number_ += 1
            for label in found:
                if label.frame == frame:
                    for element in _elements(label, facts):
                        element.set("label", xml_text(label.label))
                        _add_attributes(element, label, track_id=label.track_id)
                        image.append(element)


def _write_video(root: Element, labels: LabelSet) -> None:
    file, facts = next(iter(labels.images.items()))
    last = max((label.frame for label in labels.labels), default=0)
    _add_meta(root, labels, "interpolation", max(facts.frames, last + 1), file, facts)
    taken = {label.track_id for label in labels.labels}
    free = (k for k in range(len(labels.labels) + len(taken) + 1) if k not in taken)
    tracks: dict[Any, Element] = {}
    for k, label in enumerate(labels.labels):
        key = (label.track_id, label.label) if label.track_id is not None else ("single", k)
        for element in _elements(label, facts):
            if key not in tracks:
                own_id = label.track_id if label.track_id is not None else next(free)
                tracks[key] = _add(root, "track", id=own_id, label=label.label, source="manual")
            for name, value in (SEEN | {"frame": str(label.frame)}).items():
                element.set(name, value)
            _add_attributes(element, label, single=None if label.track_id is not None else "true")
            tracks[key].append(element)
    for track in tracks.values():
        _close_gaps(track, max(facts.frames, last + 1))


def _close_gaps(track: Element, frames: int) -> None:
    """Put shapes in order of frames, and say where the track is not seen, as CVAT would fill the gap otherwise."""
    seen = sorted(track, key=lambda element: int(element.attrib["frame"]))
    here = {int(element.attrib["frame"]) for element in seen}
    track[:] = []
    for k, element in enumerate(seen):
        track.append(element)
        after = int(element.attrib["frame"]) + 1
        if after not in here and after < frames and (k + 1 == len(seen) or seen[k + 1].get("frame") != element.get("frame")):
            gone = Element(element.tag, {**element.attrib, **GONE, "frame": str(after)})
            track.append(gone)


def _elements(label: Label, facts: ImageFacts) -> Iterator[Element]:
    """The element of a shape; none where a mask would have no pixel."""
    shape: Shape | None = label.shape
    if isinstance(shape, Polygon) and len(shape.rings) > 1:
        shape = filled(shape, facts)
    if shape is None:
        return
    values: dict[str, Any] = {}
    if isinstance(shape, Box | Ellipse):
        values = {"rotation": turned(-shape.angle_deg)} if shape.angle_deg else {}
    if isinstance(shape, Box):
        x0, y0 = shape.x - shape.width / 2, shape.y - shape.height / 2
        values |= {"xtl": x0, "ytl": y0, "xbr": x0 + shape.width, "ybr": y0 + shape.height}
    elif isinstance(shape, Ellipse):
        values = {
            "cx": shape.x,
            "cy": shape.y,
            "rx": shape.major / 2,
            "ry": shape.minor / 2,
            "rotation": turned(-shape.angle_deg),
        }
    elif isinstance(shape, Mask):
        runs = ",".join(str(n) for n in shape.runs)
        values = {"rle": runs, "left": shape.x0, "top": shape.y0, "width": shape.width, "height": shape.height}
    else:
        ring = ((shape.x, shape.y),) if isinstance(shape, Point) else shape.rings[0]
        values = {"points": ";".join(f"{plain(x)},{plain(y)}" for x, y in ring)}
    tag = "points" if isinstance(shape, Point) else shape.kind
    given = {key: value if isinstance(value, str) else plain(value) for key, value in values.items()}
    yield Element(tag, {"source": "manual", "occluded": "0", **given, "z_order": "0"})


def _add_attributes(element: Element, label: Label, **more: Any) -> None:
    for name, value in {"object_id": label.object_id, "score": label.score, **more}.items():
        if value is not None:
            _add(element, "attribute", str(value), name=name)


def _add_meta(
    root: Element, labels: LabelSet, mode: str, count: int, file: str | None = None, facts: ImageFacts | None = None
) -> None:
    meta = _add(root, "meta")
    task = _add(meta, "task")
    for name, value in (("name", "morphoscope"), ("size", str(count)), ("mode", mode)):
        _add(task, name, value)
    listed = _add(task, "labels")
    for label in labels.classes:
        _add(_add(listed, "label"), "name", label)
    if file is not None and facts is not None:
        original = _add(task, "original_size")
        _add(original, "width", str(facts.width))
        _add(original, "height", str(facts.height))
        _add(task, "source", file)


def _add(parent: Element, tag: str, content: str | None = None, **values: Any) -> Element:
    element = ElementTree.SubElement(parent, tag, {key: xml_text(str(value)) for key, value in values.items()})
    element.text = None if content is None else xml_text(content)
    return element
