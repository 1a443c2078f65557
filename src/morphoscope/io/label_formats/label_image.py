"""Label images: pictures in which each object has a number of its own, 0 for the background.

A TIFF (or 16-bit PNG) per image; pages are frames. Written files are TIFFs with their pixel size, and `objects.csv` beside them
says what each number is (file, mask, frame, value, label, object_id, score, track_id); without it every object is of the class
`object` and its number is its id. Where one image holds a single number, as masks of 255 do, its connected parts are the objects.
In a folder named `mask`, which holds classes and not objects, the connected parts of each number are of the class `class N`.

A pixel holds one number: of objects that overlap, the later covers the earlier.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.per_image import image_of, targets
from morphoscope.io.label_formats.reading import Records, number, text, whole
from morphoscope.io.label_formats.writing import FILLED, LEFT_OUT, filled
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Mask
from morphoscope.io.tables import replacing, write_csv

SUFFIXES = (".tif", ".tiff", ".png")
FOLDERS = ("instances", "masks", "mask", "labels")
SIDECAR = "objects.csv"
COLUMNS = ["file", "mask", "frame", "value", "label", "object_id", "score", "track_id", "pixel_y_nm", "pixel_x_nm"]
DAMAGE = (
    tifffile.TiffFileError,
    zlib.error,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
    struct.error,
    cv2.error,
)
MOST_BYTES, MOST_RATIO = 2**31, 1000  # an image that claims more than both is not believed


def recognises(path: Path) -> bool:
    """A folder with objects.csv beside label images or with a folder of masks in it, or a label image."""
    if path.is_dir():
        held = [path / name for name in FOLDERS if (path / name).is_dir()]
        named = path.name in FOLDERS and any(_images(path))
        return (path / SIDECAR).is_file() or named or any(any(_images(folder)) for folder in held)
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(path: Path) -> LabelSet:
    """Objects of one label image or of a folder of them.

    Raises:
        InputError: nothing that can be read.
    """
    root = path if path.is_dir() else path.parent
    records = Records(path)
    known = _known(root, records)
    folder = next((path / name for name in FOLDERS if (path / name).is_dir()), path)
    files = [path] if path.is_file() else sorted(_images(folder), key=lambda p: natural_key(p.relative_to(root).as_posix()))
    if known is not None:
        files = [root / mask for mask in dict.fromkeys(known["mask"]) if path.is_dir() or root / mask == path]
    if not files:
        raise InputError(f"there is no label image in {path}; wanted {', '.join(SUFFIXES)}")
    for file in files:
        with records.record(file.relative_to(root).as_posix()):
            rows = None if known is None else known[known["mask"] == file.relative_to(root).as_posix()]
            _read_file(file, root, rows, records)
    return records.found(root=root)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write a label TIFF for each image, or `path` itself where it ends in .tif; returns what cannot be held.

    Raises:
        InputError: the size of an image is not known.
    """
    rows: list[dict[str, Any]] = []
    covered: list[str] = []
    root = path.parent if path.suffix.lower() == ".tif" else path
    for target, file, facts, found in targets(labels.with_sizes(), path, ".tif"):
        objects = [(label, filled(label.shape, facts)) for label in found]
        numbered = [(k, label, mask) for k, (label, mask) in enumerate(((a, b) for a, b in objects if b is not None), 1)]
        pages, hidden = _drawn([(k, label.frame, mask) for k, label, mask in numbered], facts)
        covered += hidden
        _write_tiff(target, pages, facts)
        scale = facts.pixel_size_nm or (None, None)
        about = {"file": file, "mask": target.relative_to(root).as_posix(), "pixel_y_nm": scale[0], "pixel_x_nm": scale[1]}
        rows += [{**about, **_row(k, label)} for k, label, _ in numbered] or [about]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(("frame", "value", "track_id"), "Int64"))
    write_csv(root / SIDECAR, table)
    changes = {
        "point": LEFT_OUT,
        **dict.fromkeys(("box", "turned box", "ellipse", "polygon", "polygon with holes", "mask"), FILLED),
    }
    holds = ("frame", "object_id", "score", "track_id", "empty images", "pixel_size_nm")
    return [*covered, *losses(labels, changed_shapes=changes, holds=holds)]


