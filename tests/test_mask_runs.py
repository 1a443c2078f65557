"""Runs with masks: what is recorded of magnification and outlines, frames that cannot be used, folders in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.test_masks import Interrupted
from tests.test_segment import discs
from tests.test_zoom import BestAt40Px

from morphoscope.errors import InputError, PartialError, RunExistsError
from morphoscope.models.segment import Segmenter
from morphoscope.pipeline import Run, analyze, outputs, segment, views
from morphoscope.pipeline.masks import Masks
from morphoscope.pipeline.scale import Scale
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.report.methods_masks import mask_sentences

PLACES = [(40.0, 40.0), (110.0, 70.0)]


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "_save", lambda *_, **__: {})


def picture(radius: float, grey: int = 200) -> np.ndarray:
    return np.where(discs((128, 160), PLACES, radius) > 0, grey, 10).astype(np.uint8)


def recipe(**sections: dict[str, object]) -> Recipe:
    return parse_recipe({"report": {"overlay": False}, "run": {"threads": 1}, **sections})


def sentence(run: Run) -> str:
    segmenter = Segmenter(BestAt40Px())
    return mask_sentences(run.info, segmenter.card.model_dump())


def test_the_magnification_of_each_image_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", picture(20))
    tifffile.imwrite(tmp_path / "in/b.tif", picture(10))
    run = segment(tmp_path / "in", recipe(), tmp_path / "run", segmenter=Segmenter(BestAt40Px()))
    assert run.frames["magnified"].tolist() == [1.0, 2.0] and run.info["model"]["magnified"] is None
    assert "as suits its particles best" in sentence(run) and "learnt from people" in sentence(run)
    fixed = recipe(segment={"zoom": 2.0, "outline": "half level"})
    one = segment(tmp_path / "in", fixed, tmp_path / "one", segmenter=Segmenter(BestAt40Px()))
    assert one.frames["magnified"].tolist() == [2.0, 2.0] and one.info["model"]["outline"] == "half level"
    assert "magnified 2 times" in sentence(one) and "half level" in sentence(one)
    assert segment(tmp_path / "in", recipe(detect={"model": "otsu"}), tmp_path / "otsu").frames["magnified"].isna().all()


def test_a_series_is_seen_at_one_magnification_which_its_parts_depend_on(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "film.tif", np.stack([picture(10, 200 + k) for k in range(3)]), photometric="minisblack")
    run = analyze(tmp_path / "film.tif", recipe(), tmp_path / "run", detector=Segmenter(BestAt40Px()))
    assert run.frames["magnified"].tolist() == [2.0] * 3 and run.info["model"]["magnified"] == 2.0
    assert run.info["key"]["recipe"]["zooms"] == [2.0] and "magnified 2 times" in sentence(run)


def test_a_folder_in_use_is_refused_before_anything_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "film.tif", np.stack([picture(10)] * 2))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/note.txt").write_text("mine")

    def looked(*_: object) -> None:
        raise AssertionError("looked for the magnification")

    monkeypatch.setattr(Masks, "settled", looked)
    with pytest.raises(RunExistsError):
        analyze(tmp_path / "film.tif", recipe(), tmp_path / "run", detector=Segmenter(BestAt40Px()))


def film_with_nan(path: Path, bad: int) -> Path:
    film = np.stack([picture(15, 150 + k) for k in range(6)]).astype(np.float32)
    film[bad, 5, 5] = np.nan
    tifffile.imwrite(path, film)
    return path


@pytest.mark.parametrize("chunk", [2, 50])
def test_a_series_ends_before_a_frame_that_holds_no_numbers(tmp_path: Path, chunk: int) -> None:
    path = film_with_nan(tmp_path / "film.tif", 4)
    run = analyze(path, recipe(detect={"model": "otsu"}, run={"chunk": chunk}), tmp_path / "run")
    assert run.exit_code == PartialError.exit_code and run.frames["frame"].tolist() == [0, 1, 2, 3]
    assert "ends early" in run.warnings[0] and "frame 4" in run.warnings[0] and "0 to 3" in run.warnings[0]
    network = analyze(path, recipe(), tmp_path / "network", detector=Segmenter(BestAt40Px()))
    assert len(network.frames) == 4 and network.exit_code == PartialError.exit_code


def test_no_number_in_an_excluded_part_or_in_the_first_frame(tmp_path: Path) -> None:
    path = film_with_nan(tmp_path / "film.tif", 0)
    with pytest.raises(InputError, match="frame 0"):
        analyze(path, recipe(detect={"model": "otsu"}), tmp_path / "run")
    part = {"exclude": [{"x0": 0, "y0": 0, "x1": 10, "y1": 10}]}
    assert segment(path, recipe(detect={"model": "otsu"}, frames=part), tmp_path / "run").exit_code == 0


def test_warnings_of_images_analysed_before_a_break_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "settle_scale", lambda known, image, wanted: Scale(known, (f"said of {int(image.max())}",)))
    (tmp_path / "in").mkdir()
    for k in range(4):
        tifffile.imwrite(tmp_path / f"in/{k}.tif", picture(12, 200 + k))
    wanted = recipe(detect={"model": "otsu"}, run={"chunk": 1, "threads": 1})
    with pytest.raises(KeyboardInterrupt):
        segment(tmp_path / "in", wanted, tmp_path / "run", segmenter=Interrupted(wanted.segment, 2))
    run = segment(tmp_path / "in", wanted, tmp_path / "run", resume=True)
    assert [warning for warning in run.warnings if "said of" in warning] == [f"{k}.tif: said of {200 + k}" for k in range(4)]
