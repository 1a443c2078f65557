"""What the particles of a run say: sizes, shapes, samples and structure, as tables, rows of quantities and remarks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from morphoscope.calibration import Calibration
from morphoscope.measure.threshold import METHODS
from morphoscope.physics.heights import height_rows
from morphoscope.physics.particle_sizes import particle_rows, particle_weights, particles_by_frame
from morphoscope.physics.size_distribution import LogNormal, fit_lognormal, size_distribution
from morphoscope.pipeline.assembly import Assembly, assembly_of, cut_are_there
from morphoscope.pipeline.comparison import sample_tables
from morphoscope.pipeline.groups import END, Group, groups_of, one_place
from morphoscope.recipe import Recipe
from morphoscope.report.methods_particles import SAMPLES, SIZED, STRUCTURED
from morphoscope.schema import QUANTITIES, SIZE_DISTRIBUTION, conform

Array = NDArray[np.float64]
Box = tuple[float, float, float, float]
VAST = 4.0  # weight of a particle half as wide and high as the field
MIN_BINS, MAX_BINS = 5, 40


@dataclass(frozen=True)
class Particles:
    """Tables by the name of their file, rows of `schema.QUANTITIES`, remarks, and what the figures need.

    `weights` stand beside the objects; `fits` are the log-normal fits of the groups' diameters, in the unit of the
    figures; `fields` the number of fields of view; `smallest_px` the diameter below which particles could not be seen in all of
    the images; `one_place` says that all frames show the same place.
    """

    groups: tuple[Group, ...]
    tables: dict[str, pd.DataFrame]
    rows: list[dict[str, Any]] = field(default_factory=list)
    remarks: tuple[str, ...] = ()
    masks: bool = False
    weights: Array | None = None
    fits: tuple[LogNormal, ...] = ()
    assembly: Assembly | None = None
    fields: int = 1
    smallest_px: float = 0.0
    one_place: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How much there is, for run.json and the report; nothing that is 0."""
        sized = 0 if self.weights is None else int((~np.isnan(self.weights)).sum())
        samples = sum(group.sample is not None for group in self.groups)
        found = {SIZED: sized, SAMPLES: samples, STRUCTURED: len(self.tables.get("structure", ())), "fields of view": self.fields}
        return {name: count for name, count in found.items() if count}


def has_masks(objects: pd.DataFrame, *, looked_for: bool = False) -> bool:
    """Whether objects were measured in label images, or, where there are none, were to be."""
    if "equivalent_diameter_px" not in objects.columns:
        return False
    return looked_for or bool(objects["equivalent_diameter_px"].notna().any())


def wanted(objects: pd.DataFrame, recipe: Recipe, *, masks: bool = False) -> bool:
    """Whether a run tells of particles: it has or looks for masks, or its recipe asks for samples or structure."""
    return has_masks(objects, looked_for=masks) or bool(recipe.physics.structure) or recipe.frames.samples is not None


