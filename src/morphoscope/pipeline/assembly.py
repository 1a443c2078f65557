"""How the particles of a run lie: order of each frame, g(r), S(q), nearest neighbours and clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from morphoscope.calibration import Calibration
from morphoscope.physics.pair_correlation import REACH, pair_correlation
from morphoscope.physics.particle_sizes import how_known, possible
from morphoscope.physics.structure import nearest_distances, structure
from morphoscope.physics.structure_factor import structure_factor
from morphoscope.physics.summary import quantity
from morphoscope.physics.survival import median_life
from morphoscope.pipeline.groups import Group
from morphoscope.recipe import Recipe

Box = tuple[float, float, float, float]
FEWEST = 10  # points a frame, on average, below which curves of structure say nothing
MOST_POINTS = 60_000  # of one end of a series
PAIRS = 100  # in a bin of g(r), on average
MOST_WAVES = 1_000_000
REACH_Q = 4.0  # times 2 pi over the mean spacing that S(q) goes out to
DIAMETERS = 1.5  # median diameters that centres in one cluster are apart at most, where the recipe says nothing
SINGLE = {
    "clark_evans": ("Clark-Evans ratio", "mean distance to the nearest neighbour over that of points thrown at random"),
    "psi6_mean": ("local hexatic order |psi_6|", "mean over particles whose neighbours are surely known"),
    "psi6_global": ("global hexatic order", "|mean of psi_6|"),
    "cell_area_cv": ("variation of Voronoi cells", "standard deviation of their areas over the mean"),
    "cluster_weighted": ("members of a particle's cluster", "mean over particles of the size of the cluster each is in"),
    "cluster_mean": ("mean cluster size", "particles per cluster, single ones among them"),
}


@dataclass(frozen=True)
class Assembly:
    """Tables by file name, rows of `schema.QUANTITIES`, remarks, and the distance of clusters (px; nan for none)."""

    tables: dict[str, pd.DataFrame]
    rows: list[dict[str, Any]]
    remarks: list[str]
    cluster_px: float = math.nan


def assembly_of(
    objects: pd.DataFrame, groups: Sequence[Group], recipe: Recipe, calibration: Calibration, *, box: Box, independent: bool
) -> Assembly:
    """Structure of all frames, and curves of each group.

    Args:
        objects: of all frames; centres of masks are taken where there are masks, else of boxes.
        groups: whose frames are pooled for g(r), S(q) and nearest neighbours.
        recipe: whether objects at the edge are missing, and the distance of clusters.
        calibration: px to nm.
        box: x0, y0, x1, y1 of what was searched.
        independent: whether files are fields of view.
    """
    centres = _centres(objects)
    inner, remarks = _complete(centres, recipe, box)
    if inner is None:
        return Assembly({}, [], remarks)
    box = inner
    inside = centres["x_px"].between(box[0], box[2]) & centres["y_px"].between(box[1], box[3])
    centres = centres[inside]
    reach, how = _cluster_distance(objects, recipe, calibration)
    if recipe.physics.cluster_distance_nm is not None and not calibration.has_scale:
        remarks.append("No clusters: physics.cluster_distance_nm needs a scale; state physics.cluster_distance_px.")
    table = structure(centres, calibration, field=box, cluster_distance_px=None if math.isnan(reach) else reach)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in ("pair_correlation", "structure_factor", "nearest_neighbours")}
    rows: list[dict[str, Any]] = []
    for group in groups:
        own = centres[centres["frame"].isin(group.frames if independent else _some(group.frames, centres))]
        labels = {"sample": group.sample, "part": group.name if group.frame is not None else None}
        nearest = nearest_distances(own, calibration, field=box)
        tables["nearest_neighbours"].append(nearest.assign(**labels))
        rows += _rows(table[table["frame"].isin(group.frames)], objects, group, nearest, calibration, how, independent)
        if len(own) >= FEWEST * max(own["frame"].nunique(), 1):
            tables["pair_correlation"].append(_pairs(own, calibration, box, independent=independent).assign(**labels))
            tables["structure_factor"].append(_waves(own, calibration, box).assign(**labels))
    made = {name: _labelled(parts) for name, parts in tables.items() if parts}
    if recipe.frames.exclude:
        remarks.append("Structure takes excluded parts for searched and empty: distances and order near them are not right.")
    return Assembly({"structure": table, **made}, rows, remarks, reach)


def _some(frames: NDArray[np.int64], centres: pd.DataFrame) -> NDArray[np.int64]:
    """Frames of a series, spread evenly, that have no more points together than curves can be made from in seconds."""
    each = max(len(centres) / max(centres["frame"].nunique(), 1), 1)
    count = int(np.clip(MOST_POINTS / each, 1, len(frames)))
    return np.asarray(frames[np.linspace(0, len(frames) - 1, count).round().astype(int)])


def _labelled(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """All parts with the columns that say which they are first, without those that say nothing."""
    table = pd.concat(parts, ignore_index=True)
    said = [name for name in ("sample", "part") if table[name].notna().any()]
    return table[[*said, *(name for name in table.columns if name not in ("sample", "part"))]]


def _centres(objects: pd.DataFrame) -> pd.DataFrame:
    """Frame, place and box of each object; of a mask its centre of mass."""
    table = objects[["frame", "x_px", "y_px", "width_px", "height_px"]]
    if "mask_label" not in objects.columns or not objects["mask_label"].notna().any():
        return table
    return table.assign(**{f"{a}_px": objects[f"ellipse_{a}_px"].fillna(objects[f"{a}_px"]) for a in "xy"})


def cut_are_there(recipe: Recipe) -> bool:
    """Whether masks that the edge cuts are among the objects."""
    return recipe.segment.edge == "keep" or recipe.detect.objects is not None


def _complete(centres: pd.DataFrame, recipe: Recipe, box: Box) -> tuple[Box | None, list[str]]:
    """The part of the field in which no centre is missing: without a rim where masks at the edge were left out."""
    if cut_are_there(recipe) or centres.empty:
        return box, []
    rim = float(np.nanmax(centres[["width_px", "height_px"]].to_numpy(float), initial=0.0)) / 2 + 1
    inner = (box[0] + rim, box[1] + rim, box[2] - rim, box[3] - rim)
    if inner[2] - inner[0] < (box[2] - box[0]) / 4 or inner[3] - inner[1] < (box[3] - box[1]) / 4:
        return None, [f"No structure: masks at the edge were left out, and without a rim of {rim:.3g} px little is left."]
    return inner, [
        f"Masks at the edge were left out (segment.edge), so structure is told of the field without a rim of {rim:.3g} px, where "
        'no centre is missing; segment.edge = "keep" gives the whole.'
    ]


def _cluster_distance(objects: pd.DataFrame, recipe: Recipe, calibration: Calibration) -> tuple[float, str]:
    """Distance between centres in one cluster (px; nan: none) and how it was chosen."""
    px, nm = recipe.physics.cluster_distance_px, recipe.physics.cluster_distance_nm
    if px is not None:
        return px, f"centres at most {px:.3g} px apart"
    if nm is not None and not calibration.has_scale:
        return math.nan, ""
    if nm is not None:
        return nm / calibration.mean_pixel_nm, f"centres at most {nm:.3g} nm apart"
    if "equivalent_diameter_px" not in objects.columns or not objects["equivalent_diameter_px"].notna().any():
        return math.nan, ""
    reach = DIAMETERS * float(objects["equivalent_diameter_px"].median())
    said = f"{reach * calibration.mean_pixel_nm:.3g} nm" if calibration.has_scale else f"{reach:.3g} px"
    return reach, f"centres at most {said} ({DIAMETERS:g} median diameters) apart"


def _pairs(own: pd.DataFrame, calibration: Calibration, box: Box, *, independent: bool) -> pd.DataFrame:
    """g(r) with as many bins as the number of pairs allows; frames of a series show the same pairs."""
    frames = own["frame"].nunique()
    each = len(own) / frames
    area, side = (box[2] - box[0]) * (box[3] - box[1]), min(box[2] - box[0], box[3] - box[1])
    reach = min(side / 2, REACH * math.sqrt(area / each))
    seen = (frames if independent else 1) * each**2 * math.pi * reach**2 / area / 2
    bins = int(np.clip(seen / PAIRS, 8, 120))
    return pair_correlation(own, calibration, field=box, r_max_px=reach if _square(calibration) else None, bins=bins)


def _square(calibration: Calibration) -> bool:
    """Whether pixels are square, so that px of the frame are those of the true geometry."""
    return calibration.pixel_size_nm is None or calibration.pixel_size_nm[0] == calibration.pixel_size_nm[1]


def _waves(own: pd.DataFrame, calibration: Calibration, box: Box) -> pd.DataFrame:
    """S(q) out to four times the wave of the mean spacing, or less where that would be more than a million waves."""
    area, frames = (box[2] - box[0]) * (box[3] - box[1]), own["frame"].nunique()
    q_max = REACH_Q * 2 * math.pi * math.sqrt(len(own) / frames / area)
    bins = int(np.clip(5 * math.sqrt(len(own) / frames), 16, 80))
    most = math.sqrt(MOST_WAVES * 2 / math.pi) * 2 * math.pi / math.sqrt(area)
    return structure_factor(own, calibration, field=box, q_max_per_px=min(q_max, most), bins=bins)


def _rows(
    table: pd.DataFrame,
    objects: pd.DataFrame,
    group: Group,
    nearest: pd.DataFrame,
    calibration: Calibration,
    how: str,
    independent: bool,
) -> list[dict[str, Any]]:
    """Rows of quantities of a group: means over its fields of view, or of its one frame."""
    if table.empty:
        return []
    seen = objects.loc[objects["frame"].isin(table["frame"]), ["frame", "file"]].drop_duplicates("frame")
    files = seen.set_index("frame")["file"]
    table = table if group.frame is None else table[table["frame"] == group.frame]
    unit = "nm" if calibration.has_scale else "px"
    places = int(files.loc[table["frame"]].nunique()) if independent and len(table) else 1
    rows = [_nearest(table, nearest, unit, places, group)]
    where = f"frame {group.frame}; " if group.frame is not None else ""
    for column, (name, method) in SINGLE.items():
        known = table.dropna(subset=column)
        if known.empty:
            continue
        values = known[column].astype(float).groupby(files.loc[known["frame"]].to_numpy()).mean()
        mean, interval, said = _over_places(values, independent, 1.0 if column.startswith("psi6") else math.inf)
        method += f" ({how})" if column.startswith("cluster") else ""
        rows.append(quantity(name, mean, "", int(known["count"].sum()), f"{where}{method}; {said}", interval))
    return [{**row, "name": group.said[0].replace("{}", row["name"], 1)} for row in rows]


def _over_places(values: pd.Series, independent: bool, most: float = math.inf) -> tuple[float, tuple[float, float], str]:
    n = len(values)
    if not independent or n < 2:
        return float(values.mean()), (math.nan, math.nan), "one field of view: no interval is known"
    half = float(t.ppf(0.975, n - 1)) * float(values.std()) / math.sqrt(n)
    mean = float(values.mean())
    return mean, possible(mean - half, mean + half, most), f"mean over fields of view; {how_known(n)}"


def _nearest(table: pd.DataFrame, nearest: pd.DataFrame, unit: str, places: int, group: Group) -> dict[str, Any]:
    """The median distance to the nearest neighbour: over fields of view, or of one with the interval of its particles."""
    name, n = "median distance to the nearest neighbour", int(table["count"].sum())
    how = "edge taken into account (Kaplan-Meier)"
    if places > 1:
        mean, interval, said = _over_places(table[f"nearest_median_{unit}"].dropna(), True)
        return quantity(name, mean, unit, n, f"{how}; {said}", interval)
    if group.frame is not None or len(table) > 1:
        value = float(table[f"nearest_median_{unit}"].mean())
        where = f"frame {group.frame}; " if group.frame is not None else ""
        return quantity(name, value, unit, n, f"{where}{how}; one field of view: no interval is known")
    curve = nearest.rename(columns={f"distance_{unit}": "duration", "farther": "survival"})
    life = median_life(curve)
    said = "interval: particles of one field of view, taken as independent (Brookmeyer & Crowley)"
    return quantity(name, life.value, unit, n, f"{how}; {said}", (life.low, life.high))
