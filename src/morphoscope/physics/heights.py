"""How high particles on a height map are: single numbers of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from morphoscope.physics.particle_sizes import Edge, how_known, particle_weights
from morphoscope.physics.places import sample_statistics
from morphoscope.physics.summary import quantity

HOW = "above the ground around each particle"
ROWS = (
    ("mean", "height_max_nm", "height", "nm", "of height_max_nm, the highest point"),
    ("median", "height_max_nm", "height", "nm", "of height_max_nm, the highest point"),
    ("median", "volume_nm3", "volume", "nm3", "volume with the foot"),
)


def height_rows(
    objects: pd.DataFrame, *, edge: Edge = "leave out", independent: bool = True, name: str = "{}", where: str = ""
) -> list[dict[str, Any]]:
    """Rows of `schema.QUANTITIES`: mean and median height, median volume. None where objects have no heights.

    Intervals come from the differences between files where these are several fields of view, as those of diameters do.

    Args:
        objects: particles of some frames: `height_max_nm`, `volume_nm3`, `file` and what `particle_weights` needs.
        edge: see `particle_weights`; particles that are cut off are left out, or kept.
        independent: whether files are fields of view that know nothing of each other (not frames of a series).
        name: what to make of each row's name, `{}` standing for it.
        where: which frames, said in each method.
    """
    if "height_max_nm" not in objects.columns:
        return []
    weight = particle_weights(objects, edge)
    counted = ~np.isnan(weight)
    table = objects[counted].assign(w=weight[counted], sample="")
    places = int(table["file"].nunique()) if independent else 1
    table["place"] = table["file"] if places > 1 else np.arange(len(table))
    kind = how_known(places) + (f"; {where}" if where else "")
    rows = []
    for what, column, said, unit, meaning in ROWS:
        found = sample_statistics(table, column, place="place", weight="w")
        if len(found):
            one = found.iloc[0]
            interval = float(one[f"{what}_low"]), float(one[f"{what}_high"])
            row_name = name.replace("{}", f"{what} {said}", 1)
            rows.append(quantity(row_name, one[what], unit, int(one["n"]), f"{meaning} {HOW}; {kind}", interval))
    return rows
