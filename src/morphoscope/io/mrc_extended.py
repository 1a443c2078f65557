"""What the extended header of an MRC file says of each section: FEI1 and FEI2 (Thermo Fisher), SERI (SerialEM).

Source: "MRC2014 file image format specification" of Thermo Fisher as `mrcfile` declares it (stage and pixel size in m, tilts in
degrees, high tension in V, `Timestamp` in days since 30 December 1899), and IMOD's description of the SerialEM header.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from mrcfile.dtypes import get_ext_header_dtype

from morphoscope.io.units import pixel_size

MOST_BYTES = 256 * 2**20
EPOCH = datetime(1899, 12, 30)
PER_FRAME = {  # our column: (field, factor, bit of bitmask 1 that says it is valid)
    "stage_tilt_deg": ("Alpha tilt", 1.0, 7),
    "stage_tilt_beta_deg": ("Beta tilt", 1.0, 8),
    "stage_x_um": ("X-Stage", 1e6, 9),
    "stage_y_um": ("Y-Stage", 1e6, 10),
    "stage_z_um": ("Z-Stage", 1e6, 11),
}
ONCE = {
    "accelerating_voltage_kv": ("HT", 1e-3, 5),
    "dose_per_nm2": ("Dose", 1e-18, 6),
    "tilt_axis_deg": ("Tilt axis angle", 1.0, 12),
    "magnification": ("Magnification", 1.0, 31),
}
WORDS = {"instrument": ("Microscope type", 1), "camera": ("Camera name", None), "application": ("Application", 3)}
SERI_FIELDS = (  # bit of the flags: what it adds for each section
    (1, [("stage_tilt_deg", "i2", 0.01)]),
    (2, [("", "i2", 1), ("", "i2", 1), ("", "i2", 1)]),
    (4, [("stage_x_um", "i2", 1 / 25), ("stage_y_um", "i2", 1 / 25)]),
    (8, [("magnification", "i2", 100.0)]),
    (16, [("", "i2", 1)]),
    (32, [("dose_e_per_angstrom2", "f4", 1.0)]),
)


@dataclass
class Extended:
    """What was found; nothing where there is no such header."""

    metadata: dict[str, Any] = field(default_factory=dict)
    frames: pd.DataFrame | None = None
    pixel_size_nm: tuple[float, float] | None = None


def read_extended(
    file: BinaryIO, size: int, *, kind: str, order: str, count: int, seri: tuple[int, int], notes: list[str]
) -> Extended:
    """Read the extended header of `size` bytes at the place of `file`; `seri` are the bytes per section and flags of SerialEM."""
    if not size or kind not in ("FEI1", "FEI2", "SERI"):
        return Extended()
    raw = file.read(min(size, MOST_BYTES))
    return _serial_em(raw, order, count, seri) if kind == "SERI" else _fei(raw, kind, order, count, notes)


def _fei(raw: bytes, kind: str, order: str, count: int, notes: list[str]) -> Extended:
    dtype = get_ext_header_dtype(kind.encode(), order)
    length = int.from_bytes(raw[:4], "little" if order == "<" else "big")
    if not dtype.itemsize <= length <= len(raw):
        notes.append(f"the {kind} extended header is damaged or of an unknown layout; it is not read")
        return Extended()
    rows = np.ndarray(min(count, len(raw) // length), dtype, raw, strides=(length,))
    found = Extended()
    table: dict[str, Any] = {"frame": np.arange(len(rows))}
    valid = rows["Bitmask 1"]
    for column, (name, factor, bit) in PER_FRAME.items():
        if (valid >> bit & 1).all() and np.isfinite(rows[name]).all():
            table[column] = rows[name] * factor
    if (valid & 1).all() and (rows["Timestamp"] > 0).all() and (rows["Timestamp"] < 1e5).all():
        table["time_s"] = (rows["Timestamp"] - rows["Timestamp"][0]) * 86400.0
        begun = EPOCH + timedelta(days=float(rows["Timestamp"][0]))
        found.metadata["acquired"] = begun.isoformat(timespec="seconds")
    first = rows[0]
    for key, (name, factor, bit) in ONCE.items():
        if first["Bitmask 1"] >> bit & 1 and np.isfinite(first[name]) and first[name]:
            found.metadata[key] = float(first[name] * factor)
    for key, (name, marked) in WORDS.items():
        text = bytes(first[name]).decode("latin-1").strip("\0 ")
        if text and (marked is None or first["Bitmask 1"] >> marked & 1):
            found.metadata[key] = text
    if first["Bitmask 1"] >> 14 & 1 and first["Bitmask 1"] >> 15 & 1:
        found.pixel_size_nm = pixel_size((first["Pixel size Y"], "m"), (first["Pixel size X"], "m"), kind, notes)
    if len(table) > 1:
        found.frames = pd.DataFrame(table)
    return found


def _serial_em(raw: bytes, order: str, count: int, seri: tuple[int, int]) -> Extended:
    length, flags = seri
    fields = [
        (f"{name}/{bit}/{k}", f"{order}{kind}")
        for bit, every in SERI_FIELDS
        if flags & bit
        for k, (name, kind, _) in enumerate(every)
    ]
    factors = [factor for bit, every in SERI_FIELDS if flags & bit for _, _, factor in every]
    dtype = np.dtype(fields)
    if not fields or not dtype.itemsize <= length <= len(raw):
        return Extended()
    rows = np.ndarray(min(count, len(raw) // length), dtype, raw, strides=(length,))
    table: dict[str, Any] = {"frame": np.arange(len(rows))}
    for (name, _), factor in zip(fields, factors, strict=True):
        if column := name.partition("/")[0]:
            table[column] = rows[name] * factor
    found = Extended()
    if "magnification" in table and len(set(table["magnification"])) == 1:
        found.metadata["magnification"] = float(table.pop("magnification")[0])
    if len(table) > 1:
        found.frames = pd.DataFrame(table)
    return found
