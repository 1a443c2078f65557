"""What scores are turned into: trends over time, response surfaces over two conditions, single numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from morphoscope.errors import InputError
from morphoscope.io.conditions import Conditions
from morphoscope.models.card import ModelCard
from morphoscope.physics.growth import theil_sen
from morphoscope.physics.places import holm
from morphoscope.physics.response import Prediction, Surface, fit_surface
from morphoscope.physics.trend import mann_kendall
from morphoscope.pipeline.score_axes import Axis, check_columns, latest, series_of, surface_axes, time_axis
from morphoscope.recipe import Recipe
from morphoscope.schema import NEXT, QUANTITIES, RESPONSE, TRENDS, conform

__all__ = ["Fitted", "ScoreResults", "check_columns", "score_results"]
GRID, CANDIDATES, SUGGESTED = 41, 21, 5
SIGNIFICANT = 0.05


class Fitted(NamedTuple):
    """The response surface of a score: over which columns, from which rows, on a grid (m, 2), what to measure next."""

    score: str
    axes: tuple[str, str]
    rows: pd.DataFrame
    surface: Surface
    points: Any
    found: Prediction
    next: pd.DataFrame


@dataclass
class ScoreResults:
    """The tables of a run, with the time axis and series of its rows and the fitted surfaces; `said`: what to note of these."""

    scores: pd.DataFrame
    classes: tuple[str, ...]
    along: Axis | None = None
    series: pd.Series = field(default_factory=lambda: pd.Series(dtype="str"))
    trends: pd.DataFrame = field(default_factory=pd.DataFrame)
    surfaces: list[Fitted] = field(default_factory=list)
    response: pd.DataFrame = field(default_factory=pd.DataFrame)
    next: pd.DataFrame = field(default_factory=pd.DataFrame)
    quantities: pd.DataFrame = field(default_factory=pd.DataFrame)
    said: list[str] = field(default_factory=list)


def score_results(scores: pd.DataFrame, conditions: Conditions | None, card: ModelCard, recipe: Recipe) -> ScoreResults:
    """All that follows from the table of scores (`schema.SCORES` with conditions)."""
    results = ScoreResults(scores, card.classes)
    results.along = time_axis(scores, conditions, recipe)
    if results.along is not None:
        results.series, mixed = series_of(scores, results.along, conditions)
        if mixed:
            results.said.append(
                f"Trends are over {results.along.column}; within a series {', '.join(mixed)} may differ from image to image."
            )
        results.trends = _trends(results)
    _add_surfaces(results, conditions, card, recipe)
    results.quantities = _quantities(results)
    return results


def _trends(results: ScoreResults) -> pd.DataFrame:
    along = results.along
    assert along is not None
    rows = []
    for series, members in results.series.groupby(results.series, sort=False).groups.items():
        at = results.scores.index.get_indexer(members)
        for name in results.classes:
            rows.append({"score": f"S_{name}", "series": str(series), "along": along.column, **_trend(results, along, at, name)})
    table = pd.DataFrame(rows)
    table = table.assign(p_holm=holm(table["p"].to_numpy(float)))
    rising = np.where(table["tau"] > 0, "rises", "falls")
    sure = np.where(table["p_holm"] < SIGNIFICANT, rising, "no trend")
    table["trend"] = np.where(table["p"].isna(), "too few", sure)
    return conform(table, TRENDS)[list(TRENDS)]


def _trend(results: ScoreResults, along: Axis, at: Any, name: str) -> dict[str, Any]:
    time, values = along.values[at], results.scores[f"S_{name}"].to_numpy(float)[at]
    test, slope = mann_kendall(time, values), theil_sen(time, values)
    known = time[np.isfinite(time)]
    first, last = (float(values[time == end].mean()) if len(known) else math.nan for end in _ends(known))
    found = {"n": test.n, "first": first, "last": last, "tau": test.tau, "p": test.p}
    return found | {"slope": slope.value, "slope_low": slope.low, "slope_high": slope.high}


def _ends(time: Any) -> tuple[float, float]:
    return (float(time.min()), float(time.max())) if len(time) else (math.nan, math.nan)


def _add_surfaces(results: ScoreResults, conditions: Conditions | None, card: ModelCard, recipe: Recipe) -> None:
    axes, ignored = surface_axes(results.scores, conditions, results.along, recipe)
    if axes is None:
        return
    rows = latest(results.scores, axes, results.along)
    if ignored:
        results.said.append(
            f"The response surface is over {axes[0]} and {axes[1]}; {', '.join(ignored)} may differ from image to image. score.x "
            "and score.y (--x, --y) choose others."
        )
    if len(rows) < len(results.scores) and results.along is not None:
        results.said.append(f"The response surface is that of the last {results.along.column} at each pair of conditions.")
    for name in results.classes:
        try:
            results.surfaces.append(_fitted(f"S_{name}", axes, rows, shared=card.extent_shared.get(name, 0.0)))
        except InputError as error:
            results.said.append(f"No response surface over {axes[0]} and {axes[1]}: {error}.")
            return
    results.response = pd.concat([_response(one) for one in results.surfaces], ignore_index=True)
    results.next = pd.concat([one.next for one in results.surfaces], ignore_index=True)


def _fitted(score: str, axes: tuple[str, str], rows: pd.DataFrame, *, shared: float) -> Fitted:
    points = rows[list(axes)].to_numpy(float)
    half = (rows[f"{score}_high"] - rows[f"{score}_low"]).to_numpy(float) / 2
    surface = fit_surface(points, rows[score], half, bounds=(0.0, 1.0), shared=shared)
    picked = surface.suggest(lattice(points, CANDIDATES), SUGGESTED)
    first, second = (np.array([float(f"{value:.6g}") for value in column]) for column in picked.points.T)
    table = pd.DataFrame({"score": score, "rank": range(1, SUGGESTED + 1), axes[0]: first, axes[1]: second})
    table = table.assign(sd_before=picked.sd[0], sd_after=picked.sd[1:])
    grid = lattice(points, GRID)
    return Fitted(score, axes, rows, surface, grid, surface.predict(grid), conform(table, NEXT)[list(table.columns)])


def lattice(points: Any, side: int) -> Any:
    """side x side conditions (side^2, 2) over the range of those measured, the first one fastest."""
    known = points[np.isfinite(points).all(1)]
    first, second = (np.linspace(known[:, k].min(), known[:, k].max(), side) for k in (0, 1))
    return np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2)


def _response(one: Fitted) -> pd.DataFrame:
    points, found = one.points, one.found
    values = {"mean": found.mean, "sd": found.sd, "low": found.low, "high": found.high}
    table = pd.DataFrame({"score": one.score, one.axes[0]: points[:, 0], one.axes[1]: points[:, 1], **values})
    return conform(table, RESPONSE)[list(table.columns)]


def _quantities(results: ScoreResults) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES`: mean scores, trends, what response surfaces say of themselves."""
    rows = [_mean(results.scores, f"S_{name}") for name in results.classes]
    for row in results.trends.to_dict("records"):
        rows += _trend_rows(row, results.along)
    for one in results.surfaces:
        rows += _surface_rows(one)
    return conform(pd.DataFrame(rows, columns=list(QUANTITIES)), QUANTITIES)


