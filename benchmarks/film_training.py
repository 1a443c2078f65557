"""How the scorer `films` learns: cells of drawn films from near, then what lies around them, then both, in changing light."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from morphoscope.synth.film_scene import FilmScene, random_film
from morphoscope.synth.films import CLASSES, FilmPicture
from morphoscope.train.cell_network import LEAST_SHARE
from morphoscope.train.patch_networks import PatchNet, build_network

CELL, DECAY = 8, 0.02
NEAR_PX, NEAR_SIDES = 16 * 128**2, ((128, 0.8), (64, 0.2))  # px of a step; sides of what is seen at once, and how often
WHOLE_PX, SMALL_PX, SMALL = 8 * 256**2, 128, 0.1  # px of a step over whole films; share of steps over parts of this side
EXPOSURE, BALANCE, GREY, NOISE = 0.12, 0.04, 0.05, 0.03  # spread of log gains, share of grey films, most noise
MEMORY = 0.997  # of the average of the weights
CHUNK = 200
EVEN, ALONE, EARLY, HOLES = 0.1, 0.3, 0.3, 0.7  # shares of films: even, only dewetted; of these just begun, and by holes
CLEAN: dict[str, Any] = {"cracks": None, "scratches": 0, "particles_per_mm2": 0.0, "unevenness": 0.03}

Array = NDArray[np.float32]
Drawn = NDArray[np.uint8]  # films (n, h, w, 4): colours, and a bit for each class


class Films(NamedTuple):
    """Films to draw; `series`: with even ones and some that only dewet, as `film_to_learn` has it."""

    seed: int
    number: int
    shape: tuple[int, int]
    series: bool = False


class Part(NamedTuple):
    """A part of the training: steps, highest rate, weights of the classes in the loss, films, and what learns from them.

    `near`: the cells, from patches; `around`: what lies around them, from whole films; `all`: both, from whole films, of which
    half the way is gone (weights between two good ones are better than either: Wortsman et al., CVPR 2022, arXiv:2109.01903).
    What is rare counts more in the loss. A constant weight leaves shares unbiased.
    """

    steps: int
    rate: float
    weights: tuple[float, ...]
    films: tuple[Films, ...]
    learns: Literal["near", "around", "all"]


SMALLER, LARGER = Films(3000, 9500, (160, 160)), Films(3001, 3000, (256, 256))
WHOLE = (Films(3002, 3600, (256, 256), True), Films(3003, 2600, (256, 384), True))
PARTS = (
    Part(4500, 3e-3, (2.2, 1.0, 8.0, 5.0, 1.0), (SMALLER,), "near"),
    Part(2600, 2e-3, (2.2, 1.5, 8.0, 5.0, 0.5), (SMALLER, LARGER), "near"),
    Part(1700, 1.5e-3, (2.2, 2.0, 8.0, 5.0, 0.5), (SMALLER, LARGER), "near"),
    Part(3000, 2e-3, (2.2, 1.5, 8.0, 5.0, 0.5), WHOLE, "around"),
    Part(1300, 1e-3, (2.2, 1.5, 8.0, 5.0, 0.5), WHOLE, "all"),
)


def drawn_films(folder: Path, films: Films) -> list[Drawn]:
    """Films that have nothing to do with each other, drawn once, kept in a folder and read as they are needed."""
    height, width = films.shape
    folder = folder / f"{films.seed}-{height}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for first in range(films.seed * 100_000, films.seed * 100_000 + films.number, CHUNK):
        path = folder / f"{first}.npy"
        if not path.is_file():
            seeds = range(first, min(first + CHUNK, films.seed * 100_000 + films.number))
            scenes = (film_to_learn(k, films.shape) if films.series else random_film(k, shape=films.shape) for k in seeds)
            np.save(path.with_name("part.npy"), np.stack([_pixels(FilmPicture(scene)) for scene in scenes]))
            path.with_name("part.npy").replace(path)
        found.append(np.load(path, mmap_mode="r"))
    return found


def film_to_learn(seed: int, shape: tuple[int, int]) -> FilmScene:
    """A random film; some are even, some only dewet, from the first holes to nearly bare ground, as films of a series do."""
    rng = np.random.default_rng((seed, 78))
    kind = rng.random()
    if kind < EVEN:
        return random_film(seed, shape=shape, dewetting=0.0, **CLEAN)
    if kind >= EVEN + ALONE:
        return random_film(seed, shape=shape)
    early = rng.random() < EARLY
    bare = float(np.exp(rng.uniform(np.log(0.002), np.log(0.1))) if early else rng.uniform(0.05, 0.95))
    how = "holes" if rng.random() < HOLES else "spinodal"
    few = {"scratches": int(rng.integers(2)), "particles_per_mm2": float(rng.choice([0.0, 25.0]))}
    return random_film(seed, shape=shape, dewetting=bare, mechanism=how, **{**CLEAN, **few})


def _pixels(picture: FilmPicture) -> Drawn:
    bits = np.bitwise_or.reduce([picture.masks[name].astype(np.uint8) << k for k, name in enumerate(CLASSES)])
    return np.concatenate([picture.image, bits[..., None]], axis=-1)


def batches(films: Sequence[Drawn], rng: np.random.Generator, *, whole: bool) -> Iterator[tuple[Array, Array]]:
    """Films or parts of them (n, 3, h, w), turned and in another light, and the share of each class in each cell."""
    often = np.array([len(chunk) for chunk in films], float)
    often /= often.sum()
    sides, chances = zip(*NEAR_SIDES, strict=True)
    while True:
        side = SMALL_PX if whole else int(rng.choice(sides, p=chances))
        shape = films[rng.choice(len(films), p=often)].shape[1:3] if whole and rng.random() >= SMALL else (side, side)
        turned, parts = int(rng.integers(2)), list[Drawn]()
        while len(parts) < (WHOLE_PX if whole else NEAR_PX) // (shape[0] * shape[1]):
            chunk = films[rng.choice(len(films), p=often)]
            if chunk.shape[1] < shape[0] or chunk.shape[2] < shape[1]:
                continue
            y, x = (int(rng.integers(0, n - m + 1)) for n, m in zip(chunk.shape[1:3], shape, strict=True))
            part = np.asarray(chunk[rng.integers(len(chunk)), y : y + shape[0], x : x + shape[1]])
            parts.append(_turned(part, turned + 2 * int(rng.integers(4))))
        seen = np.stack([_relit(part[..., :3], rng) for part in parts])
        yield np.ascontiguousarray(seen.transpose(0, 3, 1, 2)), np.stack([_shares(part[..., 3]) for part in parts])


def _turned(part: Drawn, way: int) -> Drawn:
    """One of the eight ways to turn and mirror a film; odd ones make its height its width."""
    return np.rot90(part[:, ::-1] if way >= 4 else part, way % 4)


def _shares(bits: NDArray[np.uint8]) -> Array:
    there = (bits[None] >> np.arange(len(CLASSES), dtype=np.uint8)[:, None, None]) & 1
    rows, columns = bits.shape[0] // CELL, bits.shape[1] // CELL
    return np.asarray(there.reshape(len(CLASSES), rows, CELL, columns, CELL).mean((2, 4)), np.float32)


def _relit(part: NDArray[np.uint8], rng: np.random.Generator) -> Array:
    gains = np.exp(rng.normal(0, EXPOSURE) + rng.normal(0, BALANCE, 3))
    light = part * (gains / 255).astype(np.float32)
    if rng.random() < GREY:
        light = np.repeat(light.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.3:
        light = light + rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0, NOISE))
    return np.clip(light, 0, 1)


def learnt(folder: Path, parts: Sequence[Part] = PARTS) -> PatchNet:
    """The network `cells` after all parts; drawn films are kept in `folder`."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = build_network("cells", outputs=len(CLASSES))
    last, near = _layers(network)
    nn.init.normal_(last.weight[:, :near], 0, 0.02)
    nn.init.zeros_(last.weight[:, near:])
    assert last.bias is not None
    nn.init.constant_(last.bias, -2.0)
    for number, part in enumerate(parts):
        films = [chunk for drawn in part.films for chunk in drawn_films(folder, drawn)]
        before = copy.deepcopy(network.state_dict())
        network = further(network, films, part, np.random.default_rng(1 + number))
        if part.learns == "all":
            network.load_state_dict({name: (before[name] + after) / 2 for name, after in network.state_dict().items()})
    network.eval()
    return network


