"""Neighbours in time: boxes follow the drift, jumps and wrong names are noticed."""

from __future__ import annotations

import numpy as np
import pytest

from morphoscope.errors import InputError
from morphoscope.synth.loops import LoopVideo
from morphoscope.train.datasets import synthetic_loops, unit_scale

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from morphoscope.train.loop import Example  # noqa: E402
from morphoscope.train.neighbours import frame_number, neighbour_examples  # noqa: E402


@pytest.fixture(scope="module")
def video() -> LoopVideo:
    return LoopVideo(seed=3, shape=(200, 260), n_frames=12, drift_px=0.6, jumps=0, text=False)


def _example(video: LoopVideo, frame: int) -> Example:
    image = unit_scale(video[frame])
    return Example(image, np.array([[50.0, 60.0, 70.0, 80.0, 0.0]]), np.ones(image.shape, np.uint8))


def test_boxes_move_with_the_drift(video: LoopVideo) -> None:
    found = neighbour_examples(video, ["Frame5.png"], [_example(video, 5)], reach=2)
    assert len(found) == 4
    shifts = video.shifts.set_index("frame")[["shift_x_px", "shift_y_px"]]
    for frame, example in zip((3, 4, 6, 7), found, strict=True):
        moved = (shifts.loc[frame] - shifts.loc[5]).to_numpy()
        np.testing.assert_allclose(example.boxes[0, :2] - (50, 60), moved, atol=0.35)
    assert sum(example.weight for example in found) == pytest.approx(1.5)


def test_an_image_that_is_not_that_frame_is_refused(video: LoopVideo) -> None:
    other = LoopVideo(seed=4, shape=(200, 260), n_frames=12)
    with pytest.raises(InputError, match="does not look like frame 5"):
        neighbour_examples(video, ["Frame5.png"], [_example(other, 5)], reach=1)
    with pytest.raises(InputError, match="frame 50 of the video"):
        neighbour_examples(video, ["Frame50.png"], [_example(video, 5)], reach=1)


def test_the_frame_number_is_the_last_number_of_the_name() -> None:
    assert frame_number("labelled/run2_Frame0962.jpg") == 962
    with pytest.raises(InputError, match="frame number"):
        frame_number("labelled/first.jpg")


def test_drawn_scenes_weigh_what_they_shall() -> None:
    examples = synthetic_loops(2, weight=3.0, shape=(96, 128))
    assert sum(e.weight for e in examples) == pytest.approx(3.0) and all(e.image.shape == (96, 128) for e in examples)
