"""Anomaly maps without labels: `python -m benchmarks.anomaly [--imagenet WEIGHTS.pth] [--from particles] [--only films]`.

A model is made of a few good images (`train score GOOD --good`) and judged on others:

- films: drawn ones under four microscopes, 6 good images each. Area under the ROC of S_anomaly (images with a defect against good
  ones), of the map (pixels of a defect against the others of its image, each image by itself), what good images score against
  what the model's card expects, and what one box around a defect teaches: S of its name in films with it, with other
  defects, and without any.
- steel: neu-surface, each class in turn is good (10 images), 40 others of it against 40 of each other class.
- coatings: coating-cracks, good are tiles of 256 px without a crack from other images (three folds by specimen); area under
  the ROC of the map's pixels, crack against the rest of the image, at two magnifications.

About ten minutes of one core.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.data import data_folder, imagenet_weights
from morphoscope.measure.classification import auc
from morphoscope.models.card import resolve_model
from morphoscope.models.score import Scorer, load_scorer
from morphoscope.recipe import parse_recipe
from morphoscope.synth.film_scene import CLASSES, FilmScene
from morphoscope.synth.films import FilmPicture
from morphoscope.train.anomaly import ANOMALY, train_anomaly
from morphoscope.train.taught import teach_defects

MICROSCOPES: tuple[dict[str, Any], ...] = (
    {"field": "dark", "objective": 5.0, "film": "organic", "substrate": "glass"},
    {"field": "bright", "objective": 20.0, "film": "perovskite", "substrate": "silicon"},
    {"field": "bright", "objective": 5.0, "film": "organic", "substrate": "silicon"},
    {"field": "dark", "objective": 20.0, "film": "perovskite", "substrate": "glass"},
)
GOOD, OTHERS, WITH = 6, 6, 2  # drawn films that are learnt, good ones that are not, films with each defect
TAUGHT = ("crack", "dewetting", "particle", "scratch")
TILE = 256  # px of a crack-free part of a coating
Image = NDArray[Any]


@dataclass(frozen=True)
class Maker:
    """Makes models from the features that the command line names, in a folder."""

    imagenet: Path | None
    start: Path | None
    folder: Path

    def model(self, good: Sequence[Image], *, patch_px: float | None = None) -> Scorer:
        """A model of good images (h, w) or (h, w, 3), RGB; the file `good.onnx`."""
        shutil.rmtree(self.folder / "good", ignore_errors=True)
        for k, image in enumerate(good):
            write(self.folder / "good" / f"{k}.png", image)
        recipe = parse_recipe({"run": {"threads": 1}, "score": {"patch_px": patch_px} if patch_px else {}})
        path = self.folder / "good.onnx"
        train_anomaly(self.folder / "good", path, recipe, imagenet=self.imagenet, start=self.start)
        return load_scorer(path, threads=1)

    def taught(self, image: Image, box: tuple[int, int, int, int]) -> Scorer:
        """The last model, taught the defect in a box (x, y, width, height) of an image."""
        write(self.folder / "miss.png", image)
        x, y, width, height = box
        row = {"file": "miss.png", "label": "taught", "x0": x - 2, "y0": y - 2, "x1": x + width + 2, "y1": y + height + 2}
        pd.DataFrame([row]).to_csv(self.folder / "boxes.csv", index=False)
        recipe = parse_recipe({"run": {"threads": 1}})
        teach_defects(self.folder / "boxes.csv", self.folder / "taught.onnx", recipe, start=self.folder / "good.onnx")
        return load_scorer(self.folder / "taught.onnx", threads=1)


def write(path: Path, image: Image) -> None:
    """Write an image (h, w) or (h, w, 3), RGB, as a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def extent(scorer: Scorer, image: Image, name: str = ANOMALY) -> float:
    """S of a class in an image."""
    return scorer.scores(image).extents()[name]


def auc_of(with_defect: Sequence[float], without: Sequence[float]) -> float:
    """How often an image with a defect scores above one without."""
    return auc(np.r_[np.ones(len(with_defect), bool), np.zeros(len(without), bool)], np.r_[with_defect, without])


