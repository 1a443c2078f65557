"""What scores tell, against the model's error: sentences, cards and `schema.QUANTITIES` of a run of `score`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from morphoscope.models.card import ModelCard
from morphoscope.pipeline.score_axes import Axis, label_of
from morphoscope.pipeline.score_error import all_as_trained, model_error
from morphoscope.pipeline.score_results import WITHIN, Fitted, ScoreResults
from morphoscope.report.score_cards import Card
from morphoscope.report.score_figures import p_text
from morphoscope.schema import QUANTITIES, conform

MOST = 12  # sentences on trends
UNKNOWN = 0.1  # error of a model that knows none, where results are put in order
NO_DEPENDENCE = "no dependence on the conditions beyond the error"


def by_weight(results: ScoreResults) -> list[dict[str, Any]]:
    """Rows of `schema.TRENDS`, those first whose change is largest against the model's error."""
    rows: list[dict[str, Any]] = results.trends.to_dict("records")
    return sorted(rows, key=lambda row: -_weight(row["change"], row["error"]))


def _surfaces(results: ScoreResults) -> list[Fitted]:
    return sorted(results.surfaces, key=lambda one: -_weight(float(np.ptp(one.found.mean)), one.error))


def _weight(change: float, error: float) -> float:
    return 0.0 if math.isnan(change) else abs(change) / (error if error > 0 else UNKNOWN)


def findings(results: ScoreResults) -> list[str]:
    """A sentence for each trend and surface, the surest first."""
    rows = by_weight(results)
    said = [_of_trend(row) for row in rows[:MOST]]
    if len(rows) > MOST:
        said.append(f"and {len(rows) - MOST} more in trends.csv")
    return said + [_of_surface(one) for one in _surfaces(results)]


def _of_trend(row: dict[str, Any]) -> str:
    of = f"{row['score']}" + (f" at {row['series']}" if row["series"] else "") + f" over {row['along']}"
    if row["trend"] == "too few":
        return f"{of}: too few different values for a trend"
    if row["trend"] == WITHIN:
        return f"{of}: {WITHIN} ({row['change']:+.2g}, the error is {row['error']:.2g})"
    doubt = f"; the model's error is {row['error']:.2g}" if row["error"] > 0 else "; the model's error is not known"
    ends = f"from {row['first']:.3g} to {row['last']:.3g}"
    return f"{of}: {row['trend']}, {ends} ({p_text(row['p_holm'])}{doubt})"


def _of_surface(one: Fitted) -> str:
    low, high = float(one.found.mean.min()), float(one.found.mean.max())
    doubt = f"the model's error is {one.error:.2g}" if one.error > 0 else "the model's error is not known"
    tells = "depends on the conditions" if one.depends else NO_DEPENDENCE
    return f"{one.score} over {one.axes[0]} and {one.axes[1]}: {tells}, {low:.3g} to {high:.3g} ({doubt})"


def cards(results: ScoreResults, card: ModelCard) -> list[Card]:
    """The main results: of each trend and surface, else of each class, with where its interval comes from."""
    shown = [_trend_card(row, results.along) for row in by_weight(results) if math.isfinite(row["change"])]
    shown += [_surface_card(one) for one in _surfaces(results)]
    return shown or [_mean_card(results.scores, name, card) for name in results.classes]


def _trend_card(row: dict[str, Any], along: Axis | None) -> Card:
    what = f"{row['score']} over {along.label if along is not None else row['along']}"
    if row["series"]:
        what += f", {row['series']}"
    p = "" if math.isnan(row["p_holm"]) else p_text(row["p_holm"])
    told = [row["trend"], p if row["trend"] != WITHIN else "", _error_text(row["error"]), f"n = {row['n']}"]
    return Card(what, f"{row['first']:.3g} to {row['last']:.3g}", tuple(filter(None, told)))


def _surface_card(one: Fitted) -> Card:
    first, second = (label_of(name) for name in one.axes)
    value = f"{one.found.mean.min():.3g} to {one.found.mean.max():.3g}"
    tells = "depends on the conditions" if one.depends else NO_DEPENDENCE
    return Card(f"{one.score} over {first} and {second}", value, (tells, _error_text(one.error), f"n = {one.surface.scores}"))


