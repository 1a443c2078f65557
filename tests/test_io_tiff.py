"""TIFF stacks: pages as stored, scales that headers state, and nothing believed that is no scale."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, TruncatedError
from morphoscope.io.open import open_frames
from morphoscope.io.tiff import TiffFrames
from morphoscope.io.tiff_scale import plain_unit

SHAPE = (24, 30)


def stack(n: int, dtype: Any = np.uint8, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return (np.random.default_rng(n).random((n, *shape)) * 250).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("how", ["plain", "compressed", "big", "imagej", "ome", "bigendian"])
def test_pages_come_as_stored(tmp_path: Path, dtype: Any, how: str) -> None:
    pages, path = stack(5, dtype), tmp_path / "stack.tif"
    if how in ("imagej", "ome"):
        tifffile.imwrite(path, pages, metadata={"axes": "TYX"}, imagej=how == "imagej", ome=how == "ome")
    elif how == "plain":
        with tifffile.TiffWriter(path) as file:
            for page in pages:
                file.write(page, contiguous=False, metadata=None)
    else:
        options: dict[str, Any] = {
            "compressed": {"compression": "zlib"},
            "big": {"bigtiff": True},
            "bigendian": {"byteorder": ">"},
        }
        tifffile.imwrite(path, pages, **options[how])
    with open_frames(path) as frames:
        assert (len(frames), frames.shape, frames.dtype) == (5, SHAPE, dtype)
        np.testing.assert_array_equal(np.stack([frames[k] for k in range(5)]), pages)
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(1, 5, 3)]), pages[1:])
        assert frames.notes == ()


def test_other_kinds_of_numbers_are_converted_and_it_is_said(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "signed.tif", np.array([[-5, 300], [7, 8]], np.int16))
    with open_frames(tmp_path / "signed.tif") as frames:
        assert frames.dtype == np.float32
        np.testing.assert_array_equal(frames[0], [[-5, 300], [7, 8]])
        assert frames.notes == ("int16 values are read as float32",)
    tifffile.imwrite(tmp_path / "mask.tif", np.eye(9, dtype=bool))
    with open_frames(tmp_path / "mask.tif") as frames:
        np.testing.assert_array_equal(frames[0], np.eye(9, dtype=np.uint8) * 255)
    tifffile.imwrite(tmp_path / "complex.tif", np.ones((4, 4), np.complex64))
    with pytest.raises(InputError, match="complex64"):
        open_frames(tmp_path / "complex.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_is_turned_to_luma_and_said(tmp_path: Path, dtype: Any) -> None:
    colour = stack(3, dtype, (*SHAPE, 3))
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    with open_frames(tmp_path / "rgb.tif") as frames:
        assert (len(frames), frames.shape, frames.dtype) == (3, SHAPE, dtype)
        luma = colour[2] @ np.array([0.299, 0.587, 0.114])
        assert np.abs(frames[2] - luma).max() <= 0.51
        assert any("grey" in note for note in frames.notes)


@pytest.mark.parametrize(
    ("unit", "per_px", "nm"),
    [("nm", 2.0, 0.5), ("micron", 500.0, 2.0), ("um", 500.0, 2.0), ("\\u00B5m", 500.0, 2.0), ("mm", 1e3, 1e3), ("pm", 0.01, 0.1)],
)
def test_imagej_scale_and_interval(tmp_path: Path, unit: str, per_px: float, nm: float) -> None:
    metadata = {"axes": "TYX", "unit": unit, "finterval": 1.75, "fps": 15.0}
    tifffile.imwrite(tmp_path / "ij.tif", stack(3), imagej=True, resolution=(per_px, per_px / 2), metadata=metadata)
    with open_frames(tmp_path / "ij.tif") as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((2 * nm, nm), rel=1e-6)
        assert frames.calibration.frame_interval_s == pytest.approx(1.75)
        assert frames.calibration.provenance == dict.fromkeys(("pixel_size_nm", "frame_interval_s"), "header (ImageJ)")


def test_every_way_to_write_the_micrometre() -> None:
    assert {plain_unit(text) for text in ("um", "µm", "μm", "\\u00B5m", "\\u00b5m", "\\u03BCm", " uM ", '"µm"')} == {"um"}


@pytest.mark.parametrize(
    ("metadata", "resolution", "words"),
    [
        ({"unit": "inch"}, (300, 300), "printing"),
        ({"unit": "parsec"}, (2, 2), "parsec"),
        ({"unit": "nm"}, (1e9, 1e9), "cannot be"),
        ({"unit": "nm", "finterval": -2.0}, (2, 2), "interval"),
    ],
)
def test_absurd_imagej_values_are_not_used_and_said(
    tmp_path: Path, metadata: dict[str, Any], resolution: tuple[float, float] | None, words: str
) -> None:
    tifffile.imwrite(tmp_path / "ij.tif", stack(3), imagej=True, resolution=resolution, metadata={"axes": "TYX", **metadata})
    with open_frames(tmp_path / "ij.tif") as frames:
        assert frames.calibration.frame_interval_s is None
        assert frames.calibration.pixel_size_nm is None or "interval" in words
        assert len(frames.notes) == 1
        assert words in frames.notes[0]


def test_ome_scale_and_interval(tmp_path: Path) -> None:
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 0.4,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.0005,
        "PhysicalSizeYUnit": "µm",
        "TimeIncrement": 250,
        "TimeIncrementUnit": "ms",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", stack(4), ome=True, metadata=metadata)
    with open_frames(tmp_path / "a.ome.tif") as frames:
        assert len(frames) == 4
        assert frames.calibration.pixel_size_nm == pytest.approx((0.5, 0.4))
        assert frames.calibration.frame_interval_s == pytest.approx(0.25)
        assert frames.calibration.provenance["pixel_size_nm"] == "header (OME)"


@pytest.mark.parametrize("sizes", [{"PhysicalSizeX": 0, "PhysicalSizeY": 0}, {"PhysicalSizeX": 1.0}])
def test_ome_zero_or_half_a_size_is_not_used_and_said(tmp_path: Path, sizes: dict[str, float]) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", stack(2), ome=True, metadata={"axes": "TYX", **sizes})
    with open_frames(tmp_path / "a.ome.tif") as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any("not used" in note for note in frames.notes)


def test_a_resolution_for_printing_is_no_scale(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "dpi.tif", stack(1)[0], resolution=(300, 300), resolutionunit="INCH", metadata=None)
    with open_frames(tmp_path / "dpi.tif") as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any("printing" in note for note in frames.notes)


def test_pages_of_different_sizes_and_several_axes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as file:
        file.write(np.zeros((20, 30), np.uint8), metadata=None)
        file.write(np.zeros((22, 30), np.uint8), metadata=None)
    with pytest.raises(InputError, match="30 x 20 px.*30 x 22 px"):
        open_frames(tmp_path / "mixed.tif")
    tifffile.imwrite(tmp_path / "tz.tif", np.zeros((3, 4, *SHAPE), np.uint8), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(InputError, match="several axes"):
        open_frames(tmp_path / "tz.tif")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((2, *SHAPE), np.uint8), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(InputError, match="2 channels"):
        open_frames(tmp_path / "c.tif")


@pytest.mark.parametrize("content", [b"", b"II*\x00\x08\x00\x00\x00", b"II*\x00" + b"\xff" * 60, b"not a picture at all"])
def test_what_is_no_tiff_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken.tif"):
        open_frames(path)


@pytest.mark.parametrize("how", ["plain", "compressed", "imagej", "shaped"])
@settings(max_examples=12, deadline=None)
@given(share=st.floats(0.15, 0.97))
def test_a_truncated_stack_gives_its_good_pages(tmp_path_factory: pytest.TempPathFactory, how: str, share: float) -> None:
    pages = stack(12, np.uint16)
    folder = tmp_path_factory.mktemp("cut")
    if how in ("imagej", "shaped"):
        tifffile.imwrite(folder / "whole.tif", pages, imagej=how == "imagej")
    else:
        with tifffile.TiffWriter(folder / "whole.tif") as file:
            for page in pages:
                file.write(page, contiguous=False, metadata=None, compression="zlib" if how == "compressed" else None)
    data = (folder / "whole.tif").read_bytes()
    (folder / "cut.tif").write_bytes(data[: int(len(data) * share)])
    seen: list[np.ndarray] = []
    with TiffFrames(folder / "cut.tif") as frames:
        try:
            for _, block in frames.blocks(0, len(frames), 5):
                seen += list(block)
        except TruncatedError as error:
            assert error.frames_read == len(seen)
            assert any("ends early" in note for note in frames.notes)
        else:
            assert how in ("imagej", "shaped") and len(seen) == 12  # only the list of pages at the end is gone
    assert len(seen) >= int(12 * (share - 0.15)) or how == "compressed"
    for found, page in zip(seen, pages, strict=False):
        np.testing.assert_array_equal(found, page)


def test_one_page_in_memory_at_a_time(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "long.tif", stack(200, np.uint16, (128, 128)), imagej=True)
    with open_frames(tmp_path / "long.tif") as frames:
        frames[0]
        tracemalloc.start()
        for _ in frames.blocks(0, 200, 2):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 12 * 128 * 128 * 2


def test_real_stack(shared_data: Path) -> None:
    path = shared_data / "gold-tem" / "frames.tif"
    if not path.is_file():
        pytest.skip(f"the real data are not here: no {path}")
    with open_frames(path) as frames:
        assert (len(frames), frames.shape, frames.dtype) == (194, (369, 369), np.uint8)
        assert frames[193].max() < 64
        assert frames.calibration.pixel_size_nm is None
