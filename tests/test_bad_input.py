"""Bad input through the command line: a clear message, the promised exit code, and nothing lost."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from doubles import BlobDetector, film, write_folder, write_stack
from morphoscope.cli.main import main
from morphoscope.models.card import KEY, ModelCard
from morphoscope.pipeline import Run, outputs, run
from morphoscope.pipeline.finders import Boxes


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """They take longest, and no test here looks at them."""
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})


@pytest.fixture
def blobs(monkeypatch):
    """The detector every command of the test gets."""
    detectors = []

    def use(**settings):
        detectors.append(BlobDetector(**settings))
        monkeypatch.setattr(run, "load_finder", lambda *_: (Boxes(detectors[-1]), True))
        return detectors[-1]

    use()
    return use


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command in a fresh folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def write_video(path: Path, frames: np.ndarray, **options: str) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=Fraction(15), options={"crf": "10", "g": "4", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_truncated_video_is_analysed_as_far_as_it_goes(command, blobs, tmp_path):
    video = write_video(tmp_path / "video.mp4", film(40), movflags="faststart")
    video.write_bytes(video.read_bytes()[: int(video.stat().st_size * 0.6)])
    code, _, error = command("analyze", video, "-o", "run", "--scale", 0.5)
    assert code == 4 and "ends early" in error
    frames = Run(tmp_path / "run").frames
    assert 5 < len(frames) < 40 and (frames["count"] == 5).all()
    assert "ends early" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "overlay.mp4").is_file()


def test_empty_folder(command, blobs, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, error = command("analyze", "empty", "-o", "run")
    assert code == 3 and "empty" in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_missing_file(command, blobs):
    code, _, error = command("analyze", "nowhere.mp4", "-o", "run")
    assert code == 3 and "nowhere.mp4" in error


def test_corrupt_tiff(command, blobs, tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"II*\x00\x08\x00\x00\x00 this is no image" * 4)
    code, _, error = command("analyze", "bad.tif", "-o", "run")
    assert code == 3 and "bad.tif" in error
    assert not (tmp_path / "run").exists()


def test_frames_of_different_sizes(command, blobs, tmp_path):
    write_folder(tmp_path / "mixed", film(3))
    cv2.imwrite(str(tmp_path / "mixed" / "frame9.png"), np.zeros((50, 60), np.uint8))
    code, _, error = command("analyze", "mixed", "-o", "run")
    assert code == 3 and "frame9.png" in error and "60" in error and "128" in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[detect]\nthreshhold = 0.3\n", "threshhold"),
        ("[calibration]\npixel_size_nm = -0.4\n", "pixel_size_nm"),
        ("[calibration\n", "TOML"),
        ("[frames]\nregion = { x0 = 0, y0 = 0, x1 = 4000, y1 = 90 }\n", "4000"),
        ("[frames]\nregion = { x0 = 50, y0 = 0, x1 = 20, y1 = 90 }\n", "x0 < x1"),
    ],
)
def test_impossible_recipes(command, blobs, tmp_path, text, said):
    write_stack(tmp_path / "film.tif", film(3))
    (tmp_path / "r.toml").write_text(text)
    code, _, error = command("analyze", "film.tif", "--recipe", "r.toml", "-o", "run")
    assert code == 2 and said in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_negative_scale_on_the_command_line(command, blobs, tmp_path):
    write_stack(tmp_path / "film.tif", film(3))
    code, _, error = command("analyze", "film.tif", "--scale", "-0.4", "-o", "run")
    assert code == 2 and "pixel_size_nm" in error


def test_missing_recipe_file(command, blobs, tmp_path):
    write_stack(tmp_path / "film.tif", film(3))
    code, _, error = command("analyze", "film.tif", "--recipe", "none.toml", "-o", "run")
    assert code == 3 and "none.toml" in error


def test_missing_scale_gives_pixels_and_a_note(command, blobs, tmp_path):
    write_stack(tmp_path / "film.tif", film(4))
    code, out, error = command("analyze", "film.tif", "--no-overlay", "-o", "run")
    assert code == 0 and "No scale" in error and "report" in out
    assert "No scale" in (tmp_path / "run" / "report.html").read_text()
    assert any("No scale" in warning for warning in Run(tmp_path / "run").info["warnings"])


def test_model_for_another_task(command, tmp_path):
    write_stack(tmp_path / "film.tif", film(3))
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = ModelCard(name="grains", task="classify", classes=("grain",), preprocess="robust-1", postprocess="labels-1")
    helper.set_model_props(model, {KEY: card.model_dump_json()})
    onnx.save(model, str(tmp_path / "grains.onnx"))
    code, _, error = command("analyze", "film.tif", "--model", "grains.onnx", "-o", "run")
    assert code == 3 and "classify" in error and "detect" in error
    (tmp_path / "noise.onnx").write_bytes(b"no model")
    code, _, error = command("analyze", "film.tif", "--model", "noise.onnx", "-o", "run")
    assert code == 3 and "noise.onnx" in error
    code, _, error = command("analyze", "film.tif", "--model", "no-such-model", "-o", "run")
    assert code == 3 and "no-such-model" in error


def test_pixel_size_far_from_the_models(command, blobs, tmp_path):
    write_stack(tmp_path / "film.tif", film(3))
    blobs(pixel_size_nm=1.0)
    code, _, error = command("analyze", "film.tif", "--scale", 0.5, "--no-overlay", "-o", "run")
    assert code == 0 and "resampled" in error
    (tmp_path / "r.toml").write_text("[detect]\nresample = false\n")
    code, _, error = command("analyze", "film.tif", "--scale", 0.5, "--recipe", "r.toml", "-o", "run2")
    assert code == 3 and "resample" in error


def test_folder_that_holds_another_run(command, blobs, tmp_path):
    write_stack(tmp_path / "film.tif", film(3))
    call = ("analyze", "film.tif", "--no-overlay", "-o", "run")
    assert command(*call)[0] == 0
    before = (tmp_path / "run" / "run.json").read_bytes()
    code, _, error = command(*call)
    assert code == 2 and "--overwrite" in error
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert command(*call, "--overwrite")[0] == 0
    assert command(*call, "--overwrite", "--resume")[0] == 2


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(command, blobs, tmp_path):
    write_stack(tmp_path / "film.tif", film(12))
    (tmp_path / "r.toml").write_text("[run]\nchunk = 2\n[report]\noverlay = false\n")
    call = ("analyze", "film.tif", "--recipe", "r.toml", "-o", "run")
    blobs(fail_at=11)
    code, _, error = command(*call)
    assert code == 130 and "--resume" in error
    assert len(Run(tmp_path / "run").objects) > 0
    rest = blobs()
    assert command(*call, "--resume")[0] == 0
    assert 0 < rest.calls < 12
    assert len(Run(tmp_path / "run").frames) == 12


def test_good_inputs_are_kept_when_another_is_bad(command, blobs, tmp_path):
    write_stack(tmp_path / "good.tif", film(3))
    (tmp_path / "bad.tif").write_bytes(b"nothing")
    code, out, error = command("analyze", "good.tif", "bad.tif", "--no-overlay", "-o", "runs")
    assert code == 4 and "bad.tif" in error and "good" in out
    assert (tmp_path / "runs" / "good" / "report.html").is_file()
    code, _, error = command("analyze", "bad.tif", "bad.tif", "-o", "none")
    assert code == 3 and "bad.tif" in error


def test_evaluate_refuses_a_scale_that_is_none(command, tmp_path):
    code, _, error = command("evaluate", "loops", tmp_path, "--scale", 0)
    assert code == 2 and "pixel size" in error
