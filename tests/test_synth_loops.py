from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.io.frames import Frames
from morphoscope.recipe import load_recipe
from morphoscope.synth.loops import LoopScene, LoopVideo, random_scene
from morphoscope.synth.population import half_depth_reach, profile
from morphoscope.synth.write import write_video

SMALL = LoopScene(seed=5, shape=(220, 300), n_frames=30, loops=120)
BARE = {
    "texture_sd": 0.0,
    "texture_change": 0.0,
    "noise": 0.0,
    "flicker": 0.0,
    "jpeg_quality": 0,
    "lines": 0,
    "specks": 0.0,
    "shading": 0.0,
}


@pytest.fixture(scope="module")
def video() -> LoopVideo:
    return LoopVideo(SMALL)


def test_is_frames(video: LoopVideo) -> None:
    assert isinstance(video, Frames)
    assert video[0].shape == video.shape == (220, 300)
    assert video[0].dtype == video.dtype == np.uint8
    assert len(video) == 30
    blocks = list(video.blocks(4, 11, 3))
    assert [(first, len(block)) for first, block in blocks] == [(4, 3), (7, 3), (10, 1)]
    np.testing.assert_array_equal(blocks[1][1][1], video[8])
    with pytest.raises(IndexError):
        video[30]


def test_frame_is_a_function_of_scene_and_number(video: LoopVideo) -> None:
    late = video[22]
    other = LoopVideo(SMALL)
    np.testing.assert_array_equal(other[22], late)
    np.testing.assert_array_equal(video[22], late)
    assert not np.array_equal(video[21], late)
    assert not np.array_equal(LoopVideo(SMALL, seed=6)[22], late)


def test_truth_table(video: LoopVideo) -> None:
    truth = video.truth
    assert not truth.duplicated(["frame", "object_id"]).any()
    assert truth["x_px"].between(0, 299).all() and truth["y_px"].between(0, 219).all()
    assert (truth["minor_px"] <= truth["major_px"]).all()
    assert truth["angle_deg"].between(0, 180).all()
    pd.testing.assert_frame_equal(truth[truth["frame"] == 9].reset_index(drop=True), video.truth_at(9))
    # the box is the ellipse's: its outline touches each side
    row = truth.iloc[0]
    t = np.linspace(0, 2 * np.pi, 2000)
    turn = np.deg2rad(row["angle_deg"])
    x = row["major_px"] / 2 * np.cos(t) * np.cos(turn) + row["minor_px"] / 2 * np.sin(t) * np.sin(turn)
    assert 2 * x.max() == pytest.approx(row["width_px"], rel=1e-4)


def test_loops_appear_and_grow() -> None:
    video = LoopVideo(seed=2, shape=(400, 500), n_frames=60, jumps=0, vanishing=0.0, loops=120)
    count = video.truth["frame"].value_counts()
    assert count[59] > 2 * count[0] > 0
    long = video.truth.groupby("object_id").filter(lambda g: len(g) > 40).groupby("object_id")["major_px"]
    assert (long.last() > long.first()).all()


def test_vanished_loops_leave_the_truth() -> None:
    video = LoopVideo(seed=2, shape=(300, 300), n_frames=40, vanishing=1.0, initial=1.0, loops=80, drift_px=0.0, jumps=0)
    gone = video.loops[video.loops["death_frame"] < 35]
    last = video.truth.groupby("object_id")["frame"].max()
    assert len(gone) > 3
    known = gone["object_id"].isin(last.index)
    assert (last[gone["object_id"][known]].to_numpy() < gone["death_frame"][known].to_numpy()).all()


def _alone(truth: pd.DataFrame) -> pd.DataFrame:
    xy = truth[["x_px", "y_px"]].to_numpy()
    apart = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(xy))
    inside = truth["x_px"].between(40, 460) & truth["y_px"].between(40, 360)
    return truth[inside.to_numpy() & (apart.min(axis=1) > 70)]


def test_truth_ellipse_is_the_half_depth_contour() -> None:
    """Threshold the drawn loop at half its depth and compare second moments: centre, axes, angle, area."""
    checked = 0
    for seed in range(8):
        video = LoopVideo(seed=seed, shape=(400, 500), n_frames=40, loops=40, initial=1.0, min_contrast=0.0, **BARE)
        image = video[39].astype(float) / video.scene.brightness
        for row in _alone(video.truth_at(39)).itertuples():
            if row.contrast < 0.3 or row.minor_px < 7:
                continue
            mask = (image < 1 - row.contrast / 2).astype(np.uint8)
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            outline = next((o for o in outlines if cv2.pointPolygonTest(o, (row.x_px, row.y_px), False) >= 0), None)
            assert outline is not None
            filled = cv2.drawContours(np.zeros_like(mask), [outline], -1, 1, -1)
            y, x = np.nonzero(filled)
            assert x.mean() == pytest.approx(row.x_px, abs=0.6)
            assert y.mean() == pytest.approx(row.y_px, abs=0.6)
            spread, axes = np.linalg.eigh(np.cov(x, -y))
            assert 4 * np.sqrt(spread[1]) == pytest.approx(row.major_px, rel=0.08, abs=0.7)
            assert 4 * np.sqrt(spread[0]) == pytest.approx(row.minor_px, rel=0.08, abs=0.7)
            if row.minor_px < 0.75 * row.major_px:
                angle = np.rad2deg(np.arctan2(axes[1, 1], axes[0, 1]))
                assert abs((angle - row.angle_deg + 90) % 180 - 90) < 8
            checked += 1
    assert checked >= 15


