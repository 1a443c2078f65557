"""DigitalMicrograph files: values, scale and axes by the description of the tag tree, and as rosettasciio reads them."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rsciio.digitalmicrograph import file_reader

from em_files import DmWriter, dm_image, write_dm
from morphoscope.errors import InputError, MorphoscopeError, UsageError
from morphoscope.io.open import open_frames

SHAPE = (9, 14)
AXES = ((0.2, "nm"), (0.0003, "µm"))


def pixels(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    low = -50 if dtype[0] in "if" else 0
    return np.random.default_rng(1).integers(low, 120, shape).astype(dtype)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u4", "f4", "f8"])
def test_values_and_scale_are_those_of_the_file_and_of_the_reference(
    tmp_path: Path, version: int, order: str, dtype: str
) -> None:
    data = pixels(dtype)
    path = write_dm(tmp_path / f"a.dm{version}", dm_image(data, AXES), version=version, order=order)
    with open_frames(path) as frames:
        assert (len(frames), frames.shape) == (1, SHAPE)
        assert frames.dtype == (dtype if dtype in ("u1", "u2") else np.float32)
        np.testing.assert_array_equal(frames[0], data)
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.provenance == {"pixel_size_nm": "header (DM)"}
    if order == "<":
        (reference,) = file_reader(str(path))
        np.testing.assert_array_equal(reference["data"], data)
        assert [(axis["scale"], axis["units"]) for axis in reference["axes"]] == [AXES[1], AXES[0]]


def test_a_stack_with_times(tmp_path: Path) -> None:
    data = pixels("u2", (5, *SHAPE))
    with open_frames(write_dm(tmp_path / "a.dm4", dm_image(data, (*AXES, (250.0, "ms"))))) as frames:
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(0, 5, 2)]), data)
        np.testing.assert_array_equal(frames[3], data[3])
        assert frames.calibration.frame_interval_s == pytest.approx(0.25)
    with open_frames(write_dm(tmp_path / "z.dm4", dm_image(data, (*AXES, (2.0, "nm"))))) as frames:
        assert frames.calibration.frame_interval_s is None and frames.metadata["slice_spacing_nm"] == 2


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (((0.5, "1/nm"), (0.5, "1/nm")), "no length"),
        (((0.0, "nm"), (0.0, "nm")), "cannot be"),
        (((-1.0, "nm"), (1.0, "nm")), "cannot be"),
        (((1.0, "nm"), (float("nan"), "nm")), "not used"),
        (((1.0, ""), (1.0, "")), None),
        ((), None),
    ],
)
def test_what_is_no_scale(tmp_path: Path, axes: Any, words: str | None) -> None:
    with open_frames(write_dm(tmp_path / "a.dm3", dm_image(pixels("u1"), axes), version=3)) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert frames.notes == () if words is None else any(words in note for note in frames.notes)


def test_metadata(tmp_path: Path) -> None:
    tags = {
        "Microscope Info": {
            "Voltage": 200_000.0,
            "Indicated Magnification": 40_000.0,
            "Name": "Tecnai",
            "Stage Position": {"Stage X": 12.5, "Stage Y": -3.0, "Stage Alpha": 15.0},
        },
        "DataBar": {"Acquisition Date": "17.03.2024", "Acquisition Time": "4:05:06 PM", "Device Name": "US1000"},
    }
    with open_frames(write_dm(tmp_path / "a.dm4", dm_image(pixels("f4"), AXES, tags=tags, name="grid 3"))) as frames:
        assert frames.metadata == {
            "title": "grid 3",
            "instrument": "Tecnai",
            "detector": "US1000",
            "accelerating_voltage_kv": 200.0,
            "magnification": 40_000.0,
            "stage_x_um": 12.5,
            "stage_y_um": -3.0,
            "stage_tilt_deg": 15.0,
            "acquired": "2024-03-17T16:05:06",
        }
    tags["DataBar"]["Acquisition Date"] = "3/4/2024"
    with open_frames(write_dm(tmp_path / "b.dm4", dm_image(pixels("f4"), AXES, tags=tags))) as frames:
        assert "acquired" not in frames.metadata and frames.metadata["acquired_as_written"] == "3/4/2024 4:05:06 PM"


def test_several_images_need_a_part_and_thumbnails_do_not_count(tmp_path: Path) -> None:
    thumbnail = dm_image(pixels("u1", (4, 4)))
    first, second = pixels("f4"), pixels("u2", (3, *SHAPE))
    path = write_dm(tmp_path / "a.dm3", thumbnail, dm_image(first, AXES), version=3, thumbnails=[0])
    with open_frames(path) as frames:
        np.testing.assert_array_equal(frames[0], first)
    path = write_dm(tmp_path / "b.dm4", thumbnail, dm_image(first, name="HAADF"), dm_image(second, name="BF"), thumbnails=[0])
    with pytest.raises(InputError, match=r"`part`.*0: 'HAADF' \(9 x 14, float32\); 1: 'BF' \(3 x 9 x 14, uint16\)"):
        open_frames(path)
    for part in ("BF", 1, "1"):
        with open_frames(path, part=part) as frames:
            np.testing.assert_array_equal(frames[2], second[2])
    with pytest.raises(UsageError, match="HAADF"):
        open_frames(path, part="ADF")


def test_colour_and_binary(tmp_path: Path) -> None:
    colour = pixels("u1", (*SHAPE, 4))
    packed = np.ascontiguousarray(colour[..., [2, 1, 0, 3]]).view("<u4")[..., 0]
    path = write_dm(tmp_path / "a.dm4", dm_image(packed, AXES, code=23))
    with open_frames(path) as frames:
        np.testing.assert_allclose(frames[0], colour[..., :3] @ np.array([0.299, 0.587, 0.114]), atol=0.51)
        assert frames.dtype == np.uint8 and any("grey" in note for note in frames.notes)
    for k, name in enumerate(("red", "green", "blue", "alpha")):
        with open_frames(path, channel=name) as frames:
            np.testing.assert_array_equal(frames[0], colour[..., k])
    with pytest.raises(UsageError, match="4 channels"):
        open_frames(path, channel=4)
    with open_frames(write_dm(tmp_path / "b.dm4", dm_image(np.eye(9, dtype=np.uint8), code=14))) as frames:
        np.testing.assert_array_equal(frames[0], np.eye(9) * 255)


def test_spectra_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    cube = {"Meta Data": {"Format": "Spectrum image"}}
    for image in (
        dm_image(pixels("f4", (50,))),
        dm_image(pixels("f4", (3, 4, 5)), tags=cube),
        dm_image(pixels("f4", (2, 3, 4, 5))),
    ):
        with pytest.raises(InputError, match="spectra"):
            open_frames(write_dm(tmp_path / "a.dm4", image))
    with pytest.raises(InputError, match="complex"):
        open_frames(write_dm(tmp_path / "a.dm4", dm_image(np.ones(SHAPE, "c8"))))


def test_hostile_headers_cost_no_memory(tmp_path: Path) -> None:
    image = dm_image(pixels("f4"), AXES)
    image["ImageData"]["Dimensions"] = {"0": 2**31, "1": 2**31}
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    tracemalloc.start()
    with pytest.raises(InputError, match="cannot be|bytes"):
        open_frames(write_dm(tmp_path / "a.dm4", image))
    (tmp_path / "deep.dm4").write_bytes(DmWriter(4, "<").file(deep))
    with pytest.raises(InputError, match="deep in each other"):
        open_frames(tmp_path / "deep.dm4")
    many = bytearray(DmWriter(4, "<").file({"a": 1}))
    many[18:26] = (2**62).to_bytes(8, "big")
    (tmp_path / "many.dm4").write_bytes(many)
    with pytest.raises(InputError, match="length of"):
        open_frames(tmp_path / "many.dm4")
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_a_long_stack_is_sought_not_read(tmp_path: Path) -> None:
    """A file of 10 000 frames made from one of two by stretching its array with a hole."""
    raw = write_dm(tmp_path / "a.dm4", dm_image(pixels("u2", (2, *SHAPE)), (*AXES, (0.5, "s")))).read_bytes()
    size, words = 9 * 14, struct.pack(">qqqq", 3, 20, 4, 2 * 9 * 14)
    begin = raw.index(words) + len(words)
    tail = raw[begin + 4 * size :].replace(b"\0\0\0\x05\x02\0\0\0", b"\0\0\0\x05\x10\x27\0\0", 1)
    with open(tmp_path / "long.dm4", "wb") as file:
        file.write(raw[: begin - 8] + struct.pack(">q", 10_000 * size))
        file.seek(9_998 * 2 * size, 1)
        file.write(np.full(2 * size, 7, "<u2").tobytes() + tail)
    tracemalloc.start()
    with open_frames(tmp_path / "long.dm4") as frames:
        assert len(frames) == 10_000 and frames.calibration.frame_interval_s == 0.5
        assert frames[0].max() == 0 and frames[9_998].min() == 7
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 900), byte=st.integers(0, 255), kept=st.floats(0, 1.5), version=st.sampled_from([3, 4]))
def test_damage_raises_our_errors_alone(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, kept: float, version: int
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"a.dm{version}"
    tags = {"Microscope Info": {"Voltage": 2e5, "Stage Position": {"Stage X": 1.0}}}
    raw = bytearray(write_dm(path, dm_image(pixels("u2", (2, 4, 5)), AXES, tags=tags), version=version).read_bytes())
    raw[place % len(raw)] = byte
    path.write_bytes(raw[: int(kept * len(raw))])
    try:
        with open_frames(path) as frames:
            frames[0], frames[len(frames) - 1]
    except MorphoscopeError:
        pass
