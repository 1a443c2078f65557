"""Fine-tuning: the backbone learns, too, from a linear layer that has learnt its features as they were."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from morphoscope.recipe.telling import TrainRecipe
from morphoscope.train.class_data import FeatureReader
from morphoscope.train.class_heads import Lessons
from morphoscope.train.class_network import ClassNet, LinearHead
from morphoscope.train.score_sampling import TURNS, turn

RATE, HEAD_RATE = 2e-4, 1e-3  # of the backbone, of the layer on it
DECAY = 0.02
BATCH = 16
MOST_DRAWN, EPOCHS = 6000, (6, 30)  # images drawn in a training, and what that gives in epochs at least and at most
CROP = 0.7  # side of what is learnt from, of the shorter side: smaller than what is seen later (Touvron et al., NeurIPS 2019)
LARGER = 0.2  # spread of the logarithm of its size
CONTRAST = 0.15
SMOOTH = 0.05  # share of its target that each image has in all classes alike
View = NDArray[np.float16]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Pupils:
    """Images that are learnt: views (1 or 3, h, w), targets (n, k) and weights (n,); logits (k,) are raised by `shift` after."""

    views: Sequence[View]
    targets: Array
    weights: Array
    shift: Array

    @classmethod
    def of(cls, views: Sequence[View], lessons: Lessons) -> Pupils:
        """Those of lessons."""
        return cls(views, lessons.targets, lessons.weights, lessons.shift)


def usual_epochs(images: int) -> int:
    """How many epochs a training has at most, where none are given."""
    return int(np.clip(round(MOST_DRAWN / max(images, 1)), *EPOCHS))


def tune(
    network: ClassNet,
    pupils: Pupils,
    settings: TrainRecipe,
    *,
    held: Pupils | None = None,
    epochs: int | None = None,
    progress: Callable[[int, float], None],
) -> int:
    """Let a whole network learn, and give after how many epochs it was taken.

    Kumar et al. (ICLR 2022, arXiv:2202.10054): its linear layer has learnt the features before, so that these change no more than
    they need. AdamW, the rate warmed up and let down by a cosine; channels_last and bfloat16; norms keep their statistics.

    Args:
        network: with a linear head that has learnt; is changed.
        pupils: what is learnt.
        settings: `epochs`, `rate`, `patience`, `upright` and `seed`; epochs left out suit the number of images.
        held: images for early stopping: the epoch that is best on them is taken; None to train to the end.
        epochs: how many, where that is known.
        progress: called with (epoch, mean loss).
    """
    assert isinstance(network.head, LinearHead)
    most = epochs or settings.epochs or usual_epochs(len(pupils.views))
    steps = -(-len(pupils.views) // BATCH)
    network.to(memory_format=torch.channels_last)
    optimiser = _optimiser(network, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps * most))
    rng, best = np.random.default_rng(settings.seed), (float("inf"), most)
    kept = copy.deepcopy(network.state_dict()) if held is not None else None
    for epoch in range(1, most + 1):
        order, running = rng.permutation(len(pupils.views)), 0.0
        for part in np.array_split(order, steps):
            running += _step(network, pupils, part, rng, optimiser, upright=settings.upright)
            schedule.step()
        progress(epoch, running / steps)
        if held is None:
            continue
        value = held_loss(network, held)
        if value < best[0]:
            best, kept = (value, epoch), copy.deepcopy(network.state_dict())
        elif epoch - max(best[1], most // 3) >= settings.patience:
            break
    if kept is not None:
        network.load_state_dict(kept)
    return best[1]


def _optimiser(network: ClassNet, settings: TrainRecipe) -> torch.optim.Optimizer:
    rate = settings.stated("rate") or RATE
    groups = [
        {"params": list(network.backbone.parameters()), "lr": rate},
        {"params": list(network.head.parameters()), "lr": rate * HEAD_RATE / RATE},
    ]
    return torch.optim.AdamW(groups, weight_decay=DECAY)


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 20, 1) * (0.02 + 0.49 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _step(
    network: ClassNet,
    pupils: Pupils,
    numbers: NDArray[np.int64],
    rng: np.random.Generator,
    optimiser: torch.optim.Optimizer,
    *,
    upright: bool,
) -> float:
    """One step; the loss."""
    seen = np.stack([drawn(pupils.views[k], rng, upright=upright) for k in numbers.tolist()])
    network.eval()  # norms keep their statistics: there are few images
    with torch.autocast("cpu", torch.bfloat16):
        features = network.backbone(torch.from_numpy(seen).contiguous(memory_format=torch.channels_last))
    logits = logits_of(network, features.float()) - torch.from_numpy(pupils.shift)
    targets, weights = (torch.from_numpy(part[numbers]) for part in (pupils.targets, pupils.weights))
    soft = (1 - SMOOTH) * targets + SMOOTH / targets.shape[1]
    value = (-(soft * torch.log_softmax(logits, dim=1)).sum(dim=1) * weights).mean()
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return float(value.detach())


def drawn(view: View, rng: np.random.Generator, *, upright: bool = False) -> Array:
    """A square part (3, s, s) of a view, s about `CROP` of its shorter side, turned, mirrored, in another size and contrast."""
    side = max(round(min(view.shape[1:]) * CROP / 32), 2) * 32
    wide = int(np.clip(round(side * float(np.exp(rng.uniform(-LARGER, LARGER)))), 32, min(view.shape[1:])))
    top, left = (int(rng.integers(n - wide + 1)) for n in view.shape[1:])
    part = torch.from_numpy(view[:, top : top + wide, left : left + wide].astype(np.float32))[None]
    sized = nn.functional.interpolate(part, (side, side), mode="bilinear", align_corners=False, antialias=wide > side)[0].numpy()
    way = int(rng.choice([0, 4])) if upright else int(rng.integers(TURNS))
    changed = turn(sized, way) * np.float32(np.exp(rng.normal(0, CONTRAST)))
    return np.ascontiguousarray(np.broadcast_to(changed, (3, side, side)))


def logits_of(network: ClassNet, features: Tensor) -> Tensor:
    """Logits (n, k) of raw features (n, d) by a linear head."""
    level = network.scaled.level(network.scaled(features))
    out: Tensor = network.head(level, level)
    return out


def held_loss(network: ClassNet, held: Pupils) -> float:
    """Mean cross-entropy of images that are not learnt, all classes weighing alike."""
    features = raw_features(network, held.views)
    with torch.inference_mode():
        logits = logits_of(network, torch.from_numpy(features))
    loss = -(torch.from_numpy(held.targets) * torch.log_softmax(logits, dim=1)).sum(dim=1)
    return float((loss * torch.from_numpy(held.weights)).mean())


def raw_features(network: ClassNet, views: Sequence[View], *, threads: int | None = None) -> Array:
    """Raw features (n, d) that the backbone of a network has of views."""
    with FeatureReader(copy.deepcopy(network.backbone), threads=threads or torch.get_num_threads()) as reader:
        return np.stack([reader.features(whole(view)) for view in views])


def whole(view: View) -> Array:
    """A view with its three channels in single precision."""
    return np.ascontiguousarray(np.broadcast_to(view.astype(np.float32), (3, *view.shape[1:])))


def rescale(network: ClassNet, features: Array) -> None:
    """Take the scale of a network anew from raw features (n, d), its linear layer changed so that it says the same."""
    assert isinstance(network.head, LinearHead)
    scaled, last = network.scaled, network.head.last
    middle, spread = scaled.middle.clone(), scaled.spread.clone()
    scaled.fit(torch.from_numpy(features))
    even = scaled.ratio * scaled.weight
    with torch.no_grad():
        last.bias += last.weight @ (even * (scaled.middle - middle) / spread)
        last.weight *= scaled.spread / spread