@given(st.floats(0.8, 2.4), st.floats(0.0, 0.3))
def test_reach_halves_the_depth(sharpness: float, halo: float) -> None:
    one = np.array([sharpness])
    reach = half_depth_reach(one, np.array([halo]))
    assert profile(reach, sharpness, halo)[0] == pytest.approx(0.5, abs=1e-9)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_sample_moves_with_the_shifts(seed: int) -> None:
    """A registered crop of the noiseless sample is the same in the first and the last frame."""
    scene = {**BARE, "texture_sd": 20.0, "loops": 0.0, "jump_px": 9.0}
    video = LoopVideo(seed=seed, shape=(160, 200), n_frames=12, **scene)
    dx, dy = video.shifts.iloc[-1][["shift_x_px", "shift_y_px"]].astype(float)
    first, last = video[0].astype(np.float32), video[11].astype(np.float32)
    back = cv2.warpAffine(last, np.array([[1, 0, -dx], [0, 1, -dy]]), (200, 160))
    inner = (slice(25, -25), slice(25, -25))
    assert np.abs(back - first)[inner].mean() < 2.5
    assert video.shifts["jump"].sum() == 1
    assert tuple(video.shifts.loc[0, ["shift_x_px", "shift_y_px"]]) == (0, 0)


def test_brownian_step_is_as_stated() -> None:
    video = LoopVideo(seed=1, shape=(300, 300), n_frames=400, loops=200, stopping=0.0, drift_px=0.0, jumps=0, initial=1.0)
    truth = video.truth.sort_values(["object_id", "frame"])
    steps = truth.groupby("object_id")[["x_px", "y_px"]].diff().dropna()
    measured = steps.groupby(truth["object_id"]).std()
    enough = truth["object_id"].value_counts() > 300
    ids = enough[enough].index
    expected = video.loops.set_index("object_id").loc[ids, "step_px"]
    assert len(ids) > 10
    assert (measured.loc[ids].mean(axis=1) / expected).between(0.85, 1.15).all()


def test_calibration_has_its_source(video: LoopVideo) -> None:
    calibration = video.calibration
    assert isinstance(calibration, Calibration) and calibration.has_scale
    assert set(calibration.provenance.values()) == {"synthetic"}
    assert calibration.main_axis.label == "dose (dpa)"


def test_burnt_in_text_covers_truth() -> None:
    plain = LoopVideo(seed=3, shape=(300, 400), n_frames=5, loops=400, initial=1.0)
    written = LoopVideo(plain.scene, text=True)
    assert len(written.truth_at(4)) < len(plain.truth_at(4))
    assert (written[4][-40:, :120] > 250).sum() > (plain[4][-40:, :120] > 250).sum()


def test_random_scenes_differ_and_draw() -> None:
    scenes = [random_scene(seed, shape=(96, 128)) for seed in range(6)]
    assert len({round(s.noise, 6) for s in scenes}) == 6
    for scene in scenes:
        image = LoopVideo(scene)[0]
        assert 60 < image.mean() < 220
    assert random_scene(3, noise=2.0).noise == 2.0
    assert random_scene(3) == random_scene(3)


@pytest.mark.parametrize("wrong", [{"shape": (20, 300)}, {"n_frames": 0}, {"loops": -1.0}, {"contrast": 3.0}])
def test_impossible_scenes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="a scene needs"):
        LoopScene(**wrong)  # type: ignore[arg-type]


def test_write_video(tmp_path, video: LoopVideo) -> None:
    import av

    done: list[int] = []
    source = LoopVideo(SMALL, n_frames=6, initial=0.9)
    folder = write_video(source, tmp_path / "v", labelled=3, progress=lambda i, n: done.append(i))
    assert done == [1, 2, 3, 4, 5, 6]
    with av.open(str(folder / "video.mp4")) as container:
        frames = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    assert len(frames) == 6 and np.abs(frames[3].astype(float) - source[3]).mean() < 4
    boxes = pd.read_csv(folder / "boxes.csv")
    assert list(boxes.columns) == ["file", "label", "x0", "y0", "x1", "y1"]
    assert boxes["file"].nunique() == 3 and all((folder / f).is_file() for f in boxes["file"])
    truth = pd.read_parquet(folder / "truth.parquet")
    first = truth[truth["frame"] == 0].iloc[0]
    assert boxes.loc[0, "x0"] == pytest.approx(first["x_px"] - first["width_px"] / 2, abs=0.01)
    recipe = load_recipe(folder / "recipe.toml")
    assert recipe.physics.truth == str(folder.resolve() / "counts.csv")
    found = recipe.calibrate(Calibration())
    assert found.pixel_size_nm == source.calibration.pixel_size_nm
    assert found.main_axis == source.calibration.main_axis
    counted = pd.read_csv(folder / "counts.csv")
    assert counted["count"].tolist() == [len(source.truth_at(i)) for i in range(6)]


def test_command(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    from morphoscope.cli.synth import parse_size, synth

    synth("loops", tmp_path / "out", seed=1, frames=2, size="120x80")
    assert (tmp_path / "out" / "video.mp4").stat().st_size > 500
    assert "recipe.toml" in capsys.readouterr().out
    assert parse_size("1120X710") == (710, 1120)
    with pytest.raises(UsageError, match="--overwrite"):
        synth("loops", tmp_path / "out", seed=1, frames=2, size="120x80")
    with pytest.raises(UsageError, match="1120x710"):
        parse_size("big")
    with pytest.raises(UsageError, match="draws loops"):
        synth("tomograms", tmp_path, seed=0, frames=1, size="100x100")
