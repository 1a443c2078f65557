"""The training loop of segmenters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from morphoscope.recipe import Recipe
from morphoscope.train.instance_network import InstanceNet
from morphoscope.train.label_images import LabelledImage, shares
from morphoscope.train.lessons import PARTICLES, Lesson

DECAY, AVERAGE, BACKBONE = 0.03, 0.99, 0.4  # weight decay, memory of the average, the encoder's share of the rate


def train_network(
    network: InstanceNet,
    examples: list[LabelledImage],
    recipe: Recipe,
    *,
    lesson: Lesson = PARTICLES,
    zoom: float | None = None,
    fixed_norms: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> InstanceNet:
    """Train on random crops and give the moving average of the weights, in eval mode.

    AdamW, the rate warmed up and let down by a cosine; channels_last and bfloat16 autocast on the CPU.

    Args:
        network: an `InstanceNet`; parameters with requires_grad False stay as they are.
        examples: labelled images.
        recipe: `[train]` steps, batch, crop_px (a multiple of 32), rate and seed; `run.threads`.
        lesson: what is learnt.
        zoom: how much crops are magnified, see `label_images.crop`.
        fixed_norms: batch norms of the encoder keep the statistics that they have.
        progress: called with (step, mean loss since the last call) every 25 steps and at the end.
    """
    settings = recipe.train
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    network = network.to(memory_format=torch.channels_last).train()
    if fixed_norms:
        network.backbone.eval()
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW(_groups(network, settings.rate), weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings.steps))
    rng, share, running = np.random.default_rng(settings.seed), shares(examples), 0.0
    for step in range(1, settings.steps + 1):
        chosen = rng.choice(len(examples), settings.batch, p=share)
        drawn = [lesson.crop(examples[k], settings.crop_px, rng, zoom=zoom) for k in chosen]
        images, target, valid = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            output = network(images.contiguous(memory_format=torch.channels_last))
        value = lesson.loss(output, target, valid)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        running += float(value.detach())
        if step % 25 == 0 or step == settings.steps:
            if progress:
                progress(step, running / ((step - 1) % 25 + 1))
            running = 0.0
    result: InstanceNet = averaged.module.eval()
    return result


def _groups(network: InstanceNet, rate: float) -> list[dict[str, object]]:
    """What is trained, and at which rate: the encoder slower, frozen parameters not at all."""
    encoder = {id(p) for p in network.backbone.parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    slow, fast = ([p for p in trained if (id(p) in encoder) == inside] for inside in (True, False))
    return [{"params": part, "lr": r} for part, r in ((slow, rate * BACKBONE), (fast, rate)) if part]


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 40, 1) * (0.02 + 0.49 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    decay = min(AVERAGE, (1 + int(count)) / (10 + int(count)))
    return mean + (new - mean) * (1 - decay)
