"""Values of a scanning probe microscope and their unit: heights in nm, everything else as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from morphoscope.io.parts import Part
from morphoscope.io.units import length_nm

TOPOGRAPHY = ("height", "zsensor", "z sensor", "height sensor", "topography", "z", "z-axis")


def to_nm(unit: str) -> tuple[float, dict[str, Any]]:
    """The factor from a unit of values to nm with the metadata that says so; 1 and the unit itself where it is none of length."""
    factor = length_nm(1, unit)
    if factor is not None:
        return factor, {"height_unit": "nm"}
    return 1.0, {"value_unit": unit.strip()} if unit.strip() else {}


def default_channel(parts: Sequence[Part]) -> str | int | None:
    """The number of the first channel of heights; None where no name says that it is one."""
    for wanted in TOPOGRAPHY:
        for k, part in enumerate(parts):
            name = part.name.lower()
            if name == wanted or name.startswith(f"{wanted} ") and "error" not in name:
                return k
    return None
