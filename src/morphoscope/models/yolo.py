"""Foreign detectors of the YOLO family, exported to ONNX by their own tools and described by a sidecar card.

Two output layouts are read: `yolo-v8-1`, (n, 4 + classes, boxes), as YOLOv8 and later export it, and `yolo-v5-1`,
(n, boxes, 5 + classes) with an objectness, as YOLOv5 and YOLOv7 do; boxes are x, y, width, height in px of the network's input.
Input (`rgb-letterbox-1`): grey repeated to RGB on the 0 to 1 scale, fitted into the network's size with borders of 114 / 255.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import ModelError
from morphoscope.models.runtime import Session

LETTERBOX = "rgb-letterbox-1"
LAYOUTS = ("yolo-v8-1", "yolo-v5-1")
Array = NDArray[np.float64]


def letterbox(image: NDArray[Any], height: int, width: int) -> tuple[NDArray[np.float32], float, tuple[int, int]]:
    """The image (h, w) fitted into (3, height, width) on the 0 to 1 scale, the factor, and the borders (left, top) in px."""
    top = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else max(float(image.max()), 1e-12)
    factor = min(height / image.shape[0], width / image.shape[1])
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    small = cv2.resize(
        image.astype(np.float32) / np.float32(top), size, interpolation=cv2.INTER_LINEAR if factor > 1 else cv2.INTER_AREA
    )
    left, above = (width - size[0]) // 2, (height - size[1]) // 2
    canvas = np.full((3, height, width), 114 / 255, np.float32)
    canvas[:, above : above + size[1], left : left + size[0]] = small
    return canvas, factor, (left, above)


def find(
    session: Session, images: NDArray[Any] | Sequence[NDArray[Any]], threshold: float
) -> list[tuple[Array, Array, NDArray[np.int64]]]:
    """Boxes (n, 4: x, y, width, height in px of the image), scores and classes above a threshold, for each image."""
    _, channels, fixed_h, fixed_w = session.input_shape
    if channels not in (None, 3):
        raise ModelError(f"{session.card.name}: a YOLO-family model takes 3 channels, this one takes {channels}")
    found = []
    for image in images:
        step = session.card.stride
        height = fixed_h or -(-image.shape[0] // step) * step
        width = fixed_w or -(-image.shape[1] // step) * step
        canvas, factor, border = letterbox(image, height, width)
        rows = session.run(canvas[None])[0][0].astype(float)
        boxes, scores = _read(rows, session)
        label = scores.argmax(axis=1)
        score = scores[np.arange(len(scores)), label]
        keep = score >= threshold
        centre = (boxes[keep, :2] - border) / factor - 0.5
        found.append((np.hstack([centre, boxes[keep, 2:] / factor]), score[keep], label[keep].astype(np.int64)))
    return found


def _read(rows: Array, session: Session) -> tuple[Array, Array]:
    classes, objectness = len(session.card.classes), session.card.postprocess == "yolo-v5-1"
    rows = rows if objectness else rows.T
    wanted = 4 + objectness + classes
    if rows.ndim != 2 or rows.shape[1] != wanted:
        raise ModelError(
            f"{session.card.name}: {session.card.postprocess} with {classes} classes gives {wanted} values a box, "
            f"the output has shape {rows.shape}; "
            "check classes and postprocess in the card"
        )
    return rows[:, :4], rows[:, 5:] * rows[:, 4:5] if objectness else rows[:, 4:]