def pixel_auc(scorer: Scorer, image: Image, mask: NDArray[np.bool_], channel: int = 0) -> float:
    """The same of the pixels of one image, the map enlarged by bilinear interpolation."""
    found = scorer.scores(image).values[channel]
    height, width = mask.shape
    cell = scorer.card.seen_px or 8.0
    grid = cv2.resize(found, (round(found.shape[1] * cell), round(found.shape[0] * cell)), interpolation=cv2.INTER_LINEAR)
    return auc(mask.ravel(), grid[:height, :width].ravel())


def film(microscope: dict[str, Any], seed: int, defect: str | None = None) -> FilmPicture:
    """A drawn film, as even as a good one is, with one kind of defect."""
    rng, um = np.random.default_rng(seed), 6.5 / microscope["objective"]
    defects: dict[str | None, dict[str, Any]] = {
        None: {},
        "crack": {"cracks": "network", "crack_spacing_um": 100 * um, "crack_width_um": 3 * um, "crack_open": 0.3},
        "dewetting": {"dewetting": 0.08, "dewetting_um": 30 * um, "mechanism": "holes"},
        "particle": {"particles_per_mm2": 1e6 * 0.002 / (np.pi / 4 * (6 * um) ** 2), "particle_um": 6 * um},
        "scratch": {"scratches": 2, "scratch_um": 3 * um},
        "nonuniform": {"unevenness": 0.4, "uneven_um": 120 * um},
    }
    even = {"exposure": float(rng.uniform(0.95, 1.05)), "unevenness": float(rng.uniform(0, 0.04))}
    return FilmPicture(FilmScene(**{**microscope, "seed": seed, "shape": (384, 512), **even, **defects[defect]}))


def films(maker: Maker) -> None:
    """Drawn films."""
    rows, taught = [], []
    for number, microscope in enumerate(MICROSCOPES):
        first = 1000 * number
        good = [film(microscope, first + k).image for k in range(GOOD + OTHERS)]
        bad = {name: [film(microscope, first + 100 + k, name) for k in range(WITH)] for name in CLASSES}
        scorer = maker.model(good[:GOOD])
        plain = [extent(scorer, image) for image in good[GOOD:]]
        row = {"microscope": f"{microscope['field']} {microscope['objective']:g}x", "good": np.mean(plain)}
        row["expected"] = scorer.card.metrics["good_extent"]
        for name in CLASSES:
            row[f"S {name}"] = auc_of([extent(scorer, one.image) for one in bad[name]], plain)
            row[f"map {name}"] = np.mean([pixel_auc(scorer, one.image, one.masks[name]) for one in bad[name]])
        rows.append(row)
        taught += [teach(maker, good, bad, name) | {"microscope": row["microscope"]} for name in TAUGHT]
    table = pd.DataFrame(rows).set_index("microscope")
    print("\nfilms: S_anomaly of good films not learnt, and what the card expects of them")
    print(table[["good", "expected"]].to_string(float_format="{:.4f}".format))
    for what in ("S", "map"):
        part = table[[f"{what} {name}" for name in CLASSES]].rename(columns=lambda c: c.split(" ")[1])
        part.loc["mean"] = part.mean()
        print(f"\narea under the ROC, {'images by S_anomaly' if what == 'S' else 'pixels by the map'}")
        print(part.to_string(float_format="{:.3f}".format))
        print(f"mean of all: {part.loc['mean'].mean():.3f}")
    print(
        "\ntaught by one box: its S in another film with it, in films with other defects, in good ones; ROC of its map's pixels"
    )
    print(pd.DataFrame(taught).groupby("defect", sort=False).mean(numeric_only=True).to_string(float_format="{:.3f}".format))


