"""What all readers share: attributes of the frames protocol, checked indices, blocks from single frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import TruncatedError, UsageError
from morphoscope.io.frames import Image


class Reader:
    """Base of the readers: a subclass sets the attributes and reads one frame in `_read`."""

    def __init__(self) -> None:
        self.shape: tuple[int, int] = (0, 0)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self.calibration = Calibration()
        self.notes: tuple[str, ...] = ()
        self.metadata: Mapping[str, Any] = {}
        self.frame_data: pd.DataFrame | None = None
        self.closed = False

    def __len__(self) -> int:
        raise NotImplementedError

    def _read(self, index: int) -> Image:
        raise NotImplementedError

    def name(self, index: int) -> str:
        """The file a frame comes from."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Image:
        """Frame `index` (negative: from the end) as a (height, width) array."""
        return self._read(self._checked(index))

    def _checked(self, index: int) -> int:
        if self.closed:
            raise UsageError(f"{self} is closed; read its frames inside the `with` block")
        number = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= number < len(self):
            raise IndexError(f"frame {index} was asked for, there are {len(self)}")
        return number

    def __iter__(self) -> Iterator[Image]:
        for _, block in self.blocks(0, len(self), 1):
            yield block[0]

    def blocks(self, start: int, stop: int, size: int) -> Iterator[tuple[int, Image]]:
        """Frames start..stop-1 in order as (first index, (n, height, width) array) with n <= size.

        Raises:
            TruncatedError: after the last good frame was yielded, where the file ends early.
        """
        self._check_range(start, stop, size)
        with self._sequence() as read:
            for first in range(start, stop, size):
                block = np.empty((min(size, stop - first), *self.shape), self.dtype)
                for k in range(len(block)):
                    try:
                        block[k] = read(first + k)
                    except TruncatedError:
                        if k:
                            yield first, block[:k]
                        raise
                yield first, block

    @contextmanager
    def _sequence(self) -> Iterator[Callable[[int], Image]]:
        """What gives the frames of one pass of `blocks`."""
        yield self._read

    def _check_range(self, start: int, stop: int, size: int) -> None:
        if not (0 <= start <= stop <= len(self) and size >= 1):
            raise IndexError(f"blocks want 0 <= start <= stop <= {len(self)} and size >= 1, got {start}, {stop}, {size}")
        if self.closed:
            raise UsageError(f"{self} is closed; read its frames inside the `with` block")

    def stated(self, index: int) -> tuple[Calibration, Mapping[str, Any]]:
        """What the file states for frame `index`: of frames that belong together, the calibration and metadata of all."""
        return self.calibration, self.metadata

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
