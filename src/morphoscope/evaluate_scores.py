"""How good a score model is on labelled images: decisions, curves, extents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.score_data import ScoreData, ScoreExample
from morphoscope.measure.judged import (
    ANYTHING,
    HALF,
    Judged,
    class_table,
    confusion_table,
    extent_table,
    frame_table,
    headline,
    roc_table,
)
from morphoscope.measure.patches import Target, patch_targets
from morphoscope.models.score import Scorer

Array = NDArray[np.floating]
BATCH = 512  # ready patches scored at once


@dataclass(frozen=True)
class ScoreEvaluation:
    """Tables of an evaluation of scores.

    `frames`: a row per image; `by_class`: counts, accuracy, precision, recall, F1 and AUC of each class and of all, with
    intervals; `confusion`: true classes (rows) and found ones; `roc`: the curves; `extents`: errors of extents of whole images
    (none of exclusive classes); `metrics`: the headline numbers. `judged` is what they were made of; `skipped` names images that
    could not be judged, with the reason.
    """

    frames: pd.DataFrame
    by_class: pd.DataFrame
    confusion: pd.DataFrame
    roc: pd.DataFrame
    extents: pd.DataFrame
    metrics: dict[str, float]
    judged: Judged = field(repr=False)
    skipped: tuple[str, ...] = ()


def evaluate_scores(scorer: Scorer, data: ScoreData, *, threshold: float | None = None) -> ScoreEvaluation:
    """Scores of labelled images against their labels.

    The score of an image is the mean over its patches, and that is compared with its label. Of marked images each patch is
    compared with what is marked in it, and the extents of whole images beside that; a class counts as present from half the scale
    on, in a patch from 1 % of its area on. Images that cannot be read, are smaller than a patch or do not fit their masks are
    skipped and named. Intervals are of 95 %, by bootstrap over the images or, where labels
    have them, groups.

    Args:
        scorer: a loaded model.
        data: labelled images; classes of the model that they do not name are not judged, unless the classes exclude each other.
        threshold: for all classes; None for those of the card.

    Raises:
        InputError: other classes or another answer than the model's, or no image can be judged.
    """
    judged, skipped = judge(scorer, data, threshold=threshold)
    return tabulate(judged, skipped)


def tabulate(judged: Judged, skipped: Sequence[str] = ()) -> ScoreEvaluation:
    """All tables of what was judged."""
    by_class = class_table(judged)
    extents = pd.DataFrame() if judged.answer == "exclusive" else extent_table(judged)
    metrics = headline(judged, by_class, extents)
    confusion, roc = confusion_table(judged), roc_table(judged)
    return ScoreEvaluation(frame_table(judged), by_class, confusion, roc, extents, metrics, judged, tuple(skipped))


@dataclass(frozen=True)
class _Found:
    """What is true and what is found of one image: of each patch or of the whole (m, k), and of the whole (k,)."""

    truth: Array
    score: Array
    true_extent: Array
    extent: Array


def judge(scorer: Scorer, data: ScoreData, *, threshold: float | None = None) -> tuple[Judged, list[str]]:
    """What a model says of labelled images, and the images that it cannot judge; see `evaluate_scores`."""
    card = scorer.card
    take = _fitting(data, card.classes, str(card.answer))
    found, kept, skipped = _all_found(scorer, data, take)
    if not kept:
        raise InputError(f"none of the {len(skipped)} labelled images can be judged: {'; '.join(skipped[:3])}")
    groups = {group: k for k, group in enumerate(dict.fromkeys(one.group for one in kept))}
    image = np.repeat(np.arange(len(kept)), [len(one.truth) for one in found])
    limits = card.thresholds or (card.threshold,) * len(card.classes)
    classes = tuple(card.classes) if card.answer == "exclusive" else data.classes
    judged = Judged(
        classes=classes,
        answer=str(card.answer),
        thresholds=tuple(limits[card.classes.index(name)] if threshold is None else threshold for name in classes),
        files=tuple(one.name for one in kept),
        truth=np.concatenate([one.truth for one in found]).astype(float),
        score=np.concatenate([one.score for one in found]).astype(float),
        image=image,
        group=np.array([groups[one.group] for one in kept])[image],
        true_extent=np.stack([one.true_extent for one in found]).astype(float),
        extent=np.stack([one.extent for one in found]).astype(float),
        levels=card.levels,
        present_from=ANYTHING if data.marked and _target(scorer) == "fraction" else HALF,
    )
    return judged, [*data.skipped, *skipped]


def _fitting(data: ScoreData, classes: Sequence[str], answer: str) -> list[int]:
    """The place of each of the data's classes in the model.

    Raises:
        InputError: the data hold a class that the model has not, or an answer of another kind.
    """
    if any(name not in classes for name in data.classes):
        raise InputError(f"the labels hold the classes {', '.join(data.classes)}, the model {', '.join(classes)}")
    if answer != data.answer and "ordinal" in (answer, data.answer):
        raise InputError(f"the model gives {answer} answers, the labels are {data.answer} (classes or scores of another scale)")
    return [classes.index(name) for name in data.classes]


def _all_found(scorer: Scorer, data: ScoreData, take: list[int]) -> tuple[list[_Found], list[ScoreExample], list[str]]:
    if data.ready:
        return _patches(scorer, data, take), list(data.examples), []
    found, kept, skipped = [], [], []
    for one in data.examples:
        try:
            found.append(_image(scorer, one, take))
            kept.append(one)
        except InputError as error:
            skipped.append(f"{one.name}: {error}")
    return found, kept, skipped


def _patches(scorer: Scorer, data: ScoreData, take: list[int]) -> list[_Found]:
    """Ready patches, each an image of its own."""
    arrays = [one.image() for one in data.examples]
    parts = [scorer.patches(np.stack(arrays[k : k + BATCH])) for k in range(0, len(arrays), BATCH)]
    found = []
    for one, score in zip(data.examples, np.concatenate(parts), strict=True):
        truth, own = _own(scorer, one, score, take)
        found.append(_Found(truth[None], own[None], truth, own))
    return found


def _own(scorer: Scorer, one: ScoreExample, score: Array, take: list[int]) -> tuple[Array, Array]:
    """Truth and score (k,) of the classes that are judged: all where they exclude each other, else the data's."""
    assert one.target is not None
    if scorer.card.answer != "exclusive":
        return one.target.astype(float), score[take]
    truth = np.zeros(len(score))
    truth[take] = one.target
    return truth, score


def _image(scorer: Scorer, one: ScoreExample, take: list[int]) -> _Found:
    image = one.image()
    found = scorer.scores(image)
    k = len(found.classes)
    if one.marks is None:
        truth, score = _own(scorer, one, found.values.reshape(k, -1).mean(axis=1), take)
        return _Found(truth[None], score[None], truth, score)
    masks = one.marks.read((image.shape[0], image.shape[1]))
    rows, columns = found.values.shape[1:]
    x, y = np.meshgrid(found.x_px + found.stride_px * np.arange(columns), found.y_px + found.stride_px * np.arange(rows))
    truth = patch_targets(masks, x.ravel(), y.ravel(), found.patch_px, _target(scorer))
    score = found.values[take].reshape(len(take), -1).T
    return _Found(truth, score, truth.mean(axis=0), score.mean(axis=0))


def _target(scorer: Scorer) -> Target:
    """What the model was taught of patches of marked images."""
    target: Target = scorer.card.training.get("target", "fraction")
    return target
