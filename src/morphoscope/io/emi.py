"""The EMI file beside SER files: the instrument's state as XML among other data."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from morphoscope.io.units import to_number

MOST_BYTES = 64 * 2**20
NUMBERS = {  # label in the file: our key, factor
    "High tension": ("accelerating_voltage_kv", 1.0),
    "Magnification": ("magnification", 1.0),
    "Camera length": ("camera_length_mm", 1e3),
    "Stage X": ("stage_x_um", 1.0),
    "Stage Y": ("stage_y_um", 1.0),
    "Stage Z": ("stage_z_um", 1.0),
    "Stage A": ("stage_tilt_deg", 1.0),
    "Stage B": ("stage_tilt_beta_deg", 1.0),
}
WORDS = {"Microscope": "instrument", "Mode": "mode", "User": "operator"}


def read_emi(series: Path, notes: list[str]) -> tuple[dict[str, Any], bool, str]:
    """What `NAME.emi` says of `NAME_1.ser`: metadata, whether these are diffraction patterns, the sidecar's name."""
    found = re.fullmatch(r"(.+)_(\d+)", series.stem)
    path = series.with_name(f"{found.group(1)}.emi") if found else series.with_suffix(".emi")
    if not path.is_file():
        return {}, False, ""
    with open(path, "rb") as file:
        raw = file.read(MOST_BYTES)
    blocks = re.findall(rb"<ObjectInfo>.*?</ObjectInfo>", raw, re.DOTALL)
    number = int(found.group(2)) - 1 if found else 0
    if not blocks:
        return {}, False, ""
    try:
        root = ElementTree.fromstring(blocks[number if 0 <= number < len(blocks) else 0])
    except ElementTree.ParseError as error:
        notes.append(f"{path.name} beside the file is damaged and not read: {error}")
        return {}, False, ""
    metadata = _metadata(root)
    return metadata, "diffraction" in str(metadata.get("mode", "")).lower(), path.name


def _metadata(root: ElementTree.Element) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for entry in root.iter("Data"):
        label, value = (entry.findtext("Label") or "").strip(), (entry.findtext("Value") or "").strip()
        if label in NUMBERS and math.isfinite(number := to_number(value)):
            key, factor = NUMBERS[label]
            metadata[key] = number * factor
        elif label in WORDS and value:
            metadata[WORDS[label]] = value
    if detector := (root.findtext(".//CameraNamePath") or root.findtext(".//DetectorName") or "").strip():
        metadata["detector"] = detector
    if date := (root.findtext(".//AcquireDate") or "").strip():
        metadata["acquired_as_written"] = date
    return metadata
