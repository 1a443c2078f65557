"""How the maps of a network of wires are read, versioned (`wires-1`): the same code serves training and inference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.alignment import Directions

WIRES = "wires-1"
CHANNELS = ("wire", "cos2", "sin2", "aligned")

Float = NDArray[np.float32]


class WireMaps(NamedTuple):
    """What is known of wires in a picture or in cells of it, (h, w) float32 each.

    Attributes:
        wire: probability that there is a wire.
        field: its direction; shorter than 1 where it is uncertain.
        aligned: probability that a wire there is coherently aligned (`measure.alignment`).
    """

    wire: Float
    field: Directions
    aligned: Float


def read_maps(maps: Float) -> WireMaps:
    """The network's output (4, h, w) as probabilities and directions."""
    wire, aligned = (1 / (1 + np.exp(-np.clip(maps[k], -30, 30))) for k in (0, 3))
    return WireMaps(wire.astype(np.float32), Directions(maps[1], maps[2]), aligned.astype(np.float32))
