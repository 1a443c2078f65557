"""`train detect`: labelled images to one .onnx detector with its card, validated by place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from morphoscope import __version__
from morphoscope.by_place import ByPlace, cut_bands
from morphoscope.errors import InputError, UsageError
from morphoscope.evaluate import score_images, summarise
from morphoscope.io.labels import LabelledImages, read_boxes
from morphoscope.io.open import open_frames
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.centres import CENTRES
from morphoscope.models.preprocess import ROBUST
from morphoscope.recipe import Recipe, Region
from morphoscope.train.datasets import detection_examples, synthetic_loops
from morphoscope.train.export import export_detector
from morphoscope.train.loop import Example, train
from morphoscope.train.neighbours import neighbour_examples
from morphoscope.train.networks import CentreNet
from morphoscope.train.trained import load_network

UNVALIDATED = 0.4  # score threshold of a model without a held-out band
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True)
class DetectorTraining:
    """What one training of a detector works on."""

    data: LabelledImages
    classes: tuple[str, ...]
    recipe: Recipe
    name: str
    start: Path | None = None
    freeze_backbone: bool = False

    def bands(self) -> list[Region]:
        """The bands of x that are held out in turn."""
        return cut_bands(self.data, self.recipe.train.bands)

    def examples(self, held_out: Region | None) -> list[Example]:
        """Examples of everything but the held-out band and a gap beside it, neighbours in time included."""
        settings = self.recipe.train
        gap = [] if held_out is None else [(held_out.x0 - settings.gap_px, held_out.x1 + settings.gap_px)]
        examples = detection_examples(self.data, self.classes, without=gap)
        if settings.video and settings.neighbours:
            with open_frames(self.data.root / settings.video) as video:
                examples += neighbour_examples(video, list(self.data.images), examples, reach=settings.neighbours)
        if settings.synthetic:
            if self.classes != ("loop",):
                raise UsageError(f"train.synthetic draws the class 'loop' alone, the labels have {', '.join(self.classes)}")
            examples += synthetic_loops(settings.synthetic, weight=sum(example.weight for example in examples) / 5)
        if not any(len(example.boxes) for example in examples):
            raise InputError("no labelled box is left to learn from; check the labels and the complete region")
        return examples

    def fit(self, held_out: Region | None, *, progress: Callable[[int, float], None] | None = None) -> CentreNet:
        """A trained network; nothing in the held-out band was learnt."""
        settings = self.recipe.train
        if self.start:
            network = load_network(self.start, classes=self.classes)
        else:
            network = CentreNet(len(self.classes), widths=settings.widths)
        if self.freeze_backbone:
            network.backbone.requires_grad_(False)
        fitted = train(
            network, self.examples(held_out), len(self.classes), settings, threads=self.recipe.run.threads, progress=progress
        )
        assert isinstance(fitted, CentreNet)
        return fitted

    def card(self, network: CentreNet, *, threshold: float, metrics: dict[str, float]) -> ModelCard:
        """The card of a network trained here."""
        settings = self.recipe.train
        size = self.recipe.calibration.pixel_size_nm
        return ModelCard(
            name=self.name,
            task="detect",
            classes=self.classes,
            preprocess=ROBUST,
            postprocess=CENTRES,
            stride=16,
            threshold=threshold,
            pixel_size_nm=float(np.sqrt(size[0] * size[1])) if isinstance(size, tuple) else size,
            architecture={"network": "CentreNet", "widths": list(network.widths), "depth": network.depth},
            data=(DataSource(name=self.data.root.name, licence=settings.licence, citation=settings.citation),),
            metrics={k: round(v, 4) for k, v in metrics.items() if np.isfinite(v)},
            training=settings.model_dump(exclude={"video", "licence", "citation", "limits"}),
            limits=settings.limits,
            morphoscope_version=__version__,
        )


def train_detector(
    data: Path,
    output: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    freeze: str | None = None,
    keep_folds: Path | None = None,
    progress: Progress | None = None,
) -> ModelCard:
    """Train a detector on images with boxes and write it to one .onnx file.

    The labelled width is cut into bands of x. `recipe.train.folds` of them are held out in turn, with a gap; the score
    threshold and the metrics on the card come from the held-out bands. The model that is written has then learnt all bands.

    Args:
        data: a folder with labels.toml, or a CSV file,label,x0,y0,x1,y1.
        output: the .onnx file.
        recipe: settings; `calibration.pixel_size_nm` is the pixel size noted on the card.
        start: a model to start from (transfer learning); None for random weights.
        freeze: `backbone` keeps the encoder of `start` as it is.
        keep_folds: a folder for the models of the held-out bands, `band-<k>.onnx`.
        progress: called with (stage, step, mean loss).

    Raises:
        InputError, ModelError, UsageError: as the message says.
    """
    if freeze not in (None, "backbone"):
        raise UsageError(f"--freeze takes 'backbone', got {freeze!r}")
    if freeze and not start:
        raise UsageError("--freeze keeps layers of a trained model: name it with --from MODEL.onnx")
    if recipe.train.folds > recipe.train.bands:
        raise UsageError(f"train.folds = {recipe.train.folds} is more than train.bands = {recipe.train.bands}")
    labelled = read_boxes(data)
    classes = tuple(sorted(labelled.boxes["label"].unique()))
    job = DetectorTraining(labelled, classes, recipe, output.stem, start, freeze == "backbone")
    say = progress or (lambda stage, step, loss: None)
    bands = job.bands()[: recipe.train.folds]
    threshold, metrics = UNVALIDATED, dict[str, float]()
    with TemporaryDirectory() as scratch:
        models = [(keep_folds or Path(scratch)) / f"band-{k}.onnx" for k in range(len(bands))]
        for k, (model, band) in enumerate(zip(models, bands, strict=True)):
            stage = f"band {k + 1} of {len(bands)} held out"
            network = job.fit(band, progress=lambda step, loss, stage=stage: say(stage, step, loss))  # type: ignore[misc]
            export_detector(network, job.card(network, threshold=UNVALIDATED, metrics={}), model)
        if bands:
            threshold, metrics = validate(models, bands, labelled)
    network = job.fit(None, progress=lambda step, loss: say("all bands", step, loss))
    card = job.card(network, threshold=threshold, metrics=metrics)
    export_detector(network, card, output)
    return card


def validate(models: list[Path], bands: list[Region], data: LabelledImages) -> tuple[float, dict[str, float]]:
    """The score threshold to ship and the metrics on held-out bands (at thresholds chosen on the other bands)."""
    find = ByPlace(models, bands, data)
    return find.pooled_threshold, summarise(score_images(find, data, within=find.region)).metrics
