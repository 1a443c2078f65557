"""Frames seen through a change of grey values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.io.base import Reader
from morphoscope.io.frames import Frames, Image, StatingFrames


def inverted(frames: Frames) -> Frames:
    """The frames with bright and dark exchanged: highest value of the dtype minus v; of floats -v."""
    return _Inverted(frames)


class _Inverted(Reader):
    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames
        self.shape, self.dtype, self.calibration = frames.shape, frames.dtype, frames.calibration
        self.notes = (*frames.notes, "bright and dark are exchanged")
        self.metadata, self.frame_data = frames.metadata, frames.frame_data

    def __repr__(self) -> str:
        return f"inverted({self._frames!r})"

    def __len__(self) -> int:
        return len(self._frames)

    def name(self, index: int) -> str:
        """The file a frame comes from."""
        return self._frames.name(index)

    def stated(self, index: int) -> tuple[Calibration, Mapping[str, Any]]:
        """See `StatingFrames`."""
        return cast(StatingFrames, self._frames).stated(index)

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        self._frames.close()

    def _read(self, index: int) -> Image:
        return self._turned(self._frames[index])

    def blocks(self, start: int, stop: int, size: int) -> Iterator[tuple[int, Image]]:
        """See `Frames.blocks`."""
        for first, block in self._frames.blocks(start, stop, size):
            yield first, self._turned(block)

    def _turned(self, image: Image) -> Image:
        return -image if image.dtype.kind == "f" else np.asarray(np.iinfo(image.dtype).max - image, dtype=image.dtype)
