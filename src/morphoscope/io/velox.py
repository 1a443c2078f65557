"""EMD files of Velox (Thermo Fisher): HDF5 with images (height, width, frames) and their metadata as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import h5py

from morphoscope.io.hdf5_axes import Layout, Stated
from morphoscope.io.hdf5_frames import Hdf5Frames
from morphoscope.io.parts import Part, choose_part
from morphoscope.io.units import frame_interval, pixel_size, to_number

NUMBERS = {  # our key: path in the JSON, factor
    "accelerating_voltage_kv": (("Optics", "AccelerationVoltage"), 1e-3),
    "camera_length_mm": (("Optics", "CameraLength"), 1e3),
    "magnification": (("CustomProperties", "StemMagnification", "value"), 1.0),
    "stage_x_um": (("Stage", "Position", "x"), 1e6),
    "stage_y_um": (("Stage", "Position", "y"), 1e6),
    "stage_z_um": (("Stage", "Position", "z"), 1e6),
    "stage_tilt_deg": (("Stage", "AlphaTilt"), 180 / math.pi),
    "stage_tilt_beta_deg": (("Stage", "BetaTilt"), 180 / math.pi),
    "dwell_time_us": (("Scan", "DwellTime"), 1e6),
}
WORDS = {
    "instrument": ("Instrument", "InstrumentModel"),
    "detector": ("BinaryResult", "Detector"),
    "mode": ("Optics", "OperatingMode"),
}
MOST_METADATA = 2**22


def is_velox(file: h5py.File) -> bool:
    """Whether the file has the groups of images that Velox writes."""
    images = file.get("Data/Image") if isinstance(file.get("Data"), h5py.Group) else None
    return isinstance(images, h5py.Group) and any(isinstance(one, h5py.Group) and "Data" in one for one in images.values())


def open_velox(file: h5py.File, *, part: str | int | None, channel: int | str | None) -> Hdf5Frames:
    """The image `part` (its detector's name or number) of an open Velox file.

    Raises:
        InputError: several images and no `part`, or none of real numbers.
    """
    chosen = choose_part(_images(file), part, file.filename)
    group, stated = chosen.what
    data = group["Data"]
    frames = Hdf5Frames(file, data, Layout(0, 1, 2 if data.ndim == 3 else None), channel=channel)
    return frames.state(_scale(stated, len(frames)), "header (Velox)", _metadata(stated))


def _images(file: h5py.File) -> list[Part]:
    found = []
    for name, group in file["Data/Image"].items():
        data = group.get("Data") if isinstance(group, h5py.Group) else None
        if isinstance(data, h5py.Dataset) and data.ndim in (2, 3) and data.dtype.kind in "buif" and min(data.shape) > 0:
            stated = _json(group.get("Metadata"))
            found.append((name, at(stated, "BinaryResult", "Detector") or "", group, data, stated))
    often = Counter(detector for _, detector, *_ in found)
    parts = []
    for name, detector, group, data, stated in found:
        called = name if not detector else detector if often[detector] == 1 else f"{detector} {name[:8]}"
        parts.append(Part(called, data.shape, str(data.dtype), (group, stated)))
    return parts


def _json(dataset: Any) -> Mapping[str, Any]:
    """The metadata of the first frame; empty where there is none that can be read."""
    if not isinstance(dataset, h5py.Dataset) or not dataset.ndim or not dataset.size or dataset.shape[0] > MOST_METADATA:
        return {}
    raw = (dataset[:, 0] if dataset.ndim == 2 else dataset[()]).astype("u1").tobytes()
    try:
        found = json.loads(raw.rstrip(b"\0").decode("utf-8", "replace"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def at(found: Any, *path: str) -> Any:
    """The value at a path of keys; None where it ends before."""
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _scale(stated: Mapping[str, Any], count: int) -> Stated:
    notes: list[str] = []
    result = at(stated, "BinaryResult") or {}
    height, width = at(result, "PixelSize", "height"), at(result, "PixelSize", "width")
    size = interval = None
    if height is not None and width is not None:
        y, x = (height, str(at(result, "PixelUnitY") or "")), (width, str(at(result, "PixelUnitX") or ""))
        size = pixel_size(y, x, "Velox", notes)
    if count > 1 and (time := at(stated, "Scan", "FrameTime")) is not None:
        interval = frame_interval(time, "s", "Velox", notes)
    return Stated(size, interval, None, notes)


def _metadata(stated: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {key: str(value) for key, path in WORDS.items() if (value := at(stated, *path))}
    for key, (path, factor) in NUMBERS.items():
        if math.isfinite(number := to_number(at(stated, *path))):
            found[key] = number * factor
    begun = to_number(at(stated, "Acquisition", "AcquisitionStartDatetime", "DateTime"))
    if 0 < begun < 1e10:
        found["acquired"] = datetime.fromtimestamp(begun, UTC).isoformat()
    return found
