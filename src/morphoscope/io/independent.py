"""A folder of pictures that do not belong together: each has its own size, depth, scale and header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.io.images import ImageFrames, list_images
from morphoscope.io.parts import only_part


class IndependentImages(ImageFrames):
    """Picture files as frames of any sizes; `shape`, `dtype`, `metadata` and `calibration` are those of the first good one.

    `stated` has what each states itself. One that is damaged raises `TruncatedError` when it is read.
    """

    def __init__(self, paths: Sequence[Path], *, root: Path | None = None, channel: int | str | None = None) -> None:
        """See `ImageFrames`.

        Raises:
            InputError: no file, or none can be read.
            UsageError: there is no such channel.
        """
        self._stated: dict[int, tuple[Calibration, Mapping[str, Any]]] = {}
        super().__init__(paths, root=root, channel=channel)

    def __repr__(self) -> str:
        return f"IndependentImages({len(self.paths)} files from {str(self.paths[0])!r})"

    def stated(self, index: int) -> tuple[Calibration, Mapping[str, Any]]:
        """See `StatingFrames`."""
        number = self._checked(index)
        if number not in self._stated:
            found = self._header(self.paths[number])
            self._stated[number] = (Calibration(), {}) if found is None else (found.calibration, found.metadata)
        return self._stated[number]

    def _check_alike(self, path: Path, shape: tuple[int, int], dtype: np.dtype[Any] | None) -> None:
        """All sizes and depths are welcome."""

    def _check_headers(self) -> None:
        self.calibration, self.metadata = self.stated(self.paths.index(self._first))


def open_independent(folder: Path, *, part: int | str | None = None, channel: int | str | None = None) -> IndependentImages:
    """The pictures of a folder, each for itself; errors as in `open_frames`."""
    only_part(part, f"the folder {folder}")
    return IndependentImages(list_images(folder), root=folder, channel=channel)
