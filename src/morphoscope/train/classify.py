"""`train classify`: labelled images to one .onnx classifier with its card, validated on images never learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from morphoscope import __version__
from morphoscope.errors import UsageError
from morphoscope.measure.honest_held import group_weights
from morphoscope.models.card import DataSource, HeldOutAnswers, ModelCard
from morphoscope.models.classify import CLASSES
from morphoscope.models.image_view import STANDARD
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe
from morphoscope.train.class_data import Progress, Source, silent
from morphoscope.train.class_figures import Honest, class_rows, figures, honest
from morphoscope.train.class_folds import HeldOutLogits
from morphoscope.train.class_job import FROZEN, TUNED, ClassTraining, prepare
from morphoscope.train.class_network import ClassNet, squared_distances
from morphoscope.train.export import export_classifier
from morphoscope.train.score import leak

MOST_HELD = 4000  # answers to images held out that a card keeps
BEYOND = 0.99  # share of new images of the same kind that are not to be called foreign


@dataclass(frozen=True)
class TrainedClasses:
    """A trained classifier's card, a row per class of what was held out, what was skipped and what is to be said."""

    card: ModelCard
    classes: pd.DataFrame
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


def train_classifier(
    data: Path | Source,
    output: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    freeze: str | None = None,
    progress: Progress | None = None,
) -> TrainedClasses:
    """Train a classifier of whole images and write it to one .onnx file.

    All images (or groups of images, near copies among them) are dealt to `train.bands` parts, 5 if left out. Each part is held
    out in turn and answered by a network that has learnt the others: from these answers come the metrics, the strength of the
    penalty, the temperature, the distance from which on an image is foreign, and what prediction sets and the acceptance of
    answers rest on. The model that is written has then learnt all images.

    Args:
        data: a folder per class, a CSV `file,label[,group]` or a project, see `io.score_data.read_score_data`; or a `Source` of
            several of these and images without a label.
        output: the .onnx file.
        recipe: settings, [train].
        start: a classifier whose backbone is gone on with.
        freeze: `backbone` keeps that of `start` as it is.
        progress: called with (stage, step, loss).

    Raises:
        InputError, ModelError, UsageError: as the message says.
    """
    _refuse(recipe, start, freeze)
    say = progress or silent
    job = prepare(data, recipe, start=start, progress=say)
    if job.others is not None and job.method != FROZEN:
        raise UsageError(f'images without a label help with train.method = "frozen" only, not with {job.method!r}')
    held = job.hold_out(say)
    told = honest(held, job.images) if held is not None and len(held.answered) else None
    network = job.learn(None if held is None else held.chosen, say)
    network.reach.fill_(reach_of(network, held, job.images.groups))
    kept = _kept(told, held.foreign[held.answered] > float(network.reach), seed=recipe.train.seed) if told and held else None
    card = export_classifier(network, _card(output.stem, job, kept, told, temperature=held.settled if held else 1.0), output)
    said = (*job.notes, *filter(None, [_leak(job)]))
    return TrainedClasses(card, class_rows(told, job.images), job.images.data.skipped, said)


def _leak(job: ClassTraining) -> str:
    """What is to be said where the features of a model may have learnt what is held out here; nothing where they have not."""
    return leak(job.images.data.name, job.start) if job.start is not None and _tuned(job.start) else ""


def _tuned(start: Path | None) -> bool:
    """Whether the backbone of a model has learnt anything but ImageNet."""
    return start is not None and bool(read_card(start).training.get("tuned", True))


def _refuse(recipe: Recipe, start: Path | None, freeze: str | None) -> None:
    if freeze not in (None, "backbone"):
        raise UsageError(f"--freeze takes 'backbone', got {freeze!r}")
    if freeze and not start:
        raise UsageError("--freeze keeps layers of a trained model: name it with --from MODEL.onnx")
    if freeze and recipe.train.method == TUNED:
        raise UsageError('--freeze backbone and train.method = "fine-tuned" contradict each other; keep one')


def reach_of(network: ClassNet, held: HeldOutLogits | None, groups: Sequence[str]) -> float:
    """The distance beyond which one image in a hundred of the same kind lies; each group counts as one.

    From images held out; where nothing is, from the distance of each image learnt to the nearest other one.
    """
    if held is not None and np.isfinite(held.foreign).any():
        known = np.isfinite(held.foreign)
        far, names = held.foreign[known], np.array(groups)[known]
        weight = group_weights(names)
    else:
        squares = squared_distances(network.bank, network.bank)
        squares.fill_diagonal_(torch.inf)
        far = squares.amin(dim=1).sqrt().numpy()
        weight = np.ones(len(far))
    order = np.argsort(far)
    share = np.cumsum(weight[order]) / weight.sum()
    return max(float(far[order[int(np.searchsorted(share, BEYOND).clip(max=len(far) - 1))]]), 1e-3)


def _card(name: str, job: ClassTraining, kept: HeldOutAnswers | None, told: Honest | None, *, temperature: float) -> ModelCard:
    settings, images = job.recipe.train, job.images
    learnt = DataSource(name=images.data.name, licence=settings.licence, citation=settings.citation)
    before = read_card(job.start).data if job.start else job.backbone.source
    facts = {"method": job.method, "tuned": job.method == TUNED or _tuned(job.start)}
    card = ModelCard(
        name=name,
        task="classify",
        classes=images.data.classes,
        preprocess=STANDARD,
        postprocess=CLASSES,
        view_px=job.view_px,
        channels=3,
        answer="exclusive",
        temperature=round(temperature, 4),
        held_out=kept,
        data=(*before, learnt),
        metrics=figures(told) if told else {},
        training={**facts, "images": len(images.truth), "groups": len(set(images.groups)), "seed": settings.seed},
        morphoscope_version=__version__,
    )
    said = "; ".join(filter(None, (settings.limits, _leak(job), _unvalidated(card.unvalidated))))
    return card.model_copy(update={"limits": said})


def _unvalidated(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"no images of {', '.join(names)} were held out: how well they are told is not known, and no promise covers them"


def _kept(told: Honest, foreign: NDArray[np.bool_], *, seed: int) -> HeldOutAnswers:
    """The answers as a card keeps them, those of some groups drawn at random where there are very many.

    Probabilities are rounded down, so that a threshold among them is never above what it was made of.
    """
    sizes = np.bincount(told.group)
    drawn = np.random.default_rng(seed).permutation(len(sizes))
    drawn = drawn[: max(int(np.searchsorted(np.cumsum(sizes[drawn]), MOST_HELD, side="right")), 1)]
    rows = np.flatnonzero(np.isin(told.group, drawn))
    p, truth = told.probability[rows], told.truth[rows]
    own, top = (np.floor(x.astype(float) * 1e6) / 1e6 for x in (p[np.arange(len(rows)), truth], p.max(axis=1)))
    group = np.unique(told.group[rows], return_inverse=True)[1]
    return HeldOutAnswers(
        truth_probability=tuple(own.tolist()),
        top=tuple(top.tolist()),
        right=tuple((p.argmax(axis=1) == truth).tolist()),
        group=tuple(group.tolist()),
        foreign=tuple(foreign[rows].tolist()),
        by_class=tuple(np.bincount(told.truth, minlength=told.probability.shape[1]).tolist()),
    )