def teach(maker: Maker, good: Sequence[Image], bad: dict[str, list[FilmPicture]], name: str) -> dict[str, Any]:
    """What a box around the largest part of a defect in one film does in others."""
    shown, *others = bad[name]
    _, _, stats, _ = cv2.connectedComponentsWithStats(shown.masks[name].astype(np.uint8))
    x, y, width, height, _ = stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()].tolist()
    scorer = maker.taught(shown.image, (x, y, width, height))
    rest = [one for other in TAUGHT if other != name for one in bad[other][1:]]
    return {
        "defect": name,
        "with it": np.mean([extent(scorer, one.image, "taught") for one in others]),
        "with others": np.mean([extent(scorer, one.image, "taught") for one in rest]),
        "good": np.mean([extent(scorer, image, "taught") for image in good[GOOD:]]),
        "map": np.mean([pixel_auc(scorer, one.image, one.masks[name], 1) for one in others]),
    }


def steel(maker: Maker) -> None:
    """Each class of neu-surface in turn is good."""
    rng, learnt, tested = np.random.default_rng(0), 10, 40
    folders = sorted(p for p in data_folder("neu-surface").iterdir() if p.is_dir())
    images = {}
    for folder in folders:
        chosen = rng.permutation(np.array(sorted(folder.iterdir())))[: learnt + tested]
        images[folder.name] = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in chosen]
    print(f"\nsteel: {learnt} good images; area under the ROC of S_anomaly, {tested} more against {tested} of each other class")
    found = []
    for name in images:
        scorer = maker.model(images[name][:learnt])
        scores = {other: [extent(scorer, image) for image in some[learnt:]] for other, some in images.items()}
        found.append(auc_of([s for other, some in scores.items() if other != name for s in some], scores[name]))
        expected = scorer.card.metrics["good_extent"]
        print(f"{name:20s}{found[-1]:.3f}   S of good ones {np.mean(scores[name]):.3f}, expected {expected:.3f}", flush=True)
    print(f"{'mean':20s}{np.mean(found):.3f}")


def coatings(maker: Maker) -> None:
    """Cracks in cross-sections of coatings, by tiles without any."""
    root = data_folder("coating-cracks")
    files = sorted((root / "image").iterdir())
    images = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    cracks = [cv2.imread(str(root / "mask" / file.name), cv2.IMREAD_GRAYSCALE) == 2 for file in files]
    specimen = np.unique([file.name.split("_")[0] for file in files], return_inverse=True)[1]
    fold = np.random.default_rng(0).permutation(specimen.max() + 1)[specimen] % 3
    print("\ncoatings: area under the ROC of pixels, crack against the rest of its image")
    for patch_px in (16.0, 8.0):
        found = []
        for k in range(3):
            good = [tile for j in np.flatnonzero(fold != k) for tile in tiles_without(images[j], cracks[j])]
            scorer = maker.model(good, patch_px=patch_px)
            found += [pixel_auc(scorer, images[j], cracks[j]) for j in np.flatnonzero(fold == k)]
        each = ", ".join(f"{value:.2f}" for value in sorted(found))
        print(f"a cell of {patch_px:g} px: mean {np.mean(found):.3f}, by image {each}", flush=True)


def tiles_without(image: Image, mask: NDArray[np.bool_]) -> Iterator[Image]:
    """The tiles of an image in which nothing is marked."""
    for y in range(0, image.shape[0] - TILE + 1, TILE):
        for x in range(0, image.shape[1] - TILE + 1, TILE):
            if not mask[y : y + TILE, x : x + TILE].any():
                yield image[y : y + TILE, x : x + TILE]


def main() -> None:
    """See the module."""
    parts = {"films": films, "steel": steel, "coatings": coatings}
    parser = argparse.ArgumentParser(description="anomaly maps without labels")
    parser.add_argument("--imagenet", type=Path, help="weights of EfficientNet-Lite0; none: those of the installed package")
    parser.add_argument("--from", dest="start", help="the encoder of a model instead, such as particles")
    parser.add_argument("--only", nargs="+", default=list(parts), choices=list(parts))
    given = parser.parse_args()
    start = resolve_model(given.start) if given.start else None
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(None if start else given.imagenet or imagenet_weights(), start, Path(folder))
        for name in given.only:
            parts[name](maker)


if __name__ == "__main__":
    main()
