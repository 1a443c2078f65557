"""One training of a score model: labelled images made ready, the network that suits them, what it learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from morphoscope import __version__
from morphoscope.errors import InputError, UsageError
from morphoscope.io.score_data import LEVELS, ScoreData, ScoreExample, check_classes, read_score_data
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.runtime import read_card
from morphoscope.models.score import SCORES
from morphoscope.recipe import Recipe
from morphoscope.train.cell_network import CELLS, CellNet
from morphoscope.train.centre_sampling import CentreSampler
from morphoscope.train.crop_sampling import CropSampler, crop_side, fixed_crops
from morphoscope.train.lite_patches import LITE, Layer, Learnt, fit_head, last_layer, pretrained_sources
from morphoscope.train.lite_views import Views, view_features
from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.score_loop import Draws, Fit, Held, temperature_of, train_patches, usual_epochs
from morphoscope.train.score_pictures import Picture, as_pictures, fixed_patches, survey
from morphoscope.train.score_plan import OURS, Plan, make_plan
from morphoscope.train.score_sampling import TURNS, Sampler, balanced, drawn_too_often, turn
from morphoscope.train.score_split import Split, split

MOST_HELD, HELD_VALUES = 4000, 2**26  # patches that early stopping looks at, and how many numbers they may hold together
FEW, LEAST_BATCH = 6, 32  # where the recipe is silent, a step sees one in so many of few patches, and no fewer than this
SLOWER = 0.3  # of the rate where a training goes on from a model


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
        batch, places = settings.patches, sum(len(one.corners) for one in self.pictures)
        if "patches" not in given:
            batch = int(np.clip(places // FEW, LEAST_BATCH, batch))
        epochs = settings.epochs or usual_epochs(places, batch)
        return Fit(self.data.answer, LEVELS, batch, rate, epochs, settings.patience, settings.seed, bool(self.plan.start))

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
        """A network that has learnt these pictures, in so many epochs if given, and their number; see `train_patches`."""
        torch.manual_seed(self.recipe.train.seed)
        if self.recipe.run.threads:
            torch.set_num_threads(self.recipe.run.threads)
        network = self.plan.build()
        network.features.requires_grad_(not self.freeze_backbone)
        pictures, fit = [self.pictures[k] for k in numbers], replace(self.fit, epochs=epochs) if epochs else self.fit
        return train_patches(network, self._sampler(pictures), fit, held=held, progress=progress)

    def _sampler(self, pictures: list[Picture]) -> Draws:
        side, target, change = self.plan.side, self.recipe.train.target, self.plan.change
        exclusive = self.data.answer == "exclusive"
        if self._crop:
            return CropSampler(pictures, side, crop=self._crop, exclusive=exclusive, target=target, change=change)
        if self.data.marked and target == "centre":
            return CentreSampler(pictures, side, change=change)
        return Sampler(pictures, side, exclusive=exclusive, target=target, change=change)

    @cached_property
    def _crop(self) -> int:
        """Side of the crops that a network is shown whose answers depend on what lies around a patch; 0 for others."""
        network = self.plan.build() if self.plan.network == CELLS else None
        return crop_side(self.pictures, network.align) if isinstance(network, CellNet) else 0

    def learn_head(
        self, numbers: Sequence[int], held: Sequence[int] = (), *, strength: float | None = None
    ) -> tuple[PatchNet, float]:
        """The pretrained network with a last layer that has learnt these pictures, and the strength of its penalty."""
        network, views = self._views
        chosen = np.isin(views.picture, list(numbers))
        exclusive = self.data.answer == "exclusive"
        share, weight = balanced(views.targets[chosen], exclusive=exclusive)
        even = (share * weight * chosen.sum()).astype(np.float32)
        shift = drawn_too_often(views.targets[chosen], share * weight).astype(np.float32) if exclusive else 0.0
        learnt = Learnt(views.features[chosen], views.targets[chosen], even, shift)
        kept = self._plain(held)
        found = fit_head(
            network,
            learnt,
            answer=self.data.answer,
            levels=LEVELS,
            held=kept if len(kept[1]) else None,
            strength=strength,
            start=self._first,
        )
        return network, found

    def head_temperature(self, network: PatchNet, held: Sequence[int]) -> float:
        """`best_temperature` of a pretrained network on pictures whose features are at hand."""
        features, targets = self._plain(held)
        if not len(targets):
            return 1.0
        with torch.inference_mode():
            logits = network.head(torch.from_numpy(features)[:, :, None, None])[:, :, 0, 0]
        return temperature_of(logits, torch.from_numpy(targets), self.fit)

    def _plain(self, numbers: Sequence[int]) -> Held:
        """Features of these pictures, seen unchanged, and their targets."""
        views = self._views[1]
        plain = np.isin(views.picture, list(numbers)) & views.plain
        return views.features[plain], views.targets[plain]

    @cached_property
    def _first(self) -> Layer | None:
        """The last layer of the pretrained network that is gone on from."""
        return last_layer(self.plan.build()) if self.plan.start else None

    @cached_property
    def _views(self) -> tuple[PatchNet, Views]:
        """The pretrained network, and its features of all pictures."""
        if self.recipe.run.threads:
            torch.set_num_threads(self.recipe.run.threads)
        network = self.plan.build()
        target, seed = self.recipe.train.target, self.recipe.train.seed
        return network, view_features(network, self.pictures, change=self.plan.change, target=target, seed=seed)

    def held(self, numbers: Sequence[int]) -> Held:
        """Fixed patches of these pictures."""
        side, pictures = self.plan.side, [self.pictures[k] for k in numbers]
        most = min(MOST_HELD, HELD_VALUES // (self.plan.channels * (self._crop or side) ** 2))
        if self._crop:
            return fixed_crops(pictures, side, self._crop, target=self.recipe.train.target, most=most)
        return fixed_patches(pictures, side, most=most)

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
            data=(*self._before, learnt),
            metrics={k: round(v, 4) for k, v in (metrics or {}).items() if np.isfinite(v)},
            training=self.settings,
            limits=settings.limits,
            morphoscope_version=__version__,
        )

    @property
    def _before(self) -> tuple[DataSource, ...]:
        """What the network had learnt before."""
        if self.plan.start:
            return read_card(self.plan.start).data
        return pretrained_sources() if self.plan.network == LITE else ()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the trained weights depend on."""
        kept = {"network", "patches", "epochs", "patience", "split", "target", "seed", "bands", "folds"}
        given = {**self.recipe.train.model_dump(include=kept), "network": self.plan.network, "marked": self.data.marked}
        return given if self.plan.network == LITE else {**given, "rate": self.fit.rate, "epochs": self.fit.epochs}