def _layers(network: PatchNet) -> tuple[nn.Conv2d, int]:
    """The last layer, and how many of its inputs are what a cell is from near."""
    last = network.head[-1]
    assert isinstance(last, nn.Conv2d)
    return last, [m for m in network.features if isinstance(m, nn.Conv2d)][-1].out_channels


def further(network: PatchNet, films: Sequence[Drawn], part: Part, rng: np.random.Generator) -> PatchNet:
    """The network after a part: the moving average of its weights."""
    network = network.train().to(memory_format=torch.channels_last)
    network.features[:-1].requires_grad_(part.learns != "around")
    averaged = torch.optim.swa_utils.AveragedModel(network, avg_fn=_average, use_buffers=True)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], part.rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, part.steps))
    weights = torch.tensor(part.weights) / float(np.mean(part.weights))
    whole = part.learns != "near"
    drawn, running = batches(films, rng, whole=whole), np.zeros(len(CLASSES))
    for step in range(1, part.steps + 1):
        seen, shares = (torch.from_numpy(one) for one in next(drawn))
        losses = _losses(_logits(network, seen.contiguous(memory_format=torch.channels_last), part.learns), shares, whole=whole)
        optimiser.zero_grad(set_to_none=True)
        (losses * weights).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        running += losses.detach().numpy()
        if step % 100 == 0:
            told = ", ".join(f"{name} {loss / 100:.4f}" for name, loss in zip(CLASSES, running, strict=True))
            print(f"films: step {step}, loss {told}", flush=True)
            running[:] = 0
    result: PatchNet = averaged.module
    result.requires_grad_(True)
    return result


def _logits(network: PatchNet, seen: Tensor, learns: str) -> Tensor:
    """Logits of cells; from near alone, or with what lies around them, which may be all that learns."""
    if learns == "around":
        network.features[:-1].eval()
    with torch.autocast("cpu", torch.bfloat16):
        features = network.features[:-1](seen) if learns == "near" else network.features(seen)
    last, near = _layers(network)
    kept = network.head[:-1](features.float())
    return nn.functional.conv2d(kept, last.weight if learns != "near" else last.weight[:, :near], last.bias)


def _losses(logits: Tensor, shares: Tensor, *, whole: bool) -> Tensor:
    """Losses (k,) of the shares of cells, and of whole films, whose errors all their cells make together."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, shares, reduction="none").mean((0, 2, 3))
    if not whole:
        return entropy
    told = torch.sigmoid(logits).mean((2, 3)).clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    return entropy + nn.functional.binary_cross_entropy(told, shares.mean((2, 3)), reduction="none").mean(0)


def _rate(step: int, steps: int) -> float:
    return float(min((step + 1) / 100, 1) * (0.01 + 0.495 * (1 + np.cos(np.pi * min(step / steps, 1)))))


def _average(mean: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    return mean + (new - mean) * (1 - min(MEMORY, (1 + int(count)) / (10 + int(count))))
