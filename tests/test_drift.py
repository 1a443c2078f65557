from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import fourier_shift

from morphoscope.errors import InputError
from morphoscope.track.drift import Registrar, Shift

SHAPE = (260, 380)


def texture(shape, seed=0, blur=2.5):
    field = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), blur)
    return 128 + 25 * field / field.std()


def cut(canvas, x, y, shape=SHAPE):
    """The content moved by (x, y) against the middle of the canvas, exact for band-limited pictures."""
    whole = np.floor([x, y]).astype(int)
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(canvas), (y - whole[1], x - whole[0]))).real
    top, left = (canvas.shape[0] - shape[0]) // 2 - whole[1], (canvas.shape[1] - shape[1]) // 2 - whole[0]
    return moved[top : top + shape[0], left : left + shape[1]]


def bytes_of(picture, rng=None, noise=0.0):
    noisy = picture if rng is None else picture + rng.normal(0, noise, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("move", [(0.0, 0.0), (0.3, -0.2), (-2.7, 1.4), (7.5, 5.25), (-61.3, 48.8), (110.0, -20.5)])
def test_known_shifts(move):
    canvas = texture((512, 640))
    registrar = Registrar(SHAPE)
    found = registrar.shift(bytes_of(cut(canvas, 0, 0)), bytes_of(cut(canvas, *move)))
    assert (found.dx, found.dy) == pytest.approx(move, abs=0.05)
    assert found.jump == (np.hypot(*move) > 8) and found.quality > 0.9


def test_a_walk_with_text_noise_and_jumps_stays_true():
    rng = np.random.default_rng(3)
    canvas, n, shape = texture((360, 480), 1), 200, (220, 300)
    steps = rng.normal(0, 0.2, (n, 2)) + [0.1, -0.05]
    steps[0], steps[60], steps[130] = 0, [45, -30], [-70, 35]
    path = np.cumsum(steps, axis=0)
    registrar, previous, found = Registrar(shape), None, []
    for x, y in path:
        frame = bytes_of(cut(canvas, x, y, shape), rng, 6)
        cv2.putText(frame, "100 nm 2.5 dpa", (8, 212), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
        frame[20:25, 200:290] = 255
        found.append(Shift(0, 0, 1, False) if previous is None else registrar.shift(previous, frame))
        previous = frame
    error = np.cumsum([s[:2] for s in found], axis=0) - path
    assert np.sqrt((error**2).mean(axis=0)).max() < 0.3
    assert [i for i, s in enumerate(found) if s.jump] == [60, 130]


def test_objects_that_move_by_themselves_have_no_say():
    canvas = texture((400, 500))
    first, second = (np.ascontiguousarray(cut(canvas, *move)) for move in ((0, 0), (1.5, -0.75)))
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(20, 240, (12, 2)).round().astype(int):
        cv2.circle(first, (int(x), int(y)), 7, 20.0, -1)
        cv2.circle(second, (int(x) + 6, int(y) + 4), 8, 20.0, -1)
    found = Registrar(SHAPE).shift(
        bytes_of(cv2.GaussianBlur(first, (0, 0), 1.5)), bytes_of(cv2.GaussianBlur(second, (0, 0), 1.5))
    )
    assert (found.dx, found.dy) == pytest.approx((1.5, -0.75), abs=0.12)


def test_result_depends_on_the_two_frames_alone():
    canvas = texture((400, 500))
    a, b, c = (bytes_of(cut(canvas, *move)) for move in ((0, 0), (1.2, 0.4), (-3.0, 2.0)))
    used = Registrar(SHAPE)
    used.shift(a, b)
    assert used.shift(b, c) == Registrar(SHAPE).shift(b, c)
    b_new = b.copy()
    used.shift(a, b_new)
    b_new[:] = a
    assert used.shift(b_new, c) == Registrar(SHAPE).shift(a, c)


@pytest.mark.parametrize("make", [np.zeros, np.ones])
def test_empty_frames_do_not_move(make):
    found = Registrar(SHAPE).shift(make(SHAPE, np.uint8), make(SHAPE, np.uint8))
    assert found == Shift(0, 0, 0, False)


@pytest.mark.parametrize("shape", [(100, 120), (220, 300)])
@pytest.mark.parametrize("blur", [1.5, 2.5, 6.0])
def test_unlike_frames_are_not_matched(shape, blur):
    registrar = Registrar(shape)
    for seed in range(4):
        found = registrar.shift(bytes_of(texture(shape, seed, blur)), bytes_of(texture(shape, 50 + seed, blur)))
        assert found == Shift(0, 0, 0, False)


@pytest.mark.parametrize("blur", [1.5, 2.5])
def test_what_is_left_of_changed_content_is_matched(blur):
    canvas, other = texture((360, 480), 1, blur), texture((220, 300), 2, blur)
    first = bytes_of(cut(canvas, 0, 0, (220, 300)))
    second = bytes_of(0.45 * cut(canvas, 3.3, -2.2, (220, 300)) + 0.9 * (other - 64))
    found = Registrar((220, 300)).shift(first, second)
    assert (found.dx, found.dy) == pytest.approx((3.3, -2.2), abs=0.4) and 0.3 < found.quality < 0.6


@pytest.mark.parametrize(("dtype", "factor"), [(np.uint16, 200), (np.float32, 0.01), (np.float64, 1.0)])
def test_other_dtypes(dtype, factor):
    canvas = texture((400, 500))
    a, b = ((cut(canvas, *move) * factor).astype(dtype) for move in ((0, 0), (3.5, -1.5)))
    assert Registrar(SHAPE).shift(a, b)[:2] == pytest.approx((3.5, -1.5), abs=0.05)


@pytest.mark.parametrize("shape", [(16, 20), (64, 48), (3, 3)])
def test_small_frames(shape):
    frame = bytes_of(texture(shape))
    assert np.isfinite(Registrar(shape).shift(frame, frame)[:3]).all()


def test_views_are_reduced_once_and_let_the_frame_go():
    canvas = texture((400, 500))
    frames = [bytes_of(cut(canvas, *move)) for move in ((0, 0), (1.2, 0.4), (-3.0, 2.0))]
    registrar = Registrar(SHAPE)
    views = [registrar.view(frame) for frame in frames]
    assert registrar.between(views[0], views[1]) == registrar.shift(frames[0], frames[1])
    first = views[1].reduced
    assert registrar.between(views[1], views[2]) == registrar.shift(frames[1], frames[2])
    assert views[1].reduced is first and not hasattr(views[1], "_frame")


def test_another_shape_is_refused():
    with pytest.raises(InputError, match="wanted frames of"):
        Registrar(SHAPE).shift(np.zeros(SHAPE), np.zeros((5, 5)))
