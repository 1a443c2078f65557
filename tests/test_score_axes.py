"""Which columns of conditions are the time, the axes of a surface, and what makes a series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphoscope.io.conditions import Conditions, read_conditions
from morphoscope.pipeline.score_axes import label_of, latest, series_of, surface_axes, time_axis
from morphoscope.recipe import Recipe, parse_recipe


def films(**columns: object) -> tuple[pd.DataFrame, Conditions]:
    """24 films: three ratios at two annealings, each four times, and further columns."""
    table = pd.DataFrame(
        {"file": [f"{k}.tif" for k in range(24)], "ratio": np.repeat([0, 0.5, 1], 8), "anneal": np.tile([5, 10], 12)}
    )
    table = table.assign(**columns)
    return table, read_conditions(table)


@pytest.mark.parametrize("name", ["time", "time_s", "time (min)", "Time [h]", "t", "t_min", "hours", "date"])
def test_names_of_times(name):
    table, conditions = films(**{name: range(24)})
    found = time_axis(table, conditions, Recipe())
    assert found is not None and found.column == name and found.values[-1] == 23


@pytest.mark.parametrize("name", ["anneal_time", "thickness", "timing", "temperature", "dated"])
def test_names_of_none(name):
    assert time_axis(*films(**{name: range(24)}), Recipe()) is None


def test_dates_are_hours_since_the_first_and_a_recipe_names_its_own():
    when = pd.date_range("2026-01-01 10:00", periods=24, freq="30min").astype(str)
    table, conditions = films(date=when, age=range(24))
    assert time_axis(table, conditions, Recipe()).values[:3].tolist() == [0, 0.5, 1]
    assert time_axis(table, conditions, parse_recipe({"score": {"time": "age"}})).column == "age"


def test_films_that_share_their_conditions_are_a_series():
    table, conditions = films(time=np.tile(np.repeat([0, 10, 20, 30], 2), 3), note=[f"n{k}" for k in range(24)])
    along = time_axis(table, conditions, Recipe())
    series, mixed = series_of(table, along, conditions)
    assert series.nunique() == 6 and series[0] == "anneal 5, ratio 0" and mixed == ["note"]
    rows = latest(table, ("ratio", "anneal"), along)
    assert rows["time"].tolist() == [30] * 6 and len(latest(table, ("ratio", "time"), along)) == 24


def test_axes_of_a_surface():
    table, conditions = films(time=range(24), dose=np.arange(24) % 7, who="me")
    along = time_axis(table, conditions, Recipe())
    assert surface_axes(table, conditions, along, Recipe()) == (("ratio", "anneal"), ["dose"])
    named = parse_recipe({"score": {"x": "dose", "y": "time"}})
    assert surface_axes(table, conditions, along, named) == (("dose", "time"), ["ratio", "anneal"])
    few = Conditions(table[["file", "ratio", "time"]], "few")
    assert surface_axes(table, few, along, Recipe())[0] == ("ratio", "time")
    assert surface_axes(table, Conditions(table[["file", "ratio"]], "one"), None, Recipe())[0] is None


def test_labels():
    wanted = {
        "anneal_min": "anneal (min)",
        "time_s": "time (s)",
        "time (min)": "time (min)",
        "T (°C)": "T (°C)",
        "spin_rate": "spin rate",
    }
    assert {name: label_of(name) for name in wanted} == wanted
