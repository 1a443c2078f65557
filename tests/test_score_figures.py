"""Figures of scores: what they hold, not how they look."""

from __future__ import annotations

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.report.score_figures import Curve, Laid, Panel, curves, defect_map, p_text, response_surface, shown, time_series
from morphoscope.report.style import nothing_drawn

TREND = {"slope": 0.1, "tau": 1.0, "p": 0.001, "p_holm": 0.002, "trend": "rises"}


def curve(n: int, name: str = "", **trend) -> Curve:
    t = np.arange(n, dtype=float)
    return Curve(name, t, 0.1 * t, 0.1 * t - 0.02, np.where(t > 1, 0.1 * t + 0.02, np.nan), TREND | trend)


def test_a_panel_per_score_with_its_test():
    figure = time_series(
        {"S_a": [curve(7)], "S_b": [curve(80, "ratio 0.2"), curve(5, "ratio 0.4", slope=np.nan, p=np.nan)]}, "time (s)"
    )
    first, second = figure.axes
    assert (
        first.get_ylabel().startswith("S_a")
        and second.get_xlabel() == "time (s)"
        and "p = 0.002: rises" in first.get_title(loc="right")
    )
    assert [text.get_text().split("\n")[0] for text in second.get_legend().get_texts()] == ["ratio 0.2", "ratio 0.4"]
    assert first.get_ylim()[0] == 0 and first.get_ylim()[1] > 0.62
    assert nothing_drawn(time_series({"S_a": [curve(1)]}, "t")) == "no two images at different times"
    assert p_text(0.00001) == "p < 0.001" and p_text(0.0456) == "p = 0.046"


def test_series_of_a_run():
    scores = pd.DataFrame({"S_a": [0.1, 0.2, 0.3], "S_a_low": 0.0, "S_a_high": 1.0})
    trends = pd.DataFrame([{"score": "S_a", "series": s, **TREND} for s in ("x", "y")])
    found = curves(scores, "S_a", np.array([0.0, np.nan, 2.0]), pd.Series(["x", "x", "y"]), trends)
    assert [one.value.tolist() for one in found] == [[0.1], [0.3]]


def test_a_surface_has_its_points_and_the_next_one():
    x, y = np.linspace(0, 1, 5), np.linspace(5, 60, 5)
    measured = np.array([[0, 5], [1, 60], [0, 60], [1, 5.0]])
    mean = np.add.outer(y / 60, x) / 3
    panel = Panel(
        "S_a", x, y, mean, mean / 10, measured, np.array([0.1, 0.6, 0.4, 0.4]), np.array([[0.5, 30.0], [0.5, 30], [0.2, 40]])
    )
    left, right = response_surface([panel], ("ratio", "anneal (min)")).axes[:2]
    assert left.get_xlabel() == "ratio" and left.get_ylabel() == "anneal (min)"
    star = right.collections[-1].get_offsets()
    assert np.allclose(star, [[0.5, 30]]) and [text.get_text() for text in right.texts] == ["3"]  # the same again is not written


def test_no_line_where_a_score_does_not_rise_or_fall_steadily():
    def lines(**trend):
        ax = time_series({"S_a": [curve(7, **trend)]}, "t").axes[0]
        return [line for line in ax.lines if line.get_linestyle() == "--"], ax.get_title(loc="right")

    assert len(lines()[0]) == 1 and not lines(tau=0.5)[0]
    drawn, said = lines(trend="change within the model's error", error=0.7)
    assert not drawn and said == "change within the model's error (± 0.7)"
    assert nothing_drawn(response_surface([], ("x", "y"))) == "no score depends on the conditions beyond the error"


def test_a_map_lies_over_its_patches():
    image = np.random.default_rng(0).integers(0, 65535, (300, 1800, 3)).astype(np.uint16)
    laid = [Laid(f"S_{k}", np.full((3, 18), 0.5), 49.5, 49.5, 100.0) for k in range(4)]
    axes = defect_map(image, laid, Calibration(pixel_size_nm=(100.0, 100.0))).axes
    assert len(axes) == 6 and [len(ax.child_axes) for ax in axes] == [0, 1, 1, 1, 1, 0]  # picture, maps with a bar each, nothing
    assert axes[1].images[1].get_extent() == [-0.5, 899.5, 149.5, -0.5]
    assert axes[1].images[1].get_clim() == (0, 0.5)
    small, zoom = shown(image)
    assert small.shape == (150, 900, 3) and zoom == 0.5 and 0 <= small.min() and small.max() <= 1
