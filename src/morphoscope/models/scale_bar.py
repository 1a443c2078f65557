"""The scale a picture states itself: its burnt-in scale bar measured, and the text beside it read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
from numpy.typing import NDArray

from morphoscope.errors import UsageError
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.measure.scale_bar import Bar, find_bars, to_bytes
from morphoscope.measure.text_lines import Line, distance, lines_near
from morphoscope.models.read_text import LENGTH, parse_length, read_lines, to_line

WIDEST = 1500  # px of a picture that is searched as it is
BARS = 8  # the most bar-like ones whose surroundings are read
LIKELY = 0.3  # lowest quality of a bar whose surroundings are read
SURE = 0.5  # lowest confidence of a reading that is told
PLAIN = 0.6  # lowest quality of a bar without a text that is told,
PLAIN_SHARE = 0.06  # and its least length as a share of the picture's width
USUAL = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar as found in a picture.

    `box` is x0, y0, x1, y1 in px edges, `length_px` its length between half grey levels and `error_px` the doubt about it; `text`
    is what was read beside it and `length_nm` what that means (None where nothing could be read), `confidence` 0 to 1.
    """

    box: tuple[int, int, int, int]
    length_px: float
    error_px: float
    text: str | None
    length_nm: float | None
    confidence: float

    @property
    def pixel_size_nm(self) -> float | None:
        """Pixel size in nm, None where the text was not read."""
        return None if self.length_nm is None else self.length_nm / self.length_px

    def __str__(self) -> str:
        said = f"reads {self.text}" if self.text else "has no text that could be read"
        return f"a scale bar of {self.length_px:.1f} px that {said}"


def find_scale_bar(image: NDArray[Any]) -> ScaleBar | None:
    """The scale bar of a picture (height, width), with its text if it can be read; None where there is none.

    A bar whose text is a length wins over one that only looks like a bar. Large pictures are searched at a whole part of their
    size, which widens the doubt about the length. Measured by `benchmarks.scale_bars`.
    """
    grey = to_bytes(image)
    reduced = -(-max(grey.shape) // WIDEST)
    if reduced > 1:
        size = (grey.shape[1] // reduced, grey.shape[0] // reduced)
        found = find_scale_bar(cv2.resize(grey[: size[1] * reduced, : size[0] * reduced], size, interpolation=cv2.INTER_AREA))
        return None if found is None else _enlarged(found, reduced)
    bars = [bar for bar in find_bars(grey, info_bar=find_info_bar(grey)) if bar.quality >= LIKELY][:BARS]
    near = [
        (bar, line, to_line(crop, widest=512))
        for bar in bars
        for inverse in (False, True)
        for line, crop in lines_near(grey, bar, inverse=inverse)
    ]
    readings = read_lines([crop for _, _, crop in near])
    best: tuple[float, Bar, str, float] | None = None
    for (bar, line, _), reading in zip(near, readings, strict=True):
        length = parse_length(reading.text)
        if length is None:
            continue
        weight = reading.confidence * _usual(reading.text) * _closeness(bar, line) * _body(bar)
        if weight > 0 and (best is None or weight > best[0]):
            best = weight, bar, reading.text, reading.confidence
    if best is not None and best[3] >= SURE:
        return _told(best[1], best[2], best[3])
    plain = (bar for bar in bars if bar.quality >= PLAIN and bar.length_px >= PLAIN_SHARE * image.shape[1])
    return next((_told(bar, None, 0.0) for bar in plain), None)


def _enlarged(bar: ScaleBar, factor: int) -> ScaleBar:
    x0, y0, x1, y1 = (factor * edge for edge in bar.box)
    return replace(bar, box=(x0, y0, x1, y1), length_px=factor * bar.length_px, error_px=factor * bar.error_px)


def stated_length(text: str) -> float:
    """Nanometres of a length that a user gives for a scale bar, such as `200 nm` or `0.5 um`.

    Raises:
        UsageError: it is no length.
    """
    length = parse_length(text)
    if length is None:
        raise UsageError(f"wanted the length a scale bar stands for, such as '200 nm' or '0.5 um', got {text!r}")
    return length


def _told(bar: Bar, text: str | None, confidence: float) -> ScaleBar:
    length = parse_length(text) if text else None
    error = max(0.5, abs((bar.x1 - bar.x0) - bar.length_px))
    return ScaleBar((bar.x0, bar.y0, bar.x1, bar.y1), bar.length_px, error, text, length, confidence)


def _usual(text: str) -> float:
    """1 for numbers that scale bars carry, less for others."""
    found = LENGTH.fullmatch(text)
    value = float(found.group(1)) if found else 0.0
    if value <= 0:
        return 0.0
    mantissa = value / 10 ** math.floor(math.log10(value))
    return 1.0 if any(abs(mantissa - usual) < 1e-6 for usual in USUAL) else 0.6


def _body(bar: Bar) -> float:
    """How bar-like it is; lines of one px, as sharpened pictures have along edges, count less."""
    return math.sqrt(bar.quality) * math.pow(min(1.0, (bar.y1 - bar.y0) / 3), 0.3)


def _closeness(bar: Bar, line: Line) -> float:
    """1 for a text that touches a bar at least half as wide, falling with the distance in heights of the text.

    0 for a text that should stand in the bar's gap and does not, or over a bar that is short against it.
    """
    if bar.gap is not None and not (bar.gap[0] - 2 <= line.x0 and line.x1 <= bar.gap[1] + 2):
        return 0.0
    inside = 1.5 if bar.gap is not None else 1.0  # a text that fits into a gap is no chance
    ample = min(1.0, 2 * (bar.x1 - bar.x0) / (line.x1 - line.x0))
    if ample < 0.6 and line.x0 < bar.x1 and line.x1 > bar.x0:
        return 0.0
    return inside * ample * math.exp(-distance(bar, line) / (3 * line.height))
