"""How motion was followed and measured, in sentences for a paper, and what to cite for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BERGLUND = "A. J. Berglund, Statistics of camera-based single-particle tracking, Physical Review E 82 (2010) 011917"
MICHALET = (
    "X. Michalet, A. J. Berglund, Optimal diffusion coefficient estimation in single-particle tracking, "
    "Physical Review E 85 (2012) 061916"
)
KAPLAN_MEIER = (
    "E. L. Kaplan, P. Meier, Nonparametric estimation from incomplete observations, "
    "Journal of the American Statistical Association 53 (1958) 457-481"
)
WIDENS = {
    "brownian": " with a range that widens by the object's own mobility",
    "directed": " with a range that widens in proportion to the gap",
}
MOVES = {"still": "objects that stay in place", "brownian": "Brownian motion", "directed": "directed motion"}


def tracked(run: Mapping[str, Any]) -> bool:
    """Whether a run followed its objects through time, by its recipe and its number of frames."""
    recipe = run.get("recipe") or {}
    track, frames = recipe.get("track") or {}, recipe.get("frames") or {}
    single = (run.get("counts") or {}).get("frames") == 1
    return not (track.get("enabled") is False or frames.get("series") is False or single)


def motion_citations(run: Mapping[str, Any]) -> list[str]:
    """What the estimators of motion and life rest on; nothing where no track was found."""
    found = (run.get("counts") or {}).get("tracks", 1)
    return [BERGLUND, MICHALET, KAPLAN_MEIER] if run.get("recipe") and tracked(run) and found else []


def motion_sentences(run: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    """Registration, linking, growth, motion and life.

    Args:
        run: content of run.json.
        source: what is known of a table the objects were read from; empty for pictures.
    """
    recipe = run.get("recipe") or {}
    if not tracked(run):
        return ""
    track, physics = recipe.get("track") or {}, recipe.get("physics") or {}
    size = (run.get("calibration") or {}).get("pixel_size_nm")
    linked = "Tracks were taken as given" if source.get("tracks") else _linking(track, size)
    if track.get("min_points"):
        linked += f"; tracks of fewer than {track['min_points']} detections were left out"
    sized = bool(source.get("sizes", True))
    parts = [
        _registration(bool(source.get("table"))) if track.get("register_frames", True) else "",
        linked + ".",
        _growth() if sized else "",
        _motion(),
        _raw(run, recipe, physics, sized) if size else "",
        _lives(),
    ]
    return " ".join(part for part in parts if part)


def _number(value: Any, digits: int = 4) -> str:
    return f"{float(value):.{digits}g}"


def _registration(from_objects: bool) -> str:
    how = (
        "from the objects themselves, as the displacement that most of them share"
        if from_objects
        else "from image content to a fraction of a pixel, objects that appear or move by themselves and burnt-in text "
        "having no say"
    )
    return (
        f"Drift and stage jumps between frames were measured {how}. Each frame was compared with the one before and with the key "
        "frame of its batch, key frames with several earlier ones, and all these shifts were reconciled by robust least squares, "
        "so that errors do not add up; the displacement was then removed."
    )


def _linking(track: Mapping[str, Any], size: Any) -> str:
    text = (
        "Detections were linked from frame to frame by globally optimal assignment, by likelihoods of displacement, gap and what "
        "is known of size"
    )
    if track.get("motion") in MOVES:
        text += f" ({MOVES[track['motion']]})"
    distance = track.get("max_distance_px")
    if distance:
        y, x = size if isinstance(size, (tuple, list)) else (size, size)
        nm = f" ({_number(float(distance) * float(x), 3)} nm)" if x and x == y else ""
        text += f", within {_number(distance)} px{nm}"
    elif "max_distance_px" in track:
        text += ", within a range found from the data"
    if track.get("memory") is not None:
        widens = WIDENS.get(str(track.get("motion")), "")
        text += f", bridging gaps of up to {track['memory']} frames analysed{widens}"
    return text


def _growth() -> str:
    return (
        "Growth rates are Theil-Sen slopes of the major axis; change points are those of a continuous line of straight segments, "
        "their number by BIC with correlated errors."
    )


def _motion() -> str:
    return (
        "Diffusion coefficients D and localisation errors are maximum-likelihood values of the displacements with localisation "
        "noise (Berglund 2010; Michalet & Berglund 2012), gaps included, with 95 % profile-likelihood intervals, that of all "
        "tracks together widened where tracks differ. The exponent of the mean squared displacement was fitted with the "
        "localisation error as a constant; its interval and that of the mean squared displacement come from drawing tracks again."
    )


def _raw(run: Mapping[str, Any], recipe: Mapping[str, Any], physics: Mapping[str, Any], sized: bool) -> str:
    """The raw coefficient of the published analysis."""
    interval, lag = (run.get("calibration") or {}).get("frame_interval_s"), physics.get("lag_frames")
    if not (lag and interval):
        return ""
    step = float((recipe.get("frames") or {}).get("step") or 1)
    text = (
        "The effective diffusion coefficient of a track is D_eff(tau) = <|r(t + tau) - r(t)|^2> / (4 tau), averaged over t, "
        f"at tau = {_number(float(lag) * step * float(interval))} s; it holds the localisation error."
    )
    if not sized:
        return text
    steady, inner = physics.get("steady"), physics.get("inner")
    where = [f"frames {steady[0]} to {steady[1] - 1}"] if steady else []
    if inner:
        where.append(f"x = {inner['x0']} to {inner['x1']} px, y = {inner['y0']} to {inner['y1']} px")
    chosen = f" within {' and '.join(where)}" if where else ""
    return f"{text} By size it is the mean and standard error over the tracks{chosen} in 50 bins of their median size."


def _lives() -> str:
    return (
        "The share of tracks that outlive a time is that of Kaplan & Meier (1958), of tracks whose appearance was seen; lives "
        "cut off by the end of the video or the edge of the field are censored."
    )
