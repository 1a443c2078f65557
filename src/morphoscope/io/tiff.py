"""TIFF images and stacks (plain, ImageJ, OME), read page by page."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.pictures import COLOUR, grey_dtype, to_grey
from morphoscope.io.tiff_scale import read_calibration

MOST_CHANNELS = 4  # more pages under this name are frames
DAMAGE = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RuntimeError,
    struct.error,
)

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it logs becomes an error or a note here


class TiffFrames(Reader):
    """Grey pages of a TIFF file: 8- and 16-bit as stored, everything else as float32.

    One axis besides y and x may be longer than one (time, z, or plain pages). Colour is turned to grey and said. Only ImageJ and
    OME headers are taken for a scale; a resolution for printing is not.

    Raises:
        InputError: the file is missing, damaged, or holds pages of different sizes or several axes or channels.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"wanted a TIFF file, there is no {path}")
        try:
            self._tiff = tifffile.TiffFile(self.path)
        except DAMAGE as error:
            raise InputError(f"{path} cannot be read as TIFF: {error}") from error
        try:
            self._look()
        except DAMAGE as error:
            self.close()
            raise InputError(f"{path} is damaged and cannot be read as TIFF: {error}") from error
        except InputError:
            self.close()
            raise

    def _look(self) -> None:
        self._series = _only_series(self._tiff, self.path)
        self._page = self._series.keyframe
        self._stored = np.dtype(self._series.dtype)
        self.shape = (int(self._page.imagelength), int(self._page.imagewidth))
        self.dtype = grey_dtype(self._stored, str(self.path))
        self._offset: int | None = self._series.dataoffset
        self._length = _count_pages(self._series, self.path)
        if isinstance(self._series, _LoosePages):
            self._length += 1
        elif self._tiff.is_imagej and self._page.is_contiguous and _imagej_pages(self._tiff) > self._length:
            self._offset, self._length = self._page.dataoffsets[0], _imagej_pages(self._tiff)
        elif self._length == len(self._tiff.pages):
            self._length += _points_outside(self._tiff)
        self.calibration, notes = read_calibration(self._tiff)
        notes += _oddities(self._page, self._stored)
        if (good := self._count_good()) < len(self):
            notes.append(f"ends early: {good} of at least {len(self)} frames can be read")
        self.notes = tuple(notes)

    def __repr__(self) -> str:
        return f"TiffFrames({str(self.path)!r})"

    def __len__(self) -> int:
        return self._length

    def name(self, index: int) -> str:
        """The file's name."""
        return self.path.name

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        self._tiff.close()

    def _read(self, index: int) -> Image:
        if not self._is_there(index):
            raise TruncatedError(f"{self.path} ends early: it should hold at least {len(self)} frames.", self._count_good())
        try:
            page = self._series.pages[index].asarray() if self._offset is None else self._read_from(self._offset, index)
        except DAMAGE as error:
            raise TruncatedError(f"{self.path}: page {index} is damaged and cannot be decoded: {error}", index) from error
        page = np.asarray(page)
        if page.ndim == 3 and self._page.axes.startswith("S"):
            page = np.moveaxis(page, 0, -1)
        return to_grey(page, str(self.path))[0]

    @property
    def _page_bytes(self) -> int:
        return int(self._stored.itemsize * np.prod(self._page.shape))

    def _read_from(self, offset: int, index: int) -> Image:
        file = self._tiff.filehandle
        file.seek(offset + index * self._page_bytes)
        order = self._stored.newbyteorder(self._tiff.byteorder)
        return np.frombuffer(file.read(self._page_bytes), order).reshape(self._page.shape).astype(self._stored)

    def _is_there(self, index: int) -> bool:
        """Whether all data of a page lies inside the file."""
        size = self._tiff.filehandle.size
        if self._offset is not None:
            return bool(self._offset + (index + 1) * self._page_bytes <= size)
        if index >= len(self._series.pages) or (page := self._series.pages[index]) is None:
            return False
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
        return max(ends, default=0) <= size

    def _count_good(self) -> int:
        low, high = 0, len(self)
        while low < high:  # pages lie in order in a file that was cut short
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._is_there(middle) else (low, middle)
        return low


@dataclass(frozen=True)
class _LoosePages:
    """The pages before one whose directory is damaged, as far as the reader needs them as a series."""

    pages: list[Any]
    dataoffset: None = None

    @property
    def keyframe(self) -> Any:
        return self.pages[0]

    @property
    def dtype(self) -> Any:
        return self.keyframe.dtype

    @property
    def axes(self) -> str:
        return f"I{self.keyframe.axes}"

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.pages), *self.keyframe.shape


def _loose_pages(tiff: tifffile.TiffFile) -> _LoosePages:
    pages: list[Any] = []
    try:
        for page in tiff.pages:
            if pages and page.shape != pages[0].shape:
                break
            pages.append(page)
    except DAMAGE:
        if not pages:
            raise
    return _LoosePages(pages)


def _imagej_pages(tiff: tifffile.TiffFile) -> int:
    return int((tiff.imagej_metadata or {}).get("images", 1))


def _only_series(tiff: tifffile.TiffFile, path: Path) -> Any:
    """The series of pages that holds the data."""
    try:
        every = [one for one in tiff.series if not one.keyframe.is_reduced]
    except DAMAGE:
        return _loose_pages(tiff)
    if not every:
        raise InputError(f"{path} holds no image")
    if len(every) > 1:
        sizes = [f"page {k.index} has {k.imagewidth} x {k.imagelength} px of {k.dtype}" for k in (s.keyframe for s in every[:2])]
        raise InputError(f"{path}: all pages must be of one size and type, {', '.join(sizes)}; split the file")
    return every[0]


def _count_pages(series: Any, path: Path) -> int:
    axes = {axis: int(n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
    long = {axis: n for axis, n in axes.items() if n > 1}
    if 1 < long.get("C", 1) <= MOST_CHANNELS:
        raise InputError(
            f"{path} holds {long['C']} channels as separate pages; save the one to analyse as a file of its own, or, if they "
            "are frames, give the file a time axis"
        )
    if len(long) > 1:
        found = ", ".join(f"{axis}: {n}" for axis, n in long.items())
        raise InputError(
            f"{path} has several axes besides y and x ({found}); wanted one, such as time: split the file along the others"
        )
    return max(long.values(), default=1)


def _points_outside(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page found points to a next one that is not there."""
    kind, file = tiff.tiff, tiff.filehandle
    file.seek(tiff.pages[-1].offset)
    (tags,) = struct.unpack(kind.tagnoformat, file.read(kind.tagnosize))
    file.seek(tiff.pages[-1].offset + kind.tagnosize + tags * kind.tagsize)
    pointer = file.read(kind.offsetsize)
    return len(pointer) == kind.offsetsize and bool(struct.unpack(kind.offsetformat, pointer)[0] >= file.size)


def _oddities(page: Any, stored: np.dtype[Any]) -> list[str]:
    said = []
    if page.ndim == 3:
        said.append(COLOUR if page.samplesperpixel > 2 else "the opacity channel is ignored")
    if stored not in (np.uint8, np.uint16, np.float32, np.bool_):
        said.append(f"{stored} values are read as float32")
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        said.append("the file says that 0 is white; values are as stored, not inverted")
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        said.append("the file has a colour table; values are as stored, without it")
    return said
