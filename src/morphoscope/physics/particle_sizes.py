"""Sizes and shapes of outlined particles as a scientist states them: per frame, and as single figures with honest intervals.

Where several fields of view were seen, intervals come from the differences between these. Of one field of view they come from
its particles alone: how the sample differs from place to place is then not known, and the rows say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from morphoscope.calibration import Calibration
from morphoscope.physics.density import NM2_PER_UM2, poisson_interval
from morphoscope.physics.misfit import lognormal_misfit
from morphoscope.physics.places import sample_statistics
from morphoscope.physics.size_distribution import fit_lognormal, weighted_quantile
from morphoscope.physics.summary import quantity
from morphoscope.schema import PARTICLES, conform

Array = NDArray[np.float64]
Edge = Literal["leave out", "keep"]
LENGTHS = ("equivalent_diameter", "feret_max", "feret_min")
NUMBERS = ("circularity", "aspect_ratio", "solidity")
NAMES = {
    "equivalent_diameter": "diameter",
    "feret_max": "largest Feret diameter",
    "feret_min": "smallest Feret diameter",
    "major": "size, major axis",
    "circularity": "circularity",
    "aspect_ratio": "aspect ratio",
    "solidity": "solidity",
    "nearest": "distance to the nearest neighbour",
    "number_density": "number density",
    "area_share": "covered share of the area",
}


def particle_weights(objects: pd.DataFrame, edge: Edge = "leave out") -> Array:
    """How many particles of the plane each stands for (n,); nan for those that do not count.

    Args:
        objects: with `equivalent_diameter_px` and `edge_weight`.
        edge: `leave out` those cut by the edge and give the others their edge weight (Miles 1974; Lantuejoul 1980), or
            `keep` all as they are seen, with weight 1: sizes of those on the edge are then too small.
    """
    known = objects["equivalent_diameter_px"].to_numpy(float) > 0
    weight = objects["edge_weight"].to_numpy(float) if edge == "leave out" else np.ones(len(objects))
    return np.where(known, weight, np.nan)


def particles_by_frame(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    calibration: Calibration,
    *,
    area_px: ArrayLike,
    edge: Edge = "leave out",
    cut_are_there: bool = True,
) -> pd.DataFrame:
    """Number, covered area, sizes and shapes of the particles of each frame.

    Args:
        objects: a row per particle and frame: `schema.OBJECTS` and `schema.SHAPES`.
        frames: a row per frame: `frame` and, where known, `file`, `time_s`, `sample`.
        calibration: without a scale `_nm` columns and densities per um2 are null.
        area_px: area that was searched in each frame, a number or one per frame; nan where it is not known.
        edge: see `particle_weights`.
        cut_are_there: whether `objects` holds particles that the edge cuts: then the covered share is what is seen of all,
            else that of the others by their weights.

    Returns:
        `schema.PARTICLES`, a row per frame, also for frames without a particle. The number per area is null where every particle
        is cut by the edge.
    """
    weight = particle_weights(objects, edge)
    size, area = objects["equivalent_diameter_px"].to_numpy(float), objects["area_px"].to_numpy(float)
    shape = {name: objects[name].to_numpy(float) for name in ("circularity", "aspect_ratio")}
    places = objects.groupby("frame").indices
    none = np.empty(0, np.int64)
    rows = []
    areas = np.broadcast_to(np.asarray(area_px, float), len(frames)).tolist()
    for number, searched in zip(frames["frame"].tolist(), areas, strict=True):
        every = places.get(number, none)
        at = every[~np.isnan(weight[every])]
        w, d = weight[at], size[at]
        middle, q1, q3 = weighted_quantile(d, [0.5, 0.25, 0.75], w)
        known = len(at) > 0
        rows.append(
            {
                "n": len(every),
                "n_counted": len(at),
                "number_density_px": w.sum() / searched if known or not len(every) else math.nan,
                "area_share": (area[every].sum() if cut_are_there else (w * area[at]).sum()) / searched,
                "diameter_median_px": middle,
                "diameter_q1_px": q1,
                "diameter_q3_px": q3,
                "diameter_mean_px": (w * d).sum() / w.sum() if known else math.nan,
                "diameter_area_mean_px": (w * d**3).sum() / (w * d**2).sum() if known else math.nan,
                **{f"{name}_median": float(weighted_quantile(v[at], 0.5, w)) for name, v in shape.items()},
                "circularity_mean": (w * shape["circularity"][at]).sum() / w.sum() if known else math.nan,
            }
        )
    table = pd.DataFrame(rows, index=frames.index)
    kept = [name for name in ("frame", "file", "sample", "time_s") if name in frames.columns]
    table = pd.concat([frames[kept], table], axis=1)
    nm = calibration.mean_pixel_nm
    lengths = [str(name) for name in table.columns if str(name).startswith("diameter_")]
    table = table.assign(**{name.replace("_px", "_nm"): table[name] * nm for name in lengths})
    table["number_density_um2"] = table["number_density_px"] * NM2_PER_UM2 / nm**2
    return conform(table, PARTICLES)[[name for name in PARTICLES if name in table.columns]]


def particle_rows(
    objects: pd.DataFrame,
    by_frame: pd.DataFrame,
    calibration: Calibration,
    *,
    edge: Edge = "leave out",
    independent: bool = True,
    smallest_px: float = 0.0,
    area_px: float = math.nan,
    name: str = "{}",
    where: str = "",
) -> list[dict[str, Any]]:
    """Rows of `schema.QUANTITIES` of the particles of some frames.

    Args:
        objects: particles of these frames, `file` among the columns.
        by_frame: `particles_by_frame` of these frames.
        calibration: gives the unit.
        edge: see `particle_weights`.
        independent: whether files are fields of view that know nothing of each other (not frames of a series).
        smallest_px: diameter below which particles could not be seen, for the log-normal fit.
        area_px: searched area of these frames together, which bounds the number per area where there is no particle.
        name: what to make of each row's name, `{}` standing for it.
        where: which frames, said in each method.
    """
    unit = "nm" if calibration.has_scale else "px"
    weight = particle_weights(objects, edge)
    counted = ~np.isnan(weight)
    table = objects[counted].assign(w=weight[counted], sample="")
    places = table["file"].nunique() if independent else 1
    several = places > 1
    table["place"] = table["file"] if several else np.arange(len(table))
    where = f"; {where}" if where else ""
    kind = how_known(int(places)) + where
    edges = "those cut by the edge left out, the others weighted for it" if edge == "leave out" else "those on the edge kept"
    densities = _densities(by_frame, int(counted.sum()), unit, where, edges, independent) if len(by_frame) else []
    if densities and objects.empty:
        densities[0] |= _none_found(area_px * (calibration.mean_pixel_nm**2 / NM2_PER_UM2 if unit == "nm" else 1.0), where)
    if table.empty:
        return _named(densities, name)
    rows: list[dict[str, Any]] = []
    for value in (*LENGTHS, *NUMBERS):
        column = f"{value}_{unit}" if value in LENGTHS else value
        rows += _statistics(table, column, NAMES[value], unit if value in LENGTHS else "", f"{edges}; {kind}")
    diameter = f"equivalent_diameter_{unit}"
    by_area = table.assign(w=table["w"] * table[diameter] ** 2)
    one = sample_statistics(by_area, diameter, place="place", weight="w").iloc[0]
    said = f"sum of d^3 over sum of d^2; {edges}; {kind}"
    interval = possible(one["mean_low"], one["mean_high"])
    rows.append(quantity("area-weighted mean diameter", one["mean"], unit, int(one["n"]), said, interval))
    scale = calibration.mean_pixel_nm if unit == "nm" else 1.0
    rows += _lognormal(table, diameter, unit, table["place"] if several else None, smallest_px * scale, kind)
    return _named(rows + densities, name)


def possible(low: float, high: float, most: float = math.inf) -> tuple[float, float]:
    """The part of an interval that lies from 0 to `most`: a few places that differ much say nothing of negative sizes."""
    ends = np.clip([low, high], 0.0, most)
    return float(ends[0]), float(ends[1])


def how_known(places: int) -> str:
    """Where the interval of a figure from so many fields of view comes from."""
    if places > 1:
        return f"interval: differences between {places} fields of view, t with {places - 1} degrees of freedom"
    return "interval: particles of one field of view; the variance between places is not known and not in it"


def _named(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{**row, "name": name.replace("{}", row["name"], 1)} for row in rows]


def _statistics(table: pd.DataFrame, column: str, said: str, unit: str, how: str) -> list[dict[str, Any]]:
    found = sample_statistics(table, column, place="place", weight="w")
    if found.empty:
        return []
    one = found.iloc[0]
    return [
        quantity(f"{what} {said}", one[what], unit, int(one["n"]), how, possible(one[f"{what}_low"], one[f"{what}_high"]))
        for what in (("median", "mean") if said == NAMES["equivalent_diameter"] else ("median",))
    ]


def _lognormal(table: pd.DataFrame, column: str, unit: str, place: Any, smallest: float, kind: str) -> list[dict[str, Any]]:
    fit = fit_lognormal(table[column], weight=table["w"], place=place, smallest=smallest)
    if not math.isfinite(fit.median):
        return []
    cut = f", cut off below {smallest:.3g} {unit}" if smallest > 0 else ""
    bare = f"log-normal distribution by number{cut}; {fit.method}"
    how = f"{bare}; {kind}"
    off = lognormal_misfit(table[column], fit, weight=table["w"], smallest=smallest)
    far = "; here the sizes are not log-normal" if off.difference > off.critical else ""
    against = f"Kolmogorov's distance of the sizes; log-normal ones seldom exceed {off.critical:.2g} (Lilliefors){far}"
    return [
        quantity("log-normal median diameter", fit.median, unit, fit.n, how, (fit.median_low, fit.median_high)),
        quantity("geometric standard deviation", fit.geometric_sd, "", fit.n, how, (fit.geometric_sd_low, fit.geometric_sd_high)),
        quantity(
            "log-normal median diameter by area",
            fit.area_median,
            unit,
            fit.n,
            f"half of the area is in larger ones; {bare}; no interval",
        ),
        quantity("distance from the log-normal distribution", off.difference, "", fit.n, against),
    ]


def _none_found(area: float, where: str) -> dict[str, Any]:
    """What the row of the number per area says where nothing was found in an area: how many there may be at most."""
    most = float(poisson_interval(0)[1]) / area if area > 0 else math.nan
    return {"low": 0.0, "high": most, "method": f"none was found; interval: Poisson count of all that was searched{where}"}


def for_means(by_frame: pd.DataFrame, column: str) -> pd.Series:
    """Numbers per area of frames as a mean of them takes them: 0 where every particle is cut by the edge, if not so in all.

    The weights are right on average over all fields of view, those that happen to have only cut particles among them.

    Args:
        by_frame: `particles_by_frame`.
        column: `number_density_px` or `number_density_um2`.
    """
    cut = (by_frame["n"] > 0) & (by_frame["n_counted"] == 0) & by_frame["area_share"].notna()
    some = bool((by_frame["n_counted"] > 0).any()) and bool(by_frame[column].notna().any())
    return by_frame[column].mask(cut, 0.0) if some else by_frame[column]


def _densities(by_frame: pd.DataFrame, n: int, unit: str, where: str, edges: str, independent: bool) -> list[dict[str, Any]]:
    """Number per area and covered share: means of the fields of view, empty ones among them."""
    column, per = ("number_density_um2", "um^-2") if unit == "nm" else ("number_density_px", "px^-2")
    table = by_frame.assign(sample="", place=by_frame["file"] if independent else "")
    table[column] = for_means(by_frame, column)
    rows = []
    for value, said, in_unit in ((column, "number density", per), ("area_share", "covered share of the area", "")):
        found = sample_statistics(table, value, place="place")
        if found.empty:
            if value == column and int(by_frame["n"].sum()):
                rows.append(quantity(said, math.nan, in_unit, 0, f"every particle is cut by the edge: it is not known{where}"))
            continue
        one = found.iloc[0]
        middle, interval = (
            float(one["mean"]),
            possible(one["mean_low"], one["mean_high"], 1 if value == "area_share" else math.inf),
        )
        edges = edges if value == column else "of all that is seen, or weighted where particles cut by the edge are not there"
        how = f"{edges}; {how_known(int(one['n_places']))}{where}"
        if int(one["n_places"]) < 2:
            how = f"{edges}; one field of view: the variance between places is not known, no interval{where}"
        if int(one["n_places"]) < 2 and value == column:
            low, high = (float(end) for end in poisson_interval(n))
            interval = (low * middle / n, high * middle / n) if n else (math.nan, math.nan)
            how = f"{edges}; interval: Poisson count of one field of view, the variance between places is not in it{where}"
        rows.append(quantity(said, middle, in_unit, n, how, interval))
    return rows
