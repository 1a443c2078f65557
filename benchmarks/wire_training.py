"""How the model `wires` learns: from thousands of small drawn pictures of wires, turned and in another light."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope import __version__
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.preprocess import ROBUST, robust_scale
from morphoscope.models.wire_maps import WIRES, read_maps
from morphoscope.synth.wire_scene import random_wires
from morphoscope.synth.wires import WirePicture
from morphoscope.train.wire_network import WireNet

SIDE, BATCH, DECAY, MEMORY = 192, 12, 0.02, 0.997  # px; pictures to a step; of the weights; of their average
LEARNT, HELD = 5000, 5001  # seeds of pictures that are learnt and held out begin here
NO_WIRE, CHUNK = 255, 250
LEAST = 0.02  # share of wires in pictures that errors are taken from
PARTS = ((2600, 2.5e-3), (1000, 2e-3), (3300, 2e-3))  # steps and highest rate of the parts of the training
WEIGHTS = (1.0, 1.5, 3.0, 3.0)  # of wires, directions, alignment and the aligned fraction of a picture in the loss

Array = NDArray[np.float32]
CARD = ModelCard(
    name="wires",
    task="orient",
    classes=("wire",),
    preprocess=ROBUST,
    postprocess=WIRES,
    stride=16,
    threshold=0.5,
    data=(DataSource(name="drawn wires", licence="drawn by morphoscope", citation="morphoscope synth wires"),),
    limits=(
        "Learnt from drawn wires 3 to 11 px wide at a radius of 32 px; other widths want a radius of 3 to 12 of their widths. "
        "Where fewer than a few wires lie beside each other, or wires cover each other wholly, the aligned fraction is less "
        "sure. Edges, ridges and scratches of other things pass for wires."
    ),
    training={f"part {k + 1}": {"steps": steps, "rate": rate} for k, (steps, rate) in enumerate(PARTS)},
    morphoscope_version=__version__,
)


class Drawn(NamedTuple):
    """Pictures (n, h, w) uint8, angles in units of 180 / 240 degrees (`NO_WIRE` off the wires), and where they are aligned."""

    image: NDArray[np.uint8]
    angle: NDArray[np.uint8]
    aligned: NDArray[np.bool_]


def drawn_wires(folder: Path, seed: int, count: int) -> list[Drawn]:
    """Small pictures of wires, drawn once and kept in a folder."""
    folder = folder / f"{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for first in range(0, count, CHUNK):
        path = folder / f"{first:05d}.npz"
        if not path.is_file():
            seeds = range(seed * 100_000 + first, seed * 100_000 + min(first + CHUNK, count))
            parts = [_drawn(WirePicture(random_wires(k, shape=(SIDE, SIDE)))) for k in seeds]
            images, angles, aligned = (np.stack(part) for part in zip(*parts, strict=True))
            np.savez(path.with_suffix(".part.npz"), im=images, an=angles, al=aligned)
            path.with_suffix(".part.npz").rename(path)
        with np.load(path) as kept:
            found.append(Drawn(kept["im"], kept["an"], kept["al"]))
    return found


def _drawn(picture: WirePicture) -> Drawn:
    angle = np.where(picture.mask, np.rint(picture.field.angle_deg * 240 / 180) % 240, NO_WIRE).astype(np.uint8)
    return Drawn(picture.image, angle, picture.aligned)


def example(drawn: Drawn, k: int, way: int = 0) -> tuple[Array, Array]:
    """A picture (1, h, w) as the network sees it, and (4, h / 2, w / 2): share of wires, cos 2t, sin 2t, aligned share of them.

    `way` 0 to 7 turns it by 90 degrees times that, from 4 on mirrored.
    """
    image, code, aligned = (_turned(part[k], way) for part in drawn)
    wire = code != NO_WIRE
    twice = np.where(wire, code, 0).astype(np.float32) * np.float32(2 * np.pi / 240)
    sign = np.float32(1 - 2 * (way % 2))
    cos2, sin2 = wire * np.cos(twice) * sign, wire * np.sin(twice) * sign * (1 if way < 4 else -1)
    share = _cells(wire)
    length = np.maximum(np.hypot(_cells(cos2), _cells(sin2)), 1e-6)
    target = [share, _cells(cos2) / length, _cells(sin2) / length, _cells(aligned) / np.maximum(share, 1e-6)]
    return image[None], np.stack(target).astype(np.float32)


def _turned(part: NDArray[np.generic], way: int) -> NDArray[np.generic]:
    """Mirrored first (from 4 on), then turned counter-clockwise."""
    return np.rot90(part[:, ::-1] if way >= 4 else part, way % 4)


def _cells(part: NDArray[np.generic]) -> Array:
    height, width = part.shape
    return part.astype(np.float32).reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def batches(drawn: list[Drawn], rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Random pictures (n, 1, h, w) and what is to be learnt of them (n, 4, h / 2, w / 2)."""
    while True:
        chosen = [(drawn[rng.integers(len(drawn))], int(rng.integers(8))) for _ in range(BATCH)]
        parts = [example(part, int(rng.integers(len(part.image))), way) for part, way in chosen]
        yield np.stack([_relit(image[0], rng)[None] for image, _ in parts]), np.stack([target for _, target in parts])


