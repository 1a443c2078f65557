"""Round spots found without a model, as objects of the pipeline; see `measure.spots`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from morphoscope.measure.spots import band_pass, margin, spots
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.finders import Measured
from morphoscope.pipeline.stages import Image, Plan
from morphoscope.recipe import SegmentRecipe

SETTINGS = ("polarity", "spot_px", "spot_min_mass", "spot_threshold", "spot_method")
KEPT = ("mass", "eccentricity", "signal")


class Spots:
    """Spots of about one size: a place and the size of the disc with the same radius of gyration, no mask and no fitted ellipse.

    Further columns: `mass`, `eccentricity` and `signal` of `measure.spots.spots`.
    """

    masks = False
    path: Path | None = None

    def __init__(self, recipe: SegmentRecipe | None = None) -> None:
        self._recipe = recipe or SegmentRecipe()
        self.rim = margin(self._recipe.spot_px)
        self.card = ModelCard(
            name="spots",
            task="detect",
            classes=("spot",),
            preprocess="none",
            postprocess="none",
            training={"settings": {name: value for name, value in self._recipe.model_dump().items() if name in SETTINGS}},
        )

    def key(self, plan: Plan) -> dict[str, Any]:
        """See `finders.ObjectFinder`."""
        return {}

    def find(self, number: int, image: Image, plan: Plan) -> pd.DataFrame:
        """See `finders.ObjectFinder`."""
        wanted, seen = self._recipe, plan.crop(image)
        polarity = polarity_of(seen, wanted.spot_px) if wanted.polarity == "auto" else wanted.polarity
        return spots(
            seen,
            diameter_px=wanted.spot_px,
            polarity=polarity,
            min_mass=wanted.spot_min_mass,
            threshold=wanted.spot_threshold,
            method=wanted.spot_method,
        )

    def measure(self, image: Image, found: pd.DataFrame, plan: Plan) -> Measured:
        """See `finders.ObjectFinder`."""
        x, y = found["x_px"] + plan.region.x0, found["y_px"] + plan.region.y0
        size = 2 * math.sqrt(2) * found["gyration_px"]
        nothing = pd.Series(np.nan, found.index)
        table = pd.DataFrame(
            {
                "label": pd.Series([self.card.classes[0]] * len(found), found.index, dtype="str"),
                "score": nothing,
                **{"x_px": x, "y_px": y, "width_px": size, "height_px": size},
                **{"ellipse_x_px": x, "ellipse_y_px": y, "major_px": size, "minor_px": size, "angle_deg": nothing},
                **{"area_px": math.pi / 4 * size**2, "on_edge": False, "fitted": False},
                **{name: found[name] for name in KEPT},
            }
        )
        return Measured(table[plan.holds(table)].reset_index(drop=True))


def polarity_of(image: Image, diameter_px: int) -> Literal["dark", "bright"]:
    """What the spots of a picture (h, w) are: dark where its band-passed levels reach farther from the ground on that side."""
    passed = band_pass(image, diameter_px).astype(np.float64)
    return "dark" if float(((passed - np.median(passed)) ** 3).sum()) < 0 else "bright"
