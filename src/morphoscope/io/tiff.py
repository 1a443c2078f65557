"""TIFF images and stacks (plain, ImageJ, OME), read page by page."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.pictures import COLOUR, grey_dtype, to_grey
from morphoscope.io.tiff_scale import read_calibration

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
        length = _count_pages(self._series, self.path)
        self._length = max(length, _least_pages(self._tiff, length))
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
            page = self._read_contiguous(index) if self._contiguous else self._series.pages[index].asarray()
        except DAMAGE as error:
            raise TruncatedError(f"{self.path}: page {index} is damaged and cannot be decoded: {error}", index) from error
        page = np.asarray(page)
        if page.ndim == 3 and self._page.axes.startswith("S"):
            page = np.moveaxis(page, 0, -1)
        return to_grey(page, str(self.path))[0]

    @property
    def _contiguous(self) -> bool:
        return self._series.dataoffset is not None

    @property
    def _page_bytes(self) -> int:
        return int(self._stored.itemsize * np.prod(self._page.shape))

    def _read_contiguous(self, index: int) -> Image:
        file = self._tiff.filehandle
        file.seek(self._series.dataoffset + index * self._page_bytes)
        order = self._stored.newbyteorder(self._tiff.byteorder)
        return np.frombuffer(file.read(self._page_bytes), order).reshape(self._page.shape).astype(self._stored)

    def _is_there(self, index: int) -> bool:
        """Whether all data of a page lies inside the file."""
        size = self._tiff.filehandle.size
        if self._contiguous:
            return bool(self._series.dataoffset + (index + 1) * self._page_bytes <= size)
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


def _only_series(tiff: tifffile.TiffFile, path: Path) -> Any:
    """The series of pages that holds the data."""
    every = [one for one in tiff.series if not one.keyframe.is_reduced]
    if not every:
        raise InputError(f"{path} holds no image")
    if len(every) > 1:
        sizes = [f"page {k.index} has {k.imagewidth} x {k.imagelength} px of {k.dtype}" for k in (s.keyframe for s in every[:2])]
        raise InputError(f"{path}: all pages must be of one size and type, {', '.join(sizes)}; split the file")
    return every[0]


def _count_pages(series: Any, path: Path) -> int:
    axes = {axis: int(n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
    long = {axis: n for axis, n in axes.items() if n > 1}
    if "C" in long:
        raise InputError(f"{path} holds {long['C']} channels as separate pages; save the channel to analyse as a file of its own")
    if len(long) > 1:
        found = ", ".join(f"{axis}: {n}" for axis, n in long.items())
        raise InputError(
            f"{path} has several axes besides y and x ({found}); wanted one, such as time: split the file along the others"
        )
    return max(long.values(), default=1)


def _least_pages(tiff: tifffile.TiffFile, length: int) -> int:
    """One more page than were found, where the last one points to a next that is not there."""
    if length != len(tiff.pages):
        return length
    kind, file = tiff.tiff, tiff.filehandle
    file.seek(tiff.pages[-1].offset)
    (tags,) = struct.unpack(kind.tagnoformat, file.read(kind.tagnosize))
    file.seek(tiff.pages[-1].offset + kind.tagnosize + tags * kind.tagsize)
    pointer = file.read(kind.offsetsize)
    if len(pointer) < kind.offsetsize:
        return length
    return length + int(struct.unpack(kind.offsetformat, pointer)[0] >= file.size)


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
