"""`train score`: labelled images to one .onnx model of patches with its card, validated on whole images never learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from morphoscope import __version__
from morphoscope.errors import InputError, UsageError
from morphoscope.evaluate_scores import judge
from morphoscope.io.score_data import LEVELS, ScoreData, ScoreExample, check_classes, read_score_data
from morphoscope.measure.classification import best_threshold
from morphoscope.measure.judged import ALL, Judged, class_table, extent_table, headline, pooled
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.runtime import read_card
from morphoscope.models.score import SCORES, load_scorer
from morphoscope.recipe import Recipe
from morphoscope.train.export import export_scorer
from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.score_loop import Fit, Held, best_temperature, train_patches
from morphoscope.train.score_pictures import Picture, as_pictures, fixed_patches, read_images
from morphoscope.train.score_plan import OURS, Plan, make_plan
from morphoscope.train.score_sampling import Sampler
from morphoscope.train.score_split import Split, split

PARTS = ("train", "validation", "test")
MOST_HELD = 4000  # patches that early stopping looks at
MOST_JUDGED = 200  # learnt images that are judged beside those held out
ENOUGH = 19  # images for an interval of 95 %, see `half_width`
FEW, LEAST_BATCH = 6, 32  # where the recipe is silent, a step sees one in so many of few patches, and no fewer than this
SLOWER = 0.3  # of the rate where a training goes on from a model
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True)
class Trained:
    """A trained model's card, `parts` (counts and rates by part of the data and class), what was skipped and what was assumed."""

    card: ModelCard
    parts: pd.DataFrame
    skipped: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ScorerTraining:
    """What one training works on: pictures, their data and how a network sees them."""

    data: ScoreData
    pictures: list[Picture]
    plan: Plan
    recipe: Recipe
    name: str
    freeze_backbone: bool = False

    @property
    def fit(self) -> Fit:
        """The settings of the loop."""
        settings, given = self.recipe.train, self.recipe.train.model_fields_set
        rate = settings.rate
        if "rate" not in given:
            rate = (rate if self.plan.network == OURS else 1e-3) * (SLOWER if self.plan.start else 1)
        batch = settings.patches
        if "patches" not in given:
            batch = int(np.clip(sum(len(one.corners) for one in self.pictures) // FEW, LEAST_BATCH, batch))
        return Fit(self.data.answer, LEVELS, batch, rate, settings.epochs, settings.patience, settings.seed)

    def split(self, fold: int) -> Split:
        """Which images are learnt, validated and tested where a fold is held out."""
        targets = np.stack([one.targets.mean(axis=0) for one in self.pictures])
        groups = [one.example.group for one in self.pictures]
        return split(groups, targets, parts=self.recipe.train.bands, fold=fold, seed=self.recipe.train.seed)

    def learn(
        self,
        numbers: Sequence[int],
        held: Held | None = None,
        *,
        epochs: int | None = None,
        progress: Callable[[int, float], None] | None = None,
    ) -> tuple[PatchNet, int]:
        """A network that has learnt these pictures, and its number of epochs; see `train_patches`."""
        torch.manual_seed(self.recipe.train.seed)
        if self.recipe.run.threads:
            torch.set_num_threads(self.recipe.run.threads)
        network = self.plan.build()
        network.features.requires_grad_(not self.freeze_backbone)
        sampler = Sampler(
            [self.pictures[k] for k in numbers],
            self.plan.side,
            exclusive=self.data.answer == "exclusive",
            target=self.recipe.train.target,
            change=self.plan.change,
        )
        return train_patches(network, sampler, self.fit, held=held, epochs=epochs, progress=progress)

    def held(self, numbers: Sequence[int]) -> Held:
        """Fixed patches of these pictures."""
        return fixed_patches([self.pictures[k] for k in numbers], self.plan.side, most=MOST_HELD)

    def some(self, numbers: Sequence[int]) -> ScoreData:
        """The data of these pictures."""
        return replace(self.data, examples=tuple(self.pictures[k].example for k in numbers), skipped=())

    def card(
        self, *, temperature: float = 1.0, thresholds: Sequence[float] = (), metrics: dict[str, float] | None = None
    ) -> ModelCard:
        """The card of a model trained here; it names what the model that it started from had learnt, too."""
        settings, plan = self.recipe.train, self.plan
        learnt = DataSource(name=self.data.name, licence=settings.licence, citation=settings.citation)
        return ModelCard(
            name=self.name,
            task="score",
            classes=self.data.classes,
            preprocess=plan.preprocess,
            postprocess=SCORES,
            threshold=0.5,
            thresholds=tuple(round(float(t), 4) for t in thresholds),
            patch_px=plan.side,
            seen_px=plan.seen_px,
            pixel_size_nm=plan.pixel_size_nm,
            channels=plan.channels,
            answer=self.data.answer,
            levels=LEVELS,
            temperature=temperature,
            data=(*(read_card(plan.start).data if plan.start else ()), learnt),
            metrics={k: round(v, 4) for k, v in (metrics or {}).items() if np.isfinite(v)},
            training=self.settings,
            limits=settings.limits,
            morphoscope_version=__version__,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the trained weights depend on."""
        kept = {"network", "patches", "epochs", "patience", "split", "target", "seed", "bands", "folds"}
        return {**self.recipe.train.model_dump(include=kept), "rate": self.fit.rate, "marked": self.data.marked}


def train_scorer(
    data: Path,
    output: Path,
    recipe: Recipe,
    *,
    start: Path | None = None,
    freeze: str | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a model of patches on labelled images and write it to one .onnx file.

    The images (or groups of images) are dealt to `train.bands` parts; `train.folds` of them are tested in turn, by a network
    that has learnt four in five of the others, for as many epochs as were best on the fifth. From these networks come the
    metrics, the thresholds, the temperature and the errors of extents on the card. The model that is written has then learnt
    all images for as many epochs.

    Args:
        data: labelled images in a layout of `io.score_data.read_score_data`.
        output: the .onnx file.
        recipe: settings, [train] and the patch of [score].
        start: a model of patches to start from; what it has learnt is named on the card, too.
        freeze: `backbone` keeps all of `start` but its last layers as it is.
        progress: called with (stage, epoch, mean loss).

    Raises:
        InputError, ModelError, UsageError: as the message says.
    """
    _refuse(recipe, start, freeze)
    job, skipped = prepare(data, recipe, name=output.stem, start=start, freeze_backbone=freeze is not None)
    say = progress or (lambda stage, epoch, loss: None)
    found: list[_Fold] = []
    for fold in range(recipe.train.folds):
        stage = f"part {fold + 1} of {recipe.train.bands} held out"
        found.append(_held_out(job, fold, progress=partial(say, stage)))
    parts = {part: pooled([one.parts[part] for one in found]) for part in PARTS} if found else {}
    epochs = max(int(np.median([one.epochs for one in found])), 1) if found else None
    network, _ = job.learn(range(len(job.pictures)), epochs=epochs, progress=partial(say, "all images"))
    card = job.card()
    if found:
        temperature = round(float(np.exp(np.mean(np.log([one.temperature for one in found])))), 3)
        card = job.card(temperature=temperature, thresholds=parts["test"].thresholds, metrics=_metrics(parts))
        card = card.model_copy(update={"extent_error": _extent_error(parts["test"])})
    card = export_scorer(network, card, output)
    return Trained(card, part_table(parts), tuple(skipped), job.data.notes)


@dataclass(frozen=True)
class _Fold:
    """What a network that has learnt a part of the images says of all parts."""

    parts: dict[str, Judged]
    temperature: float
    epochs: int


def prepare(
    data: Path, recipe: Recipe, *, name: str, start: Path | None = None, freeze_backbone: bool = False
) -> tuple[ScorerTraining, list[str]]:
    """The images read and made ready, and those that were skipped with the reason.

    Raises:
        InputError, UsageError: as `read_score_data` and `make_plan`; or what is left without bad images cannot be learnt.
    """
    labelled = read_score_data(data, answer=recipe.train.answer)
    read, bad = read_images(labelled)
    if recipe.train.split == "copy":
        read = [copy for one in read for copy in _copies(*one)]
    plan = make_plan(labelled, read, recipe, start=start)
    pictures, misfits = as_pictures(
        read,
        channels=plan.channels,
        side=plan.side,
        seen_px=plan.seen_px,
        preprocess=plan.preprocess,
        target=recipe.train.target,
    )
    skipped = [*labelled.skipped, *bad, *misfits]
    left = replace(labelled, examples=tuple(one.example for one in pictures), skipped=tuple(skipped))
    check_classes(left, data)
    _check_marks(left, pictures, data)
    return ScorerTraining(left, pictures, plan, recipe, name, freeze_backbone), skipped


def _copies(example: ScoreExample, image: Any) -> list[tuple[ScoreExample, Any]]:
    """The eight turned and mirrored copies of an image, each a group of its own."""
    copies = []
    for way in range(8):
        turned = np.ascontiguousarray(np.rot90(image[:, ::-1] if way >= 4 else image, way % 4))
        name = f"{example.name}#{way}"
        copies.append((replace(example, name=name, group=name, array=turned), turned))
    return copies


def _check_marks(data: ScoreData, pictures: Sequence[Picture], path: Path) -> None:
    if not data.marked:
        return
    targets = np.concatenate([one.targets for one in pictures])
    for name, column in zip(data.classes, targets.T, strict=True):
        if np.ptp(column) == 0:
            what = "nowhere" if column[0] == 0 else "everywhere"
            raise InputError(f"{name} is marked {what} in the usable images of {path}: there is nothing to tell apart")


def _held_out(job: ScorerTraining, fold: int, *, progress: Callable[[int, float], None]) -> _Fold:
    """Train without a part and judge all parts."""
    chosen = job.split(fold)
    held = job.held(chosen.validation.tolist())
    network, epochs = job.learn(chosen.train.tolist(), held, progress=progress)
    temperature = best_temperature(network, held, job.fit)
    learnt = np.random.default_rng(0).permutation(chosen.train)[:MOST_JUDGED]
    numbers = {"train": learnt, "validation": chosen.validation, "test": chosen.test}
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "fold.onnx"
        export_scorer(network, job.card(temperature=temperature), path)
        scorer = load_scorer(path, threads=job.recipe.run.threads)
        parts = {part: judge(scorer, job.some(some.tolist()))[0] for part, some in numbers.items()}
    valid = parts["validation"]
    limits = tuple(best_threshold(true, score) for true, score in zip(valid.positive.T, valid.score.T, strict=True))
    return _Fold({part: replace(one, thresholds=limits) for part, one in parts.items()}, temperature, epochs)


def _metrics(parts: dict[str, Judged]) -> dict[str, float]:
    """Headline numbers of the test part, and the same of the other parts under their names."""
    found: dict[str, float] = {}
    for part, judged in parts.items():
        extents = pd.DataFrame() if judged.answer == "exclusive" else extent_table(judged)
        numbers = headline(judged, class_table(judged), extents)
        found |= numbers if part == "test" else {f"{part}_{name}": value for name, value in numbers.items()}
    return found


def _extent_error(judged: Judged) -> dict[str, float]:
    if judged.answer == "exclusive" or len(judged.files) < ENOUGH:
        return {}
    table = extent_table(judged)
    return {row["class"]: round(float(row["half95"]), 4) for _, row in table.iterrows() if row["class"] != ALL}


def part_table(parts: dict[str, Judged]) -> pd.DataFrame:
    """`class_table` of each part, with the columns `part` and `images`."""
    tables = [class_table(one).assign(part=part, images=len(one.files)) for part, one in parts.items()]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _refuse(recipe: Recipe, start: Path | None, freeze: str | None) -> None:
    settings = recipe.train
    if freeze not in (None, "backbone"):
        raise UsageError(f"--freeze takes 'backbone', got {freeze!r}")
    if freeze and not start:
        raise UsageError("--freeze keeps layers of a trained model: name it with --from MODEL.onnx")
    if settings.folds > settings.bands:
        raise UsageError(f"train.folds = {settings.folds} is more than train.bands = {settings.bands}")
