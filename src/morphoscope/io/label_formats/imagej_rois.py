"""Shapes as ImageJ's ROIs and back; conventions are told in `imagej`."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from morphoscope.io.label_formats.reading import number
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, Ring, Shape, as_polygon

LINES = (ROI_TYPE.LINE, ROI_TYPE.FREELINE, ROI_TYPE.POLYLINE, ROI_TYPE.ANGLE, ROI_TYPE.NOROI)
AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED)


class _Complaints(logging.Handler):
    """What roifile logs is damage that it reads over."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


def decoded(content: bytes) -> ImagejRoi:
    """The ROI in the bytes of a file.

    Raises:
        ValueError: it is damaged.
    """
    logger, complaints = logging.getLogger("roifile"), _Complaints()
    logger.addHandler(complaints)
    try:
        return ImagejRoi.frombytes(content)
    except ValueError:
        raise
    except Exception as error:  # the package raises whatever a damaged file leads it to
        raise ValueError(f"no ROI that can be read: {error!r}") from error
    finally:
        logger.removeHandler(complaints)


def shapes_of(roi: ImagejRoi) -> Iterator[Shape]:
    """The shapes of a ROI: several for a multi-point, none for lines and texts."""
    if roi.roitype in LINES or roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.IMAGE, ROI_SUBTYPE.ARROW):
        return
    if roi.roitype == ROI_TYPE.POINT:
        for x, y in roi.coordinates():
            yield Point(number(float(x)) + 0.5, number(float(y)) + 0.5)
    elif roi.multi_coordinates is not None:
        rings = [_ring(part) for part in roi.coordinates(multi=True)]
        yield Polygon(tuple(ring for ring in rings if len(ring) >= 3))
    elif roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        yield _frame_shape(roi)
    elif roi.subtype in (ROI_SUBTYPE.ELLIPSE, ROI_SUBTYPE.ROTATED_RECT):
        yield _turned_shape(roi)
    elif roi.roitype in AREAS:
        ring = _ring(roi.coordinates())
        if len(ring) < 3:
            raise ValueError(f"wanted a polygon of at least 3 corners, got {len(ring)}")
        yield Polygon((ring,))


def _frame_shape(roi: ImagejRoi) -> Shape:
    x, y, width, height = float(roi.left), float(roi.top), float(roi.right - roi.left), float(roi.bottom - roi.top)
    if roi.subpixelrect:
        x, y, width, height = (number(float(v)) for v in (roi.xd, roi.yd, roi.widthd, roi.heightd))
    if not (width > 0 and height > 0):
        raise ValueError(f"wanted a width and height above 0, got {width:g} x {height:g}")
    centre = x + width / 2, y + height / 2
    if roi.roitype == ROI_TYPE.RECT:
        return Box(*centre, width, height)
    return Ellipse(*centre, width, height) if width >= height else Ellipse(*centre, height, width, 90.0)


def _turned_shape(roi: ImagejRoi) -> Shape:
    """Ellipse by the ends of its major axis and the ratio of its axes; rectangle by the middles of two sides and its width."""
    x1, y1, x2, y2 = (number(float(v)) for v in (roi.x1, roi.y1, roi.x2, roi.y2))
    parts = (roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size)
    (third,) = struct.unpack(f"{roi.byteorder}f", struct.pack(f"{roi.byteorder}BBh", *parts))
    length, angle = math.hypot(x2 - x1, y2 - y1), math.degrees(math.atan2(y1 - y2, x2 - x1)) % 180
    across = number(float(third)) * (length if roi.subtype == ROI_SUBTYPE.ELLIPSE else 1.0)
    if not (length > 0 and across > 0):
        raise ValueError("wanted a turned ellipse or rectangle with a length and a width")
    kind = Ellipse if roi.subtype == ROI_SUBTYPE.ELLIPSE else Box
    return kind((x1 + x2) / 2, (y1 + y2) / 2, length, across, angle)


def _ring(coordinates: Any) -> Ring:
    corners = [(number(float(x)), number(float(y))) for x, y in coordinates]
    return tuple(corners[:-1] if len(corners) > 3 and corners[0] == corners[-1] else corners)


def roi_of(shape: Shape) -> ImagejRoi:
    """A ROI without a name: whole or sub-pixel coordinates, whichever ImageJ has for the shape."""
    if isinstance(shape, Point):
        roi = ImagejRoi.frompoints(np.array([[shape.x - 0.5, shape.y - 0.5]], dtype=np.float32))
        roi.roitype = ROI_TYPE.POINT
        return roi
    if isinstance(shape, Box | Ellipse) and shape.angle_deg % 90 == 0:
        return _framed(shape)
    polygon = as_polygon(shape)
    if len(polygon.rings) > 1:
        return _composite(polygon)
    roi = ImagejRoi.frompoints(np.array(polygon.rings[0], dtype=np.float32))
    roi.roitype = ROI_TYPE.TRACED if isinstance(shape, Mask) else ROI_TYPE.POLYGON
    if isinstance(shape, Box | Ellipse):
        _turn(roi, shape)
    return roi


def _framed(shape: Box | Ellipse) -> ImagejRoi:
    x0, y0, x1, y1 = shape.bounds
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT if isinstance(shape, Box) else ROI_TYPE.OVAL
    roi.version = 227
    roi.options = ROI_OPTIONS.SUB_PIXEL_RESOLUTION
    roi.left, roi.top, roi.right, roi.bottom = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
    roi.xd, roi.yd, roi.widthd, roi.heightd = x0, y0, x1 - x0, y1 - y0
    return roi


def _turn(roi: ImagejRoi, shape: Box | Ellipse) -> None:
    """Make a polygon ROI a turned rectangle or ellipse by its axis and third number."""
    if isinstance(shape, Box):
        length, across, angle = shape.width, shape.height, shape.angle_deg
        third = across
    else:
        swapped = shape.minor > shape.major
        length, across = (shape.minor, shape.major) if swapped else (shape.major, shape.minor)
        angle = shape.angle_deg + 90 * swapped
        third = across / length
    cos, sin = math.cos(math.radians(angle)) * length / 2, math.sin(math.radians(angle)) * length / 2
    roi.roitype = ROI_TYPE.FREEHAND
    roi.subtype = ROI_SUBTYPE.ROTATED_RECT if isinstance(shape, Box) else ROI_SUBTYPE.ELLIPSE
    roi.x1, roi.y1, roi.x2, roi.y2 = shape.x - cos, shape.y + sin, shape.x + cos, shape.y - sin
    fields = struct.unpack(
        f"{roi.byteorder}BBh", struct.pack(f"{roi.byteorder}f", third)
    )  # one float where arrows have three fields
    roi.arrow_style_or_aspect_ratio, roi.arrow_head_size, roi.rounded_rect_arc_size = fields


def _composite(polygon: Polygon) -> ImagejRoi:
    path: list[float] = []
    for ring in polygon.rings:
        path += [0, *ring[0]]
        for corner in ring[1:]:
            path += [1, *corner]
        path.append(4)
    x0, y0, x1, y1 = polygon.bounds
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT
    roi.version = 227
    roi.left, roi.top, roi.right, roi.bottom = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
    roi.multi_coordinates = np.array(path, dtype=np.float32)
    roi.shape_roi_size = len(path)
    return roi
