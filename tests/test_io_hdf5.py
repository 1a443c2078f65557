"""HDF5: which dataset is the image, scale only where it is stated; EMD by its public descriptions and as rosettasciio has it."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rsciio import hspy
from rsciio.emd import file_reader, file_writer

from morphoscope.errors import InputError, MorphoscopeError, TruncatedError, UsageError
from morphoscope.io.open import open_frames

SHAPE = (20, 30)


def stack(n: int, dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 200, (n, *SHAPE)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32, np.float64, ">u2"])
@pytest.mark.parametrize("options", [{}, {"chunks": (1, *SHAPE), "compression": "gzip"}, {"chunks": (3, 7, 11), "shuffle": True}])
def test_values_are_as_stored(tmp_path: Path, dtype: Any, options: dict[str, Any]) -> None:
    data = stack(5, dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("group/stack", data=data, **options)
        file["table"] = np.zeros(7)
        file["words"] = "no image"
    with open_frames(tmp_path / "a.h5") as frames:
        assert (len(frames), frames.shape) == (5, SHAPE)
        assert frames.dtype == (data.dtype.newbyteorder("=") if data.dtype.itemsize < 4 else np.float32)
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(0, 5, 2)]), data)
        np.testing.assert_array_equal(frames[-2], data[3])
        assert not frames.calibration.has_scale and any("states no scale" in note for note in frames.notes)
        assert frames.metadata["dataset"] == "/group/stack"


def test_several_datasets_need_a_part(tmp_path: Path) -> None:
    data = stack(3)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["raw/data"], file["raw/dark"] = data, data[0] + 1
        file["tiny"] = np.zeros((3, 3))
    with pytest.raises(InputError, match=r"`part`.*0: 'raw/dark' \(20 x 30, uint16\); 1: 'raw/data' \(3 x 20 x 30, uint16\)$"):
        open_frames(tmp_path / "a.hdf5")
    for part in ("raw/data", "/raw/data", 1):
        with open_frames(tmp_path / "a.hdf5", part=part) as frames:
            np.testing.assert_array_equal(frames[2], data[2])
    with open_frames(tmp_path / "a.hdf5", part="tiny") as frames:
        assert frames.shape == (3, 3)
    for part in ("gone", 7):
        with pytest.raises(UsageError, match="raw/dark"):
            open_frames(tmp_path / "a.hdf5", part=part)


def test_real_sinogram(shared_data: Path) -> None:
    path = shared_data / "tomograms" / "tooth_sinogram.h5"
    with pytest.raises(InputError, match="exchange/data_dark"):
        open_frames(path)
    with open_frames(path, part="exchange/data") as frames, h5py.File(path) as file:
        assert (len(frames), frames.shape, frames.dtype) == (181, (2, 640), np.float32)
        np.testing.assert_array_equal(frames[180], file["exchange/data"][180])
        assert not frames.calibration.has_scale


def test_axes_of_length_one_and_colour(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (4, *SHAPE, 3)).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["odd"], file["colour"] = stack(4)[None, :, None, :, :, None], colour
        file["cube"] = np.zeros((4, 5, *SHAPE))
        file["complex"] = np.zeros(SHAPE, complex)
    with open_frames(tmp_path / "a.h5", part="odd") as frames:
        np.testing.assert_array_equal(frames[3], stack(4)[3])
    with open_frames(tmp_path / "a.h5", part="colour") as frames:
        np.testing.assert_allclose(frames[2], colour[2] @ np.array([0.299, 0.587, 0.114]), atol=0.51)
    with open_frames(tmp_path / "a.h5", part="colour", channel="green") as frames:
        np.testing.assert_array_equal(frames[3], colour[3, ..., 1])
    with pytest.raises(UsageError, match="has no image 'cube'"):
        open_frames(tmp_path / "a.h5", part="cube")
    with pytest.raises(UsageError, match="channel"):
        open_frames(tmp_path / "a.h5", part="odd", channel=1)


def test_element_size_in_um_is_z_y_x(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volume"] = stack(4)
        file["volume"].attrs["element_size_um"] = (0.5, 0.3, 0.2)
    with open_frames(tmp_path / "a.h5") as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((300, 200))
        assert frames.calibration.provenance["pixel_size_nm"] == "header (element_size_um)"
        assert frames.metadata["slice_spacing_nm"] == pytest.approx(500)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["volume"].attrs["element_size_um"] = (1.0, 0.0, 0.0)
    with open_frames(tmp_path / "a.h5") as frames:
        assert not frames.calibration.has_scale and any("0 um, which cannot be" in note for note in frames.notes)


def nexus(path: Path, unit: str, step: float) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", "data"
        group = entry.create_group("data")
        group.attrs["NX_class"], group.attrs["signal"], group.attrs["axes"] = "NXdata", "image", ["time", "y", "x"]
        group["image"], entry["other"] = stack(5), stack(2)
        for name, size, each, unit_ in (("time", 5, 0.5, "s"), ("y", 20, 3 * step, unit), ("x", 30, 2 * step, unit)):
            group[name] = np.arange(size) * each
            group[name].attrs["units"] = unit_
    return path


def test_nexus_default_signal_and_axes(tmp_path: Path) -> None:
    with open_frames(nexus(tmp_path / "a.nxs", "um", 0.1)) as frames:
        assert len(frames) == 5 and frames.metadata["dataset"] == "/entry/data/image"
        assert frames.calibration.pixel_size_nm == pytest.approx((300, 200))
        assert frames.calibration.frame_interval_s == pytest.approx(0.5)
    with open_frames(nexus(tmp_path / "b.nxs", "1/nm", 0.1)) as frames:
        assert not frames.calibration.has_scale and any("no length" in note for note in frames.notes)


@pytest.mark.parametrize("named", [True, False])
def test_emd_of_the_ncem(tmp_path: Path, named: bool) -> None:
    data = stack(4)
    with h5py.File(tmp_path / "a.emd", "w") as file:
        group = file.create_group("data/scan")
        group.attrs["emd_group_type"] = 1
        group["data"] = data.transpose() if named else data
        steps = {"z": (4, 0.5, "[s]"), "y": (20, 0.3, "[n_m]"), "x": (30, 0.2, "[n_m]")}
        for k, name in enumerate(("x", "y", "z") if named else ("z", "y", "x")):
            size, step, unit = steps[name]
            group[f"dim{k + 1}"] = np.arange(size) * step
            group[f"dim{k + 1}"].attrs["units"] = unit
            group[f"dim{k + 1}"].attrs["name"] = name if named else f"axis {k}"
        file["extra"] = np.zeros((50, 50))
    with open_frames(tmp_path / "a.emd") as frames:
        np.testing.assert_array_equal(frames[3], data[3])
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.frame_interval_s == pytest.approx(0.5)
        assert any("does not name its axes" in note for note in frames.notes) is not named


def signal(data: np.ndarray, unit: str) -> dict[str, Any]:
    """What rosettasciio writes: steps of 5 along z, 0.3 nm along y, 0.2 nm along x."""
    axes = [
        {"name": name, "scale": scale, "offset": 0.0, "units": units, "size": size, "navigate": name == "z", "index_in_array": k}
        for k, (name, scale, units, size) in enumerate(zip("zyx", (5.0, 0.3, 0.2), (unit, "nm", "nm"), data.shape, strict=True))
    ]
    metadata = {"General": {"title": "t"}, "Signal": {"signal_type": ""}}
    named = {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}}
    return {
        **named,
        "package": "",
        "package_version": "",
        "learning_results": {},
        "package_info": {},
        "attributes": {"_lazy": False, "ragged": False},
        "models": {},
        "tmp_parameters": {},
    }


@pytest.mark.parametrize("suffix", [".emd", ".hspy"])
def test_as_rosettasciio_writes_it(tmp_path: Path, suffix: str) -> None:
    data, path = stack(4), tmp_path / f"a{suffix}"
    write = file_writer if suffix == ".emd" else hspy.file_writer
    write(str(path), signal(data, "nm"))
    with open_frames(path) as frames:
        np.testing.assert_array_equal(np.stack([frames[k] for k in range(4)]), data)
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.metadata["slice_spacing_nm"] == pytest.approx(5)
    write(str(tmp_path / f"b{suffix}"), signal(data, "s"))
    with open_frames(tmp_path / f"b{suffix}") as frames:
        assert frames.calibration.frame_interval_s == pytest.approx(5)


VELOX = {
    "Core": {"MetadataDefinitionVersion": "7.9"},
    "Instrument": {"InstrumentModel": "Talos F200X", "InstrumentClass": "Talos", "InstrumentId": "1"},
    "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1700000000"}, "BeamType": "", "SourceType": "XFEG"},
    "Optics": {"AccelerationVoltage": "200000", "CameraLength": "0.098", "OperatingMode": "2"},
    "Stage": {"Position": {"x": "-1.2e-05", "y": "3.4e-05", "z": "1e-06"}, "AlphaTilt": "0.5235987755982988", "BetaTilt": "0"},
    "Scan": {"DwellTime": "2e-06", "FrameTime": "1.75"},
    "BinaryResult": {
        "Detector": "HAADF",
        "PixelSize": {"width": "2e-10", "height": "3e-10"},
        "Offset": {"x": "0", "y": "0"},
        "PixelUnitX": "m",
        "PixelUnitY": "m",
    },
    "Detectors": {},
    "CustomProperties": {},
    "Operations": {},
}


def velox(path: Path, **images: tuple[np.ndarray, dict[str, Any]]) -> Path:
    with h5py.File(path, "w") as file:
        file["Version"] = [json.dumps({"format": "Velox", "version": "1.7"}).encode()]
        for name, (data, stated) in images.items():
            group = file.create_group(f"Data/Image/{name}")
            group.create_dataset("Data", data=np.moveaxis(data, 0, -1), chunks=(*data.shape[1:], 1))
            raw = np.frombuffer(json.dumps(stated).encode().ljust(4096, b"\0"), np.uint8)
            group["Metadata"] = np.repeat(raw[:, None], len(data), 1)
    return path


def test_velox(tmp_path: Path) -> None:
    data = stack(5)
    path = velox(tmp_path / "a.emd", abc=(data, VELOX))
    with open_frames(path) as frames:
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(0, 5, 2)]), data)
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.provenance["pixel_size_nm"] == "header (Velox)"
        assert frames.calibration.frame_interval_s == 1.75
        assert frames.metadata["accelerating_voltage_kv"] == 200 and frames.metadata["instrument"] == "Talos F200X"
        assert frames.metadata["stage_x_um"] == pytest.approx(-12) and frames.metadata["stage_tilt_deg"] == pytest.approx(30)
        assert frames.metadata["acquired"] == "2023-11-14T22:13:20+00:00" and frames.metadata["detector"] == "HAADF"
    reference = file_reader(str(path), select_type="images")[0]
    np.testing.assert_array_equal(reference["data"], data)
    assert [axis["scale"] for axis in reference["axes"]] == pytest.approx([1.75, 0.3, 0.2])


def test_velox_with_several_detectors_and_diffraction(tmp_path: Path) -> None:
    other = json.loads(json.dumps(VELOX))
    other["BinaryResult"].update(Detector="BF", PixelUnitX="1/m", PixelUnitY="1/m", PixelSize={"width": "1e7", "height": "1e7"})
    path = velox(tmp_path / "a.emd", abc=(stack(1), VELOX), bcd=(stack(2), other))
    with pytest.raises(InputError, match="'HAADF'.*'BF'"):
        open_frames(path)
    with open_frames(path, part="BF") as frames:
        np.testing.assert_array_equal(frames[1], stack(2)[1])
        assert not frames.calibration.has_scale and any("no length" in note for note in frames.notes)


def test_a_claim_of_much_is_refused_at_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", (10, 200_000, 200_000), "f8", chunks=(1, 100, 100))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("data", (200_000, 200_000), "f8", chunks=(100, 100), compression="gzip")
        file["data"][:100, :100] = 1
    tracemalloc.start()
    for name in ("a.h5", "b.h5"):
        with pytest.raises(InputError, match="claim"):
            open_frames(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_cut_and_damaged_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=stack(4), chunks=(1, *SHAPE), compression="gzip", fletcher32=True)
        place = file["data"].id.get_chunk_info(2).byte_offset
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    (tmp_path / "cut.h5").write_bytes(raw[:-1500])
    with pytest.raises(InputError, match="cut off"):
        open_frames(tmp_path / "cut.h5")
    raw[place + 20] ^= 0xFF
    (tmp_path / "bad.h5").write_bytes(raw)
    with open_frames(tmp_path / "bad.h5") as frames:
        np.testing.assert_array_equal(frames[1], stack(4)[1])
        with pytest.raises(TruncatedError) as error:
            frames[2]
        assert error.value.frames_read == 2
    for content in (b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 100):
        (tmp_path / "c.h5").write_bytes(content)
        with pytest.raises(InputError, match="c.h5"):
            open_frames(tmp_path / "c.h5")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["spectrum"] = np.zeros(100)
    with pytest.raises(InputError, match="no image"):
        open_frames(tmp_path / "none.h5")


def test_a_long_stack_is_sliced_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "long.h5", "w") as file:
        data = file.create_dataset("data", (10_000, 512, 512), "u2", chunks=(1, 512, 512))
        data[9_998] = 7
    tracemalloc.start()
    with open_frames(tmp_path / "long.h5") as frames:
        assert len(frames) == 10_000 and frames[9_998].min() == 7 and frames[0].max() == 0
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


def test_damage_raises_our_errors_alone(tmp_path: Path) -> None:
    """Text of fixed length: the HDF5 library itself can hang in damaged text of variable length."""
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = file.create_group("entry/data")
        group.attrs["NX_class"], group.attrs["signal"] = np.bytes_("NXdata"), np.bytes_("image")
        group.attrs["axes"] = np.array([b"time", b"y", b"x"])
        group.create_dataset("image", data=stack(3), chunks=(1, *SHAPE), compression="gzip")
        for name, size in (("time", 3), ("y", 20), ("x", 30)):
            group[name] = np.arange(size) * 1.0
            group[name].attrs["units"] = np.bytes_("nm")
    whole, generator, opened = (tmp_path / "a.nxs").read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        raw = bytearray(whole)
        for place in generator.integers(0, len(raw), generator.choice([1, 3, 20])):
            raw[place] = generator.choice([0, 1, 255, generator.integers(256)])
        (tmp_path / "b.nxs").write_bytes(raw[: len(raw) if generator.random() < 0.8 else generator.integers(len(raw))])
        try:
            with open_frames(tmp_path / "b.nxs") as frames:
                frames[0], frames[len(frames) - 1]
            opened += 1
        except MorphoscopeError:
            pass
    assert 20 < opened < 180
