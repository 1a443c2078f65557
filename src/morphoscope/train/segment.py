"""`train segment`: labelled images to one .onnx segmenter with its card, validated on whole images never learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope import __version__
from morphoscope.errors import UsageError
from morphoscope.measure.mask_scores import Counts
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.preprocess import ROBUST
from morphoscope.models.runtime import read_card
from morphoscope.models.segment import load_segmenter
from morphoscope.models.zoom import ZOOMS
from morphoscope.recipe import Recipe
from morphoscope.train.export import export_segmenter
from morphoscope.train.instance_network import InstanceNet
from morphoscope.train.label_images import LabelledImage, fold_of
from morphoscope.train.lessons import PARTICLES, Lesson, fitting_zoom, read_lesson
from morphoscope.train.segment_loop import train_network
from morphoscope.train.trained import load_segmenter_network

FINE = {"steps": 120, "batch": 4, "rate": 1e-3}  # what a training that goes on from a model takes where the recipe is silent


@dataclass(frozen=True)
class SegmenterTraining:
    """What one training of a segmenter works on; `imagenet` and `start` are what the weights begin with, else chance."""

    data: list[LabelledImage]
    recipe: Recipe
    name: str
    source: str
    imagenet: Path | None = None
    start: Path | None = None
    freeze_backbone: bool = False
    lesson: Lesson = PARTICLES

    @property
    def folds(self) -> NDArray[np.int64]:
        """The fold (n,) of each image; there are `train.bands` of them, at most as many as images."""
        return fold_of(len(self.data), min(self.recipe.train.bands, len(self.data)))

    @property
    def zoom(self) -> float | None:
        """How much images are magnified; None for particles, which are learnt at all sizes."""
        return None if self.lesson is PARTICLES else self.recipe.train.zoom or fitting_zoom(self.data)

    def held_out(self, fold: int) -> list[LabelledImage]:
        """The images of a fold."""
        return [image for image, k in zip(self.data, self.folds, strict=True) if k == fold]

    def fit(self, fold: int | None, *, progress: Callable[[int, float], None] | None = None) -> InstanceNet:
        """A trained network that has learnt no image of that fold."""
        learnt = [image for image, k in zip(self.data, self.folds, strict=True) if k != fold]
        torch.manual_seed(self.recipe.train.seed)
        fixed = self.imagenet is not None or self.start is not None
        return train_network(
            self._network(), learnt, self.recipe, lesson=self.lesson, zoom=self.zoom, fixed_norms=fixed, progress=progress
        )

    def _network(self) -> InstanceNet:
        if self.start:
            network = load_segmenter_network(self.start, outputs=self.lesson.maps, fine=self.lesson.fine)
        else:
            network = InstanceNet(outputs=len(self.lesson.maps), fine=self.lesson.fine)
        if self.imagenet:
            network.backbone.load_imagenet(self.imagenet)
        network.backbone.requires_grad_(not self.freeze_backbone)
        return network

    @property
    def sources(self) -> tuple[DataSource, ...]:
        """What a network trained here has learnt, that of the model that it started from first."""
        settings = self.recipe.train
        learnt = DataSource(name=self.source, licence=settings.licence, citation=settings.citation)
        return (*(read_card(self.start).data if self.start else ()), learnt)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the trained weights depend on."""
        train = self.recipe.train
        known = train.model_dump(include={"steps", "batch", "crop_px", "rate", "seed", "bands", "folds"})
        return known | ({"upright": True} if train.upright else {})

    def card(self, network: InstanceNet, *, threshold: float, metrics: dict[str, float]) -> ModelCard:
        """The card of a network trained here; it names what the model that it started from had learnt, too."""
        settings = self.recipe.train
        return ModelCard(
            name=self.name,
            task="segment",
            classes=self.lesson.classes,
            preprocess=ROBUST,
            postprocess=self.lesson.postprocess,
            stride=32,
            zoom=self.zoom or 1.0,
            zooms=() if self.zoom else ZOOMS,
            cell=network.cell,
            views=self.lesson.views,
            outline=settings.outline,
            threshold=threshold,
            architecture={"network": "InstanceNet", "width": network.width, "fine": network.fine},
            data=self.sources,
            metrics={k: round(v, 4) for k, v in metrics.items()},
            training=self.settings,
            limits=settings.limits,
            morphoscope_version=__version__,
        )


def counts_by_threshold(job: SegmenterTraining, fold: int, path: Path) -> Counts:
    """Pooled counts (thresholds, ..., 3) of a model on the images of a fold at each threshold of the lesson."""
    segmenter = load_segmenter(path, threads=job.recipe.run.threads)
    return np.asarray(np.sum([job.lesson.judge(segmenter, one) for one in job.held_out(fold)], axis=0))


def validate(counts: Counts, lesson: Lesson = PARTICLES) -> tuple[float, list[float], Counts]:
    """What counts (folds, thresholds, ..., 3) on images never learnt say.

    Returns:
        the threshold to ship, the threshold of each fold chosen on the others (on itself where it is the only one), and
        the pooled counts (..., 3) at those.
    """
    together, alone = counts.sum(axis=0), len(counts) == 1
    chosen = [int(lesson.score(together if alone else together - one).argmax()) for one in counts]
    pooled = np.sum([one[best] for one, best in zip(counts, chosen, strict=True)], axis=0)
    return lesson.thresholds[int(lesson.score(together).argmax())], [lesson.thresholds[k] for k in chosen], pooled


