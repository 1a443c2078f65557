"""Figures, captions and methods of particles: what they show is what the tables hold."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
from morphoscope.cli.show import readable, with_spread
from morphoscope.physics.particle_sizes import NAMES
from morphoscope.physics.places import compare_samples, sample_statistics
from morphoscope.physics.size_distribution import LogNormal, fit_lognormal, size_distribution
from morphoscope.report.methods import citations, methods_paragraph
from morphoscope.report.particles import shape_distribution
from morphoscope.report.particles import size_distribution as draw_sizes
from morphoscope.report.results import main_rows
from morphoscope.report.samples import Compared, sample_comparison
from morphoscope.report.structure import structure_curves, structure_over_time
from morphoscope.report.style import nothing_drawn
from morphoscope.schema import PARTICLES, QUANTITIES, STRUCTURE, empty

NM = Calibration((0.5, 0.5), frame_interval_s=2.0)


def sizes(n: int = 400, seed: int = 0, spread: float = 0.3) -> tuple[pd.DataFrame, LogNormal]:
    x = 10 * np.exp(np.random.default_rng(seed).normal(0, spread, n))
    table = size_distribution(x, bins=np.arange(0, 41, 2.0))
    names = {name: f"{name}_nm" for name in ("size_low", "size_high", "number_density", "area_density")}
    return table.rename(columns=names), fit_lognormal(x)


def test_curves_of_sizes_hold_the_same_area_as_the_bars() -> None:
    rows, fit = sizes()
    figure = draw_sizes([("", rows, fit)], unit="nm")
    for ax, weight in zip(figure.axes, ("number", "area"), strict=True):
        (curve,) = [line for line in ax.lines if len(line.get_xdata()) > 10]
        x, y = curve.get_data()
        assert np.trapezoid(y, x) == pytest.approx(1, abs=0.02)
        bars = ax.patches[0].get_data().values
        assert bars == pytest.approx(rows[f"{weight}_density_nm"].to_numpy()) and (bars * 2).sum() == pytest.approx(1)
        top = x[np.argmax(y)]
        mu, s = math.log(fit.median), math.log(fit.geometric_sd)
        assert top == pytest.approx(math.exp(mu + (s**2 if weight == "area" else -(s**2))), rel=0.02)


def test_a_cut_off_curve_is_of_what_was_seen() -> None:
    rows, fit = sizes()
    (ax, _) = draw_sizes([("", rows, fit)], unit="nm", smallest=9.0).axes
    (curve,) = [line for line in ax.lines if len(line.get_xdata()) > 10]
    x, y = curve.get_data()
    assert x[0] == 9 and np.trapezoid(y, x) == pytest.approx(1, abs=0.02)


def test_groups_are_named_and_too_few_particles_are_said() -> None:
    figure = draw_sizes([("fresh", *sizes()), ("aged", *sizes(seed=1))], unit="nm", left=2)
    legend = figure.axes[0].get_legend()
    said = [text.get_text() for text in legend.get_texts()]
    assert said[0].startswith("fresh, n = 400") and said[1].startswith("aged") and "2 more" in legend.get_title().get_text()
    rows, fit = sizes(2)
    assert "fewer than three" in nothing_drawn(draw_sizes([("", rows, fit)], unit="nm"))


def test_equal_sizes_are_drawn_without_a_curve() -> None:
    left, right = draw_sizes([("", *sizes(20, spread=0.0))], unit="nm").axes
    assert "n = 20" in left.get_legend().get_texts()[0].get_text() and right.get_legend() is None


def test_shapes_count_by_weight_and_outliers_stay_in_the_picture() -> None:
    table = pd.DataFrame({"circularity": [0.9, 0.9, 0.5, 0.2], "aspect_ratio": [1.1, 1.1, 2.0, 9.0], "weight": [1, 1, 2, np.nan]})
    left, right = shape_distribution([("", table)]).axes
    values = left.patches[0].get_data().values
    assert values.sum() == pytest.approx(1) and sorted(values[values > 0]) == pytest.approx([0.5, 0.5])
    assert right.patches[0].get_data().values.sum() == pytest.approx(1)
    assert "fewer than three" in nothing_drawn(shape_distribution([("", table.assign(weight=np.nan))]))


def curves() -> tuple[pd.DataFrame, pd.DataFrame]:
    x = np.arange(1, 21, 1.0)
    pairs = pd.DataFrame({"r_px": x, "r_nm": x / 2, "g": 1 + np.sin(x), "low": 0.5, "high": 9.0})
    return pairs, pd.DataFrame({"q_per_px": x, "q_per_nm": 2 * x, "S": 1.0, "low": 0.9, "high": 1.1})


def test_wide_intervals_do_not_squeeze_the_curve() -> None:
    figure = structure_curves([("", *curves())], NM)
    left, right = figure.axes
    assert left.get_ylim()[1] < 3 and "nm" in left.get_xlabel() and left.lines[0].get_xdata().max() == 10
    assert structure_curves([("", *curves())], Calibration()).axes[0].lines[0].get_xdata().max() == 20
    assert "ten particles" in nothing_drawn(structure_curves([], NM))


def test_structure_is_drawn_against_the_axis() -> None:
    table = pd.DataFrame({name: np.arange(3.0) + 1 for name in STRUCTURE}).assign(frame=[0, 5, 10])
    by_frame = pd.DataFrame({name: np.arange(3.0) + 1 for name in PARTICLES}).assign(frame=[0, 5, 10])
    figure = structure_over_time(table, by_frame, NM)
    titles = [ax.get_ylabel() for ax in figure.axes]
    assert titles == ["diameter (nm)", "spacing (nm)", "hexatic order", "cluster size", "covered area (%)"]
    assert figure.axes[1].lines[0].get_xdata().tolist() == [0, 10, 20]
    bare = structure_over_time(table.assign(cluster_weighted=np.nan), None, Calibration())
    assert [ax.get_ylabel() for ax in bare.axes] == ["spacing (px)", "hexatic order"]
    assert "two frames" in nothing_drawn(structure_over_time(table[:1], None, NM))


def test_samples_are_drawn_with_their_places_intervals_and_tests() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"sample": np.repeat(["a", "b"], 90), "file": np.repeat(list("uvwxyz"), 30), "d": rng.normal(10, 1, 180)}
    )
    table.loc[90:, "d"] += 4
    places = table.groupby(["sample", "file"])["d"].mean().rename("value").reset_index()
    found, pairs = sample_statistics(table, "d"), compare_samples(table, "d")
    (ax,) = sample_comparison([Compared(NAMES["equivalent_diameter"], "nm", places, found, pairs)]).axes
    points = np.concatenate([line.get_ydata() for line in ax.lines if line.get_marker() == "o"])
    assert sorted(points) == pytest.approx(sorted(places["value"]))
    said = [text.get_text() for text in ax.texts]
    assert len(said) == 1 and said[0].startswith("p <") and ax.get_ylabel() == "diameter (nm)"
    one = sample_comparison([Compared("diameter", "nm", places, found, pairs.assign(p_holm=np.nan))]).axes[0]
    assert not one.texts and "no field of view" in nothing_drawn(sample_comparison([]))


def test_the_cards_of_a_run_with_particles_begin_with_size_and_number() -> None:
    names = ["frames", "median diameter", "number density", "median circularity", "geometric standard deviation", "tracks"]
    rows = pd.DataFrame({"name": names, "value": 1.0}).reindex(columns=list(QUANTITIES))
    assert [row["name"] for row in main_rows(rows)][:4] == [names[1], names[2], names[4], names[3]]
    named = [f"median diameter of sample {s}" for s in ("b", "a")] + ["frames"]
    rows = pd.DataFrame({"name": named, "value": 1.0}).reindex(columns=list(QUANTITIES))
    assert [row["name"] for row in main_rows(rows)][:2] == named[:2] and main_rows(empty(QUANTITIES)) == []


RUN = {
    "counts": {"frames": 8, "particles sized": 90, "samples": 2, "frames with structure": 8, "fields of view": 8},
    "recipe": {
        "frames": {"series": False},
        "physics": {"edge": "leave out"},
        "segment": {"blur_px": 1.0, "separate_px": 10.0, "smallest_px": 50, "spot_px": 11, "levels": 3},
    },
}


def test_methods_say_what_was_done_and_whence_intervals_come() -> None:
    card = {"name": "otsu", "task": "segment", "classes": ("particle",), "postprocess": "none"}
    text = methods_paragraph(RUN, card)
    for words in ("Otsu's threshold", "10 px apart", "fewer than 50 px", "Lantuejoul", "between fields of view", "Holm", "psi_6"):
        assert words in text
    assert "one-stage" not in text and "ellipse was fitted" not in text and "tracks" not in text
    cited = " ".join(citations(RUN, card))
    assert all(name in cited for name in ("Otsu", "Beucher", "Miles", "Stoyan", "Nelson", "Baddeley"))
    level = {"blur_px": 0.0, "median_px": 3, "level": 19.0, "smallest_px": 5, "separate_px": 0.0}
    text = methods_paragraph({**RUN, "recipe": {"segment": level}}, {**card, "name": "level"})
    assert "one grey level for all pictures, 19, after a median filter of 3 x 3 px." in text and "Gaussian" not in text
    assert "Otsu" not in " ".join(citations(RUN, {**card, "name": "level"}))
    kept = {**RUN, "counts": {"frames": 1, "particles sized": 9}, "recipe": {**RUN["recipe"], "physics": {"edge": "keep"}}}
    text = methods_paragraph(kept, {"name": "particles", "task": "segment", "postprocess": "instances-1"})
    assert "kept as they are seen" in text and "variance between places" in text and "flooding from their cores" in text
    assert "Holm" not in text and "Miles" not in " ".join(citations(kept, card))
    spots = methods_paragraph({**kept, "counts": {"frames": 1}}, {"name": "spots", "task": "detect", "postprocess": "none"})
    assert "Crocker & Grier" in spots and "masks" not in spots


def test_numbers_on_the_console_are_told_apart() -> None:
    assert readable(1.0004, 0.99996, 1.002) == ("1.0004", "1.0000", "1.0020")
    assert readable(16970.0, math.nan, math.nan)[0] == "16970" and readable(30.594, 28.74, 31.51) == ("30.59", "28.74", "31.51")
    assert readable(0.00012345, math.nan, math.nan)[0] == "0.0001234" and readable(2.5e22, 2e22, 3e22)[1] == "2e+22"
    assert readable(2.0, 2.0, 2.0) == ("2", "2", "2")
    assert with_spread(0.9857, 0.934, math.nan) == ("0.9857", "  (at least 0.934)")
    assert [with_spread(0.5, low, 0.625)[1] for low in (0.25, math.nan)] == ["  (0.2500 to 0.6250)", ""]
