"""Height maps: text, Gwyddion and Nanoscope files written by their public descriptions; heights in nm, scale right in y and x."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import gwyfile
import numpy as np
import pytest
from gwyfile.objects import GwyContainer, GwyDataField
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, MorphoscopeError, TruncatedError, UsageError
from morphoscope.io.open import open_frames

SHAPE = (6, 10)
HEIGHTS = np.random.default_rng(0).normal(0, 5, SHAPE)  # nm


def gwyddion_text(
    path: Path, *, values: np.ndarray = HEIGHTS * 1e-9, head: str = "", encoding: str = "utf-8", by: str = "\t"
) -> Path:
    head = head or "# Channel: Height\n# Width: 5.00 µm\n# Height: 600 nm\n# Value units: m\n"
    path.write_text(head + "\n".join(by.join(f"{value:.9e}" for value in row) for row in values) + "\n", encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_text_as_gwyddion_exports_it(tmp_path: Path, encoding: str) -> None:
    with open_frames(gwyddion_text(tmp_path / "a.txt", encoding=encoding)) as frames:
        assert (len(frames), frames.shape, frames.dtype) == (1, SHAPE, np.float32)
        np.testing.assert_allclose(frames[0], HEIGHTS, rtol=1e-5)
        assert frames.calibration.pixel_size_nm == pytest.approx((100, 500))
        assert frames.calibration.provenance["pixel_size_nm"] == "header (text)"
        assert frames.metadata == {"height_unit": "nm", "channel": "Height"} and frames.notes == ()


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1.0), ("µm", 1e3), ("pm", 1e-3), ("Å", 0.1)])
def test_units_of_height(tmp_path: Path, unit: str, factor: float) -> None:
    head = f"# Channel: Z\n# Width: 1 um\n# Height: 1 um\n# Value units: {unit}\n"
    with open_frames(gwyddion_text(tmp_path / "a.txt", values=HEIGHTS, head=head, by=" ")) as frames:
        np.testing.assert_allclose(frames[0], HEIGHTS * factor, rtol=1e-5)


def test_values_that_are_no_heights_and_a_bare_matrix(tmp_path: Path) -> None:
    head = "# Channel: Amplitude\n# Width: 1 um\n# Height: 1 um\n# Value units: V\n"
    with open_frames(gwyddion_text(tmp_path / "a.txt", values=HEIGHTS, head=head)) as frames:
        np.testing.assert_allclose(frames[0], HEIGHTS, rtol=1e-5)
        assert frames.metadata == {"value_unit": "V", "channel": "Amplitude"}
    with open_frames(gwyddion_text(tmp_path / "b.txt", values=HEIGHTS, head="\n", by=";")) as frames:
        np.testing.assert_allclose(frames[0], HEIGHTS, rtol=1e-5)
        assert not frames.calibration.has_scale and len(frames.notes) == 2


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("# Width: 0 um\n# Height: 1 um\n", "cannot be"),
        ("# Width: 5 um\n", "one direction"),
        ("# Width: 5 V\n# Height: 5 V\n", "no length"),
        ("# Width: 1e9 m\n# Height: 1e9 m\n", "cannot be"),
    ],
)
def test_what_is_no_scale(tmp_path: Path, head: str, words: str) -> None:
    with open_frames(gwyddion_text(tmp_path / "a.txt", head=head)) as frames:
        assert not frames.calibration.has_scale and any(words in note for note in frames.notes)


@pytest.mark.parametrize("upwards", [True, False])
@pytest.mark.parametrize("order", ["rows", "columns"])
def test_x_y_z_on_a_grid(tmp_path: Path, upwards: bool, order: str) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * np.array([0.3, 0.2])[:, None, None]
    table = np.column_stack([x.ravel(), y.ravel(), HEIGHTS.ravel()])
    table = table[np.lexsort((table[:, 0], table[:, 1]) if order == "rows" else (table[:, 1], table[:, 0]))]
    table = table if upwards else table[::-1]
    head = "# Lateral units: um\n# Value units: nm\n"
    with open_frames(gwyddion_text(tmp_path / "a.xyz", values=table, head=head)) as frames:
        np.testing.assert_allclose(frames[0], HEIGHTS if upwards else HEIGHTS[::-1], rtol=1e-5)
        assert frames.calibration.pixel_size_nm == pytest.approx((300, 200))
    with open_frames(gwyddion_text(tmp_path / "b.xyz", values=table[:-1], head=head)) as frames:
        assert frames.shape == (59, 3)


@pytest.mark.parametrize("text", ["1 2 3\n4 5\n", "a b\nc d\n", "", "1\n2\n", "1,5\t2,5\n3,5\t4,5\n", "# Width: 5 um\n"])
def test_text_that_is_no_matrix(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match="a.txt"):
        open_frames(tmp_path / "a.txt")


def field(data: np.ndarray, unit: str = "m", xy: str = "m") -> Any:
    return GwyDataField(data, xreal=5e-6, yreal=6e-7, si_unit_xy=gwyfile.objects.GwySIUnit(unitstr=xy), si_unit_z=unit_of(unit))


def unit_of(text: str) -> Any:
    return gwyfile.objects.GwySIUnit(unitstr=text)


def gwy(path: Path, **fields: Any) -> Path:
    content = GwyContainer()
    for k, (title, data) in enumerate(fields.items()):
        content[f"/{k}/data/title"], content[f"/{k}/data"] = title, data
        content[f"/{k}/base/palette"] = "Gray"
    content.tofile(str(path))
    return path


def test_gwyddion_channels(tmp_path: Path) -> None:
    path = gwy(tmp_path / "a.gwy", Amplitude=field(HEIGHTS * 2, "V"), Height=field(HEIGHTS * 1e-9))
    with open_frames(path) as frames:
        np.testing.assert_allclose(frames[0], HEIGHTS, rtol=1e-5)
        assert frames.calibration.pixel_size_nm == pytest.approx((100, 500))
        assert frames.metadata == {"channel": "Height", "height_unit": "nm"} and "'Amplitude'" in frames.notes[0]
    for part in ("Amplitude", 0):
        with open_frames(path, part=part) as frames:
            np.testing.assert_allclose(frames[0], HEIGHTS * 2, rtol=1e-5)
            assert frames.metadata["value_unit"] == "V"
    with pytest.raises(UsageError, match="Amplitude"):
        open_frames(path, part="Phase")
    path = gwy(tmp_path / "b.gwy", Amplitude=field(HEIGHTS, "V"), Phase=field(HEIGHTS, "deg"))
    with pytest.raises(InputError, match="`part`.*Amplitude.*Phase"):
        open_frames(path)
    with open_frames(gwy(tmp_path / "c.gwy", Height=field(HEIGHTS, "m", "1/m"))) as frames:
        assert not frames.calibration.has_scale and "no length" in frames.notes[0]


def nanoscope(
    path: Path, data: np.ndarray, *, width: int = 2, stated: int = 2, scan: str = "1000 600 nm", **replaced: str
) -> Path:
    """Two channels, height of `data` (integers, first row on top) and amplitude; Z scale 10 V, 25 nm/V."""
    names = ("Height", "Amplitude Error")
    raw = data[::-1].astype(f"<i{width}").tobytes()
    lines = ["\\*File list", "\\Version: 0x08150300", "\\Date: 03:04:05 PM Tue Mar 05 2024", "\\*Scanner list"]
    lines += ["\\@Sens. Zsens: V 25.0 nm/V", "\\@Sens. Amplitude: V 2.0 mV/V"]
    for k, name in enumerate(names):
        sens = ("Sens. Zsens", "Sens. Amplitude")[k]
        lines += ["\\*Ciao image list", f"\\Data offset: {4096 + k * len(raw)}", f"\\Data length: {len(raw)}"]
        lines += [f"\\Bytes/pixel: {stated}", f"\\Samps/line: {data.shape[1]}", f"\\Number of lines: {data.shape[0]}"]
        lines += [f"\\Scan Size: {scan}", "\\Line Direction: Trace"]
        lines += [f'\\@2:Image Data: S [{name}] "{name}"', f"\\@2:Z scale: V [{sens}] (0.000152588 V/LSB) 10.00 V"]
    head = "\r\n".join([*lines, "\\*File list end", ""])
    for old, new in replaced.items():
        head = head.replace({"sens": "Sens. Zsens: V 25.0 nm/V", "offset": "Data offset: 4096"}[old], new)
    path.write_bytes(head.encode("latin-1").ljust(4096, b"\0") + raw + raw)
    return path


@pytest.mark.parametrize(("width", "stated"), [(2, 2), (4, 4), (4, 2)])
@pytest.mark.parametrize("suffix", [".spm", ".001"])
def test_nanoscope_height_is_raw_times_scale_times_sensitivity(tmp_path: Path, width: int, stated: int, suffix: str) -> None:
    data = np.random.default_rng(1).integers(-30_000, 30_000, SHAPE)
    path = nanoscope(tmp_path / f"a{suffix}", data, width=width, stated=stated)
    with open_frames(path) as frames:
        np.testing.assert_allclose(frames[0], data * 10 * 25 / 2 ** (8 * width), rtol=1e-6)
        assert frames.calibration.pixel_size_nm == pytest.approx((100, 100))
        assert frames.metadata["height_unit"] == "nm" and frames.metadata["channel"] == "Height"
    with open_frames(path, part="Amplitude Error") as frames:
        np.testing.assert_allclose(frames[0], data * 10 * 2 / 2 ** (8 * width), rtol=1e-6)
        assert frames.metadata["value_unit"] == "mV"


@pytest.mark.parametrize(
    ("scan", "size"), [("2 ~m", (200, 200)), ("2 3 ~m", (500, 200)), ("1000 1200 nm", (200, 100)), ("", None), ("5 V", None)]
)
def test_nanoscope_scan_size(tmp_path: Path, scan: str, size: tuple[float, float] | None) -> None:
    with open_frames(nanoscope(tmp_path / "a.spm", np.zeros(SHAPE, int), scan=scan)) as frames:
        assert frames.calibration.pixel_size_nm == (None if size is None else pytest.approx(size))
        assert size is not None or any("size" in note for note in frames.notes)


def test_a_missing_sensitivity_is_said_and_nothing_guessed(tmp_path: Path) -> None:
    data = np.full(SHAPE, 3277)
    with open_frames(nanoscope(tmp_path / "a.spm", data, sens="Sens. Other: V 1 nm/V")) as frames:
        np.testing.assert_allclose(frames[0], data * 10 / 2**16, rtol=1e-6)
        assert "height_unit" not in frames.metadata and frames.metadata["value_unit"] == "V"
        assert any("does not state the sensitivity" in note for note in frames.notes)


def test_cut_files_and_claims(tmp_path: Path) -> None:
    tracemalloc.start()
    path = nanoscope(tmp_path / "a.spm", np.zeros(SHAPE, int), offset="Data offset: 999999999999")
    with pytest.raises(TruncatedError):
        open_frames(path)
    path = gwy(tmp_path / "b.gwy", Height=field(HEIGHTS))
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index(HEIGHTS.astype("<f8").tobytes()) + 100])
    with pytest.raises(InputError):
        open_frames(path)
    path.write_bytes(raw.replace(struct.pack("<i", 10), struct.pack("<i", 2**31 - 1), 1))
    with pytest.raises(InputError):
        open_frames(path)
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


@settings(max_examples=150, deadline=None)
@given(
    place=st.integers(0, 10**6), byte=st.integers(0, 255), kept=st.floats(0, 2), kind=st.sampled_from([".gwy", ".spm", ".txt"])
)
def test_damage_raises_our_errors_alone(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, kept: float, kind: str
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / f"a{kind}"
    if kind == ".gwy":
        gwy(path, Height=field(HEIGHTS))
    elif kind == ".spm":
        nanoscope(path, np.zeros(SHAPE, int))
    else:
        gwyddion_text(path)
    raw = bytearray(path.read_bytes())
    raw[place % min(len(raw), 1200)] = byte
    path.write_bytes(raw[: int(kept * len(raw))])
    try:
        with open_frames(path) as frames:
            assert frames[0].shape == frames.shape
    except MorphoscopeError:
        pass
