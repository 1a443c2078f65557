"""ImageJ and Fiji: a zip of ROIs per image, or a single .roi.

Source: ImageJ's RoiDecoder and RoiEncoder, through the package roifile. Corners of areas are px from the corner of the first
pixel: a rectangle at x = 2 of width 4 covers pixels 2 to 5. For points, whole numbers are pixel centres, with sub-pixel
resolution too (`Roi.useLineSubpixelConvention`): ImageJ's point (3, 4) is Point(3.5, 4.5) here. An ellipse has the ends of its
major axis and the ratio of its axes, a turned rectangle the middles of two opposite sides and its width. A position of 1 is the
first frame, 0 is none; in a hyperstack the time counts, or the slice where there is one time.

ImageJ has neither classes nor image names: the class is taken from a property `class`, else the group, else what stands before
the number in a ROI's name (`loop_0012`), else `object`; the image is the one of the same name beside the zip. Written zips carry
what ImageJ cannot hold in a property `morphoscope` of each ROI and in the zip's comment; what was changed in ImageJ since wins.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.imagej_rois import AREAS, decoded, roi_of, shapes_of
from morphoscope.io.label_formats.kept import ALL, kept_image, kept_label, parsed, restored, restored_image
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.per_image import image_of, targets
from morphoscope.io.label_formats.reading import Records, whole
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Shape
from morphoscope.io.tables import replacing

SUFFIXES = (".zip", ".roi")
LARGEST_ROI, LARGEST_SET = 2**26, 2**30  # bytes
LONGEST_CLASSES = 50_000  # characters; a zip's comment ends at 65535
DAMAGED_ZIP = (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, zlib.error)


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
    except (*DAMAGED_ZIP, ValueError):
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
    cut = len(json.dumps(labels.classes)) > LONGEST_CLASSES
    for target, file, facts, found in targets(labels, path, ".zip"):
        stack = facts.frames > 1 or any(label.frame for label in found)
        with replacing(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = json.dumps(kept_image(file, facts, replace(labels, classes=()) if cut else labels)).encode()
            for k, label in enumerate(found, 1):
                roi = _roi(label, f"{label.label}_{k:04d}", position=label.frame + 1 if stack else 0)
                archive.writestr(f"{_file_name(label.label)}_{k:04d}.roi", roi.tobytes())
    return losses(labels, changed_shapes={}, holds=[name for name in ALL if name != "classes" or not cut])


def _file_name(label: str) -> str:
    """A class as a file's name, which is what ImageJ's ROI manager lists."""
    return re.sub(r'[\x00-\x1f\ud800-\udfff/\\:*?"<>|]', "_", label)[:80]


def _read_file(path: Path, root: Path, records: Records) -> dict[str, Any]:
    place = path.relative_to(root).as_posix()
    if path.suffix.lower() == ".roi":
        if path.stat().st_size > LARGEST_ROI:
            raise ValueError(f"has {path.stat().st_size} bytes; no ROI is that large")
        file = _image(None, path, root, records)
        records.labels.extend(_labels(path.read_bytes(), path.stem, file, records))
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if one.filename.lower().endswith(".roi")]
            if (total := sum(one.file_size for one in entries)) > LARGEST_SET:
                raise ValueError(f"claims {total} bytes of ROIs; at most {LARGEST_SET} are read")
            kept = _comment(archive)
            about = restored_image(kept)
            file = _image(kept, path, root, records)
            for one in entries:
                with records.record(f"{place}: {one.filename}"):
                    records.labels.extend(_labels(_content(archive, one), Path(one.filename).stem, file, records))
    except DAMAGED_ZIP as error:
        raise ValueError(f"cannot be read as a zip: {error}") from error
    return {} if about is None else {"classes": about[2], **({"complete_region": about[3]} if about[3] else {})}


def _image(kept: dict[str, Any] | None, path: Path, root: Path, records: Records) -> str:
    """The image of a ROI file, put among the records."""
    about = restored_image(kept)
    file = about[0] if about else image_of(path, root)
    if file is None:
        file = path.relative_to(root).with_suffix("").as_posix()
        records.note("the image of a ROI file is not beside it; its own name stands for it")
    records.images[file] = about[1] if about else ImageFacts()
    return file


def _comment(archive: zipfile.ZipFile) -> dict[str, Any] | None:
    kept = parsed(archive.comment.decode("utf-8", "replace")) if archive.comment else None
    return kept if isinstance(kept, dict) and "file" in kept else None


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > LARGEST_ROI:
        raise ValueError(f"claims {entry.file_size} bytes; no ROI is that large")
    try:
        return archive.read(entry)
    except DAMAGED_ZIP as error:
        raise ValueError(f"cannot be unpacked: {error}") from error


def _labels(content: bytes, name: str, file: str, records: Records) -> list[Label]:
    """The labels of a ROI of that name, in the file's bytes."""
    try:
        roi = decoded(content)
        kept = parsed(_property(roi, "morphoscope") or "null")
        label, frame = _class(roi, name), _frame(roi, records)
        shapes = list(shapes_of(roi))
    except (ValueError, KeyError):
        raise
    except Exception as error:  # the package raises whatever a damaged file leads it to
        raise ValueError(f"no ROI that can be read: {error!r}") from error
    if not shapes:
        records.note("lines, texts and pictures among the ROIs: left out")
    if roi.roitype in AREAS and roi.options & ROI_OPTIONS.SPLINE_FIT:
        records.note("curves through the corners of polygons: read as straight lines")
    if roi.roitype == ROI_TYPE.RECT and roi.rounded_rect_arc_size and shapes and isinstance(shapes[0], Box):
        records.note("rectangles with round corners: read as whole rectangles")
    frames = (
        [frame] * len(shapes) if roi.counter_positions is None else [int(n) - 1 if n else frame for n in roi.counter_positions]
    )
    return [
        restored(Label(file, label, shape, frame=own), kept, drawn=_as_read) for shape, own in zip(shapes, frames, strict=False)
    ]


def _as_read(shape: Shape) -> Shape:
    """What a shape is after it was written, without what is kept of it."""
    return next(shapes_of(ImagejRoi.frombytes(roi_of(shape).tobytes())))


def _frame(roi: ImagejRoi, records: Records) -> int:
    if roi.t_position > 1 and roi.z_position > 1:
        records.note("ROIs with both a time and a slice: the time counts")
    if roi.t_position or roi.z_position:
        place = roi.t_position if roi.t_position > 1 else max(roi.z_position, 1)
    else:
        place = max(roi.position, 1)
    return whole(place, least=1) - 1


def _property(roi: ImagejRoi, key: str) -> str | None:
    found = re.search(rf"^{key}: (.*)$", roi.props or "", flags=re.MULTILINE)
    return found.group(1) if found else None


def _class(roi: ImagejRoi, name: str) -> str:
    given = _property(roi, "class")
    if given:
        return given
    if roi.group > 0:
        return f"group {roi.group}"
    prefix = re.fullmatch(r"(.*?[^\d\s_-])[\s_-]*[\d_-]*", roi.name or name)
    return prefix.group(1) if prefix else "object"


def _roi(label: Label, name: str, *, position: int) -> ImagejRoi:
    roi = roi_of(label.shape)
    roi.name, roi.position = name, position
    kept = json.dumps(kept_label(label), ensure_ascii=False)
    roi.props = f"class: {' '.join(label.label.split())}\nmorphoscope: {kept}\n"
    return roi
