"""Pictures with their colours, as stored."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from morphoscope.errors import InputError
from morphoscope.io.colour import read_colour

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 17, 3)).astype(np.uint8)
GREY = RGB[..., 0].copy()


def same(path, wanted) -> None:
    got = read_colour(path)
    assert got.dtype == wanted.dtype and got.flags.c_contiguous
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_colours_come_in_the_order_red_green_blue(tmp_path, suffix) -> None:
    Image.fromarray(RGB).save(tmp_path / f"c.{suffix}")
    same(tmp_path / f"c.{suffix}", RGB)
    Image.fromarray(GREY).save(tmp_path / f"g.{suffix}")
    same(tmp_path / f"g.{suffix}", GREY)


def test_jpeg(tmp_path) -> None:
    flat = np.full((16, 16, 3), (200, 100, 30), np.uint8)
    Image.fromarray(flat).save(tmp_path / "c.jpg", quality=95)
    assert np.abs(read_colour(tmp_path / "c.jpg").astype(int) - flat).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_opacity_is_left_out(tmp_path, suffix) -> None:
    alpha = RNG.integers(0, 256, (12, 17, 1)).astype(np.uint8)
    Image.fromarray(np.concatenate([RGB, alpha], axis=2)).save(tmp_path / f"a.{suffix}")
    same(tmp_path / f"a.{suffix}", RGB)
    Image.fromarray(np.concatenate([GREY[..., None], alpha], axis=2)).save(tmp_path / f"la.{suffix}")
    same(tmp_path / f"la.{suffix}", GREY)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_colour_tables_are_applied(tmp_path, suffix) -> None:
    table = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
    picture = Image.frombytes("P", (17, 12), GREY.tobytes())
    picture.putpalette(table.tobytes())
    picture.save(tmp_path / f"p.{suffix}")
    same(tmp_path / f"p.{suffix}", table[GREY])
    grey_table = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    picture.putpalette(grey_table.tobytes())
    picture.save(tmp_path / f"q.{suffix}")
    same(tmp_path / f"q.{suffix}", 255 - GREY)


def test_sixteen_bits_and_floats_stay(tmp_path) -> None:
    deep = RNG.integers(0, 65536, (12, 17, 3)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    same(tmp_path / "deep.tif", deep)
    tifffile.imwrite(tmp_path / "planes.tif", deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    same(tmp_path / "planes.tif", deep)
    tifffile.imwrite(tmp_path / "white.tif", GREY, photometric="miniswhite")
    same(tmp_path / "white.tif", 255 - GREY)

    cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    same(tmp_path / "deep.png", deep)
    real = RNG.random((12, 17, 3)).astype(np.float32)
    tifffile.imwrite(tmp_path / "real.tif", real, photometric="rgb")
    same(tmp_path / "real.tif", real)


def test_channels_all_alike_are_grey(tmp_path) -> None:
    alike = np.repeat(GREY[..., None], 3, axis=2)
    for suffix in ("png", "tif"):
        Image.fromarray(alike).save(tmp_path / f"g.{suffix}")
        same(tmp_path / f"g.{suffix}", GREY)


def test_what_is_no_picture_is_said(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for name, said in {
        "stack.tif": "a stack of 3 frames",
        "bad.png": "not a readable picture",
        "gone.png": "no file or folder",
        "": "is a folder",
        "video.mp4": "is a video",
    }.items():
        with pytest.raises(InputError, match=said):
            read_colour(tmp_path / name)
