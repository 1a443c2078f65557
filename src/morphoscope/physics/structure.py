"""Order and assembly of each frame in one row: spacing, hexatic order, cells, clusters, so that they can be followed in time."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.physics.clusters import connected
from morphoscope.physics.neighbours import bond_order, mesh, nearest
from morphoscope.physics.points import Field, Points, one_length, points
from morphoscope.physics.survival import kaplan_meier, median_life
from morphoscope.schema import STRUCTURE, conform, empty

Array = NDArray[np.float64]


def structure(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    field: Field,
    cluster_distance_px: float | None = None,
    cluster_distance_nm: float | None = None,
) -> pd.DataFrame:
    """Structure of each frame (`schema.STRUCTURE`).

    Args:
        objects: see `points.points`.
        calibration: without a scale the nm columns, without a frame interval `time_s` are null.
        field: see `points.points`.
        cluster_distance_px: see `clusters.clusters`; without a distance the columns of clusters are null.
        cluster_distance_nm: the same in nm.

    Returns:
        A row per frame that has an object in the field. Means of cells and order are over objects whose neighbours are surely
        known, weighted so that large cells are not missed (`neighbours`); `nearest_median_px` and `clark_evans` take the edge
        into account (see `nearest_distances`). With fewer than ten or twenty objects all of them say little.
    """
    reach = None
    if cluster_distance_px is not None or cluster_distance_nm is not None:
        reach = one_length(calibration, cluster_distance_px, cluster_distance_nm, "cluster_distance")
    rows = [_row(made, reach) for made in points(objects, calibration, field=field)]
    if not rows:
        return empty(STRUCTURE)
    table = pd.DataFrame(rows)
    nm = calibration.mean_pixel_nm
    table["time_s"] = calibration.time_s(table["frame"])
    table["nearest_median_nm"] = table["nearest_median_px"] * nm
    table["cell_area_mean_nm2"] = table["cell_area_mean_px"] * nm**2
    return conform(table, STRUCTURE)[list(STRUCTURE)]


def _row(made: Points, reach: float | None) -> dict[str, float]:
    net = mesh(made.xy, made.size)
    whole = net.complete
    psi, area = bond_order(made, net)[whole], net.area[whole]
    six = np.bincount(net.bond.ravel(), minlength=len(made.xy))[whole] == 6
    share = net.weight[whole] / net.weight[whole].sum()
    mean = float(share @ area) if len(area) else math.nan
    row = {
        "frame": made.frame,
        "count": len(made.xy),
        **_nearest(made),
        "n_complete": len(area),
        "psi6_mean": float(share @ np.abs(psi)) if len(area) else math.nan,
        "psi6_global": float(abs(share @ psi)) if len(area) else math.nan,
        "six_neighbours": float(share @ six) if len(area) else math.nan,
        "cell_area_mean_px": mean,
        "cell_area_cv": math.sqrt(float(share @ (area - mean) ** 2)) / mean if len(area) > 1 else math.nan,
    }
    return row | _clusters(made, reach)


def _nearest(made: Points) -> dict[str, float]:
    if len(made.xy) < 2:
        return dict.fromkeys(("nearest_median_px", "clark_evans"), math.nan)
    away, known = _seen(made)
    table = kaplan_meier(away, known)
    curve = np.r_[1.0, table["survival"].to_numpy(float)]
    steps = np.diff(np.r_[0.0, table["duration"].to_numpy(float), away.max()])
    mean = float((curve * steps).sum()) / (0.5 * math.sqrt(made.area / len(made.xy)))  # to the longest that was seen
    return {"nearest_median_px": median_life(table).value, "clark_evans": mean}


def _seen(made: Points) -> tuple[Array, NDArray[np.bool_]]:
    """Distance (n,) to the nearest neighbour or, where that is less, to the edge; and whether it is the neighbour's."""
    away = nearest(made.xy)
    tiny = 1e-12 * float(made.size.max())
    return np.maximum(np.minimum(away, made.to_edge), tiny), away <= made.to_edge


def _clusters(made: Points, reach: float | None) -> dict[str, float]:
    names = ("n_clusters", "cluster_mean", "cluster_largest", "cluster_weighted", "n_single")
    if reach is None:
        return dict.fromkeys(names, math.nan)
    size = np.bincount(connected(made.xy, reach))
    values = (len(size), size.mean(), size.max(), (size**2).sum() / size.sum(), (size == 1).sum())
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def nearest_distances(objects: pd.DataFrame, calibration: Calibration, *, field: Field, confidence: float = 0.95) -> pd.DataFrame:
    """Distribution of the distance to the nearest neighbour, all frames together.

    An object closer to the edge of the field than to its nearest neighbour has one at least as far as the edge: its distance
    is censored there (Kaplan-Meier; Baddeley & Gill 1997, doi 10.1214/aos/1034276629).

    Args:
        objects: see `points.points`.
        calibration: without a scale `distance_nm` is null.
        field: see `points.points`.
        confidence: of the interval, which takes distances as independent: two that are nearest to each other share one, and
            frames of a video show the same objects, so it is too narrow there.

    Returns:
        A row per distance seen: `distance_px`, `distance_nm`, `farther` the share of objects whose nearest neighbour is farther,
        `low`, `high`, `at_risk`, `n`.
    """
    seen = [_seen(made) for made in points(objects, calibration, field=field) if len(made.xy) > 1]
    away, known = (np.concatenate([part[k] for part in seen]) if seen else np.empty(0) for k in (0, 1))
    table = kaplan_meier(away, known.astype(bool), confidence=confidence)
    table = table.rename(columns={"duration": "distance_px", "survival": "farther", "deaths": "n"})
    table.insert(1, "distance_nm", table["distance_px"] * calibration.mean_pixel_nm)
    return table
