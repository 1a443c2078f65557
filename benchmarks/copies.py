"""How near copies lie: `python -m benchmarks.copies [--backbone lite0 mobilenet-v2]`.

Pieces of the micrographs of nanofibres overlap. For several limits: how many pairs of pieces of one micrograph are called near
copies, and how many pairs of two micrographs, which are then named (by eye these overlap, too: the microscope was moved little).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from benchmarks.data import data_folder
from morphoscope.train.backbones import build_backbone
from morphoscope.train.class_data import Look, look_at, read_classes, silent
from morphoscope.train.class_network import Scaled
from morphoscope.train.duplicates import NEAR, close_pairs

LIMITS = (0.14, 0.18, NEAR, 0.26, 0.3, 0.35)


def show(backbone: str) -> None:
    """A line for each limit."""
    network = build_backbone(backbone)
    seen = look_at(read_classes(data_folder("nanofibre-sem")), network, Look(network.side, ways=0), progress=silent)
    group, features = np.array(seen.groups), torch.from_numpy(seen.features)
    scaled = Scaled(network.stages)
    scaled.fit(features)
    unit = float(np.sqrt(2 * len(network.stages)))
    pairs = sum(count * (count - 1) // 2 for count in np.unique(group, return_counts=True)[1].tolist())
    for limit in LIMITS:
        own, others = 0, dict[tuple[str, ...], int]()
        for i, j, _ in close_pairs(scaled(features), limit * unit):
            alike = group[i] == group[j]
            own += int(alike.sum())
            for pair in zip(group[i[~alike]].tolist(), group[j[~alike]].tolist(), strict=True):
                name = tuple(sorted(pair))
                others[name] = others.get(name, 0) + 1
        told = ", ".join(f"{a} and {b} ({count})" for (a, b), count in sorted(others.items())) or "none"
        print(f"{backbone}: within {limit:g}: {own} of {pairs} pairs of one micrograph; of two: {told}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", nargs="+", default=["lite0", "mobilenet-v2", "lite1"])
    for name in parser.parse_args().backbone:
        show(name)