def particles_of(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    recipe: Recipe,
    calibration: Calibration,
    *,
    valid_px: ArrayLike,
    box: Box | None,
    masks: bool = False,
    coarsest: float = 1.0,
) -> Particles:
    """Everything on sizes, shapes, samples and structure.

    Args:
        objects: of all frames, with nm twins and, where samples are named, `sample`.
        frames: `schema.FRAMES`, `sample` beside them where named.
        recipe: edge, structure, clusters, samples.
        calibration: px to nm, frames to time.
        valid_px: searched area of each frame, a number or one per frame; nan where it is not known.
        box: x0, y0, x1, y1 of what was searched; None where it is not known.
        masks: masks were looked for, even where no object has one.
        coarsest: length of a px of the coarsest image in px of `objects`, where images differ: what could not be seen in that
            one is left out of the fits of all.
    """
    masks, edge = has_masks(objects, looked_for=masks), recipe.physics.edge
    smallest = smallest_diameter(recipe) * coarsest
    series = one_place(frames, series=recipe.frames.series) if masks else recipe.frames.series and len(frames) > 1
    weight = particle_weights(objects, edge) if masks else None
    by_frame = None
    if masks:
        by_frame = particles_by_frame(
            objects, frames, calibration, area_px=valid_px, edge=edge, cut_are_there=cut_are_there(recipe)
        )
    groups = groups_of(frames, by_frame, series=series)
    tables: dict[str, pd.DataFrame] = {} if by_frame is None else {"particles": by_frame}
    rows: list[dict[str, Any]] = []
    fits: list[LogNormal] = []
    if by_frame is not None and weight is not None:
        tables["size_distribution"] = _distributions(objects, weight, groups, calibration)
        searched = np.broadcast_to(np.asarray(valid_px, float), len(frames))
        for group in groups:
            chosen = np.array([group.frame]) if group.frame is not None else group.frames
            own, there = objects[objects["frame"].isin(chosen)], by_frame[by_frame["frame"].isin(chosen)]
            named, where = group.said
            rows += particle_rows(
                own,
                there,
                calibration,
                edge=edge,
                independent=not series,
                smallest_px=smallest,
                area_px=float(np.nansum(searched[frames["frame"].isin(chosen)])),
                name=named,
                where=where,
            )
            rows += height_rows(own, edge=edge, independent=not series, name=named, where=where)
            fits.append(_fit(own, weight[objects["frame"].isin(chosen)], calibration, smallest, independent=not series))
    tables |= sample_tables(objects, frames, by_frame, calibration, weight=weight)
    remarks = _remarks(objects, weight, recipe, series=series, files=frames["file"].nunique())
    assembly = None
    lie = masks if recipe.physics.structure is None else recipe.physics.structure
    if lie and box is None:
        remarks.append("No structure (g(r), S(q), neighbours): the images have different fields or scales.")
    if lie and box is not None and len(objects):
        assembly = assembly_of(objects, groups, recipe, calibration, box=box, independent=not series)
        tables |= assembly.tables
        rows += assembly.rows
        if not np.isfinite(np.asarray(valid_px, float)).all():
            remarks.append("Structure takes the box around all positions for the field; state frames.region where it is larger.")
        remarks += assembly.remarks
    files = 1 if series else int(frames["file"].nunique())
    return Particles(groups, tables, rows, tuple(remarks), masks, weight, tuple(fits), assembly, files, smallest, series)


