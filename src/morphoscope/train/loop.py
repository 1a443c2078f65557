"""The optimisation loop of the detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from morphoscope.models.preprocess import robust_scale
from morphoscope.recipe import TrainRecipe
from morphoscope.train import augment
from morphoscope.train.centres import loss, targets
from morphoscope.train.networks import CentreNet

DECAY, AVERAGE = 0.05, 0.998


@dataclass(frozen=True)
class Example:
    """One labelled image (h, w) on the 0 to 1 scale.

    `boxes` (n, 5) are x0, y0, x1, y1 in px and the class; `valid` (h, w) is 1 where labels are complete.
    """

    image: NDArray[Any]
    boxes: NDArray[np.float64]
    valid: NDArray[np.uint8]
    weight: float = 1.0


def batches(examples: Sequence[Example], classes: int, recipe: TrainRecipe) -> Iterator[tuple[Tensor, ...]]:
    """Endless augmented batches: images (n, 1, s, s), heatmaps, box maps, valid cells (n, 1, s / stride, s / stride)."""
    rng = np.random.default_rng(recipe.seed)
    stride = CentreNet.stride
    share = np.array([e.weight for e in examples])
    share = share / share.sum()
    while True:
        parts: list[tuple[NDArray[np.float32], ...]] = []
        for index in rng.choice(len(examples), recipe.batch, p=share):
            example = examples[index]
            image, boxes, valid = augment.crop(example.image, example.boxes, example.valid, recipe.crop_px, rng)
            image, boxes, valid = augment.turn(image, boxes, valid, rng)
            image = augment.noise(augment.light(augment.decoys(image, rng), rng), rng)
            cells = (valid[stride // 2 :: stride, stride // 2 :: stride] > 0)[None].astype(np.float32)
            parts.append((robust_scale(image)[None], *targets(boxes, classes, recipe.crop_px // stride, stride), cells))
        yield tuple(torch.from_numpy(np.stack(x)) for x in zip(*parts, strict=True))


def train(
    network: nn.Module,
    examples: Sequence[Example],
    classes: int,
    recipe: TrainRecipe,
    *,
    threads: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Train a detector and give the moving average of its weights, in eval mode.

    AdamW with a one-cycle rate, channels_last and bfloat16 autocast on the CPU.

    Args:
        network: a `CentreNet`; parameters with requires_grad False stay as they are, batch norms of frozen parts too.
        examples: labelled images.
        classes: number of classes.
        recipe: see `TrainRecipe`.
        threads: None leaves PyTorch's own choice.
        progress: called with (step, mean loss) every 50 steps.
    """
    torch.manual_seed(recipe.seed)
    if threads:
        torch.set_num_threads(threads)
    network = network.to(memory_format=torch.channels_last).train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and not part.weight.requires_grad:
            part.eval()
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=recipe.rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.1)
    running = 0.0
    for step, (images, heat, box, valid) in enumerate(batches(examples, classes, recipe), 1):
        with torch.autocast("cpu", torch.bfloat16):
            output = network(images.contiguous(memory_format=torch.channels_last))
        value = loss(output, heat, box, valid)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(trained, 5.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        running += float(value.detach())
        if step % 50 == 0:
            if progress:
                progress(step, running / 50)
            running = 0.0
        if step >= recipe.steps:
            break
    return averaged.module.eval()


def _average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    # the short memory of the first steps keeps the random start out of short trainings
    decay = min(AVERAGE, (1 + int(count)) / (10 + int(count)))
    return mean + (new - mean) * (1 - decay)
