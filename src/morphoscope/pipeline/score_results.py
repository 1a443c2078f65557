"""What scores are turned into: trends over time, response surfaces over two conditions, and whether these are more than error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from morphoscope.errors import InputError
from morphoscope.io.conditions import Conditions
from morphoscope.models.card import ModelCard
from morphoscope.physics.growth import theil_sen
from morphoscope.physics.places import holm
from morphoscope.physics.response import Prediction, Suggestion, Surface, fit_surface, suggest_jointly
from morphoscope.physics.trend import mann_kendall
from morphoscope.pipeline.score_axes import Axis, check_columns, latest, series_of, surface_axes, time_axis
from morphoscope.pipeline.score_error import half_widths, model_error
from morphoscope.recipe import Recipe
from morphoscope.schema import NEXT, RESPONSE, TRENDS, conform

__all__ = ["Fitted", "ScoreResults", "check_columns", "score_results"]
ALL = "all"  # the list of what to measure next for all scores together
WITHIN = "change within the model's error"
GRID, CANDIDATES, SUGGESTED = 41, 21, 5
SIGNIFICANT = 0.05


class Fitted(NamedTuple):
    """The response surface of a score: over which columns, from which rows, on a grid (m, 2); the model's error, nan: unknown."""

    score: str
    axes: tuple[str, str]
    rows: pd.DataFrame
    surface: Surface
    points: Any
    found: Prediction
    error: float

    @property
    def depends(self) -> bool:
        """Whether it varies by more than the model's error, and no even surface lies within its interval."""
        found = self.found
        return not (np.ptp(found.mean) <= self.error or found.low.max() <= found.high.min())


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
        results.trends = _trends(results, card)
    _add_surfaces(results, conditions, card, recipe)
    return results


def _trends(results: ScoreResults, card: ModelCard) -> pd.DataFrame:
    along = results.along
    assert along is not None
    rows = []
    for series, members in results.series.groupby(results.series, sort=False).groups.items():
        at = results.scores.index.get_indexer(members)
        for name in results.classes:
            of = {"score": f"S_{name}", "series": str(series), "along": along.column, "error": model_error(card, name)}
            rows.append({**of, **_trend(results, along, at, name)})
    table = pd.DataFrame(rows)
    table = table.assign(p_holm=holm(table["p"].to_numpy(float)))
    rising = np.where(table["tau"] > 0, "rises", "falls")
    beyond = np.where(table["change"].abs() <= table["error"], WITHIN, rising)
    sure = np.where(table["p_holm"] < SIGNIFICANT, beyond, "no trend")
    table["trend"] = np.where(table["p"].isna(), "too few", sure)
    return conform(table, TRENDS)[list(TRENDS)]


def _trend(results: ScoreResults, along: Axis, at: Any, name: str) -> dict[str, Any]:
    time, values = along.values[at], results.scores[f"S_{name}"].to_numpy(float)[at]
    test, slope = mann_kendall(time, values, serial=True), theil_sen(time, values)
    known = time[np.isfinite(time)]
    first, last = (float(values[time == end].mean()) if len(known) else math.nan for end in _ends(known))
    change = last - first if math.isnan(slope.value) else slope.value * float(np.ptp(known))
    found = {"n": test.n, "n_eff": test.n_eff, "first": first, "last": last, "tau": test.tau, "p": test.p, "change": change}
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
            results.surfaces.append(_fitted(name, axes, rows, card))
        except InputError as error:
            results.said.append(f"No response surface over {axes[0]} and {axes[1]}: {error}.")
            return
    results.response = pd.concat([_response(one) for one in results.surfaces], ignore_index=True)
    results.next = _next(axes, rows, [one for one in results.surfaces if one.depends])


def _fitted(name: str, axes: tuple[str, str], rows: pd.DataFrame, card: ModelCard) -> Fitted:
    points, score = rows[list(axes)].to_numpy(float), f"S_{name}"
    shared = card.extent_shared.get(name, 0.0)
    surface = fit_surface(points, rows[score], half_widths(rows, name, card), bounds=(0.0, 1.0), shared=shared)
    grid = lattice(points, GRID)
    return Fitted(score, axes, rows, surface, grid, surface.predict(grid), model_error(card, name))


def _next(axes: tuple[str, str], rows: pd.DataFrame, surfaces: list[Fitted]) -> pd.DataFrame:
    """What to measure next for all scores that depend on the conditions, then for each; without any, nothing."""
    if not surfaces:
        return pd.DataFrame()
    candidates = lattice(rows[list(axes)].to_numpy(float), CANDIDATES)
    lists = {ALL: suggest_jointly([one.surface for one in surfaces], candidates, SUGGESTED)}
    lists |= {one.score: one.surface.suggest(candidates, SUGGESTED) for one in surfaces}
    return pd.concat([_listed(score, axes, picked) for score, picked in lists.items()], ignore_index=True)


def _listed(score: str, axes: tuple[str, str], picked: Suggestion) -> pd.DataFrame:
    first, second = (np.array([float(f"{value:.6g}") for value in column]) for column in picked.points.T)
    table = pd.DataFrame({"score": score, "rank": range(1, SUGGESTED + 1), axes[0]: first, axes[1]: second})
    table = table.assign(sd_before=picked.sd[0], sd_after=picked.sd[1:])
    return conform(table, NEXT)[list(table.columns)]


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
