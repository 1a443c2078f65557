"""Plain stand-ins: a detector that needs no model, and small films of dark blobs with known places."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile

from morphoscope.models.card import ModelCard

SHAPE = (96, 128)
BLOBS = ((20, 30), (60, 25), (100, 40), (30, 70), (80, 72))  # x, y
RADIUS = 6


class BlobDetector:
    """Finds dark blobs: a threshold and connected components."""

    def __init__(self, *, fail_at: int | None = None, error: type[BaseException] = KeyboardInterrupt, **card: object) -> None:
        values = {"name": "blobs", "task": "detect", "classes": ("loop",), "preprocess": "robust-1", "postprocess": "centres-1"}
        self.card = ModelCard.model_validate({**values, **card})
        self.calls = 0
        self.shapes: set[tuple[int, ...]] = set()
        self._fail_at, self._error = fail_at, error

    def detect(self, images, *, threshold=None, nms_iou=0.45):
        self.calls += 1
        if self._fail_at is not None and self.calls > self._fail_at:
            raise self._error
        self.shapes |= {image.shape for image in images}
        return [self._find(image) for image in images]

    @staticmethod
    def _find(image):
        top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
        count, _, stats, centres = cv2.connectedComponentsWithStats((image < 0.4 * top).astype(np.uint8))
        table = pd.DataFrame(
            {
                "label": pd.Series(["loop"] * (count - 1), dtype="str"),
                "score": 0.9,
                "x_px": stats[1:, 0] + (stats[1:, 2] - 1) / 2,
                "y_px": stats[1:, 1] + (stats[1:, 3] - 1) / 2,
                "width_px": stats[1:, 2] + 4.0,
                "height_px": stats[1:, 3] + 4.0,
            }
        )
        return table.sort_values(["y_px", "x_px"], kind="stable", ignore_index=True)


def film(n: int = 12, *, shift_per_frame: tuple[float, float] = (0.0, 0.0), seed: int = 0, dtype: type = np.uint8) -> np.ndarray:
    """(n, 96, 128): five dark discs on a textured ground, all moved by the same shift from frame to frame."""
    rng = np.random.default_rng(seed)
    ground = cv2.GaussianBlur(rng.normal(0, 1, (SHAPE[0] + 80, SHAPE[1] + 80)).astype(np.float32), (0, 0), 2)
    ground = 170 + 12 * ground / ground.std()
    for x, y in BLOBS:
        cv2.circle(ground, ((x + 40) * 16, (y + 40) * 16), RADIUS * 16, 40.0, -1, cv2.LINE_AA, 4)
    frames = []
    for i in range(n):
        dx, dy = shift_per_frame[0] * i, shift_per_frame[1] * i
        matrix = np.array([[1, 0, 40 - dx], [0, 1, 40 - dy]])
        frames.append(cv2.warpAffine(ground, matrix, SHAPE[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    noisy = np.stack(frames) + rng.normal(0, 2, (n, *SHAPE))
    scale = 257 if dtype == np.uint16 else 1
    return (np.clip(np.rint(noisy), 0, 255) * scale).astype(dtype)


def write_stack(path: Path, frames: np.ndarray) -> Path:
    """A plain TIFF stack."""
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


def write_folder(path: Path, frames: np.ndarray) -> Path:
    """A folder of PNG files."""
    path.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(frames):
        cv2.imwrite(str(path / f"frame{i}.png"), frame)
    return path
