"""Drawn categories: the same seed the same picture, different ones different, an info bar where one is drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from morphoscope.cli.main import main
from morphoscope.errors import UsageError
from morphoscope.io.score_data import read_score_data
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.synth import categories
from morphoscope.synth.categories import BAR_ROWS, BETWEEN, CATEGORIES, DRAWN, ODD, draw_category, write_categories, write_pool

SMALL = (144, 160)
DRAWN_AS = {kind: 10 * k for k, kind in enumerate(DRAWN)}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_seed_gives_one_picture(kind: str) -> None:
    first, same, other = (draw_category(kind, seed, shape=SMALL) for seed in (3, 3, 4))
    assert first.shape == SMALL and first.dtype == np.uint8
    assert (first == same).all() and (first != other).mean() > 0.5
    assert 10 < first.std() < 100  # neither empty nor black and white


def test_some_have_an_info_bar_and_some_have_none() -> None:
    found = [find_info_bar(draw_category("patterned surface", seed, shape=(192, 256))) for seed in range(12)]
    there = [row for row in found if row is not None]
    assert 3 <= len(there) <= 11 and all(abs(row - (192 - BAR_ROWS)) <= 1 for row in there)


def test_a_folder_per_category_can_be_learnt(tmp_path: Path) -> None:
    data = read_score_data(write_categories(tmp_path / "c", 1, shape=(144, 144)))
    assert data.classes == tuple(sorted(CATEGORIES)) and len(data.examples) == len(CATEGORIES)


def test_a_pool_is_mixed_and_its_truth_is_known(tmp_path: Path) -> None:
    folder, truth = write_pool(tmp_path / "pool", 1, odd=2, between=1, shape=(144, 160))
    assert truth["label"].value_counts().to_dict() == {**dict.fromkeys(CATEGORIES, 1), ODD: 2, BETWEEN: 1}
    assert sorted(path.name for path in folder.iterdir()) == sorted(truth["file"])
    assert truth["label"].tolist() != sorted(truth["label"])
    assert {cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape for path in folder.iterdir()} == {(144, 160)}


def test_an_unknown_category_is_said() -> None:
    with pytest.raises(UsageError, match="porous sponge.*got 'cats'"):
        draw_category("cats", 1)


def test_the_command_draws_both(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(categories, "draw_category", lambda kind, seed, *, shape: np.full(shape, DRAWN_AS[kind], np.uint8))
    for more, code in ((), 0), ((), 2), (("--overwrite",), 0):
        with pytest.raises(SystemExit) as ended:
            main(["synth", "categories", "-o", str(tmp_path / "c"), "--pictures", "2", "--size", "160x144", *more])
        assert (ended.value.code or 0) == code
    assert len(list((tmp_path / "c" / "labelled").rglob("*.png"))) == 2 * len(CATEGORIES)
    assert len(list((tmp_path / "c" / "pool").glob("*.png"))) == 2 * len(CATEGORIES) + 2
    assert "train classify" in capsys.readouterr().out
