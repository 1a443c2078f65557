"""The commands: what they print, write and end with."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doubles import BlobDetector, film, write_stack
from morphoscope import __version__, demo
from morphoscope.cli.main import COMMANDS, main
from morphoscope.pipeline import Run, run
from morphoscope.pipeline.finders import Boxes
from morphoscope.recipe import Recipe, load_recipe, parse_recipe
from morphoscope.recipe_text import recipe_toml

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "load_finder", lambda *_: (Boxes(BlobDetector()), True))

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_version_and_help(command):
    assert command("--version") == (0, f"morphoscope {__version__}\n", "")
    code, out, _ = command("--help")
    assert code == 0 and all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0 and "Usage" in out


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("analyze",), ("analyze", "x.mp4"), ("demo", "cats"), ("synth", "cats", "-o", "x")]
)
def test_wrong_use_ends_with_2(command, arguments):
    assert command(*arguments)[0] == 2


def test_help_imports_nothing_heavy():
    code = "import sys; from morphoscope.cli.main import build_app; build_app(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "cv2", "pandas", "onnxruntime", "matplotlib", "scipy", "av"} & set(loaded)


def test_analyze_prints_headlines_and_the_report(command, tmp_path):
    write_stack(tmp_path / "film.tif", film(6))
    code, out, error = command("analyze", "film.tif", "-o", "run", "--scale", 0.5, "--interval", 2, "--no-overlay")
    assert code == 0 and error == ""
    assert "nm" in out and "report: run/report.html" in out and "6 frames" in out


def test_analyze_as_json(command, tmp_path):
    write_stack(tmp_path / "film.tif", film(4))
    code, out, _ = command("analyze", "film.tif", "-o", "run", "--scale", 0.5, "--no-overlay", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["counts"]["frames"] == 4 and facts["exit_code"] == 0
    assert {"name", "value", "unit"} <= set(facts["quantities"][0])


def test_rerun_and_diff(command, tmp_path):
    write_stack(tmp_path / "film.tif", film(4))
    assert command("analyze", "film.tif", "-o", "a", "--no-overlay")[0] == 0
    assert command("rerun", "a", "-o", "b")[0] == 0
    code, out, _ = command("diff", "a", "b")
    assert code == 0 and "the same" in out
    assert command("analyze", "film.tif", "-o", "c", "--scale", 0.4, "--no-overlay")[0] == 0
    code, out, _ = command("diff", "a", "c")
    assert code == 1 and "objects: " in out and "calibration.pixel_size_nm" in out
    code, _, error = command("diff", "a", "nowhere")
    assert code == 3 and "nowhere" in error


def test_rerun_says_when_the_input_is_gone(command, tmp_path):
    film_path = write_stack(tmp_path / "film.tif", film(4))
    assert command("analyze", "film.tif", "-o", "a", "--no-overlay")[0] == 0
    film_path.rename(tmp_path / "moved.tif")
    code, _, error = command("rerun", "a", "-o", "b")
    assert code == 3 and "film.tif" in error and "recipe.toml" in error


def test_init_writes_the_defaults_with_comments(command, tmp_path):
    assert command("init", "-o", "r.toml")[0] == 0
    text = (tmp_path / "r.toml").read_text()
    assert load_recipe(tmp_path / "r.toml") == Recipe()
    asked = load_recipe(tmp_path / "r.toml")  # commands that have defaults of their own keep them
    assert not {"bands", "folds", "rate", "patience", "steps"} & asked.train.model_fields_set and "#: folds = 1" in text
    assert "model" not in asked.detect.model_fields_set
    assert "nm per px" in text and text.count("#") > 30
    assert command("init", "-o", "r.toml")[0] == 2
    assert command("init")[1] == text


def test_every_commented_example_of_init_is_valid(tmp_path):
    text = recipe_toml(Recipe(), commented=True).replace("#: ", "")
    text = text.replace("series = true", "series = false")  # samples are fields of view
    in_nm_too = ("cluster_distance_px", "patch_px", "radius_px")
    text = "\n".join(line for line in text.splitlines() if not line.startswith(in_nm_too))
    recipe = parse_recipe(tomllib.loads(text))
    assert recipe.frames.region is not None and recipe.calibration.axes and recipe.physics.truth
    assert parse_recipe(tomllib.loads(recipe_toml(recipe))) == recipe


@given(title=st.text(st.characters(exclude_categories=["Cs"])), size=st.floats(1e-3, 1e3), stop=st.none() | st.integers(1, 10**9))
def test_recipes_survive_toml(title, size, stop):
    recipe = parse_recipe({"report": {"title": title}, "calibration": {"pixel_size_nm": [size, 1.0]}, "frames": {"stop": stop}})
    assert parse_recipe(tomllib.loads(recipe_toml(recipe))) == recipe


def test_the_example_recipe_is_valid():
    recipe = load_recipe(EXAMPLES / "loops.toml")
    assert recipe.calibration.axes[0].name == recipe.report.axis == "dose"
    assert recipe.calibration.pixel_size_nm == pytest.approx(1 / 2.6884, rel=1e-4)
    assert recipe.physics.thickness_nm == 75


def test_doctor_and_models(command):
    code, out, _ = command("doctor")
    assert code in (0, 3) and "numpy" in out and "cores" in out
    assert command("models")[0] == 0
    assert isinstance(json.loads(command("models", "--json")[1]), dict)


def test_demo_prints_found_against_true(command, monkeypatch, tmp_path):
    small = demo.run_demo
    monkeypatch.setattr(demo, "run_demo", lambda *a, **k: small(*a, n_frames=8, shape=(96, 128), **k))
    code, out, _ = command("demo", "-o", "d", "--seed", 3)
    assert code in (0, 1) and "seed 3" in out
    assert all(word in out for word in ("density", "median size", "drift", "tracks", "F1", "report: d/run/report.html"))
    assert ("FAIL" in out) == (code == 1)
    assert Run(tmp_path / "d" / "run").info["counts"]["frames"] == 8
    code, _, error = command("demo", "-o", "d")
    assert code == 2 and "--overwrite" in error
