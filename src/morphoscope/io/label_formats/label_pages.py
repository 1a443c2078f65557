"""Pages of label images: numbers read with care, objects found in them, and objects drawn page by page."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from morphoscope.errors import InputError
from morphoscope.io.pictures import flat_size
from morphoscope.io.shapes import Mask
from morphoscope.io.tables import replacing
from morphoscope.io.tiff import DAMAGE as TIFF_DAMAGE
from morphoscope.io.tiff_decode import check_claim, decode
from morphoscope.io.tiff_directory import Chain
from morphoscope.io.tiff_scale import read_calibration

DAMAGE = (*TIFF_DAMAGE, zlib.error, cv2.error, ImportError)
MOST_BYTES, MOST_RATIO = 2**26, 1100  # a page that claims more than both is not believed: deflate packs 1030 times at best
MOST_CHANGES, FEW_PIXELS = 0.3, 4096  # share of neighbours that differ, above which a page of that many px is no label image


def pages(path: Path) -> Iterator[NDArray[Any]]:
    """Pages (height, width) of a TIFF or PNG as whole numbers, one after the other; none is kept.

    Raises:
        InputError: damaged, of several channels, with numbers that are no whole ones from 0, or a size that cannot be true.
    """
    try:
        if path.suffix.lower() == ".png":
            yield _checked(_png(path), path, 0)
            return
        with closing(Chain(path)) as chain, tifffile.TiffFile(path) as tiff:
            stated, count = int((tiff.imagej_metadata or {}).get("images", 1)), 0
            for k, directory in enumerate(chain.walk()):
                if not directory.is_aside:
                    check_claim(directory, f"page {k} of {path}")
                    yield _checked(decode(tiff, directory, k), path, k)
                    count += 1
            if count < stated:
                raise InputError(f"{path} states {stated} pages and has {count} that can be read one by one")
    except DAMAGE as error:
        raise InputError(f"{path} cannot be read as a label image: {error}") from error


def scale_of(path: Path) -> tuple[float, float] | None:
    """The pixel size (y, x) in nm that an ImageJ header states."""
    if path.suffix.lower() == ".png":
        return None
    try:
        with tifffile.TiffFile(path) as tiff:
            return read_calibration(tiff)[0].pixel_size_nm
    except DAMAGE:
        return None


def of_one_number(paths: Iterable[Path]) -> bool:
    """Whether there is only one number but 0 in all the images, as in masks; reading ends at the second."""
    found: set[int] = set()
    for path in paths:
        try:
            for page in pages(path):
                inside = page[page != 0]
                if inside.size:
                    found |= {int(inside.min()), int(inside.max())}
                if len(found) > 1:
                    return False
        except InputError:
            continue
    return len(found) == 1


def check_no_picture(page: NDArray[Any], path: Path) -> None:
    """Refuse a micrograph: in label images most neighbours have the same number.

    Raises:
        InputError: most neighbours differ.
    """
    changes = int(np.count_nonzero(page[:, 1:] != page[:, :-1]))
    if page.size >= FEW_PIXELS and changes > MOST_CHANGES * page.size:
        raise InputError(
            f"{path}: {changes / page.size:.0%} of the pixels differ from their neighbour: a picture, no label image"
        )


def objects_in(page: NDArray[Any]) -> Iterator[tuple[int, Mask]]:
    """Each number but 0 with its pixels."""
    if page.size and int(page.max()) < 2**20:
        values, ranks = np.arange(1, int(page.max()) + 1), page.astype(np.int32)
    else:
        values, places = np.unique(page, return_inverse=True)
        ranks = places.reshape(page.shape).astype(np.int32) + (0 if values.size and values[0] == 0 else 1)
        values = values[values != 0]
    for value, box in zip(values, ndimage.find_objects(ranks), strict=False):
        if box is not None:
            yield int(value), Mask.from_pixels(page[box] == value, box[1].start, box[0].start)


def parts_in(page: NDArray[Any]) -> Iterator[tuple[int, Mask]]:
    """Connected parts (8 neighbours) of each number but 0, with the number."""
    for value in np.unique(page[page != 0]):
        found, _ = ndimage.label(page == value, structure=np.ones((3, 3)))
        for k, box in enumerate(ndimage.find_objects(found), 1):
            yield int(value), Mask.from_pixels(found[box] == k, box[1].start, box[0].start)


class Drawing:
    """Objects drawn into pages as they are asked for; later ones cover earlier ones, and what they cover is counted.

    Args:
        objects: number, frame and mask of each, in order; masks lie inside the page.
        shape: pages, height, width.
    """

    def __init__(self, objects: list[tuple[int, int, Mask]], shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.dtype: type[np.uint16] | type[np.uint32] = np.uint16 if len(objects) < 2**16 else np.uint32
        self.covered = 0
        self.lost_px = 0
        self._frames: dict[int, list[tuple[int, Mask]]] = {}
        for value, frame, mask in objects:
            self._frames.setdefault(frame, []).append((value, mask))

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for frame in range(self.shape[0]):
            yield self._page(self._frames.get(frame, []))

    def _page(self, objects: list[tuple[int, Mask]]) -> NDArray[Any]:
        page = np.zeros(self.shape[1:], dtype=self.dtype)
        for value, mask in objects:
            page[_place(mask)][mask.pixels] = value
        for value, mask in objects:
            hidden = int(mask.area_px) - int(np.count_nonzero(page[_place(mask)] == value))
            self.covered += hidden > 0
            self.lost_px += hidden
        return page


def write_pages(path: Path, drawing: Drawing, scale: tuple[float, float] | None) -> None:
    """Write a label TIFF page by page: of ImageJ, with the pixel size (y, x) in nm, where numbers have 16 bits."""
    count = drawing.shape[0]
    settings: dict[str, Any] = {"photometric": "minisblack"}
    if drawing.dtype is np.uint16:
        settings |= {"metadata": {"axes": "TYX" if count > 1 else "YX"} | ({"unit": "nm"} if scale else {})}
        if scale:
            settings["resolution"] = (1 / scale[1], 1 / scale[0])
    shape = drawing.shape if count > 1 else drawing.shape[1:]
    with replacing(path) as part, tifffile.TiffWriter(part, imagej=drawing.dtype is np.uint16) as tiff:
        tiff.write(iter(drawing), shape=shape, dtype=drawing.dtype, compression="zlib", **settings)


def _place(mask: Mask) -> tuple[slice, slice]:
    return slice(mask.y0, mask.y0 + mask.height), slice(mask.x0, mask.x0 + mask.width)


def _png(path: Path) -> Any:
    size = flat_size(path)
    _believe(path, 2 * size[0] * size[1] if size else 0)
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    return cv2.imdecode(raw, cv2.IMREAD_UNCHANGED) if raw.size else None


def _believe(path: Path, claimed: int) -> None:
    size = path.stat().st_size
    if claimed > max(MOST_BYTES, MOST_RATIO * size):
        raise InputError(f"{path} has {size} bytes and claims a page of {claimed}; it is damaged")


def _checked(page: Any, path: Path, number: int) -> NDArray[Any]:
    if page is not None and page.ndim == 3 and page.shape[2] in (3, 4) and (page[..., :3] == page[..., :1]).all():
        page = page[..., 0]  # grey stored as colour
    if page is None or page.ndim != 2 or page.dtype.kind not in "buif" or not page.size:
        got = "nothing that can be read" if page is None else f"an array of shape {page.shape}, {page.dtype}"
        raise InputError(f"{path}: page {number}: wanted a grey label image of whole numbers, got {got}")
    if page.dtype.kind == "f":
        if not (np.isfinite(page).all() and (page == np.floor(page)).all() and abs(page).max() < 2**53):
            raise InputError(f"{path}: page {number}: wanted whole numbers of objects, got fractions")
        page = page.astype(np.int64)
    if page.dtype.kind == "i" and int(page.min()) < 0:
        raise InputError(f"{path}: page {number}: wanted object numbers from 0, got {int(page.min())}")
    return np.asarray(page)
