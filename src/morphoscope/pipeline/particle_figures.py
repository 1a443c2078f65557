"""What draws each figure of particles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from morphoscope.physics.density import poisson_interval
from morphoscope.physics.particle_sizes import NAMES
from morphoscope.pipeline.groups import Group
from morphoscope.pipeline.particles import Particles
from morphoscope.pipeline.results import Results
from morphoscope.recipe import Recipe
from morphoscope.report.particles import MOST, shape_distribution, size_distribution
from morphoscope.report.samples import Compared, sample_comparison
from morphoscope.report.structure import structure_curves, structure_over_time

Drawn = dict[str, Callable[[], Figure]]


def particle_figures(recipe: Recipe, results: Results) -> Drawn:
    """The figures of particles by name, in the order of the report; none where a run tells nothing of them."""
    particles = results.particles
    if particles is None:
        return {}
    drawn: Drawn = {}
    if particles.masks and "particles sized" in particles.counts:
        drawn["size_distribution"] = partial(_sizes, results, particles)
        drawn["shape_distribution"] = partial(_shapes, results, particles)
    if len(particles.tables.get("samples", ())):
        drawn["sample_comparison"] = lambda: sample_comparison(compared(results, particles))
    if "structure" in particles.tables:
        drawn["structure_curves"] = partial(_curves, results, particles)
        if particles.one_place:
            drawn["structure_over_time"] = partial(
                structure_over_time,
                particles.tables["structure"],
                particles.tables.get("particles"),
                results.calibration,
                axis=recipe.report.axis,
            )
    return drawn


def density_of_particles(results: Results) -> pd.DataFrame:
    """`schema.FRAMES` whose density is that of the particles table, weighted for the edge; as it is where there are no masks.

    The frames table counts all objects that are seen, also those that reach in from outside.
    """
    particles, frames = results.particles, results.frames
    by_frame = particles.tables.get("particles") if particles is not None else None
    if by_frame is None:
        return frames
    counted, count = by_frame["n_counted"].to_numpy(float), frames["count"].to_numpy(float)
    stand_for = by_frame["number_density_px"].to_numpy(float) * frames["valid_area_px"].to_numpy(float)
    low, high = poisson_interval(counted)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = {"density": stand_for, "density_raw": stand_for}
        ends |= {"density_low": low / counted * stand_for, "density_high": high / counted * stand_for}
        each = {name: (frames["density_raw" if name == "density_raw" else "density"] / count).to_numpy(float) for name in ends}
    return frames.assign(**{name: frames[name].where(count == 0, ends[name] * each[name]) for name in ends})


def _unit(results: Results) -> str:
    return "nm" if results.calibration.has_scale else "px"


def _label(group: Group) -> str:
    """What a group is called in a figure: its sample, or the end of the series with its frame."""
    return group.sample or (f"{group.name} (frame {group.frame})" if group.frame is not None else "")


def _sizes(results: Results, particles: Particles) -> Figure:
    table = particles.tables["size_distribution"]
    scale = results.calibration.mean_pixel_nm if results.calibration.has_scale else 1.0
    parts = [
        (_label(group), table[_is_of(table, group)], fit) for group, fit in zip(particles.groups, particles.fits, strict=True)
    ]
    shown = [part for part in parts if len(part[1])]
    return size_distribution(
        shown[:MOST], unit=_unit(results), smallest=particles.smallest_px * scale, left=max(len(shown) - MOST, 0)
    )


def _is_of(table: pd.DataFrame, group: Group) -> pd.Series:
    if group.sample is not None:
        return table["sample"] == group.sample
    return pd.Series(True, table.index) if group.frame is None else table["frame"] == group.frame


def _shapes(results: Results, particles: Particles) -> Figure:
    objects = results.objects[["frame", "circularity", "aspect_ratio"]].assign(weight=particles.weights)
    parts = []
    for group in particles.groups[:MOST]:
        chosen = group.frames if group.frame is None else np.array([group.frame])
        parts.append((_label(group), objects[objects["frame"].isin(chosen)]))
    return shape_distribution(parts, left=max(len(particles.groups) - MOST, 0))


def _curves(results: Results, particles: Particles) -> Figure:
    tables = particles.tables
    if "pair_correlation" not in tables:
        return structure_curves([], results.calibration)
    parts = []
    for group in particles.groups:
        pairs, waves = (_curve_of(tables[name], group) for name in ("pair_correlation", "structure_factor"))
        if len(pairs):
            frames = f"{len(group.frames)} frames" if len(group.frames) > 1 else "frame"
            name = group.sample or (f"{group.name} {frames}" if group.name else "")
            parts.append((name, pairs, waves))
    return structure_curves(parts[:MOST], results.calibration)


def _curve_of(table: pd.DataFrame, group: Group) -> pd.DataFrame:
    if group.sample is not None:
        return table[table["sample"] == group.sample]
    return table[table["part"] == group.name] if group.frame is not None else table


def compared(results: Results, particles: Particles) -> list[Compared]:
    """The quantities of the figure that compares samples: size, number per area, circularity or whatever of them is known."""
    tables, unit = particles.tables, _unit(results)
    by_frame = tables.get("particles")
    if by_frame is not None:
        density = "number_density_um2" if unit == "nm" else "number_density_px"
        columns = {"equivalent_diameter": f"diameter_mean_{unit}", "number_density": density}
        columns["circularity"] = "circularity_mean"
        values = {name: by_frame[["sample"]].assign(value=by_frame[column]) for name, column in columns.items()}
    else:
        mean = results.objects.groupby("frame")[f"major_{unit}"].mean()
        frames = results.frames
        values = {"major": frames[["sample"]].assign(value=frames["frame"].map(mean))}
        values["number_density"] = frames[["sample"]].assign(value=frames["density"])
    made = []
    for name, places in values.items():
        rows, pairs = (t[t["quantity"] == NAMES[name]] for t in (tables["samples"], tables["sample_comparison"]))
        if len(rows):
            made.append(Compared(NAMES[name], str(rows["unit"].iloc[0]), places, rows, pairs))
    return made
