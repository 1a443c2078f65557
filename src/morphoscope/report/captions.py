"""What the report says below each figure: of what a run has, and nothing of what it has not."""

from __future__ import annotations

from collections.abc import Collection

ELSE = "no "  # before the name of a part: said where that part is missing

# each caption in pieces: ("", always said), (part, said where the run has that part), ("no part", said where it has not)
PIECES: dict[str, tuple[tuple[str, str], ...]] = {
    "density_and_size": (
        ("density", "(a) Density of the objects"),
        ("no density", "(a) Objects in each frame"),
        ("weighted", ", those cut by the edge left out and the others weighted for it,"),
        ("", " with the exact 95 % counting interval"),
        ("visibility", "; corrected for visibility, dashed: as counted"),
        ("", ". (b) Median size with quartiles."),
        ("hand counts", " Open circles: counts that were given (physics.truth)."),
    ),
    "density": (
        ("density", "Density of the objects"),
        ("no density", "Objects in each frame"),
        ("weighted", ", those cut by the edge left out and the others weighted for it,"),
        ("", " with the exact 95 % counting interval"),
        ("visibility", "; corrected for visibility, dashed: as counted"),
        ("", "."),
        ("hand counts", " Open circles: counts that were given (physics.truth)."),
    ),
    "size_boxes": (
        (
            "",
            "Size at chosen points of the experiment. Box: quartiles and median; whiskers: 1.5 interquartile ranges; "
            "points: objects.",
        ),
    ),
    "size_distribution": (
        ("", "Area-equivalent diameters (a) by number, (b) by area"),
        ("edge", "; particles cut by the edge are left out and the others weighted for it"),
        ("", ". Curves: the log-normal distribution fitted by maximum likelihood, the same in both"),
        (
            "series",
            ". Of the first and of the last 5 % of the frames with particles, the one of median size is shown, as a single frame "
            "may be an odd one",
        ),
        ("places", "; intervals come from differences between fields of view"),
        ("no places", "; intervals come from the particles of one field of view"),
        ("", "."),
    ),
    "shape_distribution": (
        ("", "(a) Circularity and (b) aspect ratio by number, with their medians"),
        ("edge", "; weighted for particles left out at the edge"),
        ("", ". Perimeters are estimated from pixels: the circularity of discs scatters about 1 and so exceeds it, too."),
    ),
    "sample_comparison": (
        (
            "",
            "Samples compared. Points: means of fields of view (their number in brackets); lines: means of samples over all "
            "particles with 95 % intervals from the differences between fields of view; p: Welch's test with the variance "
            "between fields of view, for all pairs together (Holm). A sample of one field of view has no interval and no test.",
        ),
    ),
    "structure_curves": (
        (
            "",
            "(a) Pair correlation g(r), edge-corrected, and (b) structure factor S(q), with 95 % intervals (between tiles of the "
            "field, and between waves). Both are 1 where particles know nothing of each other",
        ),
        ("series", ". First and last part of the series"),
        ("", "."),
    ),
    "structure_over_time": (
        ("masks", "Median diameter with quartiles and the covered area; "),
        ("", "distance to the nearest neighbour, hexatic order (1 in a hexagonal lattice) and clusters in each frame."),
    ),
    "track_growth": (
        (
            "",
            "Size of the longest tracks with the Theil-Sen line, or with straight stretches where growth changed its rate. Each "
            "rate with its 95 % interval; of a track with several stretches, that of each in their order.",
        ),
    ),
    "trajectory_map": (
        ("pictures", "(a) Registered trajectories on a frame, with the part framed in (b) enlarged; "),
        ("no pictures", "(a) Registered trajectories, with the part framed in (b) enlarged; "),
        ("", "(c) the longest ones from a common origin."),
    ),
    "track_story": (
        ("", "Growth of one track with straight stretches and, where there are any, change points"),
        ("pictures", ", and its picture with the fitted ellipse at the points marked"),
        ("", "."),
    ),
    "slowest_fastest": (
        ("", "(a) The tracks of least and largest D_eff, among those at least half as long as the longest"),
        ("pictures", ", on the frame named"),
        (
            "",
            "; (b), (c) the same, enlarged by one factor; circle: first detection, square: last. Where a detector hops between "
            "two objects that touch, the track looks fast: see the shape of the path before taking its D_eff for motion.",
        ),
    ),
    "diffusion_by_size": (
        (
            "",
            "Mean D_eff of the tracks in 50 bins of their median size with its standard error, bins of one track left out. D_eff "
            "holds the localisation error; the line is ",
        ),
        ("no many D", "the diffusion coefficient of the same frames and region by likelihood, without that error"),
        (
            "many D",
            "the pooled D of the same frames and region, a D of the shortest steps and not a diffusion coefficient in the strict "
            "sense, as the motion is not free diffusion with one D",
        ),
        ("", ", with its 95 % interval."),
    ),
    "msd": (
        (
            "",
            "Mean squared displacement of single tracks (thin), of all tracks together with the 95 % interval of tracks drawn "
            "again, and the fit with the localisation error as a constant.",
        ),
    ),
    "van_hove": (("", "Displacements along one axis at the recipe's lag, beside the Gaussian of the same variance."),),
    "survival": (
        (
            "",
            "Share of the tracks whose appearance was seen that live longer (Kaplan-Meier, 95 % interval); ticks: lives cut off "
            "by the end of the series or the edge of the field.",
        ),
    ),
    "displacement": (
        ("", "Displacement of the frames' content against the first frame, as removed before linking"),
        ("match", ", and how well each frame matched"),
        ("jumps", "; dashed: sudden stage jumps"),
        ("", "."),
    ),
    "overlay": (
        ("", "The frame with the most objects: "),
        ("masks", "their outlines"),
        ("no masks", "boxes and fitted ellipses"),
        ("tracks", ", with track numbers, in the colour of the track"),
        ("", "."),
    ),
}


def caption_of(name: str, parts: Collection[str] = ()) -> str:
    """The caption of a figure; empty for an unknown one.

    Args:
        name: of the figure.
        parts: what the run has: pictures, tracks, density, weighted (that density is, for the edge), hand counts,
            visibility (a factor for it), jumps, match (how well frames matched), masks, edge (particles left out
            there), places (several fields of view), series.
    """
    pieces = PIECES.get(name, ())
    return "".join(said for part, said in pieces if _has(part, parts))


def _has(part: str, parts: Collection[str]) -> bool:
    return part.removeprefix(ELSE) not in parts if part.startswith(ELSE) else not part or part in parts
