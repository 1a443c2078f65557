"""SER series: values upright, scale and axes in m by the format's description, times, and as rosettasciio reads them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rsciio.tia import file_reader

from em_files import write_ser
from morphoscope.errors import InputError, MorphoscopeError, TruncatedError
from morphoscope.io.open import open_frames

EMI = """\x01\x02<ObjectInfo><ExperimentalDescription><Root>
<Data><Label>High tension</Label><Value>300</Value><Unit>kV</Unit></Data>
<Data><Label>Microscope</Label><Value>Titan 300</Value><Unit></Unit></Data>
<Data><Label>Mode</Label><Value>{mode}</Value><Unit></Unit></Data>
<Data><Label>Stage A</Label><Value>-12.5</Value><Unit>deg</Unit></Data>
</Root></ExperimentalDescription><AcquireInfo><CameraNamePath>BM-Ceta</CameraNamePath></AcquireInfo></ObjectInfo>\x00"""


def stack(n: int, dtype: str = "u2", size: int = 12) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 100, (n, size, size)).astype(dtype)


@pytest.mark.parametrize("version", [0x0210, 0x0220])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"])
def test_values_and_scale_are_those_of_the_file_and_of_the_reference(tmp_path: Path, version: int, dtype: str) -> None:
    data = stack(4, dtype)
    path = write_ser(tmp_path / "a_1.ser", data, version=version)
    with open_frames(path) as frames:
        np.testing.assert_array_equal(np.concatenate([block for _, block in frames.blocks(0, 4, 3)]), data)
        assert frames.calibration.pixel_size_nm == pytest.approx((0.3, 0.2))
        assert frames.calibration.provenance["pixel_size_nm"] == "header (SER)"
        assert frames.frame_data is None
    (reference,) = file_reader(str(path))
    np.testing.assert_array_equal(reference["data"], data)
    assert [axis["scale"] for axis in reference["axes"][1:]] == pytest.approx([0.3, 0.2])


def test_an_image_that_is_not_square(tmp_path: Path) -> None:
    data = np.arange(60, dtype=np.uint16).reshape(1, 6, 10)
    with open_frames(write_ser(tmp_path / "a.ser", data)) as frames:
        assert frames.shape == (6, 10)
        np.testing.assert_array_equal(frames[0], data[0])


def test_times_and_positions(tmp_path: Path) -> None:
    begun = 1_700_000_000
    path = write_ser(
        tmp_path / "a_1.ser", stack(3), times=[begun, begun + 4, begun + 8], positions=[(1e-6, 0), (2e-6, 0), (3e-6, -5e-7)]
    )
    with open_frames(path) as frames:
        assert frames.calibration.frame_interval_s == 4
        assert frames.metadata["acquired"] == "2023-11-14T22:13:20+00:00"
        assert frames.frame_data is not None
        assert list(frames.frame_data["time_s"]) == [0, 4, 8]
        np.testing.assert_allclose(frames.frame_data["position_x_um"], [1, 2, 3])
        np.testing.assert_allclose(frames.frame_data["position_y_um"], [0, 0, -0.5])
    with open_frames(write_ser(path, stack(3), times=[begun, begun + 1, begun + 3])) as frames:
        assert frames.calibration.frame_interval_s is None
        assert any("from 1 to 2 s" in note for note in frames.notes)


@pytest.mark.parametrize(
    ("delta", "words"),
    [((0.0, 0.0), "zero"), ((5e7, 5e7), "cannot be"), ((-1e-9, 1e-9), "cannot be"), ((1e-9, np.nan), "not used")],
)
def test_what_is_no_scale(tmp_path: Path, delta: tuple[float, float], words: str) -> None:
    with open_frames(write_ser(tmp_path / "a.ser", stack(1), delta=delta)) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any(words in note for note in frames.notes)


def test_the_emi_file_beside_it(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "grid_1.ser", stack(2))
    (tmp_path / "grid.emi").write_text(EMI.format(mode="TEM uP SA Zoom Image"))
    with open_frames(path) as frames:
        assert frames.metadata == {
            "accelerating_voltage_kv": 300,
            "instrument": "Titan 300",
            "mode": "TEM uP SA Zoom Image",
            "stage_tilt_deg": -12.5,
            "detector": "BM-Ceta",
        }
        assert frames.calibration.has_scale and frames.notes == ()
    (tmp_path / "grid.emi").write_text(EMI.format(mode="TEM uP SA Zoom Diffraction"))
    with open_frames(path) as frames:
        assert not frames.calibration.has_scale
        assert any("grid.emi says that these are diffraction" in note for note in frames.notes)
    (tmp_path / "grid.emi").write_text("<ObjectInfo><broken></ObjectInfo>")
    with open_frames(path) as frames:
        assert frames.calibration.has_scale and any("grid.emi beside the file is damaged" in note for note in frames.notes)


def test_an_interrupted_series_and_a_cut_file(tmp_path: Path) -> None:
    data = stack(6)
    path = write_ser(tmp_path / "a.ser", data, stated=6)
    raw = path.read_bytes()
    cut = len(raw) - 2 * (50 + data[0].nbytes + 8) + 20
    path.write_bytes(raw[:cut])
    with open_frames(path) as frames:
        assert len(frames) == 6 and "ends early: 4 of 6 frames can be read" in frames.notes
        np.testing.assert_array_equal(frames[3], data[3])
        with pytest.raises(TruncatedError) as error:
            frames[4]
        assert error.value.frames_read == 4


def test_spectra_and_claims_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="spectra"):
        open_frames(write_ser(tmp_path / "a.ser", stack(2), kind=0x4120))
    path = write_ser(tmp_path / "b.ser", stack(1))
    raw = bytearray(path.read_bytes())
    at = raw.index(stack(1)[0][::-1].tobytes())
    raw[at - 8 : at] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(InputError, match="bytes"):
        open_frames(path)
    raw[14:22] = b"\xff" * 8
    path.write_bytes(raw)
    with pytest.raises(InputError, match="cannot be"):
        open_frames(path)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


@settings(max_examples=120, deadline=None)
@given(place=st.integers(0, 400), byte=st.integers(0, 255), kept=st.floats(0, 1.5))
def test_damage_raises_our_errors_alone(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, kept: float) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.ser"
    raw = bytearray(write_ser(path, stack(2, size=5), times=[1, 2], positions=[(0, 1), (1, 1)]).read_bytes())
    raw[place % len(raw)] = byte
    path.write_bytes(raw[: int(kept * len(raw))])
    try:
        with open_frames(path) as frames:
            frames[0], frames[len(frames) - 1]
    except MorphoscopeError:
        pass
