"""One training of a classifier: images seen by a backbone, how they are dealt to parts, what is learnt and held out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.images import find_pictures
from morphoscope.io.score_project import content_of, named_images
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe
from morphoscope.train.backbones import DEFAULT, Backbone, build_backbone
from morphoscope.train.class_counts import countable, refuse_few
from morphoscope.train.class_data import (
    ClassImages,
    Look,
    Progress,
    Source,
    look_at,
    look_at_files,
    read_source,
    silent,
    with_classes,
)
from morphoscope.train.class_folds import PARTS, Frozen, HeldOutLogits, deal_parts, frozen_folds
from morphoscope.train.class_heads import MOST_KNOWN, Lessons, fit_network
from morphoscope.train.class_network import ClassNet, Scaled
from morphoscope.train.class_tuned import Tuning
from morphoscope.train.duplicates import find_copies
from morphoscope.train.trained import load_class_network

Array = NDArray[np.float32]
TUNED, FROZEN, NEIGHBOURS = "fine-tuned", "frozen", "neighbours"


@dataclass(frozen=True)
class ClassTraining:
    """What one training works on.

    `part` (n,): in which part each image is held out; `notes`: what was found in the data; `start`: the model it goes on from;
    `others` (m, d): raw features of images without a label.
    """

    images: ClassImages
    backbone: Backbone
    view_px: int
    recipe: Recipe
    part: NDArray[np.int64]
    notes: tuple[str, ...]
    start: Path | None = None
    others: Array | None = None

    @property
    def method(self) -> str:
        """`frozen`, `neighbours` or `fine-tuned`."""
        return self.recipe.train.method

    @property
    def how(self) -> Frozen:
        """What is learnt on features that stay as they are."""
        return Frozen(self.backbone.stages, "neighbours" if self.method == NEIGHBOURS else "linear", self.others)

    @property
    def lessons(self) -> Lessons:
        """The features of all images and their classes."""
        return lessons_of(self.images)

    @property
    def held(self) -> list[int]:
        """The parts that are held out in turn."""
        parts = int(self.part.max()) + 1
        given = self.recipe.train.stated("folds")
        return list(range(parts if given is None else min(given, parts))) if parts > 1 else []

    def hold_out(self, progress: Progress) -> HeldOutLogits | None:
        """Answers to images that were not learnt; None where nothing is held out."""
        if not self.held:
            return None
        if self.method == TUNED:
            return self.tuning.hold_out(self.held, progress)
        progress("parts held out in turn", 0, float("nan"))
        return frozen_folds(self.lessons, self.part, self.how, groups=self.images.groups, parts=self.held)

    @property
    def tuning(self) -> Tuning:
        """What fine-tuning works on."""
        images = self.images
        return Tuning(self.backbone, self.lessons, images.views, images.groups, self.part, self.recipe.train)

    def learn(self, chosen: float | None, progress: Progress) -> ClassNet:
        """A network that has learnt all images, with the strength, width or number of epochs that was best; None: a usual one."""
        if self.method == TUNED:
            return self.tuning.learn(chosen, progress)
        tried = self.how.candidates
        chosen = tried[len(tried) // 2] if chosen is None else chosen
        progress("all images", 0, float("nan"))
        backbone = deepcopy(self.backbone)
        known = min(len(self.images.truth), MOST_KNOWN)
        network = ClassNet(backbone, classes=len(self.images.data.classes), known=known, head=self.how.head)
        fit_network(network, self.how.taught(self.lessons), chosen=chosen)
        return network


def prepare(source: Source | Path, recipe: Recipe, *, start: Path | None = None, progress: Progress = silent) -> ClassTraining:
    """Labelled images read, seen by the backbone, copies found and all dealt to parts.

    Args:
        source: what is learnt.
        recipe: settings, [train].
        start: a classifier whose backbone is gone on with.
        progress: called with (stage, images done, nan).

    Raises:
        InputError: too few images of a class, or nothing that can be read.
        UsageError, ModelError: no such backbone or weights.
    """
    settings = recipe.train
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    source = Source(source) if isinstance(source, Path) else source
    labelled = read_source(source)
    named = labelled
    if settings.classes:
        labelled = with_classes(labelled, settings.classes)
    labelled = countable(labelled, lenient=source.people is not None)
    backbone, view_px = _backbone(recipe, start)
    tuned = settings.method == TUNED
    look = Look(view_px, 0 if tuned else None, settings.upright, tuned, recipe.run.threads, settings.seed)
    seen = look_at(labelled, backbone, look, progress=progress)
    images, notes = without_copies(seen, backbone.stages)
    images, more = _enough(images)
    parts = settings.stated("bands") or PARTS
    part = deal_parts(images.groups, images.targets, parts=parts, seed=settings.seed)
    said = [*images.data.notes, *notes, *more]
    others = None
    if source.unlabelled is not None:
        pool = _without_label(source.unlabelled, named_images(named, source.people))
        others = _others(pool, seen, backbone, look, progress=progress, said=said)
    return ClassTraining(images, backbone, view_px, recipe, part, tuple(said), start, others)


def _without_label(folder: Path, named: set[str]) -> list[Path]:
    """The pictures of a folder whose content, a SHA-256, nobody has labelled, rejected or called foreign.

    Raises:
        InputError: there is none.
    """
    paths = [path for path in find_pictures(folder, deep=True) if content_of(path) not in named]
    if not paths:
        raise InputError(f"there is no picture without a label in {folder}; leave out --unlabelled")
    return paths


def _others(
    paths: Sequence[Path], labelled: ClassImages, backbone: Backbone, look: Look, *, progress: Progress, said: list[str]
) -> Array:
    """Raw features of pictures that are none of the labelled images; what is to be said of them is added to `said`."""
    features, digests, skipped = look_at_files(paths, backbone, look, progress=progress)
    known = set(labelled.digest)
    new = [k for k, digest in enumerate(digests) if digest not in known]
    said.append(f"{len(new)} images without a label help to learn")
    said.extend(f"not used: {one}" for one in skipped)
    return features[new]


def lessons_of(images: ClassImages) -> Lessons:
    """The features of images and their classes."""
    return Lessons(images.features, images.targets, images.more)


def without_copies(images: ClassImages, stages: Sequence[int]) -> tuple[ClassImages, list[str]]:
    """The images without those that are in two classes, near copies in one group; and what is to be said of it.

    Copies are told on the scale of the images as they are: that of turned and closer views is wider the more of these there are.
    """
    if not len(images.truth):
        return images, []
    scaled, features = Scaled(stages), torch.from_numpy(images.features)
    scaled.fit(features)
    copies = find_copies(scaled(features), stages=len(stages), truth=images.truth, groups=images.groups, digests=images.digest)
    examples = tuple(replace(one, group=group) for one, group in zip(images.data.examples, copies.groups, strict=True))
    grouped = replace(images, data=replace(images.data, examples=examples))
    said = copies.notes([one.name for one in examples])
    return grouped.some([k for k in range(len(examples)) if k not in set(copies.twofold)]), said


def _enough(images: ClassImages) -> tuple[ClassImages, list[str]]:
    """The same images, and what cannot be validated.

    Raises:
        InputError: a class has fewer than two images.
    """
    data, truth = images.data, images.truth if len(images.data.examples) else np.zeros(0, int)
    counts = np.bincount(truth, minlength=len(data.classes))
    refuse_few(data, counts)
    groups = np.array(images.groups)
    single = [name for k, name in enumerate(data.classes) if len(set(groups[truth == k])) < 2]
    if not single:
        return images, []
    return images, [f"the images of {', '.join(single)} are all of one group: how well they are told cannot be validated"]


def _backbone(recipe: Recipe, start: Path | None) -> tuple[Backbone, int]:
    """The backbone and the px of the shorter side as it shall see images."""
    settings = recipe.train
    if start is None:
        backbone = build_backbone(settings.backbone or DEFAULT, weights=settings.weights)
        return backbone, settings.view_px or backbone.side
    card = read_card(start)
    backbone = load_class_network(start).backbone
    if settings.backbone not in (None, backbone.name):
        raise UsageError(
            f"train.backbone = {settings.backbone!r} would change nothing: the model of --from has its own, {backbone.name}"
        )
    if settings.weights is not None:
        raise UsageError("train.weights would change nothing: the model of --from brings its own; leave one of the two out")
    return backbone, settings.view_px or card.view_px or backbone.side
