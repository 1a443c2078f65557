"""What README, recipes and the list of public names promise is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import morphoscope
from morphoscope.cli.main import COMMANDS
from morphoscope.models.card import shipped_models
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe, load_recipe

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _python(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = _python(README)
    exec(compile(example, "README.md", "exec"), {})
    assert "major_nm" in capsys.readouterr().out


def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(_python((ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))):
        exec(compile(block, f"guide.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").exists() and "precision" in said and "localisation error" in said
    found = re.search(r"D = (\S+) \((\S+) to (\S+)\) px2/frame, error (\S+) px", said)
    assert found is not None
    d, low, high, error = (float(value) for value in found.groups())
    assert low < 0.02 < high and d == pytest.approx(0.02, rel=0.15) and error == pytest.approx(0.2, rel=0.1)


def test_the_page_on_files_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(_python((ROOT / "docs" / "files.md").read_text(encoding="utf-8"))):
        exec(compile(block, f"files.md, block {number}", "exec"), names)
    assert "(500.0, 250.0)" in capsys.readouterr().out


@pytest.mark.parametrize("recipe", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_recipes_load(recipe: Path) -> None:
    assert load_recipe(recipe) != Recipe()


def test_the_commands_in_the_readme_exist() -> None:
    named = set(re.findall(r"`morphoscope ([a-z]+)", README))
    assert named and named <= set(COMMANDS)


def test_files_linked_in_the_readme_are_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links and not [link for link in links if not (ROOT / link).exists()]


@pytest.mark.parametrize("name", morphoscope.__all__)
def test_public_names_load_and_are_documented(name: str) -> None:
    assert getattr(morphoscope, name).__doc__


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="load_detector"):
        morphoscope.nothing  # noqa: B018


def test_each_shipped_model_is_small_and_has_a_full_card() -> None:
    models = shipped_models()
    assert {"films", "loops", "particles", "scale-text", "wires"} <= set(models)
    figures = {
        "detect": {"f1", "f1_at_0.5", "count_error_mean", "size_error_mean"},
        "segment": {"f1", "iou"},
        "score": {"f1", "auc", "extent_mae"},
        "orient": {"aligned_fraction_mae", "angle_error_deg"},
        "read": {"exact_lines_unseen_fonts", "exact_lengths_unseen_fonts"},
    }
    assert sum(path.stat().st_size for path in models.values()) < 30e6
    for name, path in models.items():
        card = read_card(path)
        assert path.stat().st_size < 5e6 and card.name == name and card.limits
        assert all(source.licence != "not stated" for source in card.data) and card.data
        assert figures[card.task] <= set(card.metrics)
        assert (ROOT / "docs" / "models" / f"{name}.md").exists()