def fold_model(
    job: SegmenterTraining, fold: int | None, path: Path, *, progress: Callable[[int, float], None] | None = None
) -> None:
    """Train without a fold and write the model."""
    network = job.fit(fold, progress=progress)
    export_segmenter(network, job.card(network, threshold=job.lesson.unvalidated, metrics={}), path)


def check_kept(job: SegmenterTraining, path: Path) -> None:
    """Make sure that a model kept from an earlier training is what this one would make; how many folds are held out may differ.

    Raises:
        UsageError: it was trained with other settings, on other data or for other classes.
    """
    card, lesson = read_card(path), job.lesson
    there = {**card.training, "data": [one.name for one in card.data], "classes": list(card.classes), "zoom": card.zoom}
    there |= {"fine": card.architecture.get("fine", 0), "views": card.views, "outline": card.outline}
    wanted = {**job.settings, "data": [one.name for one in job.sources], "classes": list(lesson.classes)}
    wanted |= {"zoom": job.zoom or 1.0, "fine": lesson.fine, "views": lesson.views, "outline": job.recipe.train.outline}
    names = [name for name in {**wanted, **there} if name != "folds"]
    differ = [f"{k} {there.get(k)} in place of {wanted.get(k)}" for k in names if there.get(k) != wanted.get(k)]
    if differ:
        raise UsageError(f"{path} was trained otherwise ({'; '.join(differ)}): remove it, or keep the folds in another folder")


def train_segmenter(
    data: Path,
    output: Path,
    recipe: Recipe,
    *,
    imagenet: Path | None = None,
    start: Path | None = None,
    freeze: str | None = None,
    keep_folds: Path | None = None,
    progress: Callable[[str, int, float], None] | None = None,
) -> ModelCard:
    """Train a segmenter on a folder with image/ and instances/ or mask/ and write it to one .onnx file.

    The images are dealt to `train.bands` folds (fewer where there are fewer images); `train.folds` of them are held out in turn,
    and the threshold and the metrics on the card come from them. The model that is written has then learnt all images.
    Where the training goes on from a model, `FINE` stands in for what the recipe leaves out.

    Args:
        data: the folder.
        output: the .onnx file.
        recipe: settings.
        imagenet: weights for the encoder to start from, see `LiteEncoder.load_imagenet`; None for random ones.
        start: a segmenter to start from; what it has learnt is named on the card, too.
        freeze: `backbone` keeps the encoder of `start` as it is.
        keep_folds: a folder for the models of the held-out folds, `fold-<k>.onnx`; those already
            there, of the same settings and data, are taken as they are.
        progress: called with (stage, step, mean loss).

    Raises:
        InputError, ModelError, UsageError: as the message says.
    """
    _refuse(recipe, imagenet, start, freeze)
    recipe = fine_tuning(recipe) if start else recipe
    settings = recipe.train
    examples, lesson = read_lesson(data, upright=settings.upright)
    job = SegmenterTraining(
        examples, recipe, output.stem, data.name, imagenet, start, freeze_backbone=freeze is not None, lesson=lesson
    )
    folds = range(min(settings.folds, len(examples)))
    if len(folds) and len(examples) < 2:
        raise UsageError("one labelled image alone cannot be held out; set train.folds = 0 to train without validation")
    say = progress or (lambda stage, step, loss: None)
    threshold, metrics, counts = lesson.unvalidated, dict[str, float](), []
    with TemporaryDirectory() as scratch:
        for fold in folds:
            path = (keep_folds or Path(scratch)) / f"fold-{fold}.onnx"
            if path.exists():
                check_kept(job, path)
            else:
                fold_model(job, fold, path, progress=partial(say, f"fold {fold + 1} of {max(job.folds) + 1} held out"))
            counts.append(counts_by_threshold(job, fold, path))
    if counts:
        threshold, _, pooled = validate(np.stack(counts), lesson)
        metrics = lesson.metrics(pooled)
    network = job.fit(None, progress=partial(say, "all images"))
    card = job.card(network, threshold=threshold, metrics=metrics)
    export_segmenter(network, card, output)
    return card


def fine_tuning(recipe: Recipe) -> Recipe:
    """The recipe with `FINE` in place of what its `[train]` leaves out."""
    missing = {k: v for k, v in FINE.items() if k not in recipe.train.model_fields_set}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=missing)})


def _refuse(recipe: Recipe, imagenet: Path | None, start: Path | None, freeze: str | None) -> None:
    settings = recipe.train
    if freeze not in (None, "backbone"):
        raise UsageError(f"--freeze takes 'backbone', got {freeze!r}")
    if freeze and not start:
        raise UsageError("--freeze keeps layers of a trained model: name it with --from MODEL.onnx")
    if imagenet and start:
        raise UsageError("the encoder starts from --imagenet or from --from MODEL.onnx, not from both")
    if settings.folds > settings.bands:
        raise UsageError(f"train.folds = {settings.folds} is more than train.bands = {settings.bands}")
    if settings.crop_px % 32:
        raise UsageError(f"train.crop_px = {settings.crop_px} is no multiple of 32, which `train segment` wants")
