"""Answers of heads to images that they have not learnt: what their strength, the temperature and all figures rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.measure.honest_calibration import best_temperature
from morphoscope.models.classify import probabilities
from morphoscope.train.class_heads import STRENGTHS, WIDTHS, Lessons, linear_path, scaled_lessons, votes_of
from morphoscope.train.class_network import squared_distances, vote
from morphoscope.train.class_spread import TOGETHER, self_taught
from morphoscope.train.score_split import deal

Head = Literal["linear", "neighbours"]
PARTS = 5
LEAST = 1e-9
Array = NDArray[np.float32]


@dataclass(frozen=True)
class HeldOutLogits:
    """What was said of n images by networks that had not learnt them or others of their group.

    `logits` (n, k); `temperature` (n,) by which they are calibrated, from answers to the images of other parts; `foreign` (n,):
    distance to the nearest image that was learnt; `part` (n,): in which part each image was held out, -1 where it was not, or
    where its class was not learnt without it.

    For all images: `chosen`, the strength of the penalty, the width of the votes or the number of epochs that was best, and
    `settled`, the temperature that goes with it.
    """

    logits: Array
    temperature: Array
    foreign: Array
    part: NDArray[np.int64]
    chosen: float
    settled: float

    @property
    def answered(self) -> NDArray[np.int64]:
        """Numbers of the images that have an answer."""
        return np.flatnonzero(self.part >= 0)


def deal_parts(groups: Sequence[str], targets: Array, *, parts: int, seed: int) -> NDArray[np.int64]:
    """The part (n,) in which each image is held out: a group is never split, classes are dealt evenly; see `score_split.deal`."""
    return deal(groups, targets, max(min(parts, len(set(groups))), 2), seed=seed)


def unlearnt(truth: NDArray[np.int64], part: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images (n,) are of a class that has none outside their own part."""
    return np.array([not ((truth == c) & (part != p)).any() for c, p in zip(truth, part, strict=True)], bool)


@dataclass(frozen=True)
class Frozen:
    """How heads learn on features that stay as they are: `stages` of the backbone, what kind of `head`.

    `others` (m, d): raw features of images without a label that a linear head learns from, too.
    """

    stages: tuple[int, ...]
    head: Head = "linear"
    others: Array | None = None

    @property
    def candidates(self) -> tuple[float, ...]:
        """Strengths of the penalty of a linear head, one only where it learns without labels, too; or widths of the votes."""
        if self.head == "neighbours":
            return WIDTHS
        return STRENGTHS if self.others is None else TOGETHER[-1:]

    def taught(self, lessons: Lessons) -> Lessons:
        """Lessons with what is guessed of images without a label."""
        return lessons if self.others is None else self_taught(lessons, self.others, stages=self.stages)


def head_answers(lessons: Lessons, shown: Array, how: Frozen) -> tuple[Array, Array]:
    """What heads that have learnt lessons, one per candidate, say of images with raw features (m, d).

    Returns:
        logits (c, m, k), and the distance (m,) of each image to the nearest of the lessons.
    """
    learnt = how.taught(lessons)
    scaled, seen = scaled_lessons(learnt, how.stages)
    asked, plain = scaled(torch.from_numpy(shown)), seen[: len(lessons.features)]
    far = squared_distances(asked, plain).amin(dim=1).sqrt().numpy()
    asked, seen, plain = (scaled.level(one) for one in (asked, seen, plain))
    if how.head == "linear":
        path = linear_path(seen, learnt, STRENGTHS if how.others is None else TOGETHER)
        found = [asked @ weight.T + bias for weight, bias in path[-len(how.candidates) :]]
    else:
        votes = votes_of(lessons.targets)
        found = [vote(asked, plain, votes, width) for width in WIDTHS]
    return torch.stack(found).numpy(), far


def frozen_folds(
    lessons: Lessons, part: NDArray[np.int64], how: Frozen, *, groups: Sequence[str], parts: Sequence[int]
) -> HeldOutLogits:
    """Answers of heads on features that stay as they are.

    The candidate of each part is the one whose answers to the images of the other parts, held out as well, are best after
    calibration; what is held out has no say in it but for what those heads learnt of it. With one part only it is the one in
    the middle, for good, and its answers are calibrated as those of the model will be.

    Args:
        lessons: of all images.
        part: of each image (n,).
        how: what is learnt.
        groups: of each image.
        parts: which parts are held out in turn.
    """
    truth, tried = lessons.targets.argmax(axis=1), how.candidates
    alone = unlearnt(truth, part)
    logits = np.full((len(tried), *lessons.targets.shape), np.nan, np.float32)
    foreign = np.full(len(part), np.nan, np.float32)
    for held in parts:
        inside = np.flatnonzero(part == held)
        learnt = lessons.some(np.flatnonzero(part != held))
        logits[:, inside], foreign[inside] = head_answers(learnt, lessons.features[inside], how)
    known = np.where(np.isin(part, parts) & ~alone, part, -1)
    number = np.unique(list(groups), return_inverse=True)[1]
    if len(np.unique(known[known >= 0])) == 1:  # there is none to choose the candidate on
        tried, logits = tried[len(tried) // 2 :][:1], logits[len(tried) // 2 :][:1]
    out, warmth = np.full(lessons.targets.shape, np.nan, np.float32), np.ones(len(part), np.float32)
    chosen, settled = _best(logits, truth, number, known >= 0)
    for held in parts:
        inside, others = part == held, (known >= 0) & (known != held)
        k, temperature = _best(logits, truth, number, others) if others.any() else (chosen, settled)
        out[inside], warmth[inside] = logits[k][inside], temperature
    return HeldOutLogits(out, warmth, foreign, known, tried[chosen], settled)


def _best(logits: Array, truth: NDArray[np.int64], group: NDArray[np.int64], known: NDArray[np.bool_]) -> tuple[int, float]:
    """The candidate with the least cross-entropy after calibration, and its temperature."""
    if not known.any():
        return len(logits) // 2, 1.0
    found = [calibrated(one[known], truth[known], group[known]) for one in logits]
    best = int(np.argmin([loss for loss, _ in found]))
    return best, found[best][1]


def calibrated(logits: Array, truth: NDArray[np.int64], group: NDArray[np.int64]) -> tuple[float, float]:
    """Mean cross-entropy of logits (n, k) divided by the temperature that suits them best, and that temperature."""
    temperature = best_temperature(logits, truth, group)
    p = probabilities(logits, temperature=temperature)
    return float(-np.log(p[np.arange(len(truth)), truth] + LEAST).mean()), temperature
