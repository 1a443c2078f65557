"""The demo of particles: what it holds against the truth, and the command."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from morphoscope import demo_particles
from morphoscope.cli.main import main
from morphoscope.demo_particles import kept_area, run_particles_demo, tellable
from morphoscope.pipeline import outputs
from morphoscope.synth.particle_video import MotionScene, ParticleVideo
from morphoscope.synth.write_particles import MEMORY


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outputs, "_save", lambda *_, **__: {})
    small = partial(run_particles_demo, places=2, n_frames=8, shape=(180, 220))
    monkeypatch.setattr(demo_particles, "run_particles_demo", small)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_the_command_tells_the_whole_story(command, tmp_path: Path) -> None:
    code, out, _ = command("demo", "particles", "-o", "d", "--seed", 3)
    words = (
        "none cut off",
        "median diameter of b",
        "difference of the means",
        "pairs that became one",
        "area after",
        "diffusion",
    )
    assert all(word in out for word in words) and "report: d/run/report.html" in out
    assert out.strip().splitlines()[-1] == "report: d/run-video/report.html"
    assert ("FAIL" in out) == (code == 1)
    for run in ("run", "run-video"):
        assert (tmp_path / "d" / run / "run.json").is_file()
    code, _, error = command("demo", "particles", "-o", "d")
    assert code == 2 and "--overwrite" in error


def test_area_kept_in_merges() -> None:
    """Two of 100 and 60 px become one of 152; another pair is missing what came after."""
    rows = [(f, 1, 100.0) for f in range(6)] + [(f, 2, 60.0) for f in range(6)] + [(f, 1, 152.0) for f in range(6, 15)]
    rows += [(f, 3, 50.0) for f in range(15)] + [(f, 4, 50.0) for f in range(15)]
    objects = pd.DataFrame(rows, columns=["frame", "track_id", "area_px"]).astype({"track_id": "Int64"})
    merges = pd.DataFrame({"frame": [6], "kind": "merge", "track_id": [2], "other_id": [1]})
    assert kept_area(objects, merges) == pytest.approx(0.95)
    last = pd.DataFrame({"frame": [15], "kind": "merge", "track_id": [4], "other_id": [3]})
    assert kept_area(objects, pd.concat([merges, last])) == pytest.approx(0.95)
    assert pd.isna(kept_area(objects, merges[:0]))


def test_only_merges_that_can_be_told_are_asked_for() -> None:
    scene = MotionScene(seed=2, shape=(160, 200), median_nm=6, n_frames=30, coverage=0.15, diffusion_nm2_per_s=1.0)
    video = ParticleVideo(scene)
    told = tellable(video)
    assert 0 < len(told) < len(video.merges)
    assert told["frame"].max() < 30 - MEMORY - scene.merging_frames
    truth = video.truth.set_index(["frame", "object_id"])["on_edge"]
    for event in told.itertuples():
        assert not truth[event.frame - 1, event.track_id] and not truth[event.frame - 1, event.other_id]
