"""The training loop of networks of patches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.score_pictures import Array

DECAY, AVERAGE = 0.01, 0.98  # weight decay, memory of the average
LEAST_STEPS = 10  # of an epoch: of few patches, an epoch sees each several times
MOST_EPOCHS, FEWEST_EPOCHS, MOST_STEPS = 30, 11, 3000  # where none are given: the most, but no more steps, but no fewer epochs
CHUNK_PX = 2**19  # of patches judged at once

Held = tuple[Array, Array]  # what `Draws` gives, not learnt


class Draws(Protocol):
    """What gives patches to learn from."""

    @property
    def shift(self) -> NDArray[np.float64] | float:
        """What logits (outputs,) learnt from its patches are too high by, as it draws some classes more often than they are."""
        ...

    def __len__(self) -> int:
        """How many patches an epoch has."""
        ...

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Patches (n, c, s, s), targets (n, k) and weights (n,); of parts with several patches, targets (n, k, rows, columns)."""
        ...


@dataclass(frozen=True)
class Fit:
    """How a network is trained: `answer` and `levels` as on its card; epochs and patience as in the recipe.

    `keep_norms`: batch norms go on with the statistics they have. A network that has learnt thousands of images would else
    be shown a few that are alike, see these in the light of their own mean, and forget the others.
    """

    answer: str
    levels: int
    batch: int
    rate: float
    epochs: int
    patience: int
    seed: int
    keep_norms: bool = False


