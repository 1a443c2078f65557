"""The columns of every table: name, dtype, unit and meaning, declared once.

Positions are px of the frame as stored, pixel centres at integers, origin top left; `angle_deg` runs counter-clockwise
from the x axis as seen. Each length and area has a `_nm` or `_nm2` twin, null without a scale.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from morphoscope.errors import InputError


class Column(NamedTuple):
    """One declared column: pandas dtype, unit ('' for none) and meaning."""

    dtype: str
    unit: str
    meaning: str


OBJECTS: dict[str, Column] = {
    "frame": Column("int64", "", "frame number from 0, as stored in the input"),
    "file": Column("str", "", "path relative to the input folder"),
    "object_id": Column("int64", "", "stable and unique in a run"),
    "time_s": Column("float64", "s", "experiment time; null without a frame interval"),
    "label": Column("str", "", "class"),
    "score": Column("float64", "", "confidence of the model, 0 to 1"),
    "x_px": Column("float64", "px", "centre of the upright box"),
    "y_px": Column("float64", "px", "centre of the upright box"),
    "width_px": Column("float64", "px", "full width of the upright box"),
    "height_px": Column("float64", "px", "full height of the upright box"),
    "ellipse_x_px": Column("float64", "px", "centre of the fitted ellipse; null where no ellipse fits"),
    "ellipse_y_px": Column("float64", "px", "centre of the fitted ellipse"),
    "major_px": Column("float64", "px", "full major axis of the fitted ellipse: the size"),
    "minor_px": Column("float64", "px", "full minor axis of the fitted ellipse"),
    "angle_deg": Column("float64", "deg", "major axis, counter-clockwise from the x axis as seen, 0 to 180"),
    "area_px": Column("float64", "px", "area of the segmented object in px"),
    "on_edge": Column("bool", "", "the object touches the edge of the analysed region"),
    "fitted": Column("bool", "", "an ellipse was fitted; false: flat or empty patch, sizes come from the box"),
    "x_reg_px": Column("float64", "px", "registered centre: drift and jumps removed"),
    "y_reg_px": Column("float64", "px", "registered centre: drift and jumps removed"),
    "track_id": Column("Int64", "", "track; null for none"),
}
NM_TWINS: dict[str, Column] = {
    (f"{name.removesuffix('_px')}_nm2" if name == "area_px" else f"{name.removesuffix('_px')}_nm"): Column(
        "float64", "nm2" if name == "area_px" else "nm", column.meaning
    )
    for name, column in OBJECTS.items()
    if name.endswith("_px")
}
OBJECTS |= NM_TWINS

SHAPES: dict[str, Column] = {  # beside those of OBJECTS, where objects were measured in a label image
    "mask_label": Column("int64", "", "value of the object's pixels in the label image"),
    "equivalent_diameter_px": Column("float64", "px", "diameter of the disc of equal area"),
    "equivalent_diameter_nm": Column("float64", "nm", "diameter of the disc of equal area"),
    "perimeter_px": Column("float64", "px", "perimeter by Crofton's formula in 4 directions, holes included"),
    "perimeter_nm": Column("float64", "nm", "the same with coordinates in nm"),
    "feret_max_px": Column("float64", "px", "largest caliper diameter of the hull"),
    "feret_max_nm": Column("float64", "nm", "the same with coordinates in nm"),
    "feret_min_px": Column("float64", "px", "smallest caliper diameter of the hull"),
    "feret_min_nm": Column("float64", "nm", "the same with coordinates in nm"),
    "convex_area_px": Column("float64", "px", "pixels in the convex hull"),
    "convex_area_nm2": Column("float64", "nm2", "area of the same"),
    "circularity": Column("float64", "", "4 pi area / perimeter^2: 1 for a disc"),
    "solidity": Column("float64", "", "area / area of the convex hull"),
    "convexity": Column("float64", "", "perimeter of the convex hull / perimeter"),
    "aspect_ratio": Column("float64", "", "major / minor axis of the ellipse of equal second moments"),
    "edge_weight": Column("float64", "", "objects of the plane behind one seen whole; null on the edge"),
}

HEIGHTS: dict[str, Column] = {  # beside those of OBJECTS, where objects were outlined in a height map
    "height_max_nm": Column("float64", "nm", "highest point above the ground around the object"),
    "height_mean_nm": Column("float64", "nm", "mean over the mask of the height above the same ground"),
    "volume_nm3": Column("float64", "nm3", "volume above the same ground, with the foot of the object; null without a scale"),
}

FRAMES: dict[str, Column] = {
    "frame": Column("int64", "", "frame number from 0"),
    "file": Column("str", "", "path relative to the input folder"),
    "time_s": Column("float64", "s", "experiment time"),
    "count": Column("int64", "", "objects found whose centre lies in the valid area (raw)"),
    "count_corrected": Column("float64", "", "count times the visibility factor"),
    "valid_area_px": Column("float64", "px", "analysed area less the excluded regions"),
    "valid_area_nm2": Column("float64", "nm2", "the same in nm2; null without a scale"),
    "density": Column("float64", "density_unit", "count_corrected per volume or area"),
    "density_raw": Column("float64", "density_unit", "count per volume or area, without the visibility factor"),
    "density_low": Column("float64", "density_unit", "lower end of the 95 % Poisson counting interval of density"),
    "density_high": Column("float64", "density_unit", "upper end of the same"),
    "density_unit": Column("str", "", "cm^-3 with a thickness, um^-2 without; null without a scale"),
    "size_median_px": Column("float64", "px", "median major axis"),
    "size_q1_px": Column("float64", "px", "lower quartile of the major axis"),
    "size_q3_px": Column("float64", "px", "upper quartile of the major axis"),
    "size_median_nm": Column("float64", "nm", "median major axis"),
    "size_q1_nm": Column("float64", "nm", "lower quartile of the major axis"),
    "size_q3_nm": Column("float64", "nm", "upper quartile of the major axis"),
    "shift_x_px": Column("float64", "px", "displacement of this frame's content against the first analysed frame"),
    "shift_y_px": Column("float64", "px", "the same in y: x_reg_px = x_px - shift_x_px"),
    "jump": Column("bool", "", "a sudden stage jump lies between this frame and the one before"),
    "shift_quality": Column("float64", "", "how well this frame's content matched, 0 to 1; null where it was not registered"),
    "magnified": Column(
        "float64", "", "how many times as large as stored a segmentation network saw the frame; null without one"
    ),
}

TRACKS: dict[str, Column] = {
    "track_id": Column("int64", "", "track"),
    "first_frame": Column("int64", "", "first frame seen"),
    "last_frame": Column("int64", "", "last frame seen"),
    "life_frames": Column("int64", "", "last minus first frame plus one"),
    "life_s": Column("float64", "s", "life_frames times the frame interval"),
    "n_points": Column("int64", "", "detections linked"),
    "began": Column("str", "", "start (of the video), edge (of the field), appeared or split"),
    "ended": Column("str", "", "end (of the video), edge (of the field), gap (not seen again) or merge"),
    "x_reg_px": Column("float64", "px", "mean registered position"),
    "y_reg_px": Column("float64", "px", "mean registered position"),
    "x_reg_nm": Column("float64", "nm", "mean registered position"),
    "y_reg_nm": Column("float64", "nm", "mean registered position"),
    "size_median_px": Column("float64", "px", "median major axis"),
    "size_median_nm": Column("float64", "nm", "median major axis"),
    "growth_px_per_frame": Column("float64", "px", "Theil-Sen slope of the major axis against frame"),
    "growth_nm_per_s": Column("float64", "nm/s", "Theil-Sen slope of the major axis against time"),
    "growth_nm_per_s_low": Column("float64", "nm/s", "lower end of its 95 % interval"),
    "growth_nm_per_s_high": Column("float64", "nm/s", "upper end of its 95 % interval"),
    "D_eff_nm2_per_s": Column("float64", "nm2/s", "effective diffusion coefficient at the recipe's lag"),
    "D_eff_nm2_per_s_low": Column("float64", "nm2/s", "lower end of its 95 % interval"),
    "D_eff_nm2_per_s_high": Column("float64", "nm2/s", "upper end of its 95 % interval"),
    "D_px2_per_frame": Column("float64", "px2/frame", "diffusion coefficient by maximum likelihood, localisation error fitted"),
    "D_px2_per_frame_low": Column("float64", "px2/frame", "lower end of its 95 % interval"),
    "D_px2_per_frame_high": Column("float64", "px2/frame", "upper end of its 95 % interval"),
    "D_nm2_per_s": Column("float64", "nm2/s", "the same in nm and s"),
    "D_nm2_per_s_low": Column("float64", "nm2/s", "lower end of its 95 % interval"),
    "D_nm2_per_s_high": Column("float64", "nm2/s", "upper end of its 95 % interval"),
    "localisation_px": Column("float64", "px", "localisation error per axis (standard deviation), fitted with D"),
    "localisation_nm": Column("float64", "nm", "the same in nm"),
}

MSD: dict[str, Column] = {
    "lag_frames": Column("int64", "", "lag in frame numbers"),
    "lag_s": Column("float64", "s", "lag in s; null without a frame interval"),
    "msd_px2": Column("float64", "px2", "mean squared displacement, over time and all tracks"),
    "msd_px2_low": Column("float64", "px2", "lower end of its 95 % interval (tracks drawn again)"),
    "msd_px2_high": Column("float64", "px2", "upper end of the same"),
    "msd_nm2": Column("float64", "nm2", "mean squared displacement; null without a scale"),
    "msd_nm2_low": Column("float64", "nm2", "lower end of its 95 % interval"),
    "msd_nm2_high": Column("float64", "nm2", "upper end of the same"),
    "n": Column("int64", "", "displacements averaged"),
    "n_tracks": Column("int64", "", "tracks they come from"),
}

VAN_HOVE: dict[str, Column] = {
    "displacement_px": Column("float64", "px", "middle of the bin: displacement along one axis in the recipe's lag"),
    "displacement_nm": Column("float64", "nm", "the same; null without a scale"),
    "n": Column("int64", "", "displacements in the bin"),
    "density": Column("float64", "px^-1", "probability density of the displacement"),
    "gaussian": Column("float64", "px^-1", "that of a Gaussian of the same variance"),
    "density_nm": Column("float64", "nm^-1", "probability density per nm; null without a scale"),
    "gaussian_nm": Column("float64", "nm^-1", "the same of the Gaussian"),
}

SURVIVAL: dict[str, Column] = {
    "duration_frames": Column("float64", "", "life, last minus first frame plus one"),
    "duration_s": Column("float64", "s", "life in s; null without a frame interval"),
    "survival": Column("float64", "", "share of tracks that live longer (Kaplan-Meier)"),
    "low": Column("float64", "", "lower end of its 95 % interval (Greenwood, log-log)"),
    "high": Column("float64", "", "upper end of the same"),
    "at_risk": Column("int64", "", "tracks seen alive until then"),
    "deaths": Column("int64", "", "tracks that end then, before the video does and inside the field"),
}

DIFFUSION_BY_SIZE: dict[str, Column] = {
    "size_low_nm": Column("float64", "nm", "lower end of the bin of the track's median major axis"),
    "size_high_nm": Column("float64", "nm", "upper end of the bin"),
    "n_tracks": Column("int64", "", "tracks in the bin"),
    "d_eff_nm2_per_s": Column("float64", "nm2/s", "mean over the tracks of the bin of their mean D_eff"),
    "standard_error": Column("float64", "nm2/s", "standard error of that mean; null for a bin of one track"),
}

GROWTH_SEGMENTS: dict[str, Column] = {
    "track_id": Column("int64", "", "track"),
    "segment": Column("int64", "", "number of the segment in the track, from 0"),
    "first_frame": Column("float64", "", "frame the segment begins at: the track's first one, or a change point"),
    "last_frame": Column("float64", "", "frame it ends at"),
    "growth_px_per_frame": Column("float64", "px", "slope of the major axis against frame"),
    "growth_px_per_frame_low": Column("float64", "px", "lower end of its 95 % interval"),
    "growth_px_per_frame_high": Column("float64", "px", "upper end of its 95 % interval"),
    "growth_nm_per_s": Column("float64", "nm/s", "slope of the major axis against time"),
    "growth_nm_per_s_low": Column("float64", "nm/s", "lower end of its 95 % interval"),
    "growth_nm_per_s_high": Column("float64", "nm/s", "upper end of its 95 % interval"),
}

DISPLACEMENT: dict[str, Column] = {
    "frame": FRAMES["frame"],
    "time_s": FRAMES["time_s"],
    "shift_x_px": FRAMES["shift_x_px"],
    "shift_y_px": FRAMES["shift_y_px"],
    "shift_x_nm": Column("float64", "nm", "shift_x_px in nm; null without a scale"),
    "shift_y_nm": Column("float64", "nm", "shift_y_px in nm"),
    "jump": FRAMES["jump"],
    "shift_quality": FRAMES["shift_quality"],
}

EVENTS: dict[str, Column] = {
    "frame": Column("int64", "", "first frame after it"),
    "kind": Column("str", "", "merge or split"),
    "track_id": Column("Int64", "", "the track that ends or begins"),
    "other_id": Column("Int64", "", "the track it goes into or comes from"),
}

STRUCTURE: dict[str, Column] = {
    "frame": FRAMES["frame"],
    "time_s": FRAMES["time_s"],
    "count": Column("int64", "", "objects in the field"),
    "nearest_median_px": Column("float64", "px", "median distance to the nearest neighbour, with the edge taken into account"),
    "nearest_median_nm": Column("float64", "nm", "the same; null without a scale"),
    "clark_evans": Column("float64", "", "mean such distance over that of points thrown at random: 1 random, below clustered"),
    "n_complete": Column("int64", "", "objects whose neighbours are known whatever lies outside the field: those averaged below"),
    "psi6_mean": Column("float64", "", "mean of |psi_6|: local hexatic order, 1 in a hexagonal lattice"),
    "psi6_global": Column("float64", "", "|mean of psi_6|: 1 where all bonds of the field point the same way"),
    "six_neighbours": Column("float64", "", "share of objects with six Delaunay neighbours"),
    "cell_area_mean_px": Column("float64", "px", "mean area of the Voronoi cells"),
    "cell_area_mean_nm2": Column("float64", "nm2", "the same; null without a scale"),
    "cell_area_cv": Column("float64", "", "standard deviation of the areas over their mean"),
    "n_clusters": Column("Int64", "", "clusters, single objects among them; null without a distance"),
    "n_single": Column("Int64", "", "objects that are alone"),
    "cluster_mean": Column("float64", "", "mean number of members of a cluster"),
    "cluster_weighted": Column("float64", "", "mean number of members of the cluster an object is in"),
    "cluster_largest": Column("Int64", "", "members of the largest cluster"),
}

PARTICLES: dict[str, Column] = {  # of frames with outlined particles
    "frame": FRAMES["frame"],
    "file": FRAMES["file"],
    "sample": Column("str", "", "sample the file belongs to; null for none, absent where no samples are named"),
    "time_s": FRAMES["time_s"],
    "n": Column("int64", "", "particles found"),
    "n_counted": Column("int64", "", "particles that sizes are told from: those cut by the edge may be left out"),
    "number_density_px": Column("float64", "px^-2", "particles per area, weighted for those left out at the edge"),
    "number_density_um2": Column("float64", "um^-2", "the same; null without a scale"),
    "area_share": Column("float64", "", "share of the area that particles cover"),
    **{
        f"diameter_{what}_{unit}": Column("float64", unit, meaning)
        for what, meaning in (
            ("median", "weighted median of the area-equivalent diameter"),
            ("q1", "lower quartile"),
            ("q3", "upper quartile"),
            ("mean", "weighted mean"),
            ("area_mean", "mean weighted by area too: sum of d^3 over sum of d^2"),
        )
        for unit in ("px", "nm")
    },
    "circularity_median": Column("float64", "", "weighted median of 4 pi area / perimeter^2"),
    "circularity_mean": Column("float64", "", "weighted mean of the same"),
    "aspect_ratio_median": Column("float64", "", "weighted median of major / minor axis"),
}

SIZE_DISTRIBUTION: dict[str, Column] = {
    "sample": Column("str", "", "sample; null where none is named"),
    "frame": Column("Int64", "", "frame of a series; null: all frames of the sample"),
    "size_low_px": Column("float64", "px", "lower edge of the bin of the area-equivalent diameter"),
    "size_high_px": Column("float64", "px", "upper edge"),
    "size_low_nm": Column("float64", "nm", "lower edge; null without a scale"),
    "size_high_nm": Column("float64", "nm", "upper edge"),
    "n": Column("int64", "", "particles in the bin, without weights"),
    "number_share": Column("float64", "", "share of the number, weighted for particles left out at the edge"),
    "area_share": Column("float64", "", "share of the area"),
    "number_below": Column("float64", "", "share of the number below the upper edge"),
    "area_below": Column("float64", "", "share of the area below the upper edge"),
    "number_density_px": Column("float64", "px^-1", "share of the number per px of diameter"),
    "number_density_nm": Column("float64", "nm^-1", "the same per nm"),
    "area_density_px": Column("float64", "px^-1", "share of the area per px of diameter"),
    "area_density_nm": Column("float64", "nm^-1", "the same per nm"),
}

SCORES: dict[str, Column] = {  # and S_<class>, S_<class>_low, S_<class>_high for each class, then the conditions
    "file": FRAMES["file"],
    "frame": Column("int64", "", "number from 0 in a stack or video; absent where all files hold one image"),
    "time_s": Column("float64", "s", "when the frame was taken, with `frame`; null where that is unknown"),
    "label": Column("str", "", "class of the largest extent, of models whose classes exclude each other"),
    "probability": Column("float64", "", "extent of that class"),
    "patches": Column("int64", "", "patches that were scored"),
    "patch_px": Column("float64", "px", "side of a patch in the stored image"),
    "width_px": Column("int64", "px", "width of the stored image"),
    "height_px": Column("int64", "px", "height of the stored image"),
    "pixel_size_nm": Column("float64", "nm", "nm per px; null without a scale"),
}

IMAGES: dict[str, Column] = {  # and, after `probability`, prob_<class> for each class
    "file": FRAMES["file"],
    "frame": SCORES["frame"],
    "time_s": SCORES["time_s"],
    "label": Column("str", "", "the category: the most probable class, or what a person said"),
    "probability": Column("float64", "", "calibrated probability of that category; null for one the model does not know"),
    "decision": Column("str", "", "accept, review (a person should look), foreign (like none of the images learnt) or reject"),
    "labels": Column("str", "", "classes among which the true one is in the named share of images or more, joined by |"),
    "foreign": Column("float64", "", "distance to the images learnt over the largest usual one: above 1 it is foreign"),
    "by": Column("str", "", "whose decision it is: model or person"),
    "width_px": SCORES["width_px"],
    "height_px": SCORES["height_px"],
    "pixel_size_nm": SCORES["pixel_size_nm"],
    "sha256": Column("str", "", "of the file's bytes, by which a project knows it"),
}

LABEL_NEXT: dict[str, Column] = {
    "file": FRAMES["file"],
    "frame": SCORES["frame"],
    "label": Column("str", "", "empty, to be filled in by a person"),
    "proposed": Column("str", "", "the model's category"),
    "probability": Column("float64", "", "its probability"),
    "second": Column("str", "", "the next most probable category"),
    "why": Column("str", "", "why its label would teach something: between two categories, far from what was learnt, ..."),
}

ORIENTATION: dict[str, Column] = {
    "file": FRAMES["file"],
    "frame": SCORES["frame"],
    "time_s": SCORES["time_s"],
    "aligned_fraction": Column("float64", "", "share of the wires' area that is coherently aligned; null with hardly any"),
    "aligned_fraction_low": Column("float64", "", "lower end of its 95 % interval; null where the image is too small"),
    "aligned_fraction_high": Column("float64", "", "upper end of the same"),
    "wire_share": Column("float64", "", "share of the picture with wires"),
    "aligned_share": Column("float64", "", "share of the picture with coherently aligned wires"),
    "doubt": Column("str", "", "few wires, unsure (nothing is told of these) or methods disagree; empty: none, part of means"),
    "S2": Column("float64", "", "order parameter in the plane, 0 to 1"),
    "director_deg": Column("float64", "degrees", "main direction, counter-clockwise from the x axis, 0 to 180"),
    "coherence_length_px": Column("float64", "px", "distance over which order falls to 1/e; null where it does not"),
    "coherence_length_nm": Column("float64", "nm", "the same"),
    "aligned_fraction_tensor": Column("float64", "", "aligned fraction of edges by the structure tensor"),
    "S2_tensor": Column("float64", "", "order parameter of these"),
    "director_tensor_deg": Column("float64", "degrees", "main direction of these"),
    "aligned_fraction_lgo": Column("float64", "", "aligned fraction by local gradient orientation in windows"),
    "S2_lgo": Column("float64", "", "order parameter of gradients"),
    "director_lgo_deg": Column("float64", "degrees", "main direction of these"),
    "radius_px": Column("float64", "px", "radius in which wires must agree"),
    "radius_nm": Column("float64", "nm", "the same; null without a scale"),
    "width_px": SCORES["width_px"],
    "height_px": SCORES["height_px"],
    "pixel_size_nm": SCORES["pixel_size_nm"],
}

ORIENTATION_HISTOGRAM: dict[str, Column] = {
    "file": FRAMES["file"],
    "frame": SCORES["frame"],
    "method": Column("str", "", "learned, structure tensor or local gradient orientation"),
    "angle_deg": Column("float64", "degrees", "middle of the bin, counter-clockwise from the x axis"),
    "share": Column("float64", "", "share of the wires in the bin"),
}

TRENDS: dict[str, Column] = {
    "score": Column("str", "", "the score, such as S_crack"),
    "series": Column("str", "", "conditions that its images have in common; empty for all images"),
    "along": Column("str", "", "column of the time"),
    "n": Column("int64", "", "images"),
    "n_eff": Column("float64", "", "independent images that tell as much as these, which may share errors; null for too few"),
    "first": Column("float64", "", "mean score at the earliest time"),
    "last": Column("float64", "", "mean score at the latest time"),
    "tau": Column("float64", "", "Kendall's tau-b: 1 where the score always rises, -1 where it always falls"),
    "p": Column("float64", "", "of Mann and Kendall's test, two-sided, for n_eff images (Hamed and Rao)"),
    "p_holm": Column("float64", "", "the same for all rows together (Holm)"),
    "trend": Column("str", "", "rises, falls or no trend, by p_holm < 0.05; change within the model's error; too few"),
    "change": Column("float64", "", "Theil-Sen slope times the duration; last - first for fewer than 6 images"),
    "error": Column("float64", "", "the model's error, which a change must go beyond; null where unknown"),
    "slope": Column("float64", "per unit of the time", "Theil-Sen slope; null for fewer than 6 images"),
    "slope_low": Column("float64", "per unit of the time", "lower end of its 95 % interval"),
    "slope_high": Column("float64", "per unit of the time", "upper end of the same"),
}

RESPONSE: dict[str, Column] = {  # with the two conditions in columns of their own names, after `score`
    "score": TRENDS["score"],
    "mean": Column("float64", "", "the response surface"),
    "sd": Column("float64", "", "its standard deviation"),
    "low": Column("float64", "", "lower end of its 95 % interval"),
    "high": Column("float64", "", "upper end of the same"),
}

NEXT: dict[str, Column] = {  # with the two conditions in columns of their own names, after `rank`
    "score": Column("str", "", "the score; all: one list for all scores that depend on the conditions"),
    "rank": Column("int64", "", "which to measure first"),
    "sd_before": Column("float64", "", "standard deviation of the surface (root of its mean square) before"),
    "sd_after": Column("float64", "", "the same after this and those above it are measured, as expected"),
}

QUANTITIES: dict[str, Column] = {
    "name": Column("str", "", "what"),
    "value": Column("float64", "", "how much, in `unit`"),
    "low": Column("float64", "", "lower end of the 95 % interval; null where none is known"),
    "high": Column("float64", "", "upper end"),
    "unit": Column("str", "", "unit"),
    "n": Column("Int64", "", "number of observations"),
    "method": Column("str", "", "how it was found"),
}


def conform(table: pd.DataFrame, columns: dict[str, Column], *, require: tuple[str, ...] = ()) -> pd.DataFrame:
    """A copy of `table` with its declared columns in declared order and dtype, undeclared ones after them.

    Args:
        table: any subset of `columns` and further columns.
        columns: one of the declarations of this module.
        require: names that must be there.

    Raises:
        InputError: a required column is missing or a value does not fit its dtype.
    """
    missing = [name for name in require if name not in table.columns]
    if missing:
        raise InputError(f"the table lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    known = [name for name in columns if name in table.columns]
    extra = [name for name in table.columns if name not in columns]
    try:
        return table[known + extra].astype({name: columns[name].dtype for name in known})
    except (ValueError, TypeError) as error:
        raise InputError(f"a column does not fit its declared type: {error}") from error


def empty(columns: dict[str, Column], *names: str) -> pd.DataFrame:
    """An empty table with the declared dtypes of `names` (all where none is given)."""
    return pd.DataFrame({n: pd.Series(dtype=columns[n].dtype) for n in (names or tuple(columns))})
