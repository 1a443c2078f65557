"""Who owns a run folder: nothing of a user's is lost, and nothing a kill left behind is taken for complete."""

from __future__ import annotations

import pytest

from doubles import BlobDetector, film, write_stack
from morphoscope.errors import ModelError, PartialError, RunExistsError, TruncatedError, UsageError
from morphoscope.io.tiff import TiffFrames
from morphoscope.pipeline import Run, analyze, outputs, run
from morphoscope.pipeline.again import analyze_again
from morphoscope.recipe import parse_recipe

QUICK = parse_recipe({"report": {"overlay": False}})


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})


@pytest.fixture
def stack(tmp_path):
    return write_stack(tmp_path / "film.tif", film(6))


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}])
@pytest.mark.parametrize("name", ["frames.csv", "report.html", "run.json", "figures/drift.png"])
def test_files_with_the_names_of_a_runs_that_no_run_wrote_are_kept(stack, tmp_path, how, name):
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"key": "mine"}')
    for inputs in (stack, [stack, stack]):
        with pytest.raises(RunExistsError, match=name):
            analyze(inputs, QUICK, tmp_path / "mine", detector=BlobDetector(), **how)
    assert mine.read_text() == '{"key": "mine"}'
    assert [p.name for p in (tmp_path / "mine").rglob("*") if p.is_file()] == [mine.name]


def test_a_stranger_in_the_subfolder_of_one_input_stops_that_input_alone(stack, tmp_path):
    second = write_stack(tmp_path / "second.tif", film(4, seed=1))
    mine = tmp_path / "runs" / "second" / "objects.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = analyze([stack, second], QUICK, tmp_path / "runs", detector=BlobDetector(), overwrite=True)
    assert done.exit_code == PartialError.exit_code and any("objects.csv" in warning for warning in done.warnings)
    assert [one.path.name for one in done.runs] == ["film"] and mine.read_text() == "mine"


def test_overwriting_several_runs_with_one_leaves_no_old_run_and_no_loss(stack, tmp_path):
    folder = tmp_path / "runs"
    second = write_stack(tmp_path / "second.tif", film(4, seed=1))
    analyze([stack, second], QUICK, folder, detector=BlobDetector())
    (folder / "second" / "notes.txt").write_text("mine")
    analyze(stack, QUICK, folder, detector=BlobDetector(), overwrite=True)
    assert not (folder / "film").exists()
    assert [p.name for p in (folder / "second").iterdir()] == ["notes.txt"]
    analyze([stack, second], QUICK, folder, detector=BlobDetector(), overwrite=True)
    assert len(Run(folder).runs) == 2 and (folder / "second" / "notes.txt").read_text() == "mine"


def test_one_input_and_several_do_not_resume_each_other(stack, tmp_path):
    analyze(stack, QUICK, tmp_path / "one", detector=BlobDetector())
    analyze([stack, stack], QUICK, tmp_path / "two", detector=BlobDetector())
    before = (tmp_path / "one" / "run.json").read_bytes()
    with pytest.raises(UsageError, match="one input .* several"):
        analyze([stack, stack], QUICK, tmp_path / "one", detector=BlobDetector(), resume=True)
    with pytest.raises(UsageError, match="several inputs .* one"):
        analyze(stack, QUICK, tmp_path / "two", detector=BlobDetector(), resume=True)
    assert (tmp_path / "one" / "run.json").read_bytes() == before


def test_files_cut_off_by_a_kill_are_cleared_away(stack, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        analyze(stack, QUICK.model_copy(update={"run": QUICK.run.model_copy(update={"chunk": 2})}), tmp_path / "run",
                detector=BlobDetector(fail_at=5))  # fmt: skip
    (tmp_path / "run" / "parts" / ".objects-000002.parquet.0123abcd.part").write_bytes(b"half")
    analyze(stack, QUICK, tmp_path / "run", detector=BlobDetector(), resume=True)
    assert not (tmp_path / "run" / "parts").exists()


def test_a_truncated_input_is_still_called_truncated_after_a_kill_and_a_resume(stack, tmp_path, monkeypatch):
    whole = TiffFrames.blocks

    def cut(self, start, stop, size):
        if start < 4:
            yield from whole(self, start, min(stop, 4), size)
        raise TruncatedError("film.tif ends early", 4)

    monkeypatch.setattr(TiffFrames, "blocks", cut)
    write = run.write_outputs

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "write_outputs", killed)
    with pytest.raises(KeyboardInterrupt):
        analyze(stack, QUICK, tmp_path / "run", detector=BlobDetector())
    monkeypatch.setattr(run, "write_outputs", write)
    resumed = analyze(stack, QUICK, tmp_path / "run", detector=BlobDetector(), resume=True)
    assert len(resumed.frames) == 4
    assert resumed.exit_code == PartialError.exit_code and "ends early" in resumed.warnings[0]


def test_a_rerun_that_was_broken_off_resumes(stack, tmp_path):
    settings = parse_recipe({"report": {"overlay": False}, "run": {"chunk": 2}})
    first = analyze(stack, settings, tmp_path / "a", detector=BlobDetector())
    with pytest.raises(KeyboardInterrupt):
        analyze_again(first, tmp_path / "b", detector=BlobDetector(fail_at=5))
    rest = BlobDetector()
    again = analyze_again(first, tmp_path / "b", detector=rest, resume=True)
    assert rest.calls < 6 and len(again.frames) == 6


@pytest.mark.parametrize("scale", [1e-4, 40.0])
def test_a_scale_that_must_be_a_slip_is_refused(stack, tmp_path, scale):
    settings = parse_recipe({"report": {"overlay": False}, "calibration": {"pixel_size_nm": scale}})
    with pytest.raises(ModelError, match="not px per nm"):
        analyze(stack, settings, tmp_path / "run", detector=BlobDetector(pixel_size_nm=1.0))
    assert not (tmp_path / "run").exists()
