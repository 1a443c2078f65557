"""Neighbours in time of labelled video frames: the same objects under other noise, with the same boxes moved by the drift."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.frames import Frames
from morphoscope.train.datasets import unit_scale
from morphoscope.train.loop import Example

SAME, LIKE, FARTHEST_PX = 0.8, 0.25, 15.0


def frame_number(file: str) -> int:
    """The last number in a file's stem, such as 962 of `labelled/Frame962.jpg`.

    Raises:
        InputError: there is none.
    """
    numbers = re.findall(r"\d+", Path(file).stem)
    if not numbers:
        raise InputError(
            f"the name of a labelled frame must end in its frame number to find its neighbours in the video, got {file}"
        )
    return int(numbers[-1])


def neighbour_examples(video: Frames, files: Sequence[str], examples: Sequence[Example], *, reach: int) -> list[Example]:
    """Examples from the `reach` frames before and after each labelled frame.

    Each keeps the boxes of the labelled frame, moved by the drift (phase correlation). A neighbour that moved more than 15 px or
    no longer looks alike (a stage jump) is left out. All neighbours of a frame together weigh as much as the frame half again.

    Args:
        video: the frames the labelled images were taken from.
        files: the labelled images' names, which end in the frame number.
        examples: the labelled images, in the order of `files`.
        reach: frames on each side.

    Raises:
        InputError: a labelled image is not the video's frame of that number.
    """
    found = []
    for file, example in zip(files, examples, strict=True):
        number = frame_number(file)
        if number >= len(video) or video.shape != example.image.shape:
            raise InputError(
                f"{file} should be frame {number} of the video, which has {len(video)} frames of {video.shape[::-1]} px"
            )
        own = _structure(example.image)
        if _likeness(own, _structure(video[number])) < SAME:
            raise InputError(f"{file} does not look like frame {number} of the video; check the frame numbers in the names")
        near = [k for k in range(number - reach, number + reach + 1) if 0 <= k < len(video) and k != number]
        for k in near:
            image = video[k]
            (dx, dy), response = cv2.phaseCorrelate(own, _structure(image), _window(image.shape))
            if response > LIKE and max(abs(dx), abs(dy)) < FARTHEST_PX:
                boxes = example.boxes + np.array([dx, dy, dx, dy, 0.0])
                found.append(Example(unit_scale(image), boxes, example.valid, 1.5 * example.weight / len(near)))
    return found


def _structure(image: NDArray[Any]) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(np.asarray(image, np.float32), (0, 0), 1.5)
    return np.asarray(smooth - cv2.GaussianBlur(smooth, (0, 0), 15), np.float32)


def _window(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.asarray(cv2.createHanningWindow((shape[1], shape[0]), cv2.CV_32F), np.float32)


def _likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a[::4, ::4].ravel(), b[::4, ::4].ravel())[0, 1])
