"""Other formats of electron microscopes and detectors through rosettasciio, an optional plug-in (GPL) of the extra `em`."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, TruncatedError, UsageError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.parts import Part, choose_part, only_grey
from morphoscope.io.pictures import grey_dtype
from morphoscope.io.sniff import kind_of
from morphoscope.io.units import frame_interval, length_nm, pixel_size, time_s, to_number
from morphoscope.io.values import frame_values

PLUGINS = {
    **{".tvips": "tvips", ".mib": "quantumdetector", ".prz": "pantarhei", ".rpl": "ripple", ".bcf": "bruker", ".emi": "tia"},
    **{".sur": "digitalsurf", ".pro": "digitalsurf"},
}
SUFFIXES = tuple(PLUGINS)
NOT_LAZY = (".sur", ".pro")
LARGEST_FRAME = 2**34
METADATA = {
    "accelerating_voltage_kv": (("TEM", "beam_energy"), ("SEM", "beam_energy")),
    "magnification": (("TEM", "magnification"), ("SEM", "magnification")),
    "camera_length_mm": (("TEM", "camera_length"),),
    "instrument": (("TEM", "microscope"), ("SEM", "microscope")),
    "stage_tilt_deg": (("TEM", "Stage", "tilt_alpha"), ("SEM", "Stage", "tilt_alpha")),
}


class EmFrames(Reader):
    """Images of a file that rosettasciio reads, lazily where its reader is lazy: two signal axes, one other axis for frames.

    Raises:
        UsageError: rosettasciio is not installed.
        InputError: the file is damaged, holds no images (spectra, four dimensions), or several and no `part`.
    """

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        only_grey(channel, str(path))
        kind = kind_of(self.path)
        if kind is not None and kind.family in ("flat", "tiff", "video"):
            raise InputError(
                f"{path} is {kind.called} by its content, whatever its name says; rename it to {self.path.stem}{kind.suffix}"
            )
        chosen = choose_part(self._signals(), part, str(path))
        signal: Mapping[str, Any] = chosen.what
        self._data = signal["data"]
        self._frame, y, x = _image_axes(signal)
        self._flipped = y > x
        self.shape = (int(self._data.shape[y]), int(self._data.shape[x]))
        self._count = 1 if self._frame is None else int(self._data.shape[self._frame])
        self._stored = np.dtype(self._data.dtype)
        self.dtype = grey_dtype(self._stored, str(path))
        if self.shape[0] * self.shape[1] * self._stored.itemsize > LARGEST_FRAME:
            raise InputError(f"{path} states frames of {self.shape[1]} x {self.shape[0]} px, which cannot be; it is damaged")
        notes: list[str] = []
        if self.dtype == np.float32 and self._stored.newbyteorder("=") != np.float32:
            notes.append(f"{self._stored.newbyteorder('=')} values are read as float32")
        self._calibrate(signal, (self._frame, y, x), notes)
        self.notes = tuple(notes)

    def _signals(self) -> list[Part]:
        """Signals that are images, as parts."""
        reader = _plugin(PLUGINS[self.path.suffix.lower()])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signals = reader.file_reader(str(self.path), lazy=self.path.suffix.lower() not in NOT_LAZY)
        except Exception as error:  # the readers raise whatever their parsing meets
            raise InputError(
                f"{self.path} is damaged or cannot be read by rosettasciio: {error or type(error).__name__}"
            ) from error
        parts = []
        for k, signal in enumerate(signals):
            axes = _image_axes(signal)
            if axes is not None and getattr(signal["data"], "ndim", 0) == len(signal["axes"]):
                data = signal["data"]
                title = str((signal.get("metadata") or {}).get("General", {}).get("title") or f"signal {k}")
                parts.append(Part(title, tuple(int(n) for n in data.shape), str(data.dtype), signal))
        if not parts:
            raise InputError(f"{self.path} holds spectra or data sets of four dimensions and no image; wanted images")
        return parts

    def _calibrate(self, signal: Mapping[str, Any], places: tuple[int | None, int, int], notes: list[str]) -> None:
        frame, y, x = (None if place is None else signal["axes"][place] for place in places)
        size = pixel_size(*((abs(to_number(a.get("scale"))), str(a.get("units") or "")) for a in (y, x)), "file's", notes)  # type: ignore
        metadata: dict[str, Any] = {}
        interval = None
        if frame is not None:
            step, unit = frame.get("scale"), str(frame.get("units") or "")
            if time_s(step, unit) is not None:
                interval = frame_interval(step, unit, "file's", notes)
            elif spacing := length_nm(step, unit):
                metadata["slice_spacing_nm"] = abs(spacing)
        self.calibration = Calibration().updated("header (rosettasciio)", pixel_size_nm=size, frame_interval_s=interval)
        stated = (signal.get("metadata") or {}).get("Acquisition_instrument") or {}
        for key, paths in METADATA.items():
            value = next((found for path in paths if (found := _at(stated, *path)) is not None), None)
            if isinstance(value, str | int | float):
                metadata[key] = value
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"EmFrames({str(self.path)!r})"

    def __len__(self) -> int:
        return self._count

    def name(self, index: int) -> str:
        """The file's name."""
        return self.path.name

    def close(self) -> None:
        """Free file handles; a second call does nothing."""
        super().close()
        self._data = None

    def _read(self, index: int) -> Image:
        place = tuple(index if axis == self._frame else slice(None) for axis in range(self._data.ndim))
        try:
            image = self._data[place]
            if hasattr(image, "compute"):
                image = image.compute(scheduler="synchronous")
            image = np.asarray(image)
        except Exception as error:  # whatever the lazy reader meets
            raise TruncatedError(f"{self.path}: frame {index} is damaged or missing: {error}", index) from error
        return frame_values(image.T if self._flipped else image, str(self.path))


def _plugin(name: str) -> Any:
    """The reader of that name.

    Raises:
        UsageError: rosettasciio is not installed.
    """
    try:
        module = importlib.import_module(f"rsciio.{name}")
    except ImportError as error:
        raise UsageError(
            f'this format is read by rosettasciio, which is not here ({error}): pip install "morphoscope[em]"'
        ) from error
    logging.getLogger("rsciio").addHandler(logging.NullHandler())
    return module


def _image_axes(signal: Mapping[str, Any]) -> Any:
    """Places of the frame axis (or None), y and x; None for what is no image or stack."""
    axes = signal["axes"]
    inside = [k for k, axis in enumerate(axes) if not axis.get("navigate")]
    outside = [k for k, axis in enumerate(axes) if axis.get("navigate")]
    if len(inside) == 3 and not outside:
        outside, inside = inside[:1], inside[1:]
    if len(inside) != 2 or len(outside) > 1:
        return None
    names = [str(axes[k].get("name")).lower() for k in inside]
    y, x = inside[::-1] if names == ["x", "y"] else inside
    return (outside[0] if outside else None), y, x


def _at(found: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found
