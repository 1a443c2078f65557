"""A fine-tuned classifier: what it says of the images that each part holds out, and the one that learns all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.recipe.telling import TrainRecipe
from morphoscope.train.backbones import Backbone
from morphoscope.train.class_folds import HeldOutLogits, calibrated, deal_parts, unlearnt
from morphoscope.train.class_heads import MOST_KNOWN, Lessons, fit_network
from morphoscope.train.class_network import ClassNet, squared_distances
from morphoscope.train.class_tuning import Pupils, View, logits_of, raw_features, rescale, tune, usual_epochs
from morphoscope.train.coreset import coreset

STRENGTH = 1e-3  # of the penalty on the layer that the training begins with
VALIDATION = 5  # one in so many images that are not held out stops the training
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True)
class Tuning:
    """What fine-tuning works on: lessons and views of n images, their groups and the part in which each is held out."""

    backbone: Backbone
    lessons: Lessons
    views: Sequence[View]
    groups: Sequence[str]
    part: NDArray[np.int64]
    settings: TrainRecipe

    def hold_out(self, parts: Sequence[int], progress: Progress) -> HeldOutLogits:
        """Answers of a network for each part that has learnt four in five of the others, the fifth has stopped it."""
        truth, number = self.lessons.targets.argmax(axis=1), np.unique(list(self.groups), return_inverse=True)[1]
        logits, far = np.full(self.lessons.targets.shape, np.nan, np.float32), np.full(len(truth), np.nan, np.float32)
        epochs = []
        for held in parts:
            inside, rest = np.flatnonzero(self.part == held), np.flatnonzero(self.part != held)
            stage = f"part {held + 1} of {int(self.part.max()) + 1} held out"
            network, found = self._stopped(rest, progress, stage)
            epochs.append(found)
            with torch.inference_mode():
                raw = torch.from_numpy(raw_features(network, [self.views[k] for k in inside.tolist()]))
                logits[inside] = logits_of(network, raw).numpy()
                far[inside] = squared_distances(network.scaled(raw), network.bank).amin(dim=1).sqrt().numpy()
        known = np.where(np.isin(self.part, parts) & ~unlearnt(truth, self.part), self.part, -1)
        warmth, settled = np.ones(len(truth), np.float32), 1.0
        for held in (-2, *parts):  # the first: all parts together
            others = (known >= 0) & (known != held)
            temperature = settled
            if others.any():
                _, temperature = calibrated(logits[others], truth[others], number[others])
            warmth[self.part == held] = temperature
            settled = temperature if held == -2 else settled
        return HeldOutLogits(logits, warmth, far, known, float(np.median(epochs)), settled)

    def learn(self, chosen: float | None, progress: Progress) -> ClassNet:
        """A network that has learnt all images, in so many epochs where parts were held out (half of the most at least)."""
        everything = np.arange(len(self.views))
        most = self.settings.epochs or usual_epochs(len(everything))
        epochs = most if chosen is None else max(round(chosen), most // 2, 1)
        network = self._begun(everything)
        pupils = self._pupils(everything)
        tune(network, pupils, self.settings, epochs=epochs, progress=lambda k, loss: progress("all images", k, loss))
        self._know(network, everything)
        return network

    def _stopped(self, rest: NDArray[np.int64], progress: Progress, stage: str) -> tuple[ClassNet, int]:
        """A network that has learnt most of some images, the others told when to stop."""
        names, targets = [self.groups[k] for k in rest.tolist()], self.lessons.targets[rest]
        held = deal_parts(names, targets, parts=VALIDATION, seed=self.settings.seed + 1) == 0
        learnt = rest if held.all() or unlearnt(targets.argmax(axis=1), held.astype(np.int64)).any() else rest[~held]
        network = self._begun(learnt)
        stop = self._pupils(rest[held]) if len(learnt) < len(rest) else None
        found = tune(network, self._pupils(learnt), self.settings, held=stop, progress=lambda k, loss: progress(stage, k, loss))
        self._know(network, learnt)
        return network, found

    def _begun(self, numbers: NDArray[np.int64]) -> ClassNet:
        torch.manual_seed(self.settings.seed)
        classes = self.lessons.targets.shape[1]
        network = ClassNet(deepcopy(self.backbone), classes=classes, known=min(len(numbers), MOST_KNOWN))
        network.requires_grad_(True)
        network.bank.requires_grad_(False)
        fit_network(network, self.lessons.some(numbers), chosen=STRENGTH)
        return network

    def _know(self, network: ClassNet, numbers: NDArray[np.int64]) -> None:
        """Let a network know the images that it has learnt as it sees them now."""
        raw = raw_features(network, [self.views[k] for k in numbers.tolist()])
        rescale(network, raw)
        with torch.no_grad():
            seen = network.scaled(torch.from_numpy(raw))
            network.bank.copy_(seen[coreset(seen.numpy(), network.known)])

    def _pupils(self, numbers: NDArray[np.int64]) -> Pupils:
        return Pupils.of([self.views[k] for k in numbers.tolist()], self.lessons.some(numbers))
