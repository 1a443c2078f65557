"""How the scorer `films` learns: from thousands of small drawn films, cell by cell, each time in another light."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope.synth.films import CLASSES, FilmPicture
from morphoscope.synth.write_films import independent_films
from morphoscope.train.patch_networks import PatchNet, build_network

BATCH, DECAY = 16, 0.02
CELL, PATCHES = 8, ((128, 0.8), (64, 0.2))  # px; sides of what is learnt at once, and how often
EXPOSURE, BALANCE, GREY, NOISE = 0.12, 0.04, 0.05, 0.03  # spread of log gains, share of grey patches, most noise
MEMORY = 0.997  # of the average of the weights
CHUNK = 250

Array = NDArray[np.float32]
Drawn = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # pictures (n, h, w, 3), and masks (n, h, w) with a bit for each class


class Part(NamedTuple):
    """A part of the training: steps, highest rate, weights of the classes in the loss, and (seed, films, side in px) to draw.

    What is rare counts more in the loss. A constant weight leaves shares unbiased.
    """

    steps: int
    rate: float
    weights: tuple[float, ...]
    films: tuple[tuple[int, int, int], ...]


SMALL, LARGER = (3000, 9500, 160), (3001, 3000, 256)
PARTS = (
    Part(4500, 3e-3, (2.2, 1.0, 8.0, 5.0, 1.0), (SMALL,)),
    Part(2600, 2e-3, (2.2, 1.5, 8.0, 5.0, 0.5), (SMALL, LARGER)),
    Part(1700, 1.5e-3, (2.2, 2.0, 8.0, 5.0, 0.5), (SMALL, LARGER)),
)


def drawn_films(folder: Path, seed: int, count: int, side: int) -> list[Drawn]:
    """Small films that have nothing to do with each other, drawn once and kept in a folder."""
    folder = folder / f"{seed}-{side}"
    folder.mkdir(parents=True, exist_ok=True)
    scenes = independent_films(seed, count, shape=(side, side)).scenes
    found = []
    for first in range(0, count, CHUNK):
        path = folder / f"{first:05d}.npz"
        if not path.is_file():
            pictures = [FilmPicture(scene) for scene in scenes[first : first + CHUNK]]
            np.savez(path, im=np.stack([p.image for p in pictures]), ma=np.stack([_bits(p) for p in pictures]))
        with np.load(path) as kept:
            found.append((kept["im"], kept["ma"]))
    return found


def _bits(picture: FilmPicture) -> NDArray[np.uint8]:
    masks = [picture.masks[name].astype(np.uint8) << k for k, name in enumerate(CLASSES)]
    return np.asarray(np.bitwise_or.reduce(masks), np.uint8)


def batches(films: list[Drawn], rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    """Random parts of films (n, 3, s, s), turned and in another light, and the share of each class in each cell."""
    sides, chances = zip(*PATCHES, strict=True)
    while True:
        side = int(rng.choice(sides, p=chances))
        count = BATCH * (PATCHES[0][0] // side) ** 2
        seen = np.empty((count, side, side, 3), np.float32)
        shares = np.empty((count, len(CLASSES), side // CELL, side // CELL), np.float32)
        for k in range(count):
            chunk = films[rng.integers(len(films))]
            film, (y, x) = rng.integers(len(chunk[0])), rng.integers(0, chunk[0].shape[1] - side + 1, 2)
            way = int(rng.integers(8))
            part, bits = (_turned(a[film, y : y + side, x : x + side], way) for a in chunk)
            seen[k] = _relit(part, rng)
            there = (bits[None] >> np.arange(len(CLASSES), dtype=np.uint8)[:, None, None]) & 1
            shares[k] = there.reshape(len(CLASSES), side // CELL, CELL, side // CELL, CELL).mean((2, 4))
        yield np.ascontiguousarray(seen.transpose(0, 3, 1, 2)), shares


def _turned(part: NDArray[np.uint8], way: int) -> NDArray[np.uint8]:
    return np.rot90(part[:, ::-1] if way >= 4 else part, way % 4)


def _relit(part: NDArray[np.uint8], rng: np.random.Generator) -> Array:
    gains = np.exp(rng.normal(0, EXPOSURE) + rng.normal(0, BALANCE, 3))
    light = (part * (gains / 255)).astype(np.float32)
    if rng.random() < GREY:
        light = np.repeat(light.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.3:
        light = light + rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0, NOISE))
    return np.clip(light, 0, 1)


def learnt(folder: Path, parts: Sequence[Part] = PARTS) -> PatchNet:
    """The network `cells` after all parts; drawn films are kept in `folder`."""
    torch.manual_seed(0)
    network = build_network("cells", outputs=len(CLASSES))
    last = network.head[1]
    assert isinstance(last, torch.nn.Conv2d) and last.bias is not None
    torch.nn.init.normal_(last.weight, 0, 0.02)
    torch.nn.init.constant_(last.bias, -2.0)
    for number, part in enumerate(parts):
        films = [chunk for drawn in part.films for chunk in drawn_films(folder, *drawn)]
        network = _further(network, films, part, np.random.default_rng(1 + number))
    return network.eval()


def _further(network: PatchNet, films: list[Drawn], part: Part, rng: np.random.Generator) -> PatchNet:
    """The network after a part: the moving average of its weights."""
    network = network.train().to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), part.rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, part.steps))
    weights = torch.tensor(part.weights) / float(np.mean(part.weights))
    drawn, running = batches(films, rng), np.zeros(len(CLASSES))
    for step in range(1, part.steps + 1):
        patches, shares = (torch.from_numpy(part) for part in next(drawn))
        with torch.autocast("cpu", torch.bfloat16):
            features = network.features(patches.contiguous(memory_format=torch.channels_last))
        logits = network.head[:2](features.float())
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, shares, reduction="none").mean((0, 2, 3))
        optimiser.zero_grad(set_to_none=True)
        (losses * weights).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        running += losses.detach().numpy()
        if step % 100 == 0:
            told = ", ".join(f"{name} {loss / 100:.4f}" for name, loss in zip(CLASSES, running, strict=True))
            print(f"films: step {step}, loss {told}", flush=True)
            running[:] = 0
    result: PatchNet = averaged.module
    return result


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 100, 1) * (0.01 + 0.495 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _average(mean: torch.Tensor, new: torch.Tensor, count: torch.Tensor | int) -> torch.Tensor:
    return mean + (new - mean) * (1 - min(MEMORY, (1 + int(count)) / (10 + int(count))))
