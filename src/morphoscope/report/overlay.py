"""Overlay frames: thin boxes, fitted ellipses, track numbers in colours that stay with a track, scale bar, stamp."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.report.style import length_label, nice_length

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

FONT = cv2.FONT_HERSHEY_SIMPLEX
UNTRACKED: Colour = (235, 235, 235)
OUTLINED: Colour = (255, 214, 10)


def draw_overlay(
    image: NDArray[Any],
    objects: pd.DataFrame,
    calibration: Calibration,
    stamp: str = "",
    *,
    limits: tuple[float, float] | None = None,
    zoom: int = 1,
    labels: NDArray[Any] | None = None,
) -> Rgb:
    """One overlay frame.

    Args:
        image: (height, width), any dtype.
        objects: the frame's rows of `schema.OBJECTS`: the box columns; ellipse columns and `track_id` where there are any.
        calibration: for the scale bar; without a scale there is none.
        stamp: text at the upper left, such as `stamp_text` gives.
        limits: grey values shown as black and white; none for 0..255 of uint8, else the image's own range. Give the
            same limits for all frames of a video.
        zoom: whole number of overlay px per image px.
        labels: (height, width), the objects' `mask_label` in their pixels: their outlines are drawn instead of boxes and
            ellipses. None: there are no masks.

    Returns:
        (height * zoom, width * zoom, 3) uint8, RGB.
    """
    grey = to_grey(image, limits)
    if zoom > 1:
        grey = np.asarray(cv2.resize(grey, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    canvas = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if len(objects) and labels is not None:
        _outlines(canvas, objects, labels, zoom)
    elif len(objects):
        _objects(canvas, objects, zoom)
    if calibration.pixel_size_nm is not None:
        _scale_bar(canvas, calibration.pixel_size_nm[1] / zoom)
    if stamp:
        _plate(canvas, stamp, (0, 0))
    return canvas


def write_still(folder: str | Path, frame: Rgb, name: str = "overlay") -> Path:
    """Write an overlay frame as `<folder>/<name>.png` and return its path."""
    path = Path(folder) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))[1].tobytes())
    return path


def stamp_text(calibration: Calibration, frame: int) -> str:
    """Frame number and, where calibrated, experiment time and the named axes: `frame 120   210 s   1.02 dpa`."""
    parts = [f"frame {frame}"]
    if calibration.frame_interval_s is not None and "time" not in {a.name for a in calibration.axes}:
        parts.append(f"{float(calibration.time_s(frame)):.1f} s")
    for axis in calibration.axes:
        value = f"{float(axis.at(frame)):.3g}" if abs(float(axis.at(frame))) >= 1000 else f"{float(axis.at(frame)):.2f}"
        parts.append(f"{value} {axis.unit}" if axis.unit else f"{axis.name} {value}")
    return "   ".join(parts)


def to_grey(image: NDArray[Any], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """A (height, width) picture of any dtype as uint8, `limits` (or its own range) going to 0..255."""
    if image.dtype == np.uint8 and limits is None:
        return np.asarray(image, dtype=np.uint8)
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    known = limits is not None and bool(np.isfinite(limits).all())
    low, high = limits if limits is not None and known else (float(values.min()), float(values.max()))
    scaled = (values - low) * (255.0 / max(high - low, 1e-9))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)


@lru_cache(maxsize=4096)
def track_colour(track_id: int | None) -> Colour:
    """The colour of a track: bright, the same in each frame and run, neighbours in number far apart in hue."""
    if track_id is None:
        return UNTRACKED
    hue = (0.11 + track_id * 0.61803398875) % 1.0
    lightness = (0.6, 0.7, 0.52)[track_id % 3]
    rgb = np.array(colorsys.hls_to_rgb(hue, lightness, 0.95))
    luminance = float(rgb @ (0.3, 0.59, 0.11))
    if luminance < 0.55:  # dark blues and reds cannot be read on grey
        rgb += (1 - rgb) * (0.55 - luminance) / (1 - luminance)
    red, green, blue = (round(255 * float(v)) for v in rgb)
    return red, green, blue


def _objects(canvas: Rgb, objects: pd.DataFrame, zoom: int) -> None:
    boxes = objects[["x_px", "y_px", "width_px", "height_px"]].to_numpy(float)
    half = boxes[:, 2:] / 2
    to_canvas = (zoom - 1) / 2
    corners = np.rint(np.hstack([boxes[:, :2] - half, boxes[:, :2] + half]) * zoom + to_canvas).astype(int).tolist()
    colours = [track_colour(None if track is None else int(track)) for track in _tracks(objects)]
    for (x0, y0, x1, y1), colour in zip(corners, colours, strict=True):
        cv2.rectangle(canvas, (x0, y0), (x1, y1), colour, 1)
    if "ellipse_x_px" in objects:
        _ellipses(canvas, objects, colours, zoom)
    for (x0, y0, x1, _), colour, track in zip(corners, colours, _tracks(objects), strict=True):
        if track is not None:
            _number(canvas, str(int(track)), x0, y0, x1, colour)


def _outlines(canvas: Rgb, objects: pd.DataFrame, labels: NDArray[Any], zoom: int) -> None:
    """The outermost pixels of each object in its colour: yellow without a track, so that neighbours that touch stay apart."""
    colours = [OUTLINED if track is None else track_colour(int(track)) for track in _tracks(objects)]
    table = np.zeros((int(labels.max(initial=0)) + 1, 3), np.uint8)
    table[objects["mask_label"].to_numpy(np.int64)] = colours
    large = labels if zoom == 1 else np.kron(labels, np.ones((zoom, zoom), labels.dtype))
    rim = np.zeros(large.shape, bool)
    across, down = large[:, 1:] != large[:, :-1], large[1:] != large[:-1]
    rim[:, 1:] |= across
    rim[:, :-1] |= across
    rim[1:] |= down
    rim[:-1] |= down
    rim &= large > 0
    canvas[rim] = table[large[rim]]
    boxes = objects[["x_px", "y_px", "width_px", "height_px"]].to_numpy(float)
    for track, colour, row in zip(_tracks(objects), colours, boxes, strict=True):
        if track is not None:
            x0, y0, x1 = (round(v * zoom) for v in (row[0] - row[2] / 2, row[1] - row[3] / 2, row[0] + row[2] / 2))
            _number(canvas, str(int(track)), x0, y0, x1, colour)


def _tracks(objects: pd.DataFrame) -> list[Any]:
    if "track_id" not in objects:
        return [None] * len(objects)
    return [None if pd.isna(track) else track for track in objects["track_id"].tolist()]


def _ellipses(canvas: Rgb, objects: pd.DataFrame, colours: list[Colour], zoom: int) -> None:
    columns = ["ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg"]
    shift = 4  # sixteenths of a px
    to_canvas = (zoom - 1) / 2
    for row, colour in zip(objects[columns].to_numpy(float), colours, strict=True):
        if not np.isfinite(row).all():
            continue
        centre = (round((row[0] * zoom + to_canvas) * 16), round((row[1] * zoom + to_canvas) * 16))
        axes = (round(row[2] * zoom * 8), round(row[3] * zoom * 8))
        cv2.ellipse(canvas, centre, axes, -row[4], 0, 360, colour, 1, cv2.LINE_AA, shift)


@lru_cache(maxsize=4096)
def _glyphs(text: str, scale: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coverage masks (0 to 1) of a small text and of its dark rim; of no size where the text is too small to leave a trace."""
    (wide, high), base = cv2.getTextSize(text, FONT, scale, 1)
    size = (high + base + 8, wide + 8)
    masks = []
    for stroke in (1, 3):
        mask = np.zeros(size, dtype=np.uint8)
        cv2.putText(mask, text, (4, high + 4), FONT, scale, 255, stroke, cv2.LINE_AA)
        masks.append(np.asarray(mask[..., None] / 255, dtype=np.float32))
    inked = np.argwhere(masks[1][..., 0] > 0.05)
    if not len(inked):
        return masks[0][:0, :0], masks[1][:0, :0]
    (y0, x0), (y1, x1) = inked.min(0), inked.max(0) + 1
    return masks[0][y0:y1, x0:x1], masks[1][y0:y1, x0:x1]


