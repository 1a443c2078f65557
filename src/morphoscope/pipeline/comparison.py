"""Samples of a run side by side: the tables `samples` and `sample_comparison`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.physics.particle_sizes import NAMES, for_means
from morphoscope.physics.places import compare_samples, sample_statistics

Array = NDArray[np.float64]
LENGTHS = ("equivalent_diameter", "feret_max", "major")
NUMBERS = ("circularity", "aspect_ratio", "solidity")


def sample_tables(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    by_frame: pd.DataFrame | None,
    calibration: Calibration,
    *,
    weight: Array | None = None,
) -> dict[str, pd.DataFrame]:
    """Figures of each sample and of each two, files as places; nothing where no samples are named.

    Args:
        objects: with `sample` and `file`, and sizes where they have any.
        frames: `schema.FRAMES` with `sample`; gives the density of runs without masks.
        by_frame: `schema.PARTICLES`; None without masks.
        calibration: gives the unit.
        weight: of each object, null to leave it out; None: all alike.
    """
    if "sample" not in frames.columns:
        return {}
    unit = "nm" if calibration.has_scale else "px"
    known = objects.assign(w=1.0 if weight is None else weight)
    columns = [(name, f"{name}_{unit}", unit) for name in LENGTHS if weight is None or name != "major"]
    columns += [(name, name, "") for name in NUMBERS]
    values = [(name, column, said, known) for name, column, said in columns if _there(known, column)]
    values += _densities(frames, by_frame)
    made: dict[str, list[pd.DataFrame]] = {"samples": [], "sample_comparison": []}
    for name, column, said, table in values:
        w = "w" if "w" in table.columns else None
        for kind, one in (
            ("samples", sample_statistics(table, column, weight=w)),
            ("sample_comparison", compare_samples(table, column, weight=w)),
        ):
            if kind == "samples":
                one["mean_low"] = one["mean_low"].clip(lower=0)  # none of these can be negative
            one.insert(0, "quantity", NAMES[name])
            one.insert(1, "unit", said)
            made[kind].append(one)
    return {kind: pd.concat(_filled(parts), ignore_index=True) for kind, parts in made.items() if parts}


def _filled(parts: list[pd.DataFrame]) -> list[pd.DataFrame]:
    return [part for part in parts if len(part)] or parts[:1]


def _there(objects: pd.DataFrame, column: str) -> bool:
    return column in objects.columns and bool(objects[column].notna().any())


def _densities(frames: pd.DataFrame, by_frame: pd.DataFrame | None) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Values of each field of view: its numbers per area and, with masks, the share they cover."""
    if by_frame is None:
        unit = next(iter(frames["density_unit"].dropna()), "")
        return [("number_density", "density", str(unit), frames)] if frames["density"].notna().any() else []
    scale = bool(by_frame["number_density_um2"].notna().any())
    column, unit = ("number_density_um2", "um^-2") if scale else ("number_density_px", "px^-2")
    if not by_frame[column].notna().any():
        return []
    parts = [part.assign(**{column: for_means(part, column)}) for _, part in by_frame.groupby("sample")]
    return [("number_density", column, unit, pd.concat(parts)), ("area_share", "area_share", "", by_frame)]
