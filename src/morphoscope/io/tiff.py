"""TIFF images and stacks (plain, ImageJ, OME, of microscopes), read page by page."""

from __future__ import annotations

import logging
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from morphoscope.errors import InputError, MorphoscopeError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.tiff_decode import check_claim, claimed_bytes, decode
from morphoscope.io.tiff_directory import HEIGHT, PLANAR, SAMPLES, WIDTH, Chain, Directory
from morphoscope.io.tiff_grey import Grey
from morphoscope.io.tiff_header import read_stated
from morphoscope.io.tiff_layout import find_layout, stored_type

DAMAGE = (
    tifffile.TiffFileError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it logs becomes an error or a note here


class TiffFrames(Reader):
    """Grey pages of a TIFF file: 8- and 16-bit as stored, everything else as float32.

    One axis besides y and x may be longer than one (time, z, or plain pages). Smaller copies of pages and masks (of pyramids) are
    left out. Colour is turned to grey and said. Where the file says that 0 is white, values are inverted and that is said. The
    scale is that of ImageJ, OME and SEM headers, or of the text file an SEM writes beside the picture; a resolution for printing
    is none. Opening walks the chain of directories; pixels are read when a frame is asked for, memory is that of one page.

    Args:
        path: the file.
        part: which series of pages of one size and type, by name or number from 0, where there are several.
        channel: a number from 0, or red, green, blue, alpha, instead of the luma; also of channels that are pages.
        sidecars: text files found beside pictures so far, where many files of a folder are read.

    Raises:
        InputError: the file is missing, damaged, claims more pixels than its bytes can hold, or holds several series, axes or
            channels and none is chosen.
        UsageError: there is no such part or channel.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        part: str | int | None = None,
        channel: int | str | None = None,
        sidecars: Sidecars | None = None,
    ) -> None:
        super().__init__()
        self._sidecars = sidecars or Sidecars()
        self.path = Path(path)
        self._tiff: tifffile.TiffFile | None = None
        if not self.path.is_file():
            raise InputError(f"wanted a TIFF file, there is no {path}")
        try:
            self._chain = Chain(self.path)
        except DAMAGE as error:
            raise InputError(f"{path} cannot be read as TIFF: {error}") from error
        try:
            self._tiff = tifffile.TiffFile(self.path)
            self._look(self._tiff, part, channel)
        except DAMAGE as error:
            self.close()
            raise InputError(f"{path} is damaged and cannot be read as TIFF: {error}") from error
        except MorphoscopeError:
            self.close()
            raise

    def _look(self, tiff: tifffile.TiffFile, part: str | int | None, channel: int | str | None) -> None:
        self._layout = find_layout(tiff, self._chain, self.path, part, channel)
        first = self._layout.first
        check_claim(first, str(self.path))
        self._stored = stored_type(first)
        self._grey = Grey(first, self._stored, self._layout.channel, str(self.path))
        self.shape, self.dtype = (first.number(HEIGHT, 0), first.number(WIDTH, 0)), self._grey.dtype
        stated = read_stated(tiff, self._chain, self._layout, self.path, self._sidecars)
        self.calibration, self.metadata, self.frame_data = stated.calibration, stated.metadata, stated.frame_data
        notes = stated.notes + self._grey.notes
        if (good := self._count_good()) < len(self):
            notes.append(f"ends early: {good} of at least {len(self)} frames can be read")
        self.notes = tuple(notes)

    def __repr__(self) -> str:
        return f"TiffFrames({str(self.path)!r})"

    def __len__(self) -> int:
        return len(self._layout.numbers)

    def name(self, index: int) -> str:
        """The file's name."""
        return self.path.name

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        self._chain.close()
        if self._tiff is not None:
            self._tiff.close()

    def colours(self, index: int) -> Image:
        """Frame `index` with its colours, red first, where it has any: (height, width, 3), else (height, width)."""
        return self._read(self._checked(index), self._grey.colours)

    def _read(self, index: int, turned: Callable[[NDArray[Any]], Image] | None = None) -> Image:
        if not self._is_there(index):
            raise TruncatedError(f"{self.path} ends early: it should hold at least {len(self)} frames.", self._count_good())
        assert self._tiff is not None
        try:
            page = self._page(index)
            assert page is not None
            check_claim(page, f"page {index} of {self.path}")
            number, offset = self._layout.numbers[index], self._layout.offset
            values = decode(self._tiff, page, number) if offset is None else self._read_from(page, offset, number)
            return (turned or self._grey)(values)
        except ImportError as error:
            raise InputError(f"{self.path} cannot be read: {error}") from error
        except DAMAGE as error:
            raise TruncatedError(f"{self.path}: page {index} is damaged and cannot be decoded: {error}", index) from error

    def _page(self, index: int) -> Directory | None:
        try:
            return self._layout.page(self._layout.numbers[index])
        except DAMAGE:
            return None

    def _read_from(self, page: Directory, offset: int, number: int) -> NDArray[Any]:
        """A page of those that lie one after the other."""
        length, samples = claimed_bytes(page), page.number(SAMPLES, 1)
        assert self._tiff is not None
        file = self._tiff.filehandle
        file.seek(offset + number * length)
        values: Any = np.empty(length // self._stored.itemsize, f"{page.order}{self._stored.str[1:]}")
        if file.readinto(values) != length:
            raise ValueError("the file ends inside it")
        shape = self.shape if samples == 1 else (samples, *self.shape) if page.number(PLANAR, 1) == 2 else (*self.shape, samples)
        return np.asarray(values.reshape(shape))

    def _is_there(self, index: int) -> bool:
        """Whether all data of a page lies inside the file."""
        page = self._page(index)
        if page is None:
            return False
        if self._layout.offset is not None:
            return self._layout.offset + (self._layout.numbers[index] + 1) * claimed_bytes(page) <= page.size
        offsets, counts = page.segments
        if len(offsets) != len(counts) or not len(offsets):
            return False
        return bool((offsets.astype(float) + counts.astype(float)).max() <= page.size)

    def _count_good(self) -> int:
        low, high = 0, len(self)
        while low < high:  # pages lie in order in a file that was cut short
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._is_there(middle) else (low, middle)
        return low
