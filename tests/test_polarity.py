"""Which side of a threshold are the particles: dense films too, one side for a series, and what is not clear is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from morphoscope.measure.polarity import UNCLEAR, bright_side, side_doubts
from morphoscope.measure.threshold import threshold_labels
from morphoscope.pipeline import analyze, outputs, segment
from morphoscope.recipe import parse_recipe

Inside = np.ndarray


def lattice(covered: float, seed: int, side: int = 200, radius: float = 8) -> Inside:
    """A hexagonal lattice of discs at a random place."""
    apart = radius * np.sqrt(np.pi / covered / (np.sqrt(3) / 2))
    y, x = np.mgrid[:side, :side] + np.random.default_rng(seed).uniform(0, apart, (2, 1, 1))
    high = apart * np.sqrt(3)
    first, second = ((np.mod(y + d * high, high) - high / 2, np.mod(x + d * apart, apart) - apart / 2) for d in (0, 0.5))
    return np.minimum(np.hypot(*first), np.hypot(*second)) < radius


def picture(inside: Inside, *, bright: bool, seed: int = 0) -> np.ndarray:
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1)
    grey = 128 + (60 if bright else -60) * (soft - 0.5) + np.random.default_rng(seed).normal(0, 6, inside.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("covered", [0.1, 0.3, 0.4, 0.45, 0.5, 0.55])
def test_dense_films_are_not_inverted(covered: float, bright: bool) -> None:
    for seed in range(3):
        inside = lattice(covered, seed)
        found = threshold_labels(picture(inside, bright=bright, seed=seed)) > 0
        assert (found == inside).mean() > 0.9


@pytest.mark.parametrize("covered", [0.2, 0.5])
def test_the_other_side_speaks_as_much_against(covered: float) -> None:
    inside = lattice(covered, 1)
    assert bright_side(inside) == pytest.approx(-bright_side(~inside))
    assert bright_side(inside) > UNCLEAR and side_doubts(bright_side(inside)) == ()


def test_nothing_and_everything() -> None:
    assert bright_side(np.zeros((9, 9), bool)) == 1 and bright_side(np.ones((9, 9), bool)) == -1


def test_stripes_are_not_clear() -> None:
    stripes = np.indices((120, 120))[0] // 10 % 2 == 0
    assert abs(bright_side(stripes)) < UNCLEAR
    assert "segment.polarity" in side_doubts(bright_side(stripes))[0]


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Two clear pictures of dark discs, and between them stripes that tell nothing."""
    folder = tmp_path / "series"
    folder.mkdir()
    stripes = np.indices((200, 200))[0] // 10 % 2 == 0
    for number, inside in enumerate((lattice(0.4, 0), stripes, lattice(0.5, 1))):
        cv2.imwrite(str(folder / f"{number}.png"), picture(inside, bright=False))
    return folder


def test_one_side_for_a_series_and_a_warning_of_single_pictures(
    tmp_path: Path, series: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "_save", lambda *_, **__: {})
    recipe = parse_recipe({"report": {"overlay": False}, "detect": {"model": "otsu"}, "frames": {"series": True}})
    together = analyze(series, recipe, tmp_path / "together")
    assert any("The dark parts were taken" in said for said in together.info["notes"])
    assert together.frames["count"].min() > 5
    assert not any("segment.polarity" in said for said in together.warnings)
    apart = segment(series, recipe, tmp_path / "apart")
    assert [said.split(":")[0] for said in apart.warnings if "segment.polarity" in said] == ["1.png"]
    stated = segment(
        series, recipe.model_copy(update={"segment": recipe.segment.model_copy(update={"polarity": "dark"})}), tmp_path / "s"
    )
    assert not any("segment.polarity" in said for said in stated.warnings)
