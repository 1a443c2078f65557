"""`train segment`: images with label images to one .onnx segmenter with its card, validated on whole images never learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from morphoscope import __version__
from morphoscope.errors import UsageError
from morphoscope.measure.matching import match_labels
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.instances import INSTANCES, enlarge, labels_from_maps
from morphoscope.models.preprocess import ROBUST
from morphoscope.models.segment import Segmenter, load_segmenter
from morphoscope.recipe import Recipe
from morphoscope.train.export import export_segmenter
from morphoscope.train.instance_network import InstanceNet
from morphoscope.train.instances import loss
from morphoscope.train.label_images import LabelledImage, crop, fold_of, read_label_images, shares

DECAY, AVERAGE, BACKBONE = 0.03, 0.99, 0.4  # weight decay, memory of the average, the encoder's share of the rate
ZOOM = 1.0
THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
UNVALIDATED = 0.55
IOU = 0.5
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SegmenterTraining:
    """What one training of a segmenter works on."""

    data: list[LabelledImage]
    recipe: Recipe
    name: str
    source: str
    imagenet: Path | None = None

    @property
    def folds(self) -> NDArray[np.int64]:
        """The fold (n,) of each image; there are `train.bands` of them."""
        return fold_of(len(self.data), self.recipe.train.bands)

    def held_out(self, fold: int) -> list[LabelledImage]:
        """The images of a fold."""
        return [image for image, k in zip(self.data, self.folds, strict=True) if k == fold]

    def fit(self, fold: int | None, *, progress: Callable[[int, float], None] | None = None) -> InstanceNet:
        """A trained network that has learnt no image of that fold."""
        learnt = [image for image, k in zip(self.data, self.folds, strict=True) if k != fold]
        torch.manual_seed(self.recipe.train.seed)
        network = InstanceNet()
        if self.imagenet:
            network.backbone.load_imagenet(self.imagenet)
        return train_network(network, learnt, self.recipe, fixed_norms=self.imagenet is not None, progress=progress)

    def card(self, network: InstanceNet, *, threshold: float, metrics: dict[str, float]) -> ModelCard:
        """The card of a network trained here."""
        settings = self.recipe.train
        return ModelCard(
            name=self.name,
            task="segment",
            classes=("particle",),
            preprocess=ROBUST,
            postprocess=INSTANCES,
            stride=32,
            zoom=ZOOM,
            threshold=threshold,
            architecture={"network": "InstanceNet", "width": network.width},
            data=(DataSource(name=self.source, licence=settings.licence, citation=settings.citation),),
            metrics={k: round(v, 4) for k, v in metrics.items()},
            training=settings.model_dump(include={"steps", "batch", "crop_px", "rate", "seed", "bands", "folds"}),
            limits=settings.limits,
            morphoscope_version=__version__,
        )


def train_network(
    network: InstanceNet,
    examples: list[LabelledImage],
    recipe: Recipe,
    *,
    fixed_norms: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> InstanceNet:
    """Train on random crops and give the moving average of the weights, in eval mode.

    AdamW, the rate warmed up and let down by a cosine; channels_last and bfloat16 autocast on the CPU.

    Args:
        network: an `InstanceNet`.
        examples: labelled images.
        recipe: `[train]` steps, batch, crop_px (a multiple of 32), rate and seed; `run.threads`.
        fixed_norms: batch norms of the encoder keep the statistics that they have.
        progress: called with (step, mean loss) every 25 steps.
    """
    settings = recipe.train
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    network = network.to(memory_format=torch.channels_last).train()
    if fixed_norms:
        network.backbone.eval()
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    backbone = list(network.backbone.parameters())
    own = {id(p) for p in backbone}
    groups = [
        {"params": backbone, "lr": settings.rate * BACKBONE},
        {"params": [p for p in network.parameters() if id(p) not in own], "lr": settings.rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings.steps))
    rng, share, running = np.random.default_rng(settings.seed), shares(examples), 0.0
    for step in range(1, settings.steps + 1):
        drawn = [crop(examples[k], settings.crop_px, rng) for k in rng.choice(len(examples), settings.batch, p=share)]
        images, target, valid = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            output = network(images.contiguous(memory_format=torch.channels_last))
        value = loss(output, target, valid)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        running += float(value.detach())
        if step % 25 == 0:
            if progress:
                progress(step, running / 25)
            running = 0.0
    result: InstanceNet = averaged.module.eval()
    return result


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 40, 1) * (0.02 + 0.49 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    decay = min(AVERAGE, (1 + int(count)) / (10 + int(count)))
    return mean + (new - mean) * (1 - decay)


def count_matches(found: NDArray[np.int32], true: NDArray[np.int32]) -> Counts:
    """Right, wrong and missed particles (3,) of a label image at IoU 0.5, greedily paired one to one."""
    pairs = len(match_labels(found, true, IOU))
    return np.array([pairs, _number(found) - pairs, _number(true) - pairs])


def _number(labels: NDArray[np.int32]) -> int:
    return len(np.unique(labels[labels != 0]))


def f1_of(counts: Counts) -> NDArray[np.float64]:
    """F1 of counts (..., 3)."""
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    return np.asarray(2 * right / np.maximum(2 * right + wrong + missed, 1), float)


def counts_by_threshold(segmenter: Segmenter, images: list[LabelledImage]) -> Counts:
    """Pooled counts (thresholds, 3) of a segmenter at each of `THRESHOLDS`; the network runs once an image."""
    counts = np.zeros((len(THRESHOLDS), 3), np.int64)
    for one in images:
        maps = segmenter.maps(one.image)
        shape = (one.image.shape[0], one.image.shape[1])
        for k, threshold in enumerate(THRESHOLDS):
            counts[k] += count_matches(enlarge(labels_from_maps(maps, threshold), maps[0], shape), one.labels)
    return counts


def validate(counts: Counts) -> tuple[float, list[float], Counts]:
    """What counts (folds, thresholds, 3) on images never learnt say.

    Returns:
        the threshold to ship, the threshold of each fold chosen on the others (on itself where it is the only one), and
        the pooled counts (3,) at those.
    """
    chosen = [int(f1_of((counts.sum(axis=0) - counts[k]) if len(counts) > 1 else counts[k]).argmax()) for k in range(len(counts))]
    pooled = np.sum([counts[k, best] for k, best in enumerate(chosen)], axis=0)
    return THRESHOLDS[int(f1_of(counts.sum(axis=0)).argmax())], [THRESHOLDS[k] for k in chosen], pooled


def fold_model(job: SegmenterTraining, fold: int, path: Path, *, progress: Callable[[int, float], None] | None = None) -> None:
    """Train without a fold and write the model."""
    network = job.fit(fold, progress=progress)
    export_segmenter(network, job.card(network, threshold=UNVALIDATED, metrics={}), path)


def train_segmenter(
    data: Path,
    output: Path,
    recipe: Recipe,
    *,
    imagenet: Path | None = None,
    keep_folds: Path | None = None,
    progress: Callable[[str, int, float], None] | None = None,
) -> ModelCard:
    """Train a segmenter on a folder with image/ and instances/ and write it to one .onnx file.

    The images are dealt to `train.bands` folds; `train.folds` of them are held out in turn, and the threshold and the
    metrics on the card come from them. The model that is written has then learnt all images.

    Args:
        data: the folder.
        output: the .onnx file.
        recipe: settings.
        imagenet: weights for the encoder to start from, see `LiteEncoder.load_imagenet`; None for random ones.
        keep_folds: a folder for the models of the held-out folds, `fold-<k>.onnx`; those already there are taken as they are.
        progress: called with (stage, step, mean loss).

    Raises:
        InputError, ModelError, UsageError: as the message says.
    """
    settings = recipe.train
    if settings.folds > settings.bands:
        raise UsageError(f"train.folds = {settings.folds} is more than train.bands = {settings.bands}")
    if settings.crop_px % 32:
        raise UsageError(f"train.crop_px = {settings.crop_px} is no multiple of 32, which `train segment` wants")
    job = SegmenterTraining(read_label_images(data), recipe, output.stem, data.name, imagenet)
    say = progress or (lambda stage, step, loss: None)
    threshold, metrics, counts = UNVALIDATED, dict[str, float](), []
    with TemporaryDirectory() as scratch:
        for fold in range(settings.folds):
            path = (keep_folds or Path(scratch)) / f"fold-{fold}.onnx"
            if not path.exists():
                fold_model(job, fold, path, progress=partial(say, f"fold {fold + 1} of {settings.bands} held out"))
            counts.append(counts_by_threshold(load_segmenter(path, threads=recipe.run.threads), job.held_out(fold)))
    if counts:
        threshold, _, pooled = validate(np.stack(counts))
        metrics = {"f1": float(f1_of(pooled)), "iou": IOU}
    network = job.fit(None, progress=partial(say, "all images"))
    card = job.card(network, threshold=threshold, metrics=metrics)
    export_segmenter(network, card, output)
    return card