def companions(path: Path) -> list[Path]:
    """What is written beside a single label image."""
    return [path.parent / SIDECAR] if path.suffix.lower() == ".tif" else []


def _images(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _known(root: Path, records: Records) -> pd.DataFrame | None:
    sidecar = root / SIDECAR
    if not sidecar.is_file():
        return None
    texts = dict.fromkeys(("file", "mask", "label", "object_id"), str)
    try:
        table = pd.read_csv(sidecar, dtype=texts, keep_default_na=False, na_values=[""])
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{sidecar} cannot be read as CSV: {error}") from error
    if not {"file", "mask", "value", "label"} <= set(table.columns):
        raise InputError(f"{sidecar}: wanted the columns {','.join(COLUMNS)}, got {','.join(map(str, table.columns))}")
    bad = table["file"].isna() | table["mask"].isna()
    records.skipped += [f"{sidecar}: line {k + 2}: there is no file or mask" for k in table.index[bad]]
    return table[~bad]


def _read_file(path: Path, root: Path, rows: pd.DataFrame | None, records: Records) -> None:
    file = image_of(path, root) or path.relative_to(root).as_posix() if rows is None else str(rows["file"].iloc[0])
    scale = None if rows is None else _scale(rows.iloc[0])
    classes = _semantic(path, root) and rows is None
    named = {} if rows is None else _by_place(rows[rows["value"].notna()], path, records)
    shape, count = (0, 0), 0
    for frame, page in enumerate(_pages(path)):
        shape, count = page.shape, frame + 1
        values = np.unique(page)
        single = rows is None and len(values[values != 0]) == 1
        if classes or single:
            if single and not classes:
                records.note("a mask of one value: its connected parts are the objects")
            records.labels += [Label(file, name, mask, frame) for name, mask in _parts(page, named_classes=classes)]
            continue
        for value, mask in _objects(page):
            records.labels.append(_label(file, frame, value, mask, named, rows is not None))
    records.images[file] = ImageFacts(shape[1], shape[0], max(count, 1), scale)


def _label(file: str, frame: int, value: int, mask: Mask, named: dict[tuple[int, int], Any], listed: bool) -> Label:
    row = named.get((frame, value))
    if row is None:
        return Label(file, "object", mask, frame, None if listed else str(value))
    score, track = row.get("score"), row.get("track_id")
    return Label(
        file,
        text(row["label"], "a class"),
        mask,
        frame,
        None if pd.isna(row.get("object_id")) else str(row["object_id"]),
        None if pd.isna(score) else number(score),
        None if pd.isna(track) else whole(track, least=-(2**53), most=2**53),
    )


def _by_place(rows: pd.DataFrame, path: Path, records: Records) -> dict[tuple[int, int], Any]:
    found = {}
    for k, row in zip(rows.index, rows.to_dict("records"), strict=True):
        with records.record(f"{SIDECAR}: line {k + 2}"):
            frame = row.get("frame")
            found[(0 if pd.isna(frame) else whole(frame)), whole(row["value"], least=1, most=2**32)] = row
            text(row["label"], "a class")
    return found


def _scale(row: Any) -> tuple[float, float] | None:
    sizes = [row.get("pixel_y_nm"), row.get("pixel_x_nm")]
    return None if any(pd.isna(s) for s in sizes) else (number(sizes[0], least=1e-6), number(sizes[1], least=1e-6))


def _semantic(path: Path, root: Path) -> bool:
    return "mask" in (path.parent.name, root.name) or path.relative_to(root).parts[0] == "mask"


def _pages(path: Path) -> Iterator[NDArray[Any]]:
    """Pages of a label image as whole numbers, one after the other."""
    try:
        if path.suffix.lower() == ".png":
            raw = np.frombuffer(path.read_bytes(), np.uint8)
            yield _checked(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None, path)
            return
        with tifffile.TiffFile(path) as tiff:
            size = path.stat().st_size
            for page in tiff.pages:
                if page.nbytes > max(MOST_BYTES, MOST_RATIO * size):
                    raise InputError(f"{path} has {size} bytes and claims a page of {page.nbytes}; it is damaged")
                yield _checked(page.asarray(), path)
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read as a label image: {error}") from error


def _checked(page: Any, path: Path) -> NDArray[Any]:
    if page is None or page.ndim != 2 or page.dtype.kind not in "bui":
        got = "nothing that can be read" if page is None else f"an array of shape {page.shape}, {page.dtype}"
        raise InputError(f"{path}: wanted a grey label image of whole numbers, got {got}")
    if page.dtype.kind == "i" and page.size and int(page.min()) < 0:
        raise InputError(f"{path}: wanted object numbers from 0, got {int(page.min())}")
    return np.asarray(page)


def _objects(page: NDArray[Any]) -> Iterator[tuple[int, Mask]]:
    """Each number but 0 with its pixels."""
    values, places = np.unique(page, return_inverse=True)
    ranks = places.reshape(page.shape).astype(np.int32) + (0 if values[0] == 0 else 1)
    for value, box in zip(values[values != 0], ndimage.find_objects(ranks), strict=True):
        yield int(value), Mask.from_pixels(page[box] == value, box[1].start, box[0].start)


def _parts(page: NDArray[Any], *, named_classes: bool) -> Iterator[tuple[str, Mask]]:
    """Connected parts (8 neighbours) of each number, with their class."""
    for value in np.unique(page[page != 0]):
        found, _ = ndimage.label(page == value, structure=np.ones((3, 3)))
        for k, box in enumerate(ndimage.find_objects(found), 1):
            name = f"class {int(value)}" if named_classes else "object"
            yield name, Mask.from_pixels(found[box] == k, box[1].start, box[0].start)


def _drawn(objects: list[tuple[int, int, Mask]], facts: ImageFacts) -> tuple[NDArray[Any], list[str]]:
    """Pages (frames, height, width) with all objects, and sentences on those that others cover."""
    frames = max([facts.frames, *(frame + 1 for _, frame, _ in objects)])
    kind = np.uint16 if len(objects) < 2**16 else np.uint32
    pages = np.zeros((frames, facts.height or 0, facts.width or 0), dtype=kind)
    for value, frame, mask in objects:
        part = pages[frame, mask.y0 : mask.y0 + mask.height, mask.x0 : mask.x0 + mask.width]
        part[mask.pixels] = value
    left = np.bincount(pages.ravel(), minlength=len(objects) + 1)
    lost = [mask.area_px - left[value] for value, _, mask in objects]
    hidden = sum(pixels > 0 for pixels in lost)
    if not hidden:
        return pages, []
    many = "1 object is" if hidden == 1 else f"{hidden} objects are"
    return pages, [f"{many} partly covered by later ones: {int(sum(lost))} px lost"]


def _write_tiff(path: Path, pages: NDArray[Any], facts: ImageFacts) -> None:
    scale = facts.pixel_size_nm
    settings: dict[str, Any] = {}
    if pages.dtype == np.uint16:
        metadata = {"axes": "TYX"} if len(pages) > 1 else {"axes": "YX"}
        settings = {"imagej": True, "metadata": metadata | ({"unit": "nm"} if scale else {})}
        if scale:
            settings["resolution"] = (1 / scale[1], 1 / scale[0])
    with replacing(path) as part:
        tifffile.imwrite(part, pages if len(pages) > 1 else pages[0], compression="zlib", **settings)


def _row(value: int, label: Label) -> dict[str, Any]:
    return {
        "frame": label.frame,
        "value": value,
        "label": label.label,
        "object_id": label.object_id,
        "score": label.score,
        "track_id": label.track_id,
    }
