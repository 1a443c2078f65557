"""Recipes: what is refused, how it is said, and how a recipe rules over a file."""

from __future__ import annotations

import pytest

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, RecipeError
from morphoscope.recipe import Recipe, load_recipe, parse_recipe


def write(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_recipe_is_the_default(tmp_path):
    assert load_recipe(write(tmp_path, "")) == Recipe()


def test_unknown_keys_name_the_known_ones(tmp_path):
    with pytest.raises(RecipeError) as error:
        load_recipe(write(tmp_path, "[detect]\ntreshold = 0.5\n"))
    text = str(error.value)
    assert "r.toml" in text and "detect.treshold" in text and "threshold" in text.replace("treshold", "") and "nms_iou" in text
    with pytest.raises(RecipeError, match="detection: unknown key; known here: calibration, frames, detect"):
        parse_recipe({"detection": {}})


@pytest.mark.parametrize(
    "values", [{"frames": {"region": {"x0": 0, "y0": 0, "x1": 5, "y1": 5, "z": 1}}}, {"calibration": {"axes": [{"nam": "a"}]}}]
)
def test_unknown_keys_in_nested_tables_are_named(values):
    with pytest.raises(RecipeError, match=r"(frames\.region\.z|calibration\.axes\.0\.nam): unknown key"):
        parse_recipe(values)


@pytest.mark.parametrize("size", [-1.0, 0, float("nan"), float("inf"), [1.0, -1.0], "0.37 nm"])
def test_impossible_scales_are_refused(size):
    with pytest.raises(RecipeError, match=r"calibration\.pixel_size_nm"):
        parse_recipe({"calibration": {"pixel_size_nm": size}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"calibration": {"pixel_size_nm": -1}}, "  calibration.pixel_size_nm: Input should be greater than 0, got -1"),
        ({"calibration": {"pixel_size_nm": [1, -1]}}, "  calibration.pixel_size_nm.1: Input should be greater than 0, got -1"),
        (
            {"frames": {"exclude": [{"x0": 0, "y0": 0, "x1": 2, "y1": 2, "x2": 1}]}},
            "  frames.exclude.0.x2: unknown key; known here: x0, y0, x1, y1",
        ),
        ({"calibration": {"axes": [{"name": "dose"}]}}, "  calibration.axes.0.step: is missing"),
        (
            {"calibration": {"axes": [{"name": "dose", "step": float("nan")}]}},
            "  calibration.axes.0.step: Input should be a finite number, got nan",
        ),
    ],
)
def test_each_fault_is_one_plain_line(values, said):
    with pytest.raises(RecipeError) as error:
        parse_recipe(values)
    assert str(error.value).splitlines() == ["the recipe cannot be used:", said]


@pytest.mark.parametrize(("x0", "x1"), [(5, 5), (6, 5), (-1, 5)])
def test_impossible_regions_are_refused(x0, x1):
    with pytest.raises(RecipeError, match=r"frames\.region"):
        parse_recipe({"frames": {"region": {"x0": x0, "y0": 0, "x1": x1, "y1": 5}}})


def test_the_recipe_rules_over_the_file():
    recipe = parse_recipe(
        {
            "calibration": {
                "pixel_size_nm": [0.4, 0.5],
                "axes": [{"name": "dose", "unit": "dpa", "start": 0.5, "step": 0.25}, {"name": "temperature", "step": 2}],
            }
        }
    )
    found = recipe.calibrate(Calibration((1.0, 1.0), 3.0, provenance={"pixel_size_nm": "header", "frame_interval_s": "header"}))
    assert found.pixel_size_nm == (0.4, 0.5)
    assert found.frame_interval_s == 3.0
    assert found.axis_names == ("frame", "time", "dose", "temperature")
    assert found.axis("dose").at(2) == pytest.approx(1.0)
    assert found.axis("temperature").label == "temperature"
    assert dict(found.provenance) == {"pixel_size_nm": "recipe", "frame_interval_s": "header", "axes": "recipe"}


def test_one_size_stands_for_both_directions():
    assert parse_recipe({"calibration": {"pixel_size_nm": 2}}).calibrate(Calibration()).pixel_size_nm == (2.0, 2.0)


def test_a_recipe_that_says_nothing_changes_nothing():
    found = Calibration((1.0, 2.0), 3.0, provenance={"pixel_size_nm": "header"})
    assert Recipe().calibrate(found) == found


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.toml.*morphoscope init"):
        load_recipe(tmp_path / "gone.toml")
    with pytest.raises(RecipeError, match=r"r\.toml is not valid TOML"):
        load_recipe(write(tmp_path, "[detect\n"))
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not valid TOML"):
        load_recipe(tmp_path / "b.toml")


@pytest.mark.parametrize("names", [("dose", "dose"), ("frame",)])
def test_axes_need_names_of_their_own(names: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError, match="names of their own"):
        parse_recipe({"calibration": {"axes": [{"name": name, "step": 1.0} for name in names]}})


@pytest.mark.parametrize("window", [[806, 461], [5, 5], [-3, 5]])
def test_a_steady_window_needs_frames_in_it(window: list[int]) -> None:
    with pytest.raises(RecipeError, match=r"physics\.steady: wants \[first, last \+ 1\]"):
        parse_recipe({"physics": {"steady": window}})
    assert parse_recipe({"physics": {"steady": [461, 806]}}).physics.steady == (461, 806)


def test_the_keys_of_motion_are_checked() -> None:
    for values in ({"physics": {"steady": [1]}}, {"physics": {"inner": {"x0": 9, "y0": 0, "x1": 9, "y1": 5}}}):
        with pytest.raises(RecipeError, match=r"physics\.(steady|inner)"):
            parse_recipe(values)
    for values in ({"report": {"track": -1}}, {"track": {"motion": "ballistic"}}, {"track": {"max_distance_px": 0}}):
        with pytest.raises(RecipeError, match=r"(report\.track|track\.motion|track\.max_distance_px): "):
            parse_recipe(values)
