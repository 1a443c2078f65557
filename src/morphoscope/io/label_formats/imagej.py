"""ImageJ and Fiji: a zip of ROIs per image, or a single .roi.

Source: ImageJ's RoiDecoder and RoiEncoder, through the package roifile. Corners of areas are px from the corner of the first
pixel: a rectangle at x = 2 of width 4 covers pixels 2 to 5. A point of whole numbers means the pixel, so its centre, 0.5 px
further; a point of sub-pixel resolution is where it says. A position of 1 is the first frame.

ImageJ has neither classes nor image names: the class is taken from a property `class`, else the group, else what stands before
the number in a ROI's name (`loop_0012`), else `object`; the image is the one of the same name beside the zip. Written zips carry
what ImageJ cannot hold in a property `morphoscope` of each ROI and in the zip's comment.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.kept import ALL, kept_image, kept_label, parsed, restored, restored_image
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.per_image import image_of, targets
from morphoscope.io.label_formats.reading import Records, number
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, Ring, Shape, as_polygon
from morphoscope.io.tables import replacing

SUFFIXES = (".zip", ".roi")
LARGEST_ROI = 2**26  # bytes
LINES = (ROI_TYPE.LINE, ROI_TYPE.FREELINE, ROI_TYPE.POLYLINE, ROI_TYPE.ANGLE, ROI_TYPE.NOROI)
AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)


def recognises(path: Path) -> bool:
    """A .roi file, a zip with .roi files in it, or a folder with such files."""
    if path.is_dir():
        return any(_holds_rois(p) for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES)
    return path.suffix.lower() in SUFFIXES and _holds_rois(path)


def _holds_rois(path: Path) -> bool:
    try:
        if path.suffix.lower() == ".roi":
            with path.open("rb") as file:
                return file.read(4) == b"Iout"
        with zipfile.ZipFile(path) as archive:
            return any(n.lower().endswith(".roi") for n in archive.namelist()) or _comment(archive) is not None
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def read(path: Path) -> LabelSet:
    """Labels of one file or of all in a folder.

    Raises:
        InputError: nothing that can be read.
    """
    root = path if path.is_dir() else path.parent
    files = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
    if not files or not path.exists():
        raise InputError(f"there is no ROI file in {path}; wanted .roi or .zip")
    records = Records(path)
    found: dict[str, Any] = {}
    for file in sorted(files, key=lambda p: natural_key(p.relative_to(root).as_posix())):
        with records.record(file.relative_to(root).as_posix()):
            found |= _read_file(file, root, records)
    return records.found(root=root, **found)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write a zip per image: `path` where it ends in .zip, else into that folder; returns what cannot be held."""
    for target, file, facts, found in targets(labels, path, ".zip"):
        with replacing(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = json.dumps(kept_image(file, facts, labels)).encode()
            for k, label in enumerate(found, 1):
                archive.writestr(f"{k:05d}.roi", _roi(label, k).tobytes())
    return losses(labels, changed_shapes={}, holds=ALL)


def _read_file(path: Path, root: Path, records: Records) -> dict[str, Any]:
    kept = None
    contents: list[tuple[str, bytes]] = []
    if path.suffix.lower() == ".roi":
        contents.append((path.name, path.read_bytes()))
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                kept = _comment(archive)
                contents = list(_entries(archive))
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be read as a zip: {error}") from error
    about = restored_image(kept)
    file = about[0] if about else image_of(path, root)
    if file is None:
        file = path.relative_to(root).with_suffix("").as_posix()
        records.note("the image of a ROI file is not beside it; its own name stands for it")
    records.images[file] = about[1] if about else ImageFacts()
    for name, content in contents:
        with records.record(f"{path.relative_to(root).as_posix()}: {name}"):
            records.labels.extend(_labels(content, file, records))
    return {} if about is None else {"classes": about[2], **({"complete_region": about[3]} if about[3] else {})}


def _comment(archive: zipfile.ZipFile) -> dict[str, Any] | None:
    kept = parsed(archive.comment.decode("utf-8", "replace")) if archive.comment else None
    return kept if isinstance(kept, dict) and "file" in kept else None


def _entries(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    for entry in archive.infolist():
        if not entry.filename.lower().endswith(".roi"):
            continue
        if entry.file_size > LARGEST_ROI:
            raise ValueError(f"{entry.filename} claims {entry.file_size} bytes; no ROI is that large")
        yield entry.filename, archive.read(entry)


def _labels(content: bytes, file: str, records: Records) -> Iterator[Label]:
    try:
        roi = ImagejRoi.frombytes(content)
        own = _property(roi, "morphoscope")
        name, frame = _class(roi), max(roi.position or roi.t_position or roi.z_position, 1) - 1
        shapes = list(_shapes(roi))
    except (ValueError, KeyError):
        raise
    except Exception as error:  # the package raises whatever a damaged file leads it to
        raise ValueError(f"no ROI that can be read: {error!r}") from error
    if not shapes:
        records.note("lines, texts and pictures among the ROIs: left out")
    for k, shape in enumerate(shapes):
        own_frame = frame
        if roi.counter_positions is not None and len(shapes) > 1 and k < len(roi.counter_positions):
            own_frame = max(int(roi.counter_positions[k]), 1) - 1
        yield restored(Label(file, name, shape, frame=own_frame), parsed(own) if own else None)


def _property(roi: ImagejRoi, key: str) -> str | None:
    found = re.search(rf"^{key}: (.*)$", roi.props or "", flags=re.MULTILINE)
    return found.group(1) if found else None


def _class(roi: ImagejRoi) -> str:
    given = _property(roi, "class")
    if given:
        return given
    if roi.group > 0:
        return f"group {roi.group}"
    prefix = re.fullmatch(r"(.*?[^\d\s_-])[\s_-]*[\d_-]*", roi.name or "")
    return prefix.group(1) if prefix else "object"


def _shapes(roi: ImagejRoi) -> Iterator[Shape]:
    """The shapes of a ROI: several for a multi-point, none for lines and texts."""
    if roi.roitype in LINES or roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE, ROI_SUBTYPE.ARROW):
        return
    if roi.roitype == ROI_TYPE.POINT:
        half = 0.5 if roi.subpixel_coordinates is None else 0.0
        for x, y in roi.coordinates():
            yield Point(number(float(x) + half), number(float(y) + half))
    elif roi.multi_coordinates is not None:
        rings = [_ring(part) for part in roi.coordinates(multi=True)]
        yield Polygon(tuple(ring for ring in rings if len(ring) >= 3))
    elif roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        yield _frame_shape(roi)
    elif roi.subtype in (ROI_SUBTYPE.ELLIPSE, ROI_SUBTYPE.ROTATED_RECT):
        yield _turned_shape(roi)
    elif roi.roitype in AREAS:
        ring = _ring(roi.coordinates())
        if len(ring) < 3:
            raise ValueError(f"wanted a polygon of at least 3 corners, got {len(ring)}")
        yield Polygon((ring,))


def _frame_shape(roi: ImagejRoi) -> Shape:
    x, y, width, height = float(roi.left), float(roi.top), float(roi.right - roi.left), float(roi.bottom - roi.top)
    if roi.subpixelrect:
        x, y, width, height = (number(float(v)) for v in (roi.xd, roi.yd, roi.widthd, roi.heightd))
    if not (width > 0 and height > 0):
        raise ValueError(f"wanted a width and height above 0, got {width:g} x {height:g}")
    centre = x + width / 2, y + height / 2
    if roi.roitype == ROI_TYPE.RECT:
        return Box(*centre, width, height)
    return Ellipse(*centre, width, height) if width >= height else Ellipse(*centre, height, width, 90.0)


def _turned_shape(roi: ImagejRoi) -> Shape:
    """Ellipse by the ends of its major axis and the ratio of its axes; rectangle by the middles of two sides and its width."""
    x1, y1, x2, y2 = (number(float(v)) for v in (roi.x1, roi.y1, roi.x2, roi.y2))
    parts = (roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size)
    (third,) = struct.unpack(f"{roi.byteorder}f", struct.pack(f"{roi.byteorder}BBh", *parts))
    length, angle = math.hypot(x2 - x1, y2 - y1), math.degrees(math.atan2(y1 - y2, x2 - x1)) % 180
    across = number(float(third)) * (length if roi.subtype == ROI_SUBTYPE.ELLIPSE else 1.0)
    if not (length > 0 and across > 0):
        raise ValueError("wanted a turned ellipse or rectangle with a length and a width")
    kind = Ellipse if roi.subtype == ROI_SUBTYPE.ELLIPSE else Box
    return kind((x1 + x2) / 2, (y1 + y2) / 2, length, across, angle)


def _ring(coordinates: Any) -> Ring:
    corners = [(number(float(x)), number(float(y))) for x, y in coordinates]
    return tuple(corners[:-1] if len(corners) > 3 and corners[0] == corners[-1] else corners)


def _roi(label: Label, place: int) -> ImagejRoi:
    shape = label.shape
    roi = _drawn(shape)
    roi.name = f"{label.label}_{place:04d}"
    roi.position = label.frame + 1 if label.frame else 0
    kept = json.dumps(kept_label(label), ensure_ascii=False)
    roi.props = f"class: {' '.join(label.label.split())}\nmorphoscope: {kept}\n"
    return roi


def _drawn(shape: Shape) -> ImagejRoi:
    if isinstance(shape, Point):
        roi = ImagejRoi.frompoints(np.array([[shape.x, shape.y]], dtype=np.float32))
        roi.roitype = ROI_TYPE.POINT
        return roi
    if isinstance(shape, Box | Ellipse) and shape.angle_deg % 90 == 0:
        return _framed(shape)
    polygon = as_polygon(shape)
    if len(polygon.rings) > 1:
        return _composite(polygon)
    roi = ImagejRoi.frompoints(np.array(polygon.rings[0], dtype=np.float32))
    roi.roitype = ROI_TYPE.TRACED if isinstance(shape, Mask) else ROI_TYPE.POLYGON
    if isinstance(shape, Box | Ellipse):
        _turn(roi, shape)
    return roi


def _framed(shape: Box | Ellipse) -> ImagejRoi:
    x0, y0, x1, y1 = shape.bounds
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT if isinstance(shape, Box) else ROI_TYPE.OVAL
    roi.version = 227
    roi.options = ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    roi.left, roi.top, roi.right, roi.bottom = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
    roi.xd, roi.yd, roi.widthd, roi.heightd = x0, y0, x1 - x0, y1 - y0
    return roi


def _turn(roi: ImagejRoi, shape: Box | Ellipse) -> None:
    """Make a polygon ROI a turned rectangle or ellipse by its axis and third number."""
    if isinstance(shape, Box):
        length, across, angle = shape.width, shape.height, shape.angle_deg
        third = across
    else:
        swapped = shape.minor > shape.major
        length, across = (shape.minor, shape.major) if swapped else (shape.major, shape.minor)
        angle = shape.angle_deg + 90 * swapped
        third = across / length
    cos, sin = math.cos(math.radians(angle)) * length / 2, math.sin(math.radians(angle)) * length / 2
    roi.roitype = ROI_TYPE.FREEHAND
    roi.subtype = ROI_SUBTYPE.ROTATED_RECT if isinstance(shape, Box) else ROI_SUBTYPE.ELLIPSE
    roi.x1, roi.y1, roi.x2, roi.y2 = shape.x - cos, shape.y + sin, shape.x + cos, shape.y - sin
    fields = struct.unpack(
        f"{roi.byteorder}BBh", struct.pack(f"{roi.byteorder}f", third)
    )  # one float where arrows have three fields
    roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size = fields


def _composite(polygon: Polygon) -> ImagejRoi:
    path: list[float] = []
    for ring in polygon.rings:
        path += [0, *ring[0]]
        for corner in ring[1:]:
            path += [1, *corner]
        path.append(4)
    x0, y0, x1, y1 = polygon.bounds
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT
    roi.version = 227
    roi.left, roi.top, roi.right, roi.bottom = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
    roi.multi_coordinates = np.array(path, dtype=np.float32)
    roi.shape_roi_size = len(path)
    return roi
