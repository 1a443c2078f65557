"""Text files that SEMs write beside a picture: JEOL and Hitachi (.txt), TESCAN (.hdr)."""

from __future__ import annotations

import math
import os
from pathlib import Path

from morphoscope.io.sem_headers import tescan
from morphoscope.io.sem_text import Stated, decoded, quantity, sections, whole
from morphoscope.io.units import length_nm

MOST_BYTES = 1 << 20
US_DAYS = ("%m/%d/%Y", "%Y/%m/%d", "%Y-%m-%d")


class Sidecars:
    """The text files of folders, listed once; names are compared without their case."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def read(self, picture: Path) -> list[Stated]:
        """What the text files of a picture's name state; those of another kind, such as labels, are passed over."""
        folder = picture.parent
        if folder not in self._folders:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            texts = sorted(name for name in names if name.lower().endswith((".txt", ".hdr")))
            self._folders[folder] = {name.casefold(): name for name in texts}
        stem, kind = picture.stem.casefold(), picture.suffix.casefold().lstrip(".")
        wanted = (f"{stem}.txt", f"{stem}.hdr", f"{stem}-{kind}.hdr", f"{stem}.{kind}.txt", f"{stem}.{kind}.hdr")
        found = (read_sidecar(folder / name) for key in wanted if (name := self._folders[folder].get(key)))
        return [stated for stated in found if stated is not None]


def read_sidecar(path: Path) -> Stated | None:
    """What a text file states about the picture beside it; None where it is none of a known SEM."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        text = decoded(path.read_bytes())
    except OSError:
        return None
    source = f"sidecar ({path.name})"
    if "$CM_" in text or "$$SM_" in text:
        return _jeol(text, source)
    if "[semimagefile]" in text.lower():
        return _hitachi(text, source)
    return tescan(text, source) if "pixelsizex" in text.lower() else None


def _jeol(text: str, source: str) -> Stated:
    """Lines `$KEY value`; the pixel size is the marker's length over the px of the bar."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key.startswith("$"):
            values.setdefault(key.lstrip("$").upper(), value.strip())
    full = values.get("CM_FULL_SIZE", "").split()
    stated = Stated(source, shape=(whole(full[1]), whole(full[0])) if len(full) == 2 else (0, 0))
    marker, unit = quantity(values.get("SM_MICRON_MARKER", ""))
    bar = quantity(values.get("SM_MICRON_BAR", ""))[0]
    if math.isfinite(marker) and math.isfinite(bar):
        if bar > 0 and length_nm(marker, unit) is not None:
            stated.scale((marker / bar, unit), (marker / bar, unit))
        else:
            stated.notes.append(f"{path_of(source)} states a marker of {marker:g} {unit} and {bar:g} px, which cannot be a scale")
    position = values.get("CM_STAGE_POS", "").split()
    for key, text_, unit in (
        ("accelerating_voltage_kv", values.get("CM_ACCEL_VOLT", ""), "kv"),
        ("magnification", values.get("CM_MAG", ""), ""),
        ("working_distance_mm", values.get("SM_WD", ""), "mm"),
        *zip(
            ("stage_x_um", "stage_y_um", "stage_z_um", "stage_rotation_deg", "stage_tilt_deg"),
            position,
            ("mm", "mm", "mm", "deg", "deg"),
            strict=False,
        ),
    ):
        stated.quantity(key, text_, unit)
    stated.word("instrument", " ".join(["JEOL", values["CM_INSTRUMENT"]]) if values.get("CM_INSTRUMENT") else "JEOL")
    stated.word("detector", values.get("CM_SIGNAL", ""))
    stated.word("operator", values.get("CM_OPERATOR", ""))
    stated.word("title", values.get("CM_TITLE", ""))
    stated.acquired(values.get("CM_DATE", ""), values.get("CM_TIME", ""), days=US_DAYS)
    return stated


def _hitachi(text: str, source: str) -> Stated:
    """The section `[SemImageFile]`: the pixel size in nm, voltages in V, the working distance in um unless units are given."""
    values = sections(text).get("semimagefile", {})
    size = values.get("datasize", "").lower().split("x")
    stated = Stated(source, shape=(whole(size[1]), whole(size[0])) if len(size) == 2 else (0, 0))
    if "pixelsize" in values:
        pixel, unit = quantity(values["pixelsize"])
        stated.scale((pixel, unit or "nm"), (pixel, unit or "nm"))
    for key, name, unit in (
        ("accelerating_voltage_kv", "acceleratingvoltage", "v"),
        ("magnification", "magnification", ""),
        ("working_distance_mm", "workingdistance", "um"),
        ("emission_current_na", "emissioncurrent", "na"),
        ("stage_tilt_deg", "stagepositiont", "deg"),
        ("stage_rotation_deg", "stagepositionr", "deg"),
    ):
        stated.quantity(key, values.get(name, ""), unit)
    stated.word("instrument", values.get("instructname", "") or values.get("instrumentname", "") or values.get("model", ""))
    stated.word("detector", values.get("signalname", ""))
    stated.word("title", values.get("samplename", ""))
    stated.acquired(values.get("date", ""), values.get("time", ""), days=US_DAYS)
    return stated


def path_of(source: str) -> str:
    """The name in `sidecar (NAME)`."""
    return source.partition("(")[2].rstrip(")")