def _mean(scores: pd.DataFrame, name: str) -> dict[str, Any]:
    values = scores[name].to_numpy(float)
    n, middle = len(values), float(values.mean())
    if n == 1:
        low, high = (float(scores[f"{name}_{end}"].iloc[0]) for end in ("low", "high"))
        return _row(name, middle, low, high, "", 1, "mean over the patches of the image, with its own interval")
    reach = float(student.ppf(0.975, n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    said = "mean over images, with Student's interval between them"
    return _row(f"mean {name}", middle, max(middle - reach, 0), min(middle + reach, 1), "", n, said)


def _trend_rows(row: dict[str, Any], along: Axis | None) -> Sequence[dict[str, Any]]:
    of = f"{row['score']}" + (f" at {row['series']}" if row["series"] else "")
    nothing = math.nan
    said = (
        f"Mann-Kendall over {row['along']}: {row['trend']}, p = {row['p']:.2g} ({row['p_holm']:.2g} for all series and classes)"
    )
    unit = f"per {along.unit}" if along is not None and along.unit else f"per unit of {row['along']}"
    slope = "Theil-Sen slope, interval widened for correlated scatter"
    return [
        _row(f"tau of {of}", row["tau"], nothing, nothing, "", row["n"], said),
        _row(f"rate of {of}", row["slope"], row["slope_low"], row["slope_high"], unit, row["n"], slope),
    ]


def _surface_rows(one: Fitted) -> Sequence[dict[str, Any]]:
    found, at = one.found, int(one.found.mean.argmin())
    x, y = one.points[at]
    where = f"on the response surface, at {one.axes[0]} = {x:.4g}, {one.axes[1]} = {y:.4g}"
    best = _row(f"least {one.score}", found.mean[at], found.low[at], found.high[at], "", one.surface.scores, where)
    nothing = math.nan
    said = "standard deviation of a single score about the response surface"
    return [best, _row(f"noise of {one.score}", one.surface.noise, nothing, nothing, "", one.surface.scores, said)]


def _row(name: str, value: Any, low: Any, high: Any, unit: str, n: int, method: str) -> dict[str, Any]:
    return {"name": name, "value": value, "low": low, "high": high, "unit": unit, "n": n, "method": method}
