"""Frames seen through a change of grey values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.io.base import Reader
from morphoscope.io.frames import Frames, Image, StatingFrames


def inverted(frames: Frames) -> Frames:
    """The frames with bright and dark exchanged: highest value of the dtype minus v; of floats -v."""
    return Changed(frames, _turned, name="inverted", note="bright and dark are exchanged")


def _turned(image: Image) -> Image:
    return -image if image.dtype.kind == "f" else np.asarray(np.iinfo(image.dtype).max - image, dtype=image.dtype)


class Changed(Reader):
    """Frames each of which a function has changed, and which are otherwise as they were.

    Args:
        frames: as they were.
        change: gives an image (h, w) of the same shape.
        name: of the change.
        note: what is to be said about it.
        dtype: of the changed images; None for that of the frames.
    """

    def __init__(
        self, frames: Frames, change: Callable[[Image], Image], *, name: str, note: str, dtype: np.dtype[Any] | None = None
    ) -> None:
        super().__init__()
        self._frames, self._change, self._name = frames, change, name
        self.shape, self.dtype, self.calibration = frames.shape, dtype or frames.dtype, frames.calibration
        self.notes = (*frames.notes, note)
        self.metadata, self.frame_data = frames.metadata, frames.frame_data

    def __repr__(self) -> str:
        return f"{self._name}({self._frames!r})"

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
        return self._change(self._frames[index])

    def blocks(self, start: int, stop: int, size: int) -> Iterator[tuple[int, Image]]:
        """See `Frames.blocks`."""
        for first, block in self._frames.blocks(start, stop, size):
            yield first, np.stack([self._change(image) for image in block])
