"""Two runs never write into one folder at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import morphoscope as ms
from class_doubles import flat, run_of
from morphoscope.errors import RunExistsError
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.orienting import orient
from morphoscope.pipeline.single_writer import single_writer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders are locked by flock(2)")


def test_a_second_writer_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with single_writer(folder):
        with pytest.raises(RunExistsError, match="another run is writing"), single_writer(folder):
            pass
        assert folder.is_dir()
    assert not folder.exists()  # nothing was written
    with pytest.raises(KeyError), single_writer(tmp_path):
        raise KeyError
    with single_writer(tmp_path):
        pass


@pytest.mark.parametrize("kind", ["score", "orient"])
def test_runs_of_scores_and_directions_are_refused_as_well(kind: str, tmp_path: Path) -> None:
    flat(tmp_path / "in" / "d.png", 25)
    values = {"name": "m", "task": kind, "classes": ("x",), "preprocess": "unit-1", "postprocess": "none"}
    model = SimpleNamespace(card=ModelCard.model_validate(values))
    run: Callable[[], ms.Run] = {
        "score": partial(ms.score, tmp_path / "in", output=tmp_path / "run", scorer=model),
        "orient": partial(orient, tmp_path / "in", output=tmp_path / "run", finder=model),
    }[kind]
    with single_writer(tmp_path / "run"), pytest.raises(RunExistsError, match="another run"):
        run()
    assert not (tmp_path / "run").exists()


def test_a_run_is_refused_while_another_writes_there(tmp_path: Path) -> None:
    flat(tmp_path / "in" / "d.png", 25)
    with single_writer(tmp_path / "run"), pytest.raises(RunExistsError, match="another run"):
        run_of(tmp_path / "in", tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run").exists()