def _number(canvas: Rgb, text: str, x0: int, y0: int, x1: int, colour: Colour) -> None:
    """A track number above its box, or below the top edge where there is no room."""
    ink, rim = _glyphs(text, 0.4)
    high, wide = ink.shape[:2]
    left = min(max((x0 + x1 - wide + 1) // 2, 0), canvas.shape[1] - wide)
    top = y0 - high if y0 >= high else y0 + 2
    if left < 0 or top < 0 or top + high > canvas.shape[0]:
        return
    patch = canvas[top : top + high, left : left + wide]
    blended = patch * (1 - 0.8 * rim)
    blended += (np.array(colour, dtype=np.float32) * 0.65 + 89 - blended) * ink
    patch[:] = blended.astype(np.uint8)


def _scale_bar(canvas: Rgb, nm_per_px: float) -> None:
    height, width = canvas.shape[:2]
    nm = nice_length(0.22 * width * nm_per_px)
    length = max(1, round(nm / nm_per_px))
    size = _text_size(width)
    label = length_label(nm).replace("\N{MICRO SIGN}", "u")
    (wide, high), base = cv2.getTextSize(label, FONT, size, 1)
    margin, thick = max(6, width // 90), max(3, height // 180)
    block = (max(length, wide) + 2 * margin, high + base + thick + 2 * margin)
    left, top = max(0, width - block[0]), max(0, height - block[1])
    _shade(canvas, left, top, width, height)
    x0 = left + (block[0] - length) // 2
    y1 = height - margin
    cv2.rectangle(canvas, (x0, y1 - thick), (x0 + length, y1), (255, 255, 255), -1)
    place = (left + (block[0] - wide) // 2, y1 - thick - base)
    cv2.putText(canvas, label, place, FONT, size, (255, 255, 255), 1, cv2.LINE_AA)


def _plate(canvas: Rgb, text: str, corner: tuple[int, int]) -> None:
    """White letters with a dark rim on a plate no larger than they are, which what lies below shines through."""
    plain = text.encode("ascii", "replace").decode()  # the font has no others
    size = _text_size(canvas.shape[1])
    ink, rim = _glyphs.__wrapped__(plain, size)
    size *= min(1.0, canvas.shape[1] / max(ink.shape[1], 1))
    ink, rim = _glyphs.__wrapped__(plain, size)
    y, x = (at + 3 for at in corner)
    patch = canvas[y : y + ink.shape[0], x : x + ink.shape[1]]
    ink, rim = (mask[: patch.shape[0], : patch.shape[1]] for mask in (ink, rim))
    patch[:] = (0.5 * patch * (1 - 0.85 * rim) * (1 - ink) + 255 * ink).astype(np.uint8)


def _text_size(width: int) -> float:
    return min(max(width / 1700, 0.36), 1.2)


def _shade(canvas: Rgb, x0: int, y0: int, x1: int, y1: int) -> None:
    part = canvas[max(y0, 0) : y1, max(x0, 0) : x1]
    part[:] = part // 3
