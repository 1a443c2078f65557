"""Which side of a threshold are the particles: the one whose parts are convex, and that touches less of the picture's rim.

Neither does alone. Particles that cover half of a picture touch as much of its rim as the ground does; the ground between few
particles is convex but for them. Weights and limit are from `python -m benchmarks.polarity`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.hulls import convex_hulls
from morphoscope.measure.runs import label_runs
from morphoscope.measure.watershed import connected, part_touching

Inside = NDArray[np.bool_]

RIM = 0.03  # what the rim weighs beside the solidity
SHARE = 0.01  # of the rim; less is not told from none
UNCLEAR = 0.1
MOST_PX = 1024  # side of the picture it is judged by


def bright_side(bright: Inside, smallest_px: int = 50, separate_px: float | None = None) -> float:
    """How much speaks for the bright parts of a picture (h, w) being the particles, from about -1 to 1.

    The mean solidity (area / convex area, each part weighted by its area, touching ones parted) of the bright parts less that of
    the dark ones, plus `RIM` times the log odds of the rim being dark; all bright is -1, all dark 1. Of an absolute value below
    `UNCLEAR` the sign is little more than a guess.
    """
    if bright.all() or not bright.any():
        return -1.0 if bright.all() else 1.0
    rim = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]])
    step = -(-max(bright.shape) // MOST_PX)
    seen = np.ascontiguousarray(bright[::step, ::step])
    apart = None if separate_px is None else separate_px / step
    sides = [_solidity(side, max(smallest_px // step**2, 4), apart) for side in (seen, ~seen)]
    share = float(np.clip(rim.mean(), SHARE, 1 - SHARE))
    return sides[0] - sides[1] + RIM * math.log((1 - share) / share)


def side_named(speaks: float) -> str:
    """`bright` or `dark`, by a value of `bright_side`."""
    return "bright" if speaks > 0 else "dark"


def side_doubts(speaks: float) -> tuple[str, ...]:
    """A warning where a value of `bright_side` says little."""
    if abs(speaks) >= UNCLEAR:
        return ()
    return (
        "It is not clear whether the bright or the dark parts are the particles; the "
        f"{side_named(speaks)} ones were taken. Look at the overlay, and set segment.polarity.",
    )


def _solidity(inside: Inside, smallest_px: int, separate_px: float | None) -> float:
    """Mean solidity of the parts of a foreground; 0 without any."""
    parts, area = connected(inside, 8)
    kept = area >= smallest_px
    kept[0] = False
    holes, size = connected(~kept[parts], 4)
    filled = size < 4 * smallest_px
    filled[np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))] = False
    filled[0] = True
    runs = label_runs(part_touching(filled[holes], separate_px, smallest_px))
    if len(runs.labels) == 0:
        return 0.0
    own = np.bincount(runs.whose, weights=runs.last - runs.first + 1.0)
    return float(np.average(own / convex_hulls(runs).area_px, weights=own))
