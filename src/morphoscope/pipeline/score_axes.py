"""Which columns of the conditions are the time and the two axes of the response surface, and which images form a series."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from morphoscope.errors import UsageError
from morphoscope.io.conditions import Conditions
from morphoscope.recipe import Recipe

TIME = re.compile(r"(time|date|datetime|timestamp|t|hours?|minutes?|seconds?|days?)([ _(\[].*)?", re.IGNORECASE)
UNIT = re.compile(r"(?:[ _]|\(|\[)([A-Za-zµ]+)[)\]]?$")
UNITS = {"s": "s", "sec": "s", "seconds": "s", "min": "min", "minutes": "min", "h": "h", "hours": "h", "d": "d", "days": "d"}
FEWEST = 3  # different times of a series


class Axis(NamedTuple):
    """A column, its values (n,) and what an axis says of it."""

    column: str
    values: np.ndarray[tuple[int], np.dtype[np.float64]]
    label: str
    unit: str = ""


def check_columns(conditions: Conditions, recipe: Recipe) -> None:
    """Make sure that the columns a recipe names are there, and that those of a surface hold numbers.

    Raises:
        UsageError: one is not, or only one of the two of a surface is named.
    """
    wanted = recipe.score
    for what, name in (("time", wanted.time), ("x", wanted.x), ("y", wanted.y)):
        if name is None:
            continue
        if name not in conditions.names:
            raise UsageError(f"score.{what} = {name!r}: {conditions.source} has the columns {', '.join(conditions.names)}")
        if what != "time" and not _is_numeric(conditions.table[name]):
            raise UsageError(f"score.{what} = {name!r}: a response surface wants numbers, the column has texts")
        if what == "time" and _as_time(conditions.table[name]) is None:
            raise UsageError(f"score.time = {name!r}: the column holds neither numbers nor dates")
    if (wanted.x is None) is not (wanted.y is None) or (wanted.x is not None and wanted.x == wanted.y):
        raise UsageError("a response surface is over two conditions: name both score.x and score.y, or neither")


def time_axis(scores: pd.DataFrame, conditions: Conditions | None, recipe: Recipe) -> Axis | None:
    """The time of each row of the scores: of the conditions, else of the frames of stacks; None without any."""
    names = [] if conditions is None else [name for name in conditions.names if name in scores]
    named = [recipe.score.time] if recipe.score.time is not None else [name for name in names if TIME.fullmatch(name)]
    for name in named:
        found = _as_time(scores[name])
        if found is not None and len(np.unique(found[0][np.isfinite(found[0])])) >= 2:
            return Axis(name, found[0], *_said(name, found[1]))
    if "frame" not in scores:
        return None
    if scores["time_s"].notna().all():
        return Axis("time_s", scores["time_s"].to_numpy(float), "time (s)", "s")
    return Axis("frame", scores["frame"].to_numpy(float), "frame")


def _as_time(column: pd.Series) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], str] | None:
    """Numbers as they are; dates as hours since the first, with that unit."""
    if _is_numeric(column):
        return column.to_numpy(float), ""
    try:
        moments = pd.to_datetime(column, format="ISO8601", utc=True)
    except (ValueError, TypeError):
        return None
    return (moments - moments.min()).dt.total_seconds().to_numpy(float) / 3600, "h"


def _said(name: str, unit: str) -> tuple[str, str]:
    """How an axis of a column is labelled, and its unit."""
    if unit:
        return f"{name} ({unit} since the first)", unit
    found = UNIT.search(name)
    unit = UNITS.get(found.group(1).lower(), "") if found else ""
    return label_of(name), unit


def label_of(column: str) -> str:
    """A column as an axis says it: `anneal_min` as `anneal (min)`."""
    found = UNIT.search(column)
    unit = UNITS.get(found.group(1).lower()) if found else None
    return f"{column[: found.start()].rstrip()} ({unit})" if found and unit and found.start() else column.replace("_", " ")


def series_of(scores: pd.DataFrame, along: Axis, conditions: Conditions | None) -> tuple[pd.Series, list[str]]:
    """Which series each row belongs to, as a text ('' for all in one), and the conditions that differ within series.

    Images belong together that have all other conditions in common; where that leaves most of them without enough times, the
    condition with the most values is let vary, and so on. Frames of stacks belong to their file.
    """
    if along.column in ("frame", "time_s") and "frame" in scores:
        several = scores["file"].nunique() > 1
        return (scores["file"] if several else pd.Series("", index=scores.index)), []
    others = [] if conditions is None else [name for name in conditions.names if name in scores and name != along.column]
    kept = [name for name in others if scores[name].nunique(dropna=False) > 1]
    kept.sort(key=lambda name: scores[name].nunique(dropna=False))
    dropped: list[str] = []
    while kept:
        groups = scores.groupby(kept, dropna=False, sort=False).ngroup()
        times = pd.Series(along.values).groupby(groups.to_numpy()).transform("nunique")
        if (times >= FEWEST).mean() > 0.5:
            names = scores[kept].apply(lambda row: ", ".join(f"{name} {_value(row[name])}" for name in kept), axis=1)
            return names, dropped
        dropped.append(kept.pop())
    return pd.Series("", index=scores.index), dropped


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def surface_axes(
    scores: pd.DataFrame, conditions: Conditions | None, along: Axis | None, recipe: Recipe
) -> tuple[tuple[str, str] | None, list[str]]:
    """The two conditions of the response surface, None without two that vary; and the numbers that it leaves out of account."""
    if conditions is None:
        return None, []
    wanted = recipe.score
    numeric = [name for name in conditions.names if name in scores and _varies(scores[name])]
    if wanted.x is not None and wanted.y is not None:
        others = [name for name in numeric if name not in (wanted.x, wanted.y)]
        return (wanted.x, wanted.y), [name for name in others if along is None or name != along.column]
    free = [name for name in numeric if along is None or name != along.column]
    chosen = free[:2] if len(free) >= 2 else numeric[:2]
    if len(chosen) < 2:
        return None, []
    return (chosen[0], chosen[1]), [name for name in free if name not in chosen]


def latest(scores: pd.DataFrame, axes: Sequence[str], along: Axis | None) -> pd.DataFrame:
    """Rows that a response surface is about: of each pair of conditions those of its last time, unless time is one of the two."""
    if along is None or along.column in axes:
        return scores
    times = pd.Series(along.values, index=scores.index)
    last = times.groupby([scores[name] for name in axes]).transform("max")
    return scores[times.to_numpy() == last.to_numpy()]


def _is_numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column.dtype)) and not pd.api.types.is_bool_dtype(column.dtype)


def _varies(column: pd.Series) -> bool:
    return _is_numeric(column) and column.nunique() >= 2
