"""Scales and metadata of SEMs: headers and text files written by their public descriptions, and every way they can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from morphoscope.io.open import open_frames
from morphoscope.io.sem_text import decoded, quantity

SHAPE = (24, 32)
PIXELS = (np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE) % 251).astype(np.uint8)
FEI = """[User]
Date=10/29/2013
Time=02:39:01 PM
User=someone
[System]
SystemType=Helios NanoLab
[Beam]
HV=5000
Scan=EScan
Beam=EBeam
[EBeam]
HFW=1.28e-007
WD=0.0041
BeamCurrent=2.5e-11
[EScan]
PixelWidth=4e-009
PixelHeight=5e-009
Dwell=3e-006
[Scan]
PixelWidth={x}
PixelHeight={y}
[Stage]
StageX=0.00165
StageY=-0.002
StageZ=0.005
StageR=-1.5707963
StageT=0.9075712
[Image]
ResolutionX={columns}
ResolutionY={rows}
[Detectors]
Name=ETD
[Vacuum]
ChPressure=0.0002
[PrivateFei]
DatabarHeight=4
"""
ZEISS = """0
0
0
{bare}
1
AP_IMAGE_PIXEL_SIZE
Image Pixel Size = {pixel}
AP_PIXEL_SIZE
Pixel Size = 99.0 nm
DP_IMAGE_STORE
Store resolution = {store}
AP_ACTUALKV
EHT = 5.00 kV
AP_WD
WD =  4.7 mm
AP_MAG
Mag =   10.00 K X
AP_STAGE_AT_X
Stage at X = 60.125 mm
AP_STAGE_AT_T
Stage at T =  -2.5 °
DP_DETECTOR_CHANNEL
Signal A = InLens
SV_SERIAL_NUMBER
Serial No. = SUPRA 55-41-01
AP_DATE
Date :18 Nov 2012
AP_TIME
Time :11:23:02
"""
TESCAN = """[MAIN]
Date=2018-05-14
Time=14:00:01
DeviceModel=MIRA3
Magnification=50000
ImageStripSize=4
PixelSizeX={x}
PixelSizeY={y}
[SEM]
HV=30000
WD=0.0099
StageX=0.0123
StageTilt=45
Detector=SE
"""
JEOL = """$SEM_DATA_VERSION 1
$CM_LABEL JEOL
$CM_DATE 2009/08/05
$CM_TIME 16:20:30
$CM_INSTRUMENT 6610LV
$CM_ACCEL_VOLT 20.00
$CM_MAG 1000
$CM_SIGNAL SEI
$CM_FULL_SIZE {full}
$CM_STAGE_POS 1.25 -3.5 10.0 30.0 5.0 0
$$SM_WD 11
$$SM_MICRON_BAR {bar}
$$SM_MICRON_MARKER {marker}
"""
HITACHI = """[SemImageFile]
InstructName=S-4800
SignalName=SE(M)
Date=2012/05/23
Time=11:27:30
DataSize={size}
PixelSize={pixel}
AcceleratingVoltage=5000 Volt
Magnification=10000
WorkingDistance=8500 um
"""


def fei(path: Path, *, tag: int = 34682, x: str = "2e-009", y: str = "2.5e-009", columns: int = 32, rows: int = 20) -> Path:
    return tagged(path, tag, FEI.format(x=x, y=y, columns=columns, rows=rows).encode())


def zeiss(path: Path, *, pixel: str = "10.00 nm", store: str = "32 * 24", bare: str = "1e-8") -> Path:
    return tagged(path, 34118, ZEISS.format(pixel=pixel, store=store, bare=bare).encode("cp1252"))


def tagged(path: Path, tag: int, raw: bytes, **options: Any) -> Path:
    tifffile.imwrite(path, PIXELS, metadata=None, extratags=[(tag, 7, len(raw), raw, True)], **options)
    return path


def beside(path: Path, text: str, *, suffix: str = ".txt", coding: str = "utf-8") -> Path:
    cv2.imwrite(str(path), PIXELS)
    path.with_suffix(suffix).write_bytes(text.encode(coding))
    return path


@pytest.mark.parametrize("tag", [34680, 34682])
def test_fei(tmp_path: Path, tag: int) -> None:
    with open_frames(fei(tmp_path / "a.tif", tag=tag)) as frames:
        np.testing.assert_array_equal(frames[0], PIXELS)
        assert frames.calibration.pixel_size_nm == pytest.approx((2.5, 2.0))
        assert frames.calibration.provenance == {"pixel_size_nm": "header (FEI)"}
        assert frames.notes == ()
        found = dict(frames.metadata)
    numbers = {
        "accelerating_voltage_kv": 5.0,
        "working_distance_mm": 4.1,
        "beam_current_na": 0.025,
        "dwell_time_us": 3.0,
        "stage_x_um": 1650.0,
        "stage_y_um": -2000.0,
        "stage_z_um": 5000.0,
        "stage_rotation_deg": -90.0,
        "stage_tilt_deg": 52.0,
        "chamber_pressure_pa": 0.0002,
        "image_height_px": 20,
    }
    assert {key: found.pop(key) for key in numbers} == pytest.approx(numbers, rel=1e-5)
    words = {"instrument": "Helios NanoLab", "detector": "ETD", "operator": "someone", "acquired": "2013-10-29T14:39:01"}
    assert found == words


def test_fei_xml(tmp_path: Path) -> None:
    text = """<?xml version="1.0"?><Metadata xmlns="http://schemas.fei.com/Metadata/v1/2013/07">
    <Instrument><InstrumentClass>Verios</InstrumentClass></Instrument>
    <Acquisition><AcquisitionDatetime>2019-02-03T04:05:06</AcquisitionDatetime></Acquisition>
    <Optics><AccelerationVoltage>2000</AccelerationVoltage><WorkingDistance>0.004</WorkingDistance></Optics>
    <StageSettings><StagePosition><X>0.001</X><Y>0</Y><Tilt><Alpha>0.5235988</Alpha></Tilt></StagePosition></StageSettings>
    <BinaryResult><PixelSize><X unit="m">1.5E-09</X><Y unit="m">3E-09</Y></PixelSize></BinaryResult></Metadata>"""
    with open_frames(tagged(tmp_path / "a.tif", 34683, text.encode())) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((3.0, 1.5))
        assert frames.metadata == pytest.approx(
            {
                "instrument": "Verios",
                "acquired": "2019-02-03T04:05:06",
                "accelerating_voltage_kv": 2.0,
                "working_distance_mm": 4.0,
                "stage_x_um": 1000.0,
                "stage_y_um": 0.0,
                "stage_tilt_deg": pytest.approx(30),
            }
        )
    for bad, words in ((text[:200], "damaged"), ('<!DOCTYPE x [<!ENTITY a "b">]>' + text[21:], "entity")):
        with open_frames(tagged(tmp_path / "b.tif", 34683, bad.encode())) as frames:
            assert frames.calibration.pixel_size_nm is None and any(words in note for note in frames.notes)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"x": "0", "y": "0"}, "cannot be"),
        ({"x": "-1e-9", "y": "-1e-9"}, "cannot be"),
        ({"x": "1e3", "y": "1e3"}, "cannot be"),
        ({"x": "2e-9", "y": "no"}, "one direction"),
        ({"columns": 64, "rows": 40}, "64 x 40 px"),
        ({"columns": 16}, "resized"),
        ({"rows": 30}, "resized"),
    ],
)
def test_a_fei_scale_that_cannot_be_is_not_used_and_said(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    with open_frames(fei(tmp_path / "a.tif", **values)) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any(words in note and "not used" in note for note in frames.notes)


@pytest.mark.parametrize(("pixel", "nm"), [("10.00 nm", 10.0), ("1.25 µm", 1250.0), ("250.0 pm", 0.25), ("11,5 nm", 11.5)])
def test_zeiss(tmp_path: Path, pixel: str, nm: float) -> None:
    with open_frames(zeiss(tmp_path / "a.tif", pixel=pixel)) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((nm, nm))
        assert frames.calibration.provenance == {"pixel_size_nm": "header (Zeiss)"}
        assert frames.metadata == {
            "accelerating_voltage_kv": 5.0,
            "working_distance_mm": pytest.approx(4.7),
            "magnification": 10_000.0,
            "stage_x_um": pytest.approx(60_125.0),
            "stage_tilt_deg": -2.5,
            "detector": "InLens",
            "instrument": "SUPRA 55-41-01",
            "acquired": "2012-11-18T11:23:02",
        }


def test_zeiss_without_named_size_and_with_another_resolution(tmp_path: Path) -> None:
    raw = b"0\r\n0\r\n0\r\n3.5e-009\r\n0\r\nAP_WD\r\nWD = 4 mm\r\n"
    with open_frames(tagged(tmp_path / "a.tif", 34118, raw)) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((3.5, 3.5))
    with open_frames(zeiss(tmp_path / "b.tif", store="1024 * 768")) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any("1024 x 768 px" in note and "10 nm per px" in note for note in frames.notes)


@pytest.mark.parametrize("suffix", [".hdr", ".HDR", "-png.hdr", None])
def test_tescan(tmp_path: Path, suffix: str | None) -> None:
    text = TESCAN.format(x="1.2e-008", y="1.5e-008")
    if suffix is None:
        path = tagged(tmp_path / "a.tif", 50431, b"\x01\x07\x00\x00\xff\xd8" + text.replace("\n", "\r\n").encode() + b"\x00\x12")
    else:
        path = tmp_path / "a.png"
        cv2.imwrite(str(path), PIXELS)
        (tmp_path / f"a{suffix}").write_text(text)
    with open_frames(path) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((15.0, 12.0))
        source = "header (TESCAN)" if suffix is None else f"sidecar (a{suffix})"
        assert frames.calibration.provenance == {"pixel_size_nm": source}
        assert frames.metadata == {
            "accelerating_voltage_kv": 30.0,
            "working_distance_mm": pytest.approx(9.9),
            "magnification": 50_000.0,
            "stage_x_um": pytest.approx(12_300.0),
            "stage_tilt_deg": 45.0,
            "instrument": "MIRA3",
            "detector": "SE",
            "acquired": "2018-05-14T14:00:01",
            "image_height_px": 20,
        }


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp932"])
@pytest.mark.parametrize("kind", ["bmp", "jpg", "png", "tif"])
def test_jeol(tmp_path: Path, kind: str, coding: str) -> None:
    text = JEOL.format(full="32 20", bar=160, marker="10um") + "$CM_TITLE 試料 1\n"
    with open_frames(beside(tmp_path / f"a.{kind}", text, suffix=".TXT", coding=coding)) as frames:
        assert frames.calibration.pixel_size_nm == pytest.approx((62.5, 62.5))
        assert frames.calibration.provenance == {"pixel_size_nm": "sidecar (a.TXT)"}
        assert frames.notes == ()
        assert frames.metadata == {
            "accelerating_voltage_kv": 20.0,
            "magnification": 1000.0,
            "working_distance_mm": 11.0,
            "stage_x_um": 1250.0,
            "stage_y_um": -3500.0,
            "stage_z_um": 10_000.0,
            "stage_rotation_deg": 30.0,
            "stage_tilt_deg": 5.0,
            "instrument": "JEOL 6610LV",
            "detector": "SEI",
            "title": "試料 1",
            "acquired": "2009-08-05T16:20:30",
            "image_height_px": 20,
        }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bar": 0}, "cannot be"),
        ({"marker": "10"}, "cannot be"),
        ({"marker": "-10um"}, "cannot be"),
        ({"full": "1280 960"}, "1280 x 960 px"),
    ],
)
def test_a_jeol_scale_that_cannot_be_is_said(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    text = JEOL.format(**{"full": "32 24", "bar": 160, "marker": "10um", **values})
    with open_frames(beside(tmp_path / "a.bmp", text)) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any(words in note for note in frames.notes)


def test_hitachi(tmp_path: Path) -> None:
    path = beside(tmp_path / "a.bmp", HITACHI.format(size="32x24", pixel="9.921875"))
    path.with_suffix(".txt").rename(tmp_path / "A.Txt")
    with open_frames(path) as frames:
        assert frames.calibration.pixel_size_nm == (9.921875, 9.921875)
        assert frames.calibration.provenance == {"pixel_size_nm": "sidecar (A.Txt)"}
        assert frames.metadata == {
            "accelerating_voltage_kv": 5.0,
            "magnification": 10_000.0,
            "working_distance_mm": 8.5,
            "instrument": "S-4800",
            "detector": "SE(M)",
            "acquired": "2012-05-23T11:27:30",
        }
    for size, pixel in (("64x48", "5"), ("32x24", "0")):
        with open_frames(beside(tmp_path / "b.bmp", HITACHI.format(size=size, pixel=pixel))) as frames:
            assert frames.calibration.pixel_size_nm is None and any("not used" in note for note in frames.notes)


def test_gatan(tmp_path: Path) -> None:
    for name, sizes, expected in (("a", (0.25, 0.25), (250.0, 250.0)), ("b", (0.25, 0.5), None)):
        tags = [
            (65003, 2, 3, "um", True),
            (65004, 2, 3, "um", True),
            (65009, 12, 1, sizes[0], True),
            (65010, 12, 1, sizes[1], True),
        ]
        tifffile.imwrite(tmp_path / f"{name}.tif", PIXELS, metadata=None, extratags=tags)
        with open_frames(tmp_path / f"{name}.tif") as frames:
            assert frames.calibration.pixel_size_nm == expected
            assert bool(frames.notes) == (expected is None)


def test_header_and_text_file_that_disagree_give_no_scale_and_both_are_said(tmp_path: Path) -> None:
    path = zeiss(tmp_path / "a.tif")
    (tmp_path / "a.txt").write_text(HITACHI.format(size="32x24", pixel="10.05"))
    with open_frames(path) as frames:
        assert frames.calibration.provenance == {"pixel_size_nm": "header (Zeiss)"} and frames.notes == ()
        assert frames.calibration.pixel_size_nm == pytest.approx((10, 10))
    (tmp_path / "a.txt").write_text(HITACHI.format(size="32x24", pixel="10.2"))
    with open_frames(path) as frames:
        assert frames.calibration.pixel_size_nm is None and frames.calibration.provenance == {}
        (note,) = frames.notes
        for words in ("header (Zeiss) states 10 nm", "sidecar (a.txt) 10.2 nm", "neither is used"):
            assert words in note


def test_other_text_files_beside_pictures_are_passed_over(tmp_path: Path) -> None:
    for name, text in (("yolo.txt", "0 0.5 0.5 0.1 0.1\n"), ("notes.txt", "a good sample: 10 nm"), ("bin.txt", "\0\1\2[]=\xff")):
        with open_frames(beside(tmp_path / name.replace(".txt", ".png"), text)) as frames:
            assert (frames.calibration.pixel_size_nm, dict(frames.metadata), frames.notes) == (None, {}, ())


def test_a_folder_has_the_scale_all_its_pictures_state_and_their_times(tmp_path: Path) -> None:
    for k in range(3):
        text = HITACHI.format(size="32x24", pixel="5").replace("11:27:30", f"11:27:3{3 * k}")
        beside(tmp_path / f"a{k}.bmp", text)
    with open_frames(tmp_path) as frames:
        assert frames.calibration.pixel_size_nm == (5, 5) and frames.metadata["instrument"] == "S-4800"
        assert frames.frame_data is not None and frames.frame_data["time_s"].tolist() == [0, 3, 6]
        assert frames.calibration.frame_interval_s == 3
    beside(tmp_path / "a1.bmp", HITACHI.format(size="32x24", pixel="6"))
    with open_frames(tmp_path) as frames:
        assert frames.calibration.pixel_size_nm is None
        assert any("a0.bmp and a1.bmp state different" in note for note in frames.notes)
    (tmp_path / "a1.txt").unlink()
    with open_frames(tmp_path) as frames:
        assert frames.calibration.pixel_size_nm is None and frames.frame_data is None


def test_dates_that_can_be_read_in_two_ways_are_kept_as_written(tmp_path: Path) -> None:
    text = TESCAN.format(x="1e-8", y="1e-8").replace("2018-05-14", "03/04/2018")
    with open_frames(beside(tmp_path / "a.png", text, suffix=".hdr")) as frames:
        assert "acquired" not in frames.metadata
        assert frames.metadata["acquired_as_written"] == "03/04/2018 14:00:01"


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("10.5 nm", 10.5, "nm"), ("10um", 10, "um"), ("1e-9", 1e-9, ""), ("-2,5 °", -2.5, "°"), ("1,000", None, ""), ("", None, "")],
)
def test_quantities(text: str, value: float | None, unit: str) -> None:
    found = quantity(text)
    assert np.isnan(found[0]) if value is None else found == (value, unit)


def test_texts_are_decoded_by_what_fits() -> None:
    for coding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"):
        assert decoded("µm = 5 °\n".encode(coding)) == "µm = 5 °\n"


def test_damaged_headers_raise_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = {
        34682: FEI.format(x="2e-9", y="2e-9", columns=32, rows=20),
        34118: ZEISS.format(pixel="1 nm", store="32 * 24", bare=1),
    }
    texts |= {
        50431: TESCAN.format(x="1e-8", y="1e-8"),
        34683: "<Metadata><PixelSize><X>1e-9</X><Y>1e-9</Y></PixelSize></Metadata>",
    }
    for tag, text in texts.items():
        for k in range(25):
            raw = bytearray(text.encode("cp1252"))
            for place in rng.integers(0, len(raw), 4):
                raw[place] = rng.integers(0, 256)
            with open_frames(tagged(tmp_path / "a.tif", tag, bytes(raw[: len(raw) - k * 3]))) as frames:
                np.testing.assert_array_equal(frames[0], PIXELS)
