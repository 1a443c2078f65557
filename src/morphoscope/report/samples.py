"""The figure that compares samples: each field of view as a point, each sample with its mean and interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphoscope.report.particles import COLOURS
from morphoscope.report.style import GREY, empty_note, math_unit, new_figure, panel_letter, styled

MOST_PAIRS = 3


class Compared(NamedTuple):
    """A quantity, its unit, the value of each field of view (`sample`, `value`), and its rows of the two tables."""

    name: str
    unit: str
    places: pd.DataFrame
    samples: pd.DataFrame
    pairs: pd.DataFrame


@styled
def sample_comparison(compared: Sequence[Compared]) -> Figure:
    """A panel per quantity: fields of view as points, the sample's mean with its 95 % interval between them, p-values of pairs.

    Args:
        compared: the quantities, up to three.
    """
    shown = [one for one in compared if len(one.samples)][:3]
    count = max((len(one.samples) for one in shown), default=0)
    figure = new_figure(max(2.3, 0.9 + 0.55 * count) * max(len(shown), 1), 2.9)
    if not shown:
        return empty_note(figure, "no field of view of a sample has a particle")
    for ax, one, letter in zip(figure.subplots(1, len(shown), squeeze=False).flat, shown, "abc", strict=False):
        _panel(ax, one)
        panel_letter(ax, letter)
    return figure


def _panel(ax: Axes, one: Compared) -> None:
    rng = np.random.default_rng(0)
    names = one.samples["sample"].tolist()
    for at, (row, colour) in enumerate(zip(one.samples.itertuples(), _cycled(len(names)), strict=True)):
        own = one.places.loc[one.places["sample"] == row.sample, "value"].dropna().to_numpy(float)
        ax.plot(at + rng.uniform(-0.16, 0.16, len(own)), own, "o", color=colour, alpha=0.6, markersize=4, mew=0)
        ax.plot([at - 0.27, at + 0.27], [row.mean, row.mean], color="#222222", linewidth=1.5)
        if math.isfinite(row.mean_low):
            ax.errorbar(at, row.mean, [[row.mean - row.mean_low], [row.mean_high - row.mean]], color="#222222", capsize=4)
    _p_values(ax, one, names)
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.set_xticks(range(len(names)), [f"{name}\n({n})" for name, n in zip(names, one.samples["n_places"], strict=True)])
    if len(names) > 4:
        ax.tick_params(axis="x", labelrotation=60)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel(f"{one.name} ({math_unit(one.unit)})" if one.unit else one.name)
    ax.margins(y=0.12)


def _cycled(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]


def _p_values(ax: Axes, one: Compared, names: list[str]) -> None:
    """Brackets over pairs with their p-value for all pairs together; only where there are few pairs."""
    known = one.pairs[one.pairs["p_holm"].notna()]
    if known.empty or len(known) > MOST_PAIRS:
        return
    low, high = ax.get_ylim()
    step = 0.11 * (high - low)
    ordered = known.assign(reach=[abs(names.index(r.sample_b) - names.index(r.sample_a)) for r in known.itertuples()])
    for level, row in enumerate(ordered.sort_values("reach").itertuples()):
        a, b = sorted((names.index(row.sample_a), names.index(row.sample_b)))
        y = high + step * (level + 0.3)
        ax.plot([a, a, b, b], [y - 0.2 * step, y, y, y - 0.2 * step], color=GREY, linewidth=0.8)
        ax.text((a + b) / 2, y, _p_said(float(row.p_holm)), ha="center", va="bottom", fontsize=7, color="#222222")
    ax.set_ylim(low, high + step * (len(known) + 0.9))


def _p_said(p: float) -> str:
    if p >= 1e-3:
        return f"p = {p:.2g}"
    return f"p < 10$^{{{max(math.ceil(math.log10(max(p, 1e-300))), -9)}}}$"
