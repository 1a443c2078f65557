"""TIFF stacks: pages as stored, scales that headers state, and nothing believed that is no scale."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, TruncatedError, UsageError
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


@pytest.mark.parametrize(("unit", "size"), [("CENTIMETER", 0.5), ("INCH", 1.27)])
def test_a_resolution_finer_than_printers_may_be_a_scale_but_is_not_taken(tmp_path: Path, unit: str, size: float) -> None:
    tifffile.imwrite(tmp_path / "fine.tif", stack(1)[0], resolution=(2e7, 2e7), resolutionunit=unit, metadata=None)
    with open_frames(tmp_path / "fine.tif") as frames:
        assert frames.calibration.pixel_size_nm is None
        said = " ".join(frames.notes)
        assert f"{size:g} nm per px" in said and "pixel_size_nm" in said and "printing" not in said


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


def test_times_and_places_of_ome_planes(tmp_path: Path) -> None:
    times, x = [0.5, 2.5, 4.5, 6.5], [0.0, 0.001, 0.002, 0.003]
    plane = {
        "DeltaT": times,
        "DeltaTUnit": ["s"] * 4,
        "PositionX": x,
        "PositionXUnit": ["mm"] * 4,
        "PositionY": [1.0] * 4,
        "ExposureTime": [20.0] * 4,
        "ExposureTimeUnit": ["ms"] * 4,
    }
    metadata = {"axes": "TYX", "Plane": plane, "PhysicalSizeZ": 0.3, "Name": "film 7"}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack(4), ome=True, metadata=metadata)
    with open_frames(tmp_path / "a.ome.tif") as frames:
        table = frames.frame_data
        assert table is not None and list(table) == ["frame", "time_s", "exposure_s", "stage_x_um"]
        assert table["time_s"].tolist() == times and table["stage_x_um"].tolist() == pytest.approx([0, 1, 2, 3])
        assert table["exposure_s"].tolist() == pytest.approx([0.02] * 4)
        assert frames.calibration.frame_interval_s == 2
        assert frames.calibration.provenance["frame_interval_s"] == "header (OME)"
        assert frames.metadata == {"title": "film 7", "slice_spacing_nm": pytest.approx(300)}


@pytest.mark.parametrize(
    ("times", "stated", "interval", "words"),
    [([0, 2, 4, 9], None, None, "run from 2 to 5 s"), ([0, 2, 4, 6], 2, 2, ""), ([0, 2, 4, 6], 3, None, "neither is used")],
)
def test_ome_times_that_are_uneven_or_not_the_stated_ones(
    tmp_path: Path, times: list[int], stated: float | None, interval: float | None, words: str
) -> None:
    more = {"TimeIncrement": stated} if stated else {}
    metadata = {"axes": "TYX", "Plane": {"DeltaT": times, "DeltaTUnit": ["s"] * 4}, **more}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack(4), ome=True, metadata=metadata)
    with open_frames(tmp_path / "a.ome.tif") as frames:
        assert frames.calibration.frame_interval_s == interval
        assert frames.frame_data is not None and frames.frame_data["time_s"].tolist() == times
        assert any(words in note for note in frames.notes) if words else frames.notes == ()


@pytest.mark.parametrize("how", ["imagej", "ome"])
def test_one_of_several_channels_that_are_pages(tmp_path: Path, how: str) -> None:
    pages = stack(10, np.uint16).reshape(5, 2, *SHAPE)
    options: dict[str, Any] = {"imagej": how == "imagej", "ome": how == "ome", "metadata": {"axes": "TCYX"}}
    if how == "ome":
        options["metadata"]["Plane"] = {"DeltaT": [k + (k % 2) * 100 for k in range(10)], "DeltaTUnit": ["s"] * 10}
    tifffile.imwrite(tmp_path / "c.ome.tif", pages, photometric="minisblack", **options)
    with pytest.raises(InputError, match="2 channels.*`channel`"):
        open_frames(tmp_path / "c.ome.tif")
    for k in (0, 1):
        with open_frames(tmp_path / "c.ome.tif", channel=k) as frames:
            np.testing.assert_array_equal(np.stack(list(frames)), pages[:, k])
            if how == "ome":
                assert frames.frame_data is not None
                assert frames.frame_data["time_s"].tolist() == [2 * t + 101 * k for t in range(5)]
    with pytest.raises(UsageError, match="2 channels"):
        open_frames(tmp_path / "c.ome.tif", channel=2)


def test_one_of_several_series(tmp_path: Path) -> None:
    pages = stack(3)
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as file:
        file.write(np.zeros((20, 30), np.uint8), metadata=None)
        for page in pages:
            file.write(page, metadata=None, contiguous=False)
        file.write(np.zeros((10, 15), np.uint8), metadata=None, subfiletype=1)
    with pytest.raises(InputError, match=r"`part`.*0: '30 x 20 px' \(20 x 30, uint8\); 1: '30 x 24 px' \(3 x 24 x 30, uint8\)$"):
        open_frames(tmp_path / "mixed.tif")
    for part in (1, "30 x 24 px"):
        with open_frames(tmp_path / "mixed.tif", part=part) as frames:
            np.testing.assert_array_equal(np.stack(list(frames)), pages)
    with pytest.raises(UsageError, match="part 2"):
        open_frames(tmp_path / "mixed.tif", part=2)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_one_channel_of_a_colour_page_and_opacity(tmp_path: Path, planar: str, dtype: Any) -> None:
    colour = stack(1, dtype, (*SHAPE, 4))[0]
    stored = colour if planar == "contig" else np.moveaxis(colour, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, extrasamples=[2])
    for k, name in enumerate(("red", "green", "blue", "alpha")):
        for channel in (k, name):
            with open_frames(tmp_path / "a.tif", channel=channel) as frames:
                np.testing.assert_array_equal(frames[0], colour[..., k])
    with open_frames(tmp_path / "a.tif") as frames:
        np.testing.assert_allclose(frames[0], colour[..., :3] @ np.array([0.299, 0.587, 0.114]), atol=0.51)
        assert "the opacity channel is ignored" in frames.notes
    with pytest.raises(UsageError, match="red, green, blue, alpha"):
        open_frames(tmp_path / "a.tif", channel="infrared")


def test_grey_with_opacity_and_channels_without_colour(tmp_path: Path) -> None:
    values = stack(1, np.uint8, (*SHAPE, 2))[0]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", extrasamples=[2], planarconfig="contig")
    with open_frames(tmp_path / "a.tif") as frames:
        np.testing.assert_array_equal(frames[0], values[..., 0])
        assert frames.notes == ("the opacity channel is ignored",)
    with open_frames(tmp_path / "a.tif", channel="alpha") as frames:
        np.testing.assert_array_equal(frames[0], values[..., 1])
    many = stack(1, np.uint8, (*SHAPE, 5))[0]
    tifffile.imwrite(tmp_path / "m.tif", many, photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match="5 channels.*`channel`"):
        open_frames(tmp_path / "m.tif")
    with open_frames(tmp_path / "m.tif", channel=3) as frames:
        np.testing.assert_array_equal(frames[0], many[..., 3])
    tifffile.imwrite(tmp_path / "k.tif", stack(1, np.uint8, (*SHAPE, 4))[0], photometric="separated")
    with pytest.raises(InputError, match="CMYK"):
        open_frames(tmp_path / "k.tif")


def palette(kind: str) -> np.ndarray:
    ramp = np.arange(256, dtype=np.uint16)
    tables = {
        "identity": [ramp * 257] * 3,
        "reversed": [(255 - ramp) * 257] * 3,
        "fire": [np.minimum(ramp * 3, 255) * 257, ramp * 257, ramp // 2 * 257],
        "rainbow": [ramp * 257, np.abs(2 * ramp.astype(int) - 255).astype(np.uint16) * 257, (255 - ramp) * 257],
    }
    return np.stack(tables[kind])


@pytest.mark.parametrize(
    ("kind", "words"), [("identity", ""), ("reversed", "grey colour table"), ("fire", "luma"), ("rainbow", "false colours")]
)
def test_colour_tables_are_applied(tmp_path: Path, kind: str, words: str) -> None:
    values, table = stack(1)[0], palette(kind)
    tifffile.imwrite(tmp_path / "p.tif", values, photometric="palette", colormap=table, metadata=None)
    with open_frames(tmp_path / "p.tif") as frames:
        luma = np.array([0.299, 0.587, 0.114]) @ (table.astype(float) / 257)
        assert frames.dtype == np.uint8 and np.abs(frames[0] - luma[values]).max() <= 0.51
        assert words in "".join(frames.notes) if words else frames.notes == ()
    bgr = (table[::-1].T // 257).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), bgr[values])
    with open_frames(tmp_path / "p.tif") as frames, open_frames(tmp_path / "p.png") as flat:
        assert np.abs(frames[0].astype(int) - flat[0]).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_where_zero_is_white_bright_is_made_high_and_it_is_said(tmp_path: Path, dtype: Any) -> None:
    values = stack(1, dtype)[0]
    tifffile.imwrite(tmp_path / "w.tif", values, photometric="miniswhite")
    with open_frames(tmp_path / "w.tif") as frames:
        np.testing.assert_array_equal(frames[0], np.iinfo(dtype).max - values)
        assert any("inverted" in note for note in frames.notes)
    tifffile.imwrite(tmp_path / "f.tif", values.astype(np.float32), photometric="miniswhite")
    with open_frames(tmp_path / "f.tif") as frames:
        np.testing.assert_array_equal(frames[0], values)
        assert any("not inverted" in note for note in frames.notes)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint32, np.int64, np.float64, np.float16])
def test_all_other_numbers_become_float32(tmp_path: Path, dtype: Any) -> None:
    values = (stack(1)[0].astype(np.int64) - (100 if np.dtype(dtype).kind in "if" else 0)).clip(-128, 127).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, metadata=None)
    with open_frames(tmp_path / "a.tif") as frames:
        assert frames.dtype == np.float32
        np.testing.assert_array_equal(frames[0], values.astype(np.float32))
        assert frames.notes == (f"{np.dtype(dtype)} values are read as float32",)


def test_one_bit(tmp_path: Path) -> None:
    mask = stack(1)[0] > 120
    for photometric in ("miniswhite", "minisblack"):
        tifffile.imwrite(tmp_path / "m.tif", mask, photometric=photometric, metadata=None)
        with open_frames(tmp_path / "m.tif") as frames:
            np.testing.assert_array_equal(frames[0], mask * np.uint8(255))
            assert bool(frames.notes) == (photometric == "miniswhite")


def raw_tiff(path: Path, tags: dict[int, tuple[int, list[int]]], data: bytes, order: str = "<") -> Path:
    """A TIFF of one page: tags as number to (type, values), the data of the one strip behind the header."""
    sizes, codes = {3: 2, 4: 4}, {3: "H", 4: "I"}
    values, entries, place = b"", b"", 8 + len(data)
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{codes[kind]}", *numbers)
        if len(packed) > 4:
            entries += struct.pack(f"{order}HHII", tag, kind, len(numbers), place + len(values))
            values += packed
        else:
            entries += struct.pack(f"{order}HHI", tag, kind, len(packed) // sizes[kind]) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, place + len(values))
    path.write_bytes(head + data + values + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))
    return path


def page_tags(shape: tuple[int, int], length: int, **more: int) -> dict[int, tuple[int, list[int]]]:
    tags = {256: (4, [shape[1]]), 257: (4, [shape[0]]), 258: (3, [8]), 259: (3, [1]), 262: (3, [1]), 273: (4, [8]), 277: (3, [1])}
    tags |= {278: (4, [shape[0]]), 279: (4, [length])}
    return tags | {int(tag[1:]): (4, [value]) for tag, value in more.items()}


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14])
@pytest.mark.parametrize("coding", [1, 5, 8])
def test_packed_bits(tmp_path: Path, bits: int, coding: int) -> None:
    values = np.random.default_rng(bits).integers(0, 1 << bits, (5, 7))
    each = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    data = np.packbits(each.reshape(5, -1).astype(np.uint8), axis=1).tobytes()
    if coding == 5:
        data = lzw(data)
    data = zlib.compress(data) if coding == 8 else data
    path = raw_tiff(tmp_path / "a.tif", page_tags((5, 7), len(data), t258=bits, t259=coding), data)
    with open_frames(path) as frames:
        assert frames.dtype == (np.uint8 if bits < 8 else np.uint16)
        np.testing.assert_array_equal(frames[0], values * (255 if bits == 1 else 1))


def lzw(data: bytes) -> bytes:
    """LZW of TIFF 6.0, section 13: codes of 9 bits alone, with a clear code often enough."""
    codes = []
    for k, byte in enumerate(data):
        codes += [256] * (k % 200 == 0) + [byte]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return bytes(int(bits[k : k + 8].ljust(8, "0"), 2) for k in range(0, len(bits), 8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_lzw(tmp_path: Path, dtype: Any, order: str, predictor: int) -> None:
    if predictor == 2 and dtype == np.float32:
        pytest.skip("differences are of integers")
    values = (stack(1, np.float32)[0] * 3).astype(dtype)
    stored = np.diff(values, axis=1, prepend=values.dtype.type(0)) if predictor == 2 else values
    data = lzw(stored.astype(np.dtype(dtype).newbyteorder(order)).tobytes())
    kind = {"u": 1, "i": 2, "f": 3}[np.dtype(dtype).kind]
    tags = page_tags(SHAPE, len(data), t258=8 * np.dtype(dtype).itemsize, t259=5, t317=predictor, t339=kind)
    with open_frames(raw_tiff(tmp_path / "a.tif", tags, data, order)) as frames:
        np.testing.assert_array_equal(frames[0], values)
    if dtype in (np.uint8, np.uint16) and order == "<":
        cv2.imwrite(str(tmp_path / "cv.tif"), values, [cv2.IMWRITE_TIFF_COMPRESSION, 5])
        with open_frames(tmp_path / "cv.tif") as frames:
            np.testing.assert_array_equal(frames[0], values)


def test_a_coding_that_needs_a_package_names_it(tmp_path: Path) -> None:
    path = raw_tiff(tmp_path / "a.tif", page_tags((5, 7), 20, t259=50000), bytes(20))
    with open_frames(path) as frames, pytest.raises(InputError, match="ZSTD.*imagecodecs"):
        frames[0]
