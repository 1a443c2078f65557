"""MRC stacks and volumes: values, signs, scale and axes by the MRC2014 format; nothing allocated on a header's word."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mrcfile.dtypes import HEADER_DTYPE, get_ext_header_dtype

from morphoscope.errors import InputError, MorphoscopeError, TruncatedError, UsageError
from morphoscope.io.open import open_frames

SHAPE = (12, 18)


def header(nx: int, ny: int, nz: int, mode: int, order: str = "<", **fields: Any) -> Any:
    """A header by the format's table of fields; cell 0.2 nm per px in x, 0.3 in y, 0.5 in z."""
    made = np.zeros(1, HEADER_DTYPE.newbyteorder(order))
    made["nx"], made["ny"], made["nz"], made["mode"] = nx, ny, nz, mode
    made["mx"], made["my"], made["mz"] = nx, ny, nz
    made["mapc"], made["mapr"], made["maps"] = 1, 2, 3
    made["cella"]["x"], made["cella"]["y"], made["cella"]["z"] = 2.0 * nx, 3.0 * ny, 5.0 * nz
    made["map"] = b"MAP "
    made["machst"] = (0x44, 0x44, 0, 0) if order == "<" else (0x11, 0x11, 0, 0)
    made["ispg"] = 1
    for name, value in fields.items():
        made[name] = value
    return made


def write(path: Path, data: np.ndarray, mode: int, order: str = "<", extended: bytes = b"", **fields: Any) -> Path:
    count = data.shape[0]
    head = header(data.shape[2], data.shape[1], count, mode, order, nsymbt=len(extended), **fields)
    path.write_bytes(head.tobytes() + extended + data.astype(data.dtype.newbyteorder(order)).tobytes())
    return path


def stack(n: int, dtype: Any) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 120, (n, *SHAPE)).astype(dtype)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("mode", "dtype"), [(0, "i1"), (1, "i2"), (2, "f4"), (6, "u2"), (12, "f2")])
def test_values_are_as_stored_in_every_mode_and_byte_order(tmp_path: Path, mode: int, dtype: str, order: str) -> None:
    data = stack(4, dtype) - (60 if dtype[0] == "i" else 0)
    path = write(tmp_path / "a.mrc", data.astype(dtype), mode, order)
    with open_frames(path) as frames:
        assert (len(frames), frames.shape) == (4, SHAPE)
        assert frames.dtype == (np.uint16 if mode == 6 else np.float32)
        np.testing.assert_array_equal(np.stack(list(frames)), data)  # type: ignore[call-overload]
        np.testing.assert_array_equal(frames[-1], data[3])
        assert frames.dtype == frames[0].dtype and frames[0].dtype.isnative


def test_scale_is_cell_over_intervals_y_before_x_and_z_is_metadata(tmp_path: Path) -> None:
    with open_frames(write(tmp_path / "a.rec", stack(3, "f4"), 2)) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.provenance == {"pixel_size_nm": "header (MRC)"}
        assert frames.metadata["slice_spacing_nm"] == pytest.approx(0.5)
        assert frames.metadata["content"] == "volume"
    swapped = write(tmp_path / "b.map", stack(3, "f4"), 2, mapc=2, mapr=1, maps=3, mx=12, my=18, cella=(24.0, 54.0, 15.0))
    with open_frames(swapped) as frames:  # columns run along y of the cell: 54 / 18
        assert frames.calibration.pixel_size_nm == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize(("group", "words"), [(0, "image stack"), (1, "volume"), (401, "volumes")])
