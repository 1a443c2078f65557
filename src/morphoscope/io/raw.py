"""Frames that lie in a file as plain arrays at known places: what the readers of MRC, DM, SER, Gwyddion and Nanoscope share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.pictures import grey_dtype
from morphoscope.io.values import frame_values

MOST_FRAMES = 10**7


class RawFrames(Reader):
    """Base of readers of one file with frames of `stored` dtype and `shape`; frame k starts at `_offset(k)`.

    A subclass opens the file with `_open`, looks at the header, and calls `_lay_out`. One frame is read at a time, by seeking.
    """

    what = "file"

    def _open(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            InputError: it is not there.
        """
        self.path = Path(path)
        try:
            self._file = open(self.path, "rb")
            self._size = self.path.stat().st_size
        except OSError as error:
            raise InputError(f"wanted {self.what}, cannot read {path}: {error.strerror}") from error

    def _lay_out(self, shape: tuple[int, int], count: int, stored: np.dtype[Any], start: int = 0) -> None:
        """Take the layout of the header, checked against the size of the file before anything is allocated.

        Raises:
            InputError: sizes that cannot be.
            TruncatedError: not one frame is there.
        """
        if min(shape) < 1 or not 1 <= count <= MOST_FRAMES:
            raise InputError(
                f"{self.path}: the header states {count} frames of {shape[1]} x {shape[0]} px, which cannot be; "
                "the file is damaged or of another kind"
            )
        self.shape, self._stored, self._count, self._start = shape, stored, count, start
        self.dtype = grey_dtype(stored, str(self.path))
        self._frame_bytes = shape[0] * shape[1] * stored.itemsize
        if not self._is_there(0):
            raise TruncatedError(
                f"{self.path}: the header states {count} frames of {shape[1]} x {shape[0]} px of {stored} "
                f"({count * self._frame_bytes:.3g} bytes), the file has {self._size} bytes; copy it again from its source"
            )

    def _say(self, notes: list[str]) -> None:
        """Set the notes, with what every raw file needs said."""
        if self.dtype == np.float32 and self._stored.newbyteorder("=") != np.float32:
            notes.append(f"{self._stored.newbyteorder('=')} values are read as float32")
        if (good := self._count_good()) < self._count:
            notes.append(f"ends early: {good} of {self._count} frames can be read")
        self.notes = tuple(notes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """The file's name."""
        return self.path.name

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        self._file.close()

    def _offset(self, index: int) -> int:
        return self._start + index * self._frame_bytes

    def _is_there(self, index: int) -> bool:
        return 0 <= self._offset(index) <= self._size - self._frame_bytes

    def _count_good(self) -> int:
        """Frames from the first on whose data lie inside the file; they lie in order."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._is_there(middle) else (low, middle)
        return low

    def _read_stored(self, index: int) -> Image:
        """Frame `index` (height, width) as stored."""
        if not self._is_there(index):
            raise TruncatedError(f"{self.path} ends early: it should hold {self._count} frames.", self._count_good())
        self._file.seek(self._offset(index))
        raw = self._file.read(self._frame_bytes)
        if len(raw) < self._frame_bytes:
            raise TruncatedError(f"{self.path} ends early, or changed while it was read, in frame {index}.", index)
        return np.frombuffer(raw, self._stored).reshape(self.shape)

    def _read(self, index: int) -> Image:
        return self._as_frame(self._read_stored(index))

    def _as_frame(self, image: Image) -> Image:
        return frame_values(image, str(self.path))