def steps_of(places: int, batch: int) -> int:
    """Steps of an epoch over so many places to learn from."""
    return max(-(-places // batch), LEAST_STEPS)


def usual_epochs(places: int, batch: int) -> int:
    """How many epochs a training has at most, where none are given."""
    return int(np.clip(MOST_STEPS // steps_of(places, batch), FEWEST_EPOCHS, MOST_EPOCHS))


def loss_of(logits: Tensor, target: Tensor, answer: str, levels: int) -> Tensor:
    """Loss (n,) of logits (n, outputs) for targets (n, k), 0 to 1.

    Exclusive: cross entropy. Multi-label: binary cross entropy, of shares as of probabilities. Ordinal: that of P(y > j) for each
    level j of a class (Frank & Hall, ECML 2001), whose targets of a share between two levels lie between 0 and 1.
    """
    if answer == "exclusive":
        return -(target * torch.log_softmax(logits, dim=1)).sum(dim=1)
    if answer == "ordinal":
        steps = torch.arange(levels, dtype=target.dtype)
        target = (target[:, :, None] * levels - steps).clamp(0, 1).flatten(1)
    return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)


def by_patch(values: Tensor) -> Tensor:
    """Values (n, k, rows, columns) of several patches each to (n * rows * columns, k); (n, k) as they are."""
    return values.flatten(2).transpose(1, 2).flatten(0, 1) if values.ndim > 2 else values


def train_patches(
    network: PatchNet,
    sampler: Draws,
    fit: Fit,
    *,
    held: Held | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[PatchNet, int]:
    """Train and give the moving average of the weights, in eval mode, and after how many epochs it was taken.

    AdamW, the rate warmed up and let down by a cosine; channels_last and bfloat16 autocast on the CPU.

    Args:
        network: parameters with requires_grad False stay as they are, as do norms in features that are frozen whole.
        sampler: gives the patches.
        fit: settings.
        held: patches for early stopping: of all epochs the best on them is taken, and patience begins after a third of them;
            None to train to the end.
        progress: called with (epoch, mean loss).
    """
    network = network.to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], fit.rate, weight_decay=DECAY)
    steps = steps_of(len(sampler), fit.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps * fit.epochs))
    rng, best, kept = np.random.default_rng(fit.seed), (float("inf"), 0), averaged.module
    for epoch in range(1, fit.epochs + 1):
        _learn(network, fit)
        running = 0.0
        for _ in range(steps):
            running += _step(network, sampler, fit, rng, optimiser)
            schedule.step()
            averaged.update_parameters(network)
        if progress:
            progress(epoch, running / steps)
        if held is None:
            continue
        value = held_loss(averaged.module, held, fit, shift=sampler.shift)
        if value < best[0]:
            best, kept = (value, epoch), copy.deepcopy(averaged.module)
        elif epoch - max(best[1], fit.epochs // 3) >= fit.patience:
            break
    result: PatchNet = (averaged.module if held is None else kept).eval()
    lower(result, sampler.shift)
    return result, best[1] if held is not None else fit.epochs


def lower(network: PatchNet, by: NDArray[np.float64] | float) -> None:
    """Make the logits lower for good, each (outputs,) or all by the same."""
    last = [m for m in network.modules() if isinstance(m, nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.no_grad():
        last.bias -= torch.as_tensor(by, dtype=last.bias.dtype)


def _learn(network: PatchNet, fit: Fit) -> None:
    network.train()
    if not any(p.requires_grad for p in network.features.parameters()):
        network.features.eval()
    for m in network.modules():
        if fit.keep_norms and isinstance(m, nn.BatchNorm2d):
            m.eval()


def _step(network: PatchNet, sampler: Draws, fit: Fit, rng: np.random.Generator, optimiser: torch.optim.Optimizer) -> float:
    """One step; the loss."""
    patches, targets, weights = (torch.from_numpy(part) for part in sampler.draw(fit.batch, rng))
    with torch.autocast("cpu", torch.bfloat16):
        output = network.of_patches(patches.contiguous(memory_format=torch.channels_last), fit.answer)
    loss = loss_of(by_patch(output.float()), by_patch(targets), fit.answer, fit.levels)
    value = (loss.reshape(len(weights), -1).mean(dim=1) * weights).mean()
    optimiser.zero_grad(set_to_none=True)
    value.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimiser.step()
    return float(value.detach())


def logits_of(network: PatchNet, patches: Array, answer: str = "multi-label") -> Tensor:
    """Logits (m, outputs) of all patches in (n, c, s, s), in eval mode and single precision, in parts that fit the memory."""
    network.eval()
    most = max(CHUNK_PX // (patches.shape[2] * patches.shape[3]), 1)
    with torch.inference_mode():
        seen = (torch.from_numpy(patches[k : k + most]) for k in range(0, len(patches), most))
        parts = [by_patch(network.of_patches(some, answer)) for some in seen]
    return torch.cat(parts)


def held_loss(network: PatchNet, held: Held, fit: Fit, *, shift: NDArray[np.float64] | float = 0.0) -> float:
    """Mean loss on patches that are not learnt, the logits lowered by a shift."""
    logits = logits_of(network, held[0], fit.answer) - torch.as_tensor(shift, dtype=torch.float32)
    return float(loss_of(logits, by_patch(torch.from_numpy(held[1])), fit.answer, fit.levels).mean())


def best_temperature(network: PatchNet, held: Held, fit: Fit) -> float:
    """What logits are divided by so that the loss on held-out patches is least (Guo et al., arXiv:1706.04599), 0.5 to 4.

    1 where a patch is the mean of its cells: their logits are not those of the patch.
    """
    if network.cellular:
        return 1.0
    return temperature_of(logits_of(network, held[0]), torch.from_numpy(held[1]), fit)


def temperature_of(logits: Tensor, target: Tensor, fit: Fit) -> float:
    """`best_temperature` of logits (n, outputs) that are known, and their targets (n, k)."""
    if fit.answer == "multi-label" and bool(((target > 0) & (target < 1)).any()):
        return 1.0  # shares: a class that is badly told would draw the extents of all others towards one half
    tried = np.geomspace(0.5, 4, 31)
    losses = [float(loss_of(logits / t, target, fit.answer, fit.levels).mean()) for t in tried]
    return float(round(tried[int(np.argmin(losses))], 3))


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 20, 1) * (0.02 + 0.49 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    decay = min(AVERAGE, (1 + int(count)) / (10 + int(count)))
    return mean + (new - mean) * (1 - decay)