def test_as_mrcfile_writes_it(tmp_path: Path, group: int, words: str) -> None:
    data = stack(6, "f4")
    with mrcfile.new(tmp_path / "a.mrc", data=data if group < 401 else data.reshape(2, 3, *SHAPE)) as file:
        file.voxel_size = (7.0, 9.0, 11.0)
        if group == 0:
            file.set_image_stack()
    with open_frames(tmp_path / "a.mrc") as frames:
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(0, 6, 4)]), data)
        assert frames.metadata["content"] == words
        assert frames.calibration.pixel_size_nm == pytest.approx((0.9, 0.7))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cella": (0.0, 0.0, 0.0)}, "voxel size of zero"),
        ({"mx": 0, "my": 0}, "voxel size of zero"),
        ({"cella": (36.0, 0.0, 0.0)}, "0 angstrom, which cannot be"),
        ({"cella": (-36.0, 24.0, 0.0)}, "-2 angstrom, which cannot be"),
        ({"cella": (1e12, 1e12, 0.0)}, "cannot be"),
        ({"cella": (np.nan, 24.0, 0.0)}, "not used"),
    ],
)
def test_a_zero_or_absurd_voxel_size_is_not_used_and_said(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    with open_frames(write(tmp_path / "a.mrc", stack(2, "f4"), 2, **fields)) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any(words in note for note in frames.notes)


def test_one_angstrom_is_used_and_doubted(tmp_path: Path) -> None:
    with open_frames(write(tmp_path / "a.mrc", stack(2, "f4"), 2, cella=(18.0, 12.0, 2.0))) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((0.1, 0.1))
        assert any("check it" in note for note in frames.notes)


def test_the_sign_of_bytes(tmp_path: Path) -> None:
    data = stack(2, "u1") * 2
    imod = struct.pack("<ii", 1146047817, 0)
    extra = bytes(40) + imod + bytes(84 - 48)
    for name, fields in {"flag": {"extra2": extra}, "range": {"dmin": 0.0, "dmax": 238.0}}.items():
        with open_frames(write(tmp_path / f"{name}.st", data, 0, **fields)) as frames:
            assert frames.dtype == np.uint8
            np.testing.assert_array_equal(frames[1], data[1])
    signed = bytes(40) + struct.pack("<ii", 1146047817, 1) + bytes(84 - 48)
    with open_frames(write(tmp_path / "s.st", data, 0, extra2=signed, dmax=238.0)) as frames:
        np.testing.assert_array_equal(frames[1], data[1].view(np.int8))


@pytest.mark.parametrize("mode", [3, 4, 7, 16, 101])
def test_other_modes_are_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InputError, match=f"mode {mode}.*0, 1, 2, 6, 12"):
        open_frames(write(tmp_path / "a.mrc", stack(2, "f4"), mode))


def fei(n: int, kind: bytes = b"FEI1") -> Any:
    rows = np.zeros(n, get_ext_header_dtype(kind, "<"))
    rows["Metadata size"] = rows.dtype.itemsize
    rows["Bitmask 1"] = 0xFFFFFFFF
    rows["Alpha tilt"] = np.linspace(-60, 60, n)
    rows["X-Stage"], rows["Y-Stage"], rows["Z-Stage"] = 12e-6, -3e-6, 1e-6
    rows["HT"], rows["Magnification"] = 300e3, 25000
    rows["Pixel size X"], rows["Pixel size Y"] = 0.2e-9, 0.3e-9
    rows["Timestamp"] = 45000.5 + np.arange(n) * 2 / 86400
    rows["Microscope type"] = b"TITAN"
    return rows


@pytest.mark.parametrize("kind", [b"FEI1", b"FEI2"])
def test_fei_extended_header(tmp_path: Path, kind: bytes) -> None:
    path = write(tmp_path / "a.mrc", stack(5, "u2"), 6, extended=fei(5, kind).tobytes(), exttyp=kind)
    with open_frames(path) as frames:
        table = frames.frame_data
        assert table is not None and list(table["frame"]) == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(table["stage_tilt_deg"], [-60, -30, 0, 30, 60])
        np.testing.assert_allclose(table["stage_x_um"], 12)
        np.testing.assert_allclose(table["time_s"], [0, 2, 4, 6, 8], atol=1e-3)
        assert frames.calibration.frame_interval_s == pytest.approx(2, rel=1e-4)
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.metadata["accelerating_voltage_kv"] == 300 and frames.metadata["instrument"] == "TITAN"
        assert frames.metadata["acquired"] == "2023-03-15T12:00:00"
        np.testing.assert_array_equal(frames[4], stack(5, "u2")[4])


def test_fei_scale_stands_in_and_a_disagreement_is_said(tmp_path: Path) -> None:
    rows = fei(2).tobytes()
    options: dict[str, Any] = {"extended": rows, "exttyp": b"FEI1"}
    with open_frames(write(tmp_path / "a.mrc", stack(2, "u2"), 6, cella=(0, 0, 0), **options)) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.provenance["pixel_size_nm"] == "header (FEI1)"
    with open_frames(write(tmp_path / "b.mrc", stack(2, "u2"), 6, cella=(180.0, 120.0, 1.0), **options)) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((1.0, 1.0))
        assert any("states another, 0.3 (y), 0.2 (x)" in note for note in frames.notes)


