"""Images of another kind than those learnt: how well their distance to the nearest image learnt tells them.

python -m benchmarks.foreign [--backbone lite0] [--most 150]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.data import data_folder
from morphoscope.errors import InputError
from morphoscope.io.colour import read_colour
from morphoscope.io.images import find_pictures
from morphoscope.io.open import open_frames
from morphoscope.measure.classification import auc
from morphoscope.models.image_view import standard_view
from morphoscope.recipe import parse_recipe
from morphoscope.train.class_data import FeatureReader, silent
from morphoscope.train.class_job import prepare
from morphoscope.train.class_network import squared_distances
from morphoscope.train.classify import reach_of

Image = NDArray[np.generic]
LEARNT = ("neu-surface", "nanofibre-sem")
PARTS = {"crackforest": "image", "coating-cracks": "image", "emps-particles": "image", "loops-stem": "labelled"}
PARTS |= {"bulk-water": "frames"}


def main() -> None:
    """Print the area under the ROC curve and what is called foreign, for each folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="lite0")
    parser.add_argument("--most", type=int, default=150, help="images of a folder")
    given = parser.parse_args()
    for name in LEARNT:
        _against(name, given.backbone, given.most)


def _against(name: str, backbone: str, most: int) -> None:
    job = prepare(data_folder(name), parse_recipe({"train": {"backbone": backbone}}))
    held = job.hold_out(silent)
    assert held is not None
    network = job.learn(held.chosen, silent)
    reach = reach_of(network, held, job.images.groups)
    own = held.foreign[np.isfinite(held.foreign)]
    print(f"learnt: {name}, {backbone}; {100 * (own > reach).mean():.1f} % of its own images, held out, are called foreign")
    least = 1.0
    with FeatureReader(job.backbone) as reader:
        for other, images in FOLDERS.items():
            if other == name:
                continue
            raw = [reader.features(view) for view in _views(images(), job.view_px, most)]
            with torch.inference_mode():
                seen = network.scaled(torch.from_numpy(np.stack(raw)))
                far = squared_distances(seen, network.bank).amin(dim=1).sqrt().numpy()
            area = auc(np.r_[np.ones(len(far), bool), np.zeros(len(own), bool)], np.r_[far, own])
            least = min(least, area)
            print(
                f"  {other:<20} {len(far):4d} images  AUC {area:.4f}  called foreign {100 * (far > reach).mean():5.1f} %",
                flush=True,
            )
    print(f"  least AUC {least:.4f}")


def _views(images: list[Callable[[], Image]], view_px: int, most: int) -> Iterator[NDArray[np.float32]]:
    """Images as the network sees them, evenly taken; those that cannot be read are left out."""
    for k in np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)):
        try:
            yield standard_view(images[k](), view_px=view_px)
        except InputError as error:
            print(f"  left out: {error}")


def _files(folder: Path) -> list[Callable[[], Image]]:
    return [lambda path=path: read_colour(path) for path in find_pictures(folder, deep=True)]


def _pages(path: Path) -> list[Callable[[], Image]]:
    with open_frames(path) as frames:
        stack = [frames[k] for k in range(len(frames))]
    return [lambda page=page: page for page in stack]


def _patches() -> list[Callable[[], Image]]:
    with np.load(data_folder("bridge-crack-patches") / "train.npz") as file:
        stack = file["images"]
    return [lambda one=one: one for one in stack]


FOLDERS: dict[str, Callable[[], list[Callable[[], Image]]]] = {
    name: lambda name=name: _files(data_folder(name) / PARTS.get(name, ".")) for name in (*LEARNT, *PARTS, "afm-fibres")
}
FOLDERS |= {
    "gold-tem": lambda: _pages(data_folder("gold-tem") / "frames.tif"),
    "tomograms": lambda: _pages(data_folder("tomograms") / "polymer_fibres_128.tif"),
    "bridge-crack-patches": _patches,
}


if __name__ == "__main__":
    main()
