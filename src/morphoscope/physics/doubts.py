"""What makes numbers of motion say less than they seem to: motion that is no free diffusion, few tracks, a range too short."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.physics.anomalous import Anomalous
from morphoscope.physics.paths import paths, slots, squared_pixels, steps
from morphoscope.physics.van_hove import NonGaussian

SHORTEST = "a D of the shortest steps, not a diffusion coefficient in the strict sense"
ENOUGH = 8  # tracks: drawing fewer again says little of how they differ
SLIGHT = 0.05  # an interval of the exponent this near 1 is none that tells: of few tracks it comes out somewhat short
WIDE = 1.0  # a non-Gaussian parameter above this: steps spread far wider than those of one D
LARGE = 0.1  # share of the summed squared displacement that one track must hold to be named
UNLIKE = 3.0  # and how many times its share of the steps
NEAR = 0.15  # steps within this part of the search range are near its end


def not_one_d(exponent: Anomalous, alpha: NonGaussian) -> str:
    """Why the motion is not free diffusion with one D; empty where it may be.

    Args:
        exponent: of the ensemble MSD; doubt where its interval of 8 tracks or more does not hold 1, by more than 0.05.
        alpha: doubt where its whole interval lies above 1.
    """
    said = []
    if exponent.n_tracks >= ENOUGH and (exponent.high < 1 - SLIGHT or exponent.low > 1 + SLIGHT):
        said.append(
            f"the mean squared displacement grows as t^{exponent.exponent:.2f} ({exponent.low:.2f} to {exponent.high:.2f})"
        )
    if alpha.low > WIDE:
        said.append(f"steps are far from Gaussian (alpha_2 = {alpha.value:.2g}, {alpha.low:.2g} to {alpha.high:.2g})")
    return " and ".join(said)


def greatest_movers(objects: pd.DataFrame, calibration: Calibration, *, lag: int, most: int = 3) -> pd.DataFrame:
    """Tracks that hold more than a tenth of the summed squared displacement, and three times their share of the steps.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`.
        calibration: the sides of a pixel, where they differ.
        lag: of the steps in frame numbers.
        most: at most so many, the greatest first.

    Returns:
        `track_id`, `share`.
    """
    made = paths(objects)
    k = len(made.track_id)
    number, moved = steps(slots(made), lag) if k else (made.number, made.px)
    scale = np.ones(2) if calibration.pixel_size_nm is None else squared_pixels(calibration)
    square = np.bincount(number, (moved**2) @ scale, minlength=k)
    n = np.bincount(number, minlength=k)
    share = square / max(float(square.sum()), np.finfo(float).tiny)
    large = np.flatnonzero((share > LARGE) & (share > UNLIKE * n / max(int(n.sum()), 1)))
    large = large[np.argsort(-share[large], kind="stable")][:most]
    return pd.DataFrame({"track_id": made.track_id[large], "share": share[large]})


def share_near_limit(objects: pd.DataFrame, limit_px: float, *, lag: int = 1) -> tuple[float, int]:
    """Share of the steps over `lag` frames that lie within 15 % of a search range, and the number of steps; nan for none.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`.
        limit_px: the range.
        lag: frame numbers from one analysed frame to the next.
    """
    made = paths(objects)
    moved = steps(slots(made), lag)[1] if len(made.track_id) else made.px
    length = np.hypot(moved[:, 0], moved[:, 1])
    return (float((length > (1 - NEAR) * limit_px).mean()) if len(length) else math.nan), len(length)
