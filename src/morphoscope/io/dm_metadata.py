"""Instrument, stage and time from the tags of a DigitalMicrograph image."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from morphoscope.io.dm_tags import Tags, at
from morphoscope.io.units import to_number

NUMBERS = {
    "accelerating_voltage_kv": (("Microscope Info", "Voltage"), 1e-3),
    "magnification": (("Microscope Info", "Indicated Magnification"), 1.0),
    "actual_magnification": (("Microscope Info", "Actual Magnification"), 1.0),
    "camera_length_mm": (("Microscope Info", "STEM Camera Length"), 1.0),
    "stage_x_um": (("Microscope Info", "Stage Position", "Stage X"), 1.0),
    "stage_y_um": (("Microscope Info", "Stage Position", "Stage Y"), 1.0),
    "stage_z_um": (("Microscope Info", "Stage Position", "Stage Z"), 1.0),
    "stage_tilt_deg": (("Microscope Info", "Stage Position", "Stage Alpha"), 1.0),
    "stage_tilt_beta_deg": (("Microscope Info", "Stage Position", "Stage Beta"), 1.0),
    "exposure_s": (("Acquisition", "Parameters", "High Level", "Exposure (s)"), 1.0),
    "dwell_time_us": (("DigiScan", "Sample Time"), 1.0),
}
WORDS = {
    "instrument": (("Session Info", "Microscope"), ("Microscope Info", "Name"), ("Microscope Info", "Microscope")),
    "detector": (("Acquisition", "Device", "Name"), ("DataBar", "Device Name"), ("DataBar", "Signal Name")),
    "mode": (("Microscope Info", "Illumination Mode"), ("Microscope Info", "Imaging Mode")),
    "operator": (("Session Info", "Operator"), ("Microscope Info", "Operator")),
}
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y")
TIMES = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M", "%I:%M %p")


def read_metadata(image: Tags) -> dict[str, Any]:
    """What the tags of one image state (an entry of `ImageList`)."""
    tags = at(image, "ImageTags") or {}
    found: dict[str, Any] = {}
    if name := at(image, "Name"):
        found["title"] = str(name)
    for key, paths in WORDS.items():
        text = next((str(value) for path in paths if isinstance(value := at(tags, *path), str) and value.strip()), None)
        if text:
            found[key] = text.strip()
    for key, (path, factor) in NUMBERS.items():
        value = at(tags, *path)
        if value is not None and not isinstance(value, bool | tuple) and math.isfinite(number := to_number(value)):
            found[key] = number * factor
    found.update(
        _acquired(str(at(tags, "DataBar", "Acquisition Date") or ""), str(at(tags, "DataBar", "Acquisition Time") or ""))
    )
    return found


def _acquired(date: str, time: str) -> dict[str, str]:
    """`acquired` where date and time can be read in one way only, else `acquired_as_written`."""
    if not date.strip():
        return {}
    days = {day for layout in DATES if (day := _parsed(date, layout))}
    clocks = {clock for layout in TIMES if (clock := _parsed(time, layout))}
    if len(days) == 1 and len(clocks) == 1:
        return {"acquired": datetime.combine(days.pop().date(), clocks.pop().time()).isoformat()}
    return {"acquired_as_written": f"{date} {time}".strip()}


def _parsed(text: str, layout: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), layout)
    except ValueError:
        return None
