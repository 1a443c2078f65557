"""Videos: every frame is the one asked for, in any order, in every container; nothing of a broken file is invented."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.open import open_frames
from morphoscope.io.video import VideoFrames, VideoWriter

N, SHAPE = 60, (96, 128)


def picture(number: int) -> np.ndarray:
    """A frame that tells its number: six blocks, black or white, are its bits."""
    image = np.full(SHAPE, 128, np.uint8)
    for bit in range(6):
        image[16:80, 8 + 20 * bit : 24 + 20 * bit] = 235 if number >> bit & 1 else 20
    return image


def number_in(image: np.ndarray) -> int:
    return sum(int(image[40, 16 + 20 * bit] > 128) << bit for bit in range(6))


def write(path: Path, codec: str, pixels: str, **options: str) -> Path:
    container_options = {"movflags": "faststart"} if options.pop("index_first", "") else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=Fraction(15), options=options)
        stream.height, stream.width, stream.pix_fmt = *SHAPE, pixels
        for number in range(N):
            rgb = np.repeat(picture(number)[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return path


KINDS = {
    "h264-b.mp4": ("libx264", "yuv420p", {"g": "20", "bf": "3", "sc_threshold": "0"}),
    "open-gop.mp4": ("libx264", "yuv420p", {"g": "15", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "full-range.mov": ("libx264", "yuvj420p", {"g": "25", "bf": "2"}),
    "h264-b.avi": ("libx264", "yuv420p", {"g": "20", "bf": "3"}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"bf": "2", "q": "2"}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "raw.avi": ("rawvideo", "gray", {}),
}


@pytest.fixture(scope="module", params=KINDS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, pixels, options = KINDS[request.param]
    return write(tmp_path_factory.mktemp("videos") / request.param, codec, pixels, **options)


def test_reads_every_frame_in_order(video: Path) -> None:
    with open_frames(video) as frames:
        assert (len(frames), frames.shape, frames.dtype) == (N, SHAPE, np.uint8)
        found = [(first + k, number_in(image)) for first, block in frames.blocks(0, N, 7) for k, image in enumerate(block)]
        assert found == [(k, k) for k in range(N)]
        assert [first for first, _ in frames.blocks(11, 30, 8)] == [11, 19, 27]
        assert frames.name(3) == video.name


def test_any_frame_in_any_order_is_the_one_asked_for(video: Path) -> None:
    with VideoFrames(video) as frames:
        order = np.random.default_rng(3).integers(0, N, 40)
        assert [number_in(frames[int(k)]) for k in order] == order.tolist()
        assert number_in(frames[-1]) == N - 1
        assert number_in(frames[N - 2]) == N - 2
        with pytest.raises(IndexError, match="there are 60"):
            frames[N]


@settings(max_examples=15, deadline=None)
@given(start=st.integers(0, N - 1), length=st.integers(1, N), size=st.integers(1, 9))
def test_blocks_and_single_frames_agree(tmp_path_factory: pytest.TempPathFactory, start: int, length: int, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "agree.mp4"
    if not path.exists():
        write(path, "libx264", "yuv420p", g="20", bf="3")
    stop = min(start + length, N)
    with open_frames(path) as frames:
        for first, block in frames.blocks(start, stop, size):
            np.testing.assert_array_equal(block[0], frames[first])
            np.testing.assert_array_equal(block[-1], frames[first + len(block) - 1])


def test_a_frame_read_before_does_not_change_when_its_copy_does(tmp_path: Path) -> None:
    with open_frames(write(tmp_path / "a.mp4", "libx264", "yuv420p")) as frames:
        frames[5][:] = 0
        assert number_in(frames[5]) == 5


def test_full_range_grey_is_the_luma_as_stored_and_limited_range_is_stretched(tmp_path: Path) -> None:
    full = write(tmp_path / "full.mp4", "libx264", "yuvj420p")
    limited = write(tmp_path / "limited.mp4", "libx264", "yuv420p", crf="4")
    with av.open(str(full)) as container:
        frame = next(container.decode(video=0))
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
    with open_frames(full) as frames:
        np.testing.assert_array_equal(frames[0], luma)
    with open_frames(limited) as frames:
        assert abs(int(frames[0][40, 16]) - 20) <= 2
        assert abs(int(frames[1][40, 16]) - 235) <= 2


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    written = rng.integers(0, 65535, (3, *SHAPE), dtype=np.uint16)
    with av.open(str(tmp_path / "deep.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = *SHAPE, "gray16le"
        for image in written:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray16le")))
        container.mux(stream.encode(None))
    with open_frames(tmp_path / "deep.mkv") as frames:
        assert frames.dtype == np.uint16
        np.testing.assert_array_equal(frames[2], written[2])


def test_the_playback_rate_is_no_frame_interval(tmp_path: Path) -> None:
    with open_frames(write(tmp_path / "a.mp4", "libx264", "yuv420p")) as frames:
        assert frames.calibration.frame_interval_s is None
        assert any("plays at 15 frames/s" in note for note in frames.notes)


def cut(source: Path, target: Path, share: float) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("h264.mp4", "libx264", {"bf": "3", "g": "10", "index_first": "yes"}),
        ("raw.avi", "rawvideo", {}),
        ("mjpeg.avi", "mjpeg", {}),
    ],
)
def test_a_truncated_video_gives_its_good_frames_and_then_says_so(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    pixels = {"libx264": "yuv420p", "rawvideo": "gray", "mjpeg": "yuvj420p"}[codec]
    whole = write(tmp_path / name, codec, pixels, **options)
    with open_frames(cut(whole, tmp_path / f"cut-{name}", 0.7)) as frames:
        assert len(frames) == N
        assert any("ends early" in note for note in frames.notes)
        seen: list[int] = []
        with pytest.raises(TruncatedError, match="should hold 60 frames") as caught:
            for _, block in frames.blocks(0, N, 8):
                seen += [number_in(image) for image in block]
        assert 20 < len(seen) < N
        assert seen == list(range(len(seen)))
        assert caught.value.frames_read == len(seen)
        with pytest.raises(TruncatedError):
            frames[N - 1]
        assert number_in(frames[len(seen) - 1]) == len(seen) - 1


def test_a_video_without_its_index_is_said_to_be_cut_short(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.mp4", "libx264", "yuv420p")
    with pytest.raises(InputError, match="cut short"):
        open_frames(cut(whole, tmp_path / "cut.mp4", 0.7))


def test_damage_inside_a_video_is_not_passed_over(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.avi", "mjpeg", "yuvj420p")
    data = bytearray(whole.read_bytes())
    middle = data.index(b"\xff\xd8", len(data) // 2)
    length = int.from_bytes(data[middle - 4 : middle], "little")
    data[middle : middle + length] = bytes(length)
    (tmp_path / "bad.avi").write_bytes(data)
    with open_frames(tmp_path / "bad.avi") as frames:
        seen = 0
        with pytest.raises(TruncatedError, match="damaged"):
            for _, block in frames.blocks(0, N, 1):
                seen += len(block)
        assert 10 < seen < N


@pytest.mark.parametrize("content", [b"", b"no video at all" * 50])
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="film.mp4"):
        open_frames(path)


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    with open_frames(write(tmp_path / "a.mp4", "libx264", "yuv420p")) as frames:
        tracemalloc.start()
        for _ in frames.blocks(0, N, 4):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 20 * SHAPE[0] * SHAPE[1] + 300_000


def test_written_video_reads_back(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", rate=12.5, quality=4) as video:
        for k in range(5):
            video.write(np.repeat(picture(k)[:95, :127, None], 3, axis=2))
    with open_frames(tmp_path / "out.mp4") as frames:
        assert (len(frames), frames.shape) == (5, (96, 128))
        assert [number_in(frames[k]) for k in range(5)] == list(range(5))
        assert any("12.5 frames/s" in note for note in frames.notes)


def test_the_writer_refuses_what_is_no_rgb_frame_and_makes_no_empty_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "none.mp4"):
        pass
    assert not (tmp_path / "none.mp4").exists()
    with VideoWriter(tmp_path / "two.mp4") as video:
        with pytest.raises(ValueError, match="RGB"):
            video.write(np.zeros((8, 8), np.uint8))
        video.write(np.zeros((64, 64, 3), np.uint8))
        with pytest.raises(ValueError, match="one size"):
            video.write(np.zeros((64, 66, 3), np.uint8))


def test_real_video_has_all_frames_and_the_labelled_ones(loops_stem: Path) -> None:
    with open_frames(loops_stem / "video.mp4") as frames, open_frames(loops_stem / "labelled" / "Frame962.jpg") as labelled:
        assert (len(frames), frames.shape) == (1176, (710, 1120))
        alike = np.corrcoef(frames[962].ravel()[::7], labelled[0].ravel()[::7])[0, 1]
        assert alike > 0.95
