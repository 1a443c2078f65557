"""Folders of pictures as frames, and what `open_frames` and `info` say."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import tifffile

from morphoscope.calibration import Calibration
from morphoscope.cli.info import info
from morphoscope.errors import InputError, TruncatedError, UsageError
from morphoscope.io.frames import Frames
from morphoscope.io.images import natural_key
from morphoscope.io.open import open_frames


def picture(value, dtype=np.uint8, shape=(12, 17)):
    return (np.arange(np.prod(shape)).reshape(shape) % 50 + value).astype(dtype)


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "PNG"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_folder_is_a_series_in_natural_order(tmp_path, kind, dtype):
    if kind == "bmp" and dtype == np.uint16:
        pytest.skip("BMP has 8 bits")
    scale = 1 if dtype == np.uint8 else 1000
    for k in (10, 2, 1, 9):
        write = tifffile.imwrite if kind == "tif" else cv2.imwrite
        write(str(tmp_path / f"frame{k}.{kind}"), picture(k, np.int64).astype(dtype) * dtype(scale))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / f".hidden.{kind}").write_bytes(b"")
    with open_frames(tmp_path) as frames:
        assert isinstance(frames, Frames)
        assert (len(frames), frames.shape, frames.dtype) == (4, (12, 17), dtype)
        assert [frames.name(i) for i in range(4)] == [f"frame{k}.{kind}" for k in (1, 2, 9, 10)]
        assert frames.calibration == Calibration()
        whole = np.concatenate([block for _, block in frames.blocks(0, 4, 3)])
        for i, k in enumerate((1, 2, 9, 10)):
            np.testing.assert_array_equal(frames[i], picture(k, np.int64) * scale)
            np.testing.assert_array_equal(whole[i], frames[i])
        assert [(first, len(block)) for first, block in frames.blocks(1, 4, 2)] == [(1, 2), (3, 1)]
        np.testing.assert_array_equal(frames[-1], frames[3])
        with pytest.raises(IndexError):
            frames[4]


def test_natural_order():
    assert sorted(["b1", "a10", "A9", "a2b", "2", "10"], key=natural_key) == ["2", "10", "a2b", "A9", "a10", "b1"]


def test_a_list_keeps_its_order_and_one_picture_is_one_frame(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in (3, 1, 2)]
    for k, path in enumerate(paths):
        cv2.imwrite(str(path), picture(k))
    with open_frames(paths) as frames:
        assert [frames.name(i) for i in range(3)] == ["3.png", "1.png", "2.png"]
        np.testing.assert_array_equal(frames[2], picture(2))
    with open_frames(paths[0]) as frames:
        assert len(frames) == 1 and frames.name(0) == "3.png"


def test_colour_is_turned_to_grey_and_said(tmp_path):
    colour = np.dstack([picture(10), picture(60), picture(150)])
    cv2.imwrite(str(tmp_path / "c.png"), colour)
    with open_frames(tmp_path / "c.png") as frames:
        blue, green, red = (colour[..., k].astype(float) for k in range(3))
        np.testing.assert_allclose(frames[0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=1)
        assert any("grey" in note for note in frames.notes)
    cv2.imwrite(str(tmp_path / "g.png"), np.dstack([picture(10)] * 3))
    with open_frames(tmp_path / "g.png") as frames:
        np.testing.assert_array_equal(frames[0], picture(10))
        assert frames.notes == ()


def test_sizes_must_agree_and_both_files_are_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a1.png"), picture(0))
    cv2.imwrite(str(tmp_path / "a2.png"), picture(0, shape=(12, 20)))
    with pytest.raises(InputError) as error, open_frames(tmp_path) as frames:
        frames[1]
    for word in ("a1.png", "17 x 12", "a2.png", "20 x 12"):
        assert word in str(error.value)


def test_depths_must_agree(tmp_path):
    cv2.imwrite(str(tmp_path / "a1.png"), picture(0))
    cv2.imwrite(str(tmp_path / "a2.png"), picture(0, np.uint16))
    with pytest.raises(InputError, match=r"a1\.png.*uint8.*a2\.png.*uint16"):
        open_frames(tmp_path)


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.6, 0.97])
def test_a_cut_off_picture_is_named(tmp_path, kind, kept):
    noise = np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8)
    cv2.imwrite(str(tmp_path / f"a1.{kind}"), noise)
    whole = (tmp_path / f"a1.{kind}").read_bytes()
    (tmp_path / f"a2.{kind}").write_bytes(whole[: int(len(whole) * kept)])
    with open_frames(tmp_path) as frames, pytest.raises(InputError, match=rf"a2\.{kind}"):
        frames[1]


def test_what_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        open_frames(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match=r"no pictures.*\.png"):
        open_frames(tmp_path)
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.docx.*supported.*\.mp4.*\.tif.*\.png"):
        open_frames(tmp_path / "a.docx")
    with pytest.raises(InputError, match="at least one"):
        open_frames([])


def test_info_prints_scale_with_its_source(tmp_path, capsys):
    path = tmp_path / "s.tif"
    data = np.stack([picture(k) for k in range(3)])
    tifffile.imwrite(path, data, imagej=True, resolution=(4, 2), metadata={"unit": "nm", "finterval": 1.5, "axes": "TYX"})
    info(path, json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["height_px"], found["width_px"], found["dtype"]) == (3, 12, 17, "uint8")
    assert found["calibration"]["pixel_size_nm"] == pytest.approx([0.5, 0.25])
    assert found["calibration"]["frame_interval_s"] == 1.5
    info(path, json=False)
    text = capsys.readouterr().out
    assert "0.5 (y), 0.25 (x) nm per px, from the header" in text and "1.5 s" in text
    cv2.imwrite(str(tmp_path / "p.png"), picture(0))
    info(tmp_path / "p.png", json=False)
    assert "not in the file" in capsys.readouterr().out


def test_real_folder(shared_data):
    with open_frames(shared_data / "bulk-water" / "frames") as frames:
        assert (len(frames), frames.shape, frames.dtype) == (40, (424, 640), np.uint8)
        assert frames.name(39) == "bulk_water_039.png"


def test_one_channel_of_flat_pictures(tmp_path):
    bgra = np.dstack([picture(k) for k in (10, 60, 110, 160)])
    cv2.imwrite(str(tmp_path / "c.png"), bgra)
    for number, name, stored in ((0, "red", 2), (1, "Green", 1), (2, "blue", 0), (3, "alpha", 3)):
        for channel in (number, name):
            with open_frames(tmp_path / "c.png", channel=channel) as frames:
                np.testing.assert_array_equal(frames[0], bgra[..., stored])
    with open_frames(tmp_path / "c.png") as frames:
        assert "the opacity channel is ignored" in frames.notes
    with pytest.raises(UsageError, match="red, green, blue, alpha"):
        open_frames(tmp_path / "c.png", channel=4)
    cv2.imwrite(str(tmp_path / "g.png"), picture(3))
    with pytest.raises(UsageError, match="grey values alone"):
        open_frames(tmp_path / "g.png", channel="red")
    with open_frames(tmp_path / "g.png", channel=0) as frames:
        np.testing.assert_array_equal(frames[0], picture(3))


def test_a_folder_may_hold_several_formats(tmp_path):
    for k, kind in enumerate(("png", "bmp", "tif", "tiff", "jpg")):
        write = tifffile.imwrite if kind.startswith("tif") else cv2.imwrite
        write(str(tmp_path / f"f{k}.{kind}"), picture(k))
    with open_frames(tmp_path) as frames:
        assert [frames.name(k) for k in range(5)] == ["f0.png", "f1.bmp", "f2.tif", "f3.tiff", "f4.jpg"]
        for k in range(4):
            np.testing.assert_array_equal(frames[k], picture(k))


def test_one_unreadable_header_does_not_stop_and_is_named_when_read(tmp_path):
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"a{k}.png"), picture(k))
    (tmp_path / "a1.png").write_bytes(b"nothing")
    tifffile.imwrite(tmp_path / "a3.tif", picture(3))
    (tmp_path / "a4.tif").write_bytes(b"II*\x00")
    with open_frames(tmp_path) as frames:
        assert len(frames) == 5
        for k in (0, 2, 3):
            np.testing.assert_array_equal(frames[k], picture(k))
        for k in (1, 4):
            with pytest.raises(TruncatedError, match=rf"a{k}\."):
                frames[k]


def test_depths_of_tiff_files_are_looked_at_when_opening(tmp_path):
    tifffile.imwrite(tmp_path / "a1.tif", picture(0))
    tifffile.imwrite(tmp_path / "a2.tif", picture(0, np.float32))
    with pytest.raises(InputError, match=r"a1\.tif.*uint8.*a2\.tif.*float32"):
        open_frames(tmp_path)
