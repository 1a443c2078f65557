"""Categories of which there are too few images to learn: refused, or left out and said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.score_data import ScoreData

FEWEST = 2  # images of a class, and classes


def countable(data: ScoreData, *, lenient: bool) -> ScoreData:
    """The labelled images, of which there are enough as far as labels tell; `lenient`: a category with too few is left out.

    Raises:
        InputError: a class has fewer than two images, or there are fewer than two classes.
    """
    named = [(one, one.target) for one in data.examples if one.target is not None]
    counts = np.array([target for _, target in named]).reshape(-1, len(data.classes)).sum(axis=0)
    few = counts < FEWEST
    if not (lenient and few.any() and (~few).sum() >= FEWEST):
        refuse_few(data, counts)
        return data
    alone = [f"{one.name}: the only image of {data.classes[int(target.argmax())]}" for one, target in named if target[few].any()]
    return replace(
        data,
        classes=tuple(name for name, lacks in zip(data.classes, few, strict=True) if not lacks),
        examples=tuple(replace(one, target=target[~few]) for one, target in named if target[~few].any()),
        skipped=(*data.skipped, *(f"{one}; {FEWEST} make a category" for one in alone)),
    )


def refuse_few(data: ScoreData, counts: NDArray[Any]) -> None:
    """Make sure that each class has images (k,) enough to learn.

    Raises:
        InputError: one has not, or there are fewer than two classes.
    """
    few = [f"{name} ({int(count)})" for name, count in zip(data.classes, counts.tolist(), strict=True) if count < FEWEST]
    if few:
        lost = f"; {len(data.skipped)} could not be read, the first: {data.skipped[0]}" if data.skipped else ""
        raise InputError(
            f"wanted at least {FEWEST} images that can be learnt of each class, there are fewer of {', '.join(few)}{lost}; add "
            "images, or leave the class out: train.classes names those that are learnt"
        )
    if len(data.classes) < FEWEST:
        raise InputError(f"wanted two classes or more, got only {data.classes[0]!r}; add images of another class")
