"""One dataset of an HDF5 file as frames, each read by slicing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.base import Reader
from morphoscope.io.colours import one_grey, wanted_channel
from morphoscope.io.frames import Image
from morphoscope.io.hdf5_axes import Layout, Stated
from morphoscope.io.parts import only_grey
from morphoscope.io.pictures import grey_dtype
from morphoscope.io.values import frame_values

DAMAGE = (
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    UnicodeError,
    OverflowError,
    IndexError,
)
CACHE_BYTES = 64 * 2**20
SURELY_FINE = 256 * 2**20
MOST_PACKED = 1100  # times smaller than its values that compressed data can be: deflate's limit


class Hdf5Frames(Reader):
    """One dataset of an open HDF5 file as frames; the file is closed with it.

    Args:
        file: the open file.
        dataset: a numeric dataset in it.
        layout: which of its axes are frames, y, x and colours.
        channel: of a colour image.

    Raises:
        InputError: values that are no grey values, or sizes that the file cannot hold.
    """

    def __init__(self, file: h5py.File, dataset: h5py.Dataset, layout: Layout, *, channel: int | str | None = None) -> None:
        super().__init__()
        self._file, self._data, self._layout = file, dataset, layout
        self.path = Path(file.filename)
        self.shape = (dataset.shape[layout.y], dataset.shape[layout.x])
        self._count = 1 if layout.frame is None else int(dataset.shape[layout.frame])
        self.dtype = grey_dtype(dataset.dtype, str(self.path))
        self._check_size()
        notes: list[str] = []
        if layout.colour is None:
            only_grey(channel, f"{dataset.name} of {self.path}")
            self._channel = None
        else:
            self._channel = wanted_channel(channel, dataset.shape[layout.colour], str(self.path), notes)
        if self.dtype == np.float32 and dataset.dtype.newbyteorder("=") != np.float32:
            notes.append(f"{dataset.dtype.newbyteorder('=')} values are read as float32")
        per_chunk = dataset.chunks[layout.frame] if dataset.chunks and layout.frame is not None else 1
        if per_chunk > 1 and self._chunk_bytes() > CACHE_BYTES:
            notes.append(
                f"stored in blocks of {per_chunk} frames ({self._chunk_bytes() / 1e6:.0f} MB), each read whole for one frame"
            )
        self.notes = tuple(notes)

    def state(
        self, stated: Stated, source: str, metadata: Mapping[str, Any] | None = None, frame_data: pd.DataFrame | None = None
    ) -> Hdf5Frames:
        """Set what the file states of scale, time and instrument."""
        self.calibration = Calibration().updated(
            source, pixel_size_nm=stated.pixel_size_nm, frame_interval_s=stated.frame_interval_s
        )
        spacing = {} if stated.slice_spacing_nm is None else {"slice_spacing_nm": stated.slice_spacing_nm}
        self.metadata = {"dataset": self._data.name, **spacing, **(metadata or {})}
        self.frame_data = frame_data
        self.notes = (*self.notes, *stated.notes)
        return self

    def _check_size(self) -> None:
        """Compare what one read needs with what the file could hold, before anything is allocated."""
        frame = math.prod(self.shape) * self._data.dtype.itemsize
        stored = max(int(self._data.id.get_storage_size()), 0)
        elsewhere = self._data.is_virtual or self._data.external
        if not stored and not elsewhere and math.prod(self._data.shape) * self._data.dtype.itemsize > SURELY_FINE:
            raise InputError(f"{self.path}: the dataset {self._data.name} holds no values, only a claim of its size")
        for what, size in (("frames", frame), ("blocks", self._chunk_bytes())):
            if size > SURELY_FINE and size > MOST_PACKED * self.path.stat().st_size:
                raise InputError(
                    f"{self.path}: the dataset {self._data.name} claims {what} of {size:.3g} bytes, "
                    f"which a file of {self.path.stat().st_size} bytes cannot hold; it is damaged or empty"
                )

    def _chunk_bytes(self) -> int:
        return math.prod(self._data.chunks) * int(self._data.dtype.itemsize) if self._data.chunks else 0

    def __repr__(self) -> str:
        return f"Hdf5Frames({str(self.path)!r}, {self.metadata.get('dataset')!r})"

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """The file's name."""
        return self.path.name

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        self._file.close()

    def _read(self, index: int) -> Image:
        place = self._layout.place(self._data.ndim, index)
        try:
            image = np.asarray(self._data[place])
        except DAMAGE as error:
            raise TruncatedError(
                f"{self.path}: frame {index} of {self._data.name} is damaged or needs a compression that is not here: {error}",
                index,
            ) from error
        image = self._layout.upright(image)
        if self._layout.colour is not None:
            return one_grey(image, self._channel, str(self.path))
        return frame_values(image, str(self.path))
