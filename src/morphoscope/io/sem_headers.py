"""What SEMs and cameras write into private TIFF tags: FEI and Thermo Fisher, Zeiss, TESCAN, Olympus SIS, Gatan."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from morphoscope.io.sem_text import Stated, decoded, quantity, sections, whole
from morphoscope.io.tiff_directory import Directory

FEI, ZEISS, TESCAN = (34682, 34680, 34683), 34118, 50431
GATAN_UNITS, GATAN_SCALES = (65004, 65003), (65010, 65009)
US_DAYS = ("%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y")
MOST_BYTES = 4 << 20


def read_header(page: Directory) -> Stated | None:
    """What a maker's tag of the page states; None where there is none that is known.

    Pixel sizes are metres in FEI and TESCAN headers, numbers with units in those of Zeiss and Gatan. Tags: 34680, 34682, 34683
    (FEI), 34118 (Zeiss), 50431 (TESCAN), 65003 to 65010 (Gatan).
    """
    for tag in FEI:
        if text := _text(page, tag):
            return _fei_xml(text) if text.lstrip("\ufeff \r\n").startswith("<") else _fei(text)
    if text := _text(page, ZEISS):
        return _zeiss(text)
    if text := _text(page, TESCAN):
        return tescan(text, "header (TESCAN)")
    return _gatan(page)


def _text(page: Directory, tag: int) -> str:
    if tag not in page.tags or page.tags[tag][1] > MOST_BYTES:
        return ""
    return decoded(page.raw(tag) or b"")


def _fei(text: str) -> Stated | None:
    """Lines `key=value` in sections, all in SI units, angles in radians."""
    every = sections(text)
    if not {"scan", "image", "beam", "user", "escan"} & set(every):
        return None

    def get(*names: str) -> str:
        found = ((name.partition(".")[0], name.partition(".")[2]) for name in names)
        return next((value for part, key in found if (value := every.get(part, {}).get(key, ""))), "")

    beam = get("beam.beam", "beam.scan").lower() or "ebeam"
    scan = get("beam.scan").lower() or "escan"
    stated = Stated("header (FEI)", shape=(whole(get("image.resolutiony")), whole(get("image.resolutionx"))))
    stated.bar_px = whole(get("privatefei.databarheight"))
    width = get("scan.pixelwidth", f"{scan}.pixelwidth", "escan.pixelwidth")
    height = get("scan.pixelheight", f"{scan}.pixelheight", "escan.pixelheight")
    if width or height:
        stated.scale((height, "m"), (width, "m"))
    for key, names, unit in (
        ("accelerating_voltage_kv", ("beam.hv", f"{beam}.hv"), "v"),
        ("working_distance_mm", (f"{beam}.wd", "stage.workingdistance"), "m"),
        ("beam_current_na", (f"{beam}.beamcurrent",), "a"),
        ("dwell_time_us", (f"{scan}.dwell", "scan.dwelltime", "escan.dwell"), "s"),
        ("stage_x_um", ("stage.stagex",), "m"),
        ("stage_y_um", ("stage.stagey",), "m"),
        ("stage_z_um", ("stage.stagez",), "m"),
        ("stage_tilt_deg", ("stage.staget",), "rad"),
        ("stage_rotation_deg", ("stage.stager",), "rad"),
        ("chamber_pressure_pa", ("vacuum.chpressure",), "pa"),
        ("magnification", ("image.magnification", "scan.magnification"), ""),
    ):
        stated.quantity(key, get(*names), unit)
    stated.word("instrument", get("system.systemtype", "system.type"))
    stated.word("detector", get("detectors.name", "detectors.signal"))
    stated.word("operator", get("user.user"))
    stated.acquired(get("user.date"), get("user.time"), days=US_DAYS)
    return stated


def _fei_xml(text: str) -> Stated | None:
    """The XML of newer Thermo Fisher instruments: SI units, or what the attribute `unit` says."""
    stated = Stated("header (FEI)")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        stated.notes.append("the FEI header holds entity definitions, which no microscope writes; it is not read")
        return stated
    try:
        root = ElementTree.fromstring(text.strip("\ufeff \r\n\0").encode("utf-8", "replace"))
    except (ElementTree.ParseError, ValueError) as error:
        stated.notes.append(f"the FEI header is damaged ({error}); no scale was read from it")
        return stated
    leaves = dict(_leaves(root, ""))

    def get(*ends: str) -> tuple[str, str]:
        return next((value for end in ends for path, value in leaves.items() if f".{path}".endswith(f".{end}")), ("", ""))

    x, y = get("pixelsize.x", "pixelwidth"), get("pixelsize.y", "pixelheight")
    if x[0] or y[0]:
        stated.scale((y[0], y[1] or "m"), (x[0], x[1] or "m"))
    for key, ends, unit in (
        ("accelerating_voltage_kv", ("accelerationvoltage", "acceleratingvoltage"), "v"),
        ("working_distance_mm", ("workingdistance",), "m"),
        ("beam_current_na", ("beamcurrent",), "a"),
        ("dwell_time_us", ("dwelltime",), "s"),
        ("stage_x_um", ("stageposition.x", "position.x"), "m"),
        ("stage_y_um", ("stageposition.y", "position.y"), "m"),
        ("stage_z_um", ("stageposition.z", "position.z"), "m"),
        ("stage_tilt_deg", ("stageposition.tilt.alpha", "tilt.alpha"), "rad"),
        ("stage_rotation_deg", ("stageposition.rotation",), "rad"),
    ):
        value, own = get(*ends)
        stated.quantity(key, value, own.lower() or unit)
    stated.word("instrument", get("instrumentclass", "instrumentmodel", "systemtype")[0])
    stated.word("detector", get("detectorname")[0])
    moment = get("acquisitiondatetime", "acquisition.datetime")[0]
    if moment:
        stated.metadata["acquired"] = moment
    return stated


def _leaves(element: Any, path: str) -> Any:
    """(path in lower case, (text, unit)) of all elements without children."""
    for child in element:
        below = f"{path}.{child.tag.rpartition('}')[2].lower()}" if path else child.tag.rpartition("}")[2].lower()
        if len(child):
            yield from _leaves(child, below)
        else:
            yield below, ((child.text or "").strip(), child.get("unit", ""))


def _zeiss(text: str) -> Stated | None:
    """A key in capitals, then a line `Name = value unit`; before the first key bare numbers, the fourth the pixel in metres."""
    values: dict[str, str] = {}
    bare: list[str] = []
    key = ""
    for line in text.splitlines():
        line = line.strip("\0 \t")
        if re.fullmatch(r"[A-Z]{2}_[A-Z0-9_]+", line):
            key = line
        elif key:
            values.setdefault(key, re.split(r"\s*[=:]\s*", line, maxsplit=1)[-1].strip())
            key = ""
        elif not values:
            bare.append(line)
    if not values and len(bare) < 4:
        return None
    store = re.findall(r"\d+", values.get("DP_IMAGE_STORE", ""))
    stated = Stated("header (Zeiss)", shape=(int(store[1]), int(store[0])) if len(store) == 2 else (0, 0))
    if found := values.get("AP_IMAGE_PIXEL_SIZE") or values.get("AP_PIXEL_SIZE"):
        stated.scale(quantity(found), quantity(found))
    elif len(bare) > 3 and (pixel := quantity(bare[3])[0]) > 0:
        stated.scale((pixel, "m"), (pixel, "m"))
    for name, keys, unit in (
        ("accelerating_voltage_kv", ("AP_ACTUALKV", "AP_MANUALKV"), "kv"),
        ("working_distance_mm", ("AP_WD",), "mm"),
        ("magnification", ("AP_MAG",), ""),
        ("beam_current_na", ("AP_PROBECURRENT", "AP_IPROBE", "AP_BEAM_CURRENT"), "a"),
        ("aperture_um", ("AP_APERTURESIZE",), "um"),
        ("stage_x_um", ("AP_STAGE_AT_X",), "mm"),
        ("stage_y_um", ("AP_STAGE_AT_Y",), "mm"),
        ("stage_z_um", ("AP_STAGE_AT_Z",), "mm"),
        ("stage_tilt_deg", ("AP_STAGE_AT_T",), "deg"),
        ("stage_rotation_deg", ("AP_STAGE_AT_R",), "deg"),
    ):
        stated.quantity(name, next((values[k] for k in keys if k in values), ""), unit)
    stated.word("instrument", values.get("DP_SEM", "") or values.get("SV_SERIAL_NUMBER", ""))
    stated.word("detector", values.get("DP_DETECTOR_CHANNEL", "") or values.get("DP_DETECTOR_TYPE", ""))
    stated.word("operator", values.get("SV_USER_NAME", ""))
    stated.acquired(values.get("AP_DATE", ""), values.get("AP_TIME", ""))
    return stated


def tescan(text: str, source: str) -> Stated | None:
    """Lines `key=value` of TESCAN, in SI units, angles in degrees; in the TIFF tag binary blocks lie between them."""
    pairs = re.findall(r"(?:^|[^\x20-\x7e])([A-Za-z][A-Za-z0-9]*)=([^\r\n\0]*)", text)
    values: dict[str, str] = {}
    for key, value in pairs:
        values.setdefault(key.lower(), value.strip())
    if "pixelsizex" not in values and "pixelsizey" not in values:
        return None
    stated = Stated(source, bar_px=whole(values.get("imagestripsize", "")))
    stated.scale((values.get("pixelsizey", ""), "m"), (values.get("pixelsizex", ""), "m"))
    for name, keys, unit in (
        ("accelerating_voltage_kv", ("hv", "acceleratorvoltage"), "v"),
        ("working_distance_mm", ("wd",), "m"),
        ("magnification", ("magnification",), ""),
        ("beam_current_na", ("predictedbeamcurrent",), "a"),
        ("dwell_time_us", ("dwelltime",), "s"),
        ("chamber_pressure_pa", ("chamberpressure",), "pa"),
        ("stage_x_um", ("stagex",), "m"),
        ("stage_y_um", ("stagey",), "m"),
        ("stage_z_um", ("stagez",), "m"),
        ("stage_tilt_deg", ("stagetilt",), "deg"),
        ("stage_rotation_deg", ("stagerotation",), "deg"),
    ):
        stated.quantity(name, next((values[k] for k in keys if k in values), ""), unit)
    stated.word("instrument", values.get("devicemodel", "") or values.get("device", ""))
    stated.word("detector", values.get("detector", "") or values.get("detector0", ""))
    stated.word("operator", values.get("username", "") or values.get("fullusername", ""))
    stated.acquired(values.get("date", ""), values.get("time", ""))
    return stated


def _gatan(page: Directory) -> Stated | None:
    """The scale that DigitalMicrograph writes into an exported TIFF: units in 65003 (x) and 65004 (y), sizes in 65009, 65010."""
    if not all(tag in page.tags for tag in GATAN_SCALES):
        return None
    stated = Stated("header (Gatan)")
    sizes = [page.numbers(tag) for tag in GATAN_SCALES]
    units = [decoded(page.raw(tag) or b"").strip("\0 ") for tag in GATAN_UNITS]
    if not all(len(size) for size in sizes):
        return None
    if sizes[0][0] != sizes[1][0] or units[0] != units[1]:
        stated.notes.append(
            f"the Gatan header states {sizes[0][0]:g} {units[0]} and {sizes[1][0]:g} {units[1]} per px, and it is not certain "
            "which is x and which is y; they are not used"
        )
    else:
        stated.scale((float(sizes[0][0]), units[0]), (float(sizes[1][0]), units[1]))
    return stated
