"""What an OME-XML header states: pixel size, interval, times and positions of the planes, instrument (schema 2016-06)."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.io.tiff_scale import Stated, plain_unit, stated_interval, stated_size, to_float
from morphoscope.io.units import even_interval, length_nm, time_s

PLANE = {
    "time_s": ("DeltaT", "s"),
    "exposure_s": ("ExposureTime", "s"),
    "stage_x_um": ("PositionX", "reference frame"),
    "stage_y_um": ("PositionY", "reference frame"),
    "stage_z_um": ("PositionZ", "reference frame"),
}


@dataclass
class OmeStated:
    """Calibration, metadata, a row per frame, and notes of one image of an OME header."""

    calibration: Calibration = field(default_factory=Calibration)
    metadata: dict[str, Any] = field(default_factory=dict)
    frame_data: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)


def read_ome(text: str, series: int, axis: str, count: int, channel: int) -> OmeStated:
    """What the header states about image number `series` whose `count` frames run along `axis` (T, Z or nothing)."""
    found = OmeStated()
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        found.notes.append(f"the OME header is damaged ({error}); no scale was read")
        return found
    images = [e for e in root.iter() if _name(e) == "Image"]
    image = images[series] if series < len(images) else None
    pixels = None if image is None else next((e for e in image if _name(e) == "Pixels"), None)
    if image is None or pixels is None:
        return found
    found.metadata = _metadata(root, image, pixels)
    found.frame_data = _planes(pixels, axis, count, channel)
    size_y, size_x = _stated(pixels, "PhysicalSizeY", "um"), _stated(pixels, "PhysicalSizeX", "um")
    size = stated_size(size_y, size_x, "OME", found.notes) if size_y or size_x else None
    interval = _interval(pixels, axis, found)
    found.calibration = Calibration().updated("header (OME)", pixel_size_nm=size, frame_interval_s=interval)
    return found


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _stated(element: Any, name: str, unit: str) -> Stated:
    value = element.get(name)
    return None if value is None else (to_float(value), plain_unit(element.get(f"{name}Unit", unit)))


def _interval(pixels: Any, axis: str, found: OmeStated) -> float | None:
    """The interval of the planes' own times, else the one stated; none where they are more than 1 % apart."""
    step = _stated(pixels, "TimeIncrement", "s")
    stated = stated_interval(step, "OME", found.notes) if step else None
    table = found.frame_data
    if axis != "T" or table is None or "time_s" not in table or table["time_s"].isna().any() or len(table) < 2:
        return stated
    times = table["time_s"].to_numpy(float)
    if not np.diff(times).any():
        return stated
    own = even_interval(times, found.notes)
    if own is None or stated is None or abs(own - stated) <= 0.01 * own:
        return own
    found.notes.append(f"the OME header states an interval of {stated:g} s, the times of its planes {own:g} s; neither is used")
    return None


def _planes(pixels: Any, axis: str, count: int, channel: int) -> pd.DataFrame | None:
    columns: dict[str, list[float]] = {name: [math.nan] * count for name in PLANE}
    for plane in (e for e in pixels if _name(e) == "Plane"):
        at = {name: to_float(plane.get(f"The{name}", 0)) for name in "TZC"}
        others = [at[name] for name in "TZ" if name != axis]
        frame = at[axis] if axis in at else 0.0
        if any(others) or at["C"] != channel or not (0 <= frame < count):
            continue
        for name, (attribute, unit) in PLANE.items():
            if (stated := _stated(plane, attribute, unit)) is not None:
                value = time_s(*stated) if name.endswith("_s") else length_nm(*stated)
                columns[name][int(frame)] = math.nan if value is None else value * (1 if name.endswith("_s") else 1e-3)
    table = pd.DataFrame({"frame": np.arange(count), **columns}).dropna(axis="columns", how="all")
    return table if table.shape[1] > 1 else None


def _metadata(root: Any, image: Any, pixels: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if image.get("Name"):
        found["title"] = image.get("Name")
    for element in image:
        if _name(element) == "AcquisitionDate" and element.text:
            found["acquired"] = element.text.strip()
    for key, tag in (("instrument", "Microscope"), ("detector", "Detector")):
        element = next((e for e in root.iter() if _name(e) == tag), None)
        words = "" if element is None else " ".join(filter(None, (element.get("Manufacturer"), element.get("Model"))))
        if words:
            found[key] = words
    objective = next((e for e in root.iter() if _name(e) == "Objective"), None)
    if objective is not None and math.isfinite(power := to_float(objective.get("NominalMagnification", ""))):
        found["magnification"] = power
    if (spacing := _stated(pixels, "PhysicalSizeZ", "um")) and (nm := length_nm(*spacing)) is not None and nm > 0:
        found["slice_spacing_nm"] = nm
    return found