def prepare(
    data: Path, recipe: Recipe, *, name: str, start: Path | None = None, freeze_backbone: bool = False
) -> tuple[ScorerTraining, list[str]]:
    """The images read and made ready, and those that were skipped with the reason.

    Raises:
        InputError, UsageError: as `read_score_data` and `make_plan`; or what is left without bad images cannot be learnt.
    """
    labelled = read_score_data(data, answer=recipe.train.answer)
    read, bad = survey(labelled)
    plan, examples = make_plan(labelled, read, recipe, start=start), [one.example for one in read]
    pictures, misfits = as_pictures(
        [copy for one in examples for copy in _copies(one)] if recipe.train.split == "copy" else examples,
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


def _copies(example: ScoreExample) -> list[ScoreExample]:
    """The eight turned and mirrored copies of an image, each a group of its own.

    Raises:
        UsageError: the image is marked; marks are not turned.
    """
    if example.marks is not None:
        raise UsageError('train.split = "copy" is for images with a label each, these are marked')
    image, copies = example.image(), []
    for way in range(TURNS):
        name = f"{example.name}#{way}"
        copies.append(replace(example, name=name, group=name, array=turn(image, way, axes=(0, 1))))
    return copies


def _check_marks(data: ScoreData, pictures: Sequence[Picture], path: Path) -> None:
    if not data.marked:
        return
    targets = np.concatenate([one.targets for one in pictures])
    for name, column in zip(data.classes, targets.T, strict=True):
        if np.ptp(column) == 0:
            what = "nowhere" if column[0] == 0 else "everywhere"
            raise InputError(f"{name} is marked {what} in the usable images of {path}: there is nothing to tell apart")
