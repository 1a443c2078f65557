"""Pictures that nothing, or nothing sure, can be told of their wires."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

WIRE = 0.5  # probability from which on a px shows a wire
FEW_WIRES = 0.02  # share of the picture with wires below which nothing is told of them
SURE = 0.35  # least part of the sum of probabilities that lies where wires are likely: noise has 0.1, drawn wires 0.65 and more
APART, APART_S2 = 0.4, 0.25  # aligned fraction and S2 of the model differ this widely from both other methods
FEW, UNSURE, DISAGREE = "few wires", "unsure", "methods disagree"
SAID_OF = {
    FEW: f"wires in less than {100 * FEW_WIRES:g} % of the picture: nothing is told of them, and means are without it.",
    UNSURE: "hardly anywhere is the model sure of wires: nothing is told of them, and means are without it.",
    DISAGREE: "structure tensor and gradient orientation both tell something else than the model: look whether these are wires; "
    "means are without it.",
}


def doubt_of(weight: NDArray[np.float32], kept: NDArray[np.bool_]) -> str:
    """Why nothing can be told of a picture's wires, from their probability (h, w) and what counts of it; empty if it can."""
    likely = weight >= WIRE
    if int(likely.sum()) < FEW_WIRES * max(int(kept.sum()), 1):
        return FEW
    return UNSURE if float(weight[likely].sum()) < SURE * float(weight.sum()) else ""


def methods_disagree(row: Mapping[str, float], others: Iterable[str]) -> bool:
    """Whether the model differs widely from all other methods of a row, as it does on textures that are no wires.

    Args:
        row: `aligned_fraction`, `S2`, and the same of other methods where they were asked for (`S2_<other>`).
        others: how these are called in the row.
    """
    there = [name for name in others if f"S2_{name}" in row]

    def apart(name: str) -> float:
        return min((abs(row[name] - row[f"{name}_{other}"]) for other in there), default=math.nan)

    return apart("aligned_fraction") > APART or apart("S2") > APART_S2