def test_uneven_times_give_no_interval(tmp_path: Path) -> None:
    rows = fei(4)
    rows["Timestamp"] = 45000 + np.array([0, 1, 5, 6]) / 86400
    with open_frames(write(tmp_path / "a.mrc", stack(4, "u2"), 6, extended=rows.tobytes(), exttyp=b"FEI1")) as frames:
        assert frames.calibration.frame_interval_s is None
        assert any("run from 1 to 4 s" in note for note in frames.notes)


def test_serial_em_extended_header(tmp_path: Path) -> None:
    sections = [struct.pack("<hhhh", round(tilt * 100), 50, -25, 250) for tilt in (-1.5, 0, 1.5)]
    extra = bytes(16) + struct.pack("<hh", 8, 1 | 4 | 8) + bytes(64)
    path = write(tmp_path / "a.st", stack(3, "i2"), 1, extended=b"".join(sections), exttyp=b"SERI", extra2=extra)
    with open_frames(path) as frames:
        assert frames.frame_data is not None
        np.testing.assert_allclose(frames.frame_data["stage_tilt_deg"], [-1.5, 0, 1.5])
        np.testing.assert_allclose(frames.frame_data["stage_x_um"], 2)
        np.testing.assert_allclose(frames.frame_data["stage_y_um"], -1)
        assert frames.metadata["magnification"] == 25000


def test_a_small_file_that_claims_much_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "huge.mrc"
    path.write_bytes(header(200_000, 200_000, 1, 2).tobytes() + bytes(100))
    tracemalloc.start()
    with pytest.raises(InputError, match="1.6e\\+11 bytes.*1124 bytes"):
        open_frames(path)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    path.write_bytes(header(8, 8, 2**31 - 1, 2).tobytes() + bytes(1000))
    with pytest.raises(InputError, match="cannot be"):
        open_frames(path)


def test_a_truncated_stack_gives_its_good_sections(tmp_path: Path) -> None:
    data = stack(10, "u2")
    path = write(tmp_path / "a.mrc", data, 6)
    path.write_bytes(path.read_bytes()[: 1024 + 7 * data[0].nbytes + 5])
    seen: list[np.ndarray] = []
    with open_frames(path) as frames:
        assert len(frames) == 10 and "ends early: 7 of 10 frames can be read" in frames.notes
        with pytest.raises(TruncatedError) as error:
            for _, block in frames.blocks(0, 10, 4):
                seen += list(block)
        assert error.value.frames_read == 7
    np.testing.assert_array_equal(seen, data[:7])


def test_what_is_no_mrc_is_refused_by_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mrc"
    path.write_bytes(gzip.compress(write(path, stack(2, "f4"), 2).read_bytes()))
    with pytest.raises(InputError, match="compressed with gzip.*unpack"):
        open_frames(path)
    path.rename(tmp_path / "a.mrc.gz")
    with pytest.raises(InputError, match="gzip; unpack"):
        open_frames(tmp_path / "a.mrc.gz")
    for content in (b"", b"plain words", bytes(2000), b"\xff" * 3000):
        path.write_bytes(content)
        with pytest.raises(InputError, match="a.mrc"):
            open_frames(path)
    write(path, stack(2, "f4"), 2)
    with pytest.raises(UsageError, match="part"):
        open_frames(path, part=1)
    with pytest.raises(UsageError, match="channel"):
        open_frames(path, channel="red")


def test_a_long_stack_is_sought_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.mrc"
    with open(path, "wb") as file:
        file.write(header(512, 512, 10_000, 6).tobytes())
        file.truncate(1024 + 10_000 * 512 * 512 * 2)
        file.seek(1024 + 9_998 * 512 * 512 * 2)
        file.write(np.full(512 * 512, 7, "<u2").tobytes())
    tracemalloc.start()
    with open_frames(path) as frames:
        assert len(frames) == 10_000
        assert frames[9_998].min() == 7 and frames[5_000].max() == 0 and frames[0].shape == (512, 512)
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


@settings(max_examples=80, deadline=None)
@given(place=st.integers(0, 1200), byte=st.integers(0, 255), kept=st.integers(0, 4000))
def test_damage_raises_our_errors_alone(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, kept: int) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.mrc"
    raw = bytearray(write(path, stack(2, "u2"), 6, extended=fei(2).tobytes(), exttyp=b"FEI1").read_bytes())
    raw[place] = byte
    path.write_bytes(raw[:kept] if kept < 3600 else raw)
    try:
        with open_frames(path) as frames:
            frames[0], frames[len(frames) - 1]
    except MorphoscopeError:
        pass