def with_particles(quantities: pd.DataFrame, particles: Particles, recipe: Recipe) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES` with those of particles after the counts.

    With masks, densities per area are those weighted for the edge, and independent images have no final or largest size.
    """
    left_out = ["final density", "highest density"] if particles.masks and recipe.physics.thickness_nm is None else []
    if particles.masks and not particles.one_place:
        left_out += ["final median size", "largest median size"]
    kept = quantities[~quantities["name"].isin(left_out)]
    if not particles.rows:
        return kept
    own = conform(pd.DataFrame(particles.rows, columns=list(QUANTITIES)), QUANTITIES)
    first = kept["name"].isin(["frames", "detections"])
    return pd.concat([kept[first], own, kept[~first]], ignore_index=True)


def smallest_diameter(recipe: Recipe) -> float:
    """Diameter (px) of the smallest mask that a threshold's finder keeps; 0 where nothing is known to be left out."""
    return 2 * math.sqrt(recipe.segment.smallest_px / math.pi) * (1 - 1e-9) if recipe.detect.model in METHODS else 0.0


def _fit(own: pd.DataFrame, weight: Array, calibration: Calibration, smallest: float, *, independent: bool) -> LogNormal:
    nm = calibration.has_scale
    place = own["file"].to_numpy() if independent and own["file"].nunique() > 1 else None
    scale = calibration.mean_pixel_nm if nm else 1.0
    size = own[f"equivalent_diameter_{'nm' if nm else 'px'}"]
    return fit_lognormal(size, weight=weight, place=place, smallest=smallest * scale)


def _distributions(objects: pd.DataFrame, weight: Array, groups: tuple[Group, ...], calibration: Calibration) -> pd.DataFrame:
    """`schema.SIZE_DISTRIBUTION`: the same even bins for all groups, round in the unit of the run."""
    scale = calibration.mean_pixel_nm if calibration.has_scale else 1.0
    size, frame = objects["equivalent_diameter_px"].to_numpy(float), objects["frame"].to_numpy()
    inside = [np.isin(frame, g.frames if g.frame is None else [g.frame]) & ~np.isnan(weight) for g in groups]
    edges = even_edges([size[one] * scale for one in inside]) / scale
    parts = []
    for group, one in zip(groups, inside, strict=True):
        if not one.any():
            continue
        made = size_distribution(size[one], weight=weight[one], bins=edges)
        made = made.rename(columns={name: f"{name}_px" for name in ("size_low", "size_high", "number_density", "area_density")})
        nm = calibration.mean_pixel_nm
        made = made.assign(**{f"{name}_nm": made[f"{name}_px"] * nm for name in ("size_low", "size_high")})
        made = made.assign(**{f"{name}_nm": made[f"{name}_px"] / nm for name in ("number_density", "area_density")})
        parts.append(made.assign(sample=group.sample, frame=group.frame))
    if not parts:
        return conform(pd.DataFrame(columns=list(SIZE_DISTRIBUTION)), SIZE_DISTRIBUTION)
    return pd.concat([conform(part, SIZE_DISTRIBUTION) for part in parts], ignore_index=True)[list(SIZE_DISTRIBUTION)]


def even_edges(samples: list[Array]) -> Array:
    """Round, even edges of bins that hold all sizes: of the typical sample's Freedman-Diaconis width."""
    known = [x for x in samples if len(x)]
    if not known:
        return np.array([0.0, 1.0])
    top, low = max(float(x.max()) for x in known), min(float(x.min()) for x in known)
    widths = [2 * float(np.subtract(*np.percentile(x, [75, 25]))) / len(x) ** (1 / 3) for x in known]
    reach = max(top - low, 0.1 * top)
    width = float(np.clip(np.median(widths), reach / MAX_BINS, reach / MIN_BINS))
    base = 10.0 ** math.floor(math.log10(width))
    step = next(s * base for s in (1, 2, 2.5, 5, 10) if s * base >= width * (1 - 1e-9))
    first, last = math.floor(low / step), math.floor(top / step) + 1
    return np.asarray(np.arange(first, last + 1) * step, dtype=float)


def _remarks(objects: pd.DataFrame, weight: Array | None, recipe: Recipe, *, series: bool, files: int) -> list[str]:
    said = []
    if weight is not None and recipe.physics.edge == "leave out" and len(weight):
        known = objects["equivalent_diameter_px"].notna().to_numpy()
        left, cut = int((np.isnan(weight) & known).sum()), int((objects["on_edge"] & known).sum())
        if left:
            said.append(
                f"{left} of {int(known.sum())} particles are left out of size statistics, {cut} of them as the edge cuts them; "
                'the others are weighted for it (edge_weight). physics.edge = "keep" takes all as they are seen.'
            )
        if (vast := int((weight > VAST).sum())) > 0:
            said.append(
                f"{vast} particles reach over about half of the field or more, and each stands for {VAST:g} or more that the "
                "edge cuts: sizes and numbers rest on few of them. Larger fields of view tell more."
            )
    if series and weight is not None:
        said.append(
            f"Frames of {'a series' if recipe.frames.series else 'one file'} show the same particles, so they are not taken as "
            f"fields of view: of the first and of the last {END:.0%} of the frames with particles, sizes are told of the one of "
            "median size, and intervals do not hold the variance between places. Independent images belong into a folder, a file "
            "each, with frames.series = false."
        )
    elif files < 2 and weight is not None:
        said.append(
            "One field of view: how the sample differs from place to place is not known, and not in the intervals of sizes."
        )
    return said