def _relit(image: NDArray[np.uint8], rng: np.random.Generator) -> Array:
    light = (image / np.float32(255)).astype(np.float32) ** np.float32(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.3:
        light = light + rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.3) * light.std())
    return robust_scale(light)


def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Four parts (4,): wires, directions (squared distance on wires), alignment (on wires), error of the aligned fraction."""
    share = target[:, 0]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    wire = bce(output[:, 0], share)
    total = share.sum().clamp_min(1.0)
    way = (((output[:, 1:3] - target[:, 1:3]) ** 2).sum(1) * share).sum() / total
    aligned = (bce(output[:, 3], target[:, 3], reduction="none") * share).sum() / total
    there = torch.sigmoid(output[:, 0])
    found, true = (
        (part * of).sum((1, 2)) / of.sum((1, 2)).clamp_min(1.0)
        for part, of in ((torch.sigmoid(output[:, 3]), there), (target[:, 3], share))
    )
    enough = (share.mean((1, 2)) * 10).clamp_max(1.0)
    return torch.stack([wire, way, aligned, (enough * (found - true).abs()).mean()])


def learnt_wires(folder: Path) -> WireNet:
    """The network after all parts; drawn pictures are kept in `folder`."""
    torch.manual_seed(0)
    held, drawn, network = drawn_wires(folder, HELD, 120), drawn_wires(folder, LEARNT, 4500), WireNet()
    for number, (steps, rate) in enumerate(PARTS):
        network = further(network, drawn, steps=steps, rate=rate, seed=1 + number, held=held)
    return centred(network, held)


@torch.inference_mode()
def centred(network: WireNet, held: list[Drawn]) -> WireNet:
    """The network with the logit of alignment moved so that aligned fractions of pictures held out are right on average."""
    seen = []
    for part in held:
        for k in range(len(part.image)):
            image, target = example(part, k)
            if target[0].mean() >= LEAST:
                output = network(torch.from_numpy(robust_scale(image[0])[None, None]))[0].float().numpy()
                seen.append((output[[0, 3]], target))
    low, high = -2.0, 2.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        bias = float(np.mean([_fraction(logits[0], logits[1] + middle) - _true(target) for logits, target in seen]))
        low, high = (low, middle) if bias > 0 else (middle, high)
    bias_of = network.head.bias
    assert bias_of is not None
    bias_of[3] += middle
    print(f"wires: logit of alignment moved by {middle:.3f}", flush=True)
    return network


def _fraction(wire: Array, aligned: Array) -> float:
    there = 1 / (1 + np.exp(-wire))
    return float((there / (1 + np.exp(-aligned))).sum() / there.sum())


def _true(target: Array) -> float:
    return float((target[0] * target[3]).sum() / target[0].sum())


def further(
    network: WireNet, drawn: list[Drawn], *, steps: int, rate: float, seed: int, keep: Path | None = None, held: list[Drawn]
) -> WireNet:
    """The moving average of a network's weights after that many steps; kept every 500 steps."""
    network = network.train().to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    rng, running = np.random.default_rng(seed), np.zeros(len(WEIGHTS))
    drawer = batches(drawn, rng)
    for step in range(1, steps + 1):
        images, target = (torch.from_numpy(part) for part in next(drawer))
        with torch.autocast("cpu", torch.bfloat16):
            output = network(images.contiguous(memory_format=torch.channels_last))
        parts = loss(output.float(), target)
        optimiser.zero_grad(set_to_none=True)
        (parts * torch.tensor(WEIGHTS)).sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        running += parts.detach().numpy()
        if step % 50 == 0:
            print(f"wires: step {step}, loss {', '.join(f'{x / 50:.4f}' for x in running)}", flush=True)
            running[:] = 0
        if step % 500 == 0 or step == steps:
            mean = averaged.module
            print(f"wires: step {step}, held out: {fraction_error(mean.eval(), held)}", flush=True)
            mean.train()
            if keep:
                torch.save({"step": step, "mean": mean.state_dict(), "network": network.state_dict()}, keep)
    result: WireNet = averaged.module.eval()
    return result


@torch.inference_mode()
def fraction_error(network: WireNet, held: list[Drawn]) -> str:
    """Mean absolute error of the aligned fraction, its bias, and the median angular error, of pictures held out."""
    wrong, angle = [], []
    for part in held:
        for k in range(len(part.image)):
            image, target = example(part, k)
            share = target[0]
            if share.mean() < LEAST:
                continue
            output = network(torch.from_numpy(robust_scale(image[0])[None, None]))[0].float().numpy()
            wrong.append(_fraction(output[0], output[3]) - _true(target))
            maps = read_maps(output)
            way = np.arctan2(maps.field.sin2, maps.field.cos2) - np.arctan2(target[2], target[1])
            angle.append(np.rad2deg(np.median(np.abs((way[share > 0.5] + np.pi) % (2 * np.pi) - np.pi))) / 2)
    return f"fraction {100 * np.abs(wrong).mean():.2f} pp (bias {100 * np.mean(wrong):.2f}), angle {np.mean(angle):.2f} deg"


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 100, 1) * (0.01 + 0.495 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _average(mean: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
    return mean + (new - mean) * (1 - min(MEMORY, (1 + int(count)) / (10 + int(count))))