def _error_text(error: float) -> str:
    return f"\u00b1 {error:.2g}, the model's error" if error > 0 else "the model's error is not known"


def _mean_card(scores: pd.DataFrame, name: str, card: ModelCard) -> Card:
    row = _mean(scores, name, card)
    between = f"95 %: {row['low']:.3g} to {row['high']:.3g}" if math.isfinite(row["low"]) else ""
    what = f"S_{name}" if row["n"] == 1 else f"mean S_{name}"
    return Card(what, f"{row['value']:.3g}", tuple(filter(None, (between, row["method"], f"n = {row['n']}"))))


def quantities(results: ScoreResults, card: ModelCard) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES`: trends and surfaces, without either the mean score of each class."""
    rows = [row for one in by_weight(results) for row in _trend_rows(one, results.along)]
    for one in _surfaces(results):
        rows += _surface_rows(one)
    if not rows:
        rows = [_mean(results.scores, name, card) for name in results.classes]
    return conform(pd.DataFrame(rows, columns=list(QUANTITIES)), QUANTITIES)


def _mean(scores: pd.DataFrame, name: str, card: ModelCard) -> dict[str, Any]:
    column = f"S_{name}"
    values, n = scores[column].to_numpy(float), len(scores)
    own = name in card.extent_error and bool(all_as_trained(scores, card).all())
    if n == 1:
        low, high = (float(scores[f"{column}_{end}"].iloc[0]) for end in ("low", "high"))
        source = "the model's error on held-out images" if own else "blocks of patches, without the model's error"
        return _row(f"mean {column}", values[0], low, high, "", 1, f"mean over the patches of the image; interval: {source}")
    middle = float(values.mean())
    reach = float(student.ppf(0.975, n - 1)) * float(values.std(ddof=1)) / math.sqrt(n)
    said = "mean over images; interval: scatter between images"
    if own:
        reach, said = math.hypot(reach, model_error(card, name)), f"{said} and the model's error"
    else:
        said += ", without the model's error"
    return _row(f"mean {column}", middle, max(middle - reach, 0), min(middle + reach, 1), "", n, said)


def _trend_rows(row: dict[str, Any], along: Axis | None) -> Sequence[dict[str, Any]]:
    of = f"{row['score']}" + (f" at {row['series']}" if row["series"] else "")
    over, nothing = row["along"], math.nan
    error = row["error"] if row["error"] > 0 else nothing
    said = f"over {over}: {row['trend']}; interval: the model's error, or none where it is not known"
    change = _row(f"change of {of}", row["change"], row["change"] - error, row["change"] + error, "", row["n"], said)
    if row["trend"] == WITHIN:
        return [change]
    counted = f", as of {row['n_eff']:.3g} independent images" if row["n_eff"] < row["n"] else ""
    chances = f"p = {row['p']:.2g} ({row['p_holm']:.2g} for all series and classes)"
    tested = f"Mann-Kendall over {over}{counted}: {row['trend']}, {chances}"
    unit = f"per {along.unit}" if along is not None and along.unit else f"per unit of {over}"
    slope = "Theil-Sen slope, interval widened for correlated scatter, without the model's error"
    return [
        change,
        _row(f"tau of {of}", row["tau"], nothing, nothing, "", row["n"], tested),
        _row(f"rate of {of}", row["slope"], row["slope_low"], row["slope_high"], unit, row["n"], slope),
    ]


def _surface_rows(one: Fitted) -> Sequence[dict[str, Any]]:
    nothing, n = math.nan, one.surface.scores
    span = float(np.ptp(one.found.mean))
    tells = "depends on the conditions" if one.depends else NO_DEPENDENCE
    said = f"highest less lowest of the response surface over {one.axes[0]} and {one.axes[1]}: {tells}"
    noise = "standard deviation of a single score about the response surface"
    return [
        _row(f"range of {one.score}", span, nothing, nothing, "", n, said),
        _row(f"noise of {one.score}", one.surface.noise, nothing, nothing, "", n, noise),
    ]


def _row(name: str, value: Any, low: Any, high: Any, unit: str, n: int, method: str) -> dict[str, Any]:
    return {"name": name, "value": value, "low": low, "high": high, "unit": unit, "n": n, "method": method}
