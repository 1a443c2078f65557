"""Frames: what every reader gives, a lazy sequence of two-dimensional images with a calibration beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration

Image = NDArray[Any]


@runtime_checkable
class Frames(Protocol):
    """Lazy frames of one shape and dtype. Images are (height, width), grey, 8- or 16-bit or float as stored."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Stored dtype: uint8, uint16 or float32."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Scale and timing the file itself states, with provenance."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the file was read, one sentence each."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the header states about instrument and acquisition: plain values, the unit at the end of the name."""
        ...

    @property
    def frame_data(self) -> pd.DataFrame | None:
        """A row per frame (`frame`, then `time_s`, `stage_x_um`, ... as far as stated); None where the file has no such thing."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image:
        """Frame `index` as a (height, width) array; any order, memory for one frame."""
        ...

    def blocks(self, start: int, stop: int, size: int) -> Iterator[tuple[int, Image]]:
        """Frames start..stop-1 in order as (first index, (n, height, width) array) with n <= size.

        Raises:
            TruncatedError: after the last good block was yielded, where the file ends early.
        """
        ...

    def name(self, index: int) -> str:
        """The file a frame comes from, relative to the input folder (the file's own name for one file)."""
        ...

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class StatingFrames(Frames, Protocol):
    """Frames that may be independent of each other, and say what each states; all readers are."""

    def stated(self, index: int) -> tuple[Calibration, Mapping[str, Any]]:
        """Calibration and metadata of frame `index`; those of all frames, unless these are independent of each other."""
        ...
