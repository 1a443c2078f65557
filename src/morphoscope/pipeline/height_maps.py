"""Height maps in a run: which inputs are ones, their levelling before anything else, and the heights of what is found in them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import RecipeError
from morphoscope.io.adjust import Changed
from morphoscope.io.frames import Frames, Image
from morphoscope.measure.heights import heights
from morphoscope.measure.levelling import level
from morphoscope.measure.line_levels import ground_seen
from morphoscope.pipeline.stages import Plan
from morphoscope.recipe import Recipe
from morphoscope.schema import HEIGHTS


def is_height_map(frames: Frames) -> bool:
    """Whether the file states that its values are lengths (readers then give nm)."""
    return frames.metadata.get("height_unit") == "nm"


def levelled(frames: Frames, recipe: Recipe) -> Frames:
    """The frames, levelled as the recipe says.

    Raises:
        RecipeError: levelling is asked for and the input does not state that its values are heights.
    """
    how, scars = recipe.frames.level, recipe.frames.scars
    if how == "none" and not scars:
        return frames
    if not is_height_map(frames):
        unit = frames.metadata.get("value_unit")
        states = f"states values in {unit}" if unit else "does not state that its grey values are heights"
        asked = f'frames.level = "{how}"' if how != "none" else "frames.scars = true"
        raise RecipeError(
            f"{asked} is for height maps, and {frames.name(0)} {states}; leave it out, or give the file as the instrument "
            "or Gwyddion saved it (.gwy, .spm, .000, text with `# Value units: m`), and its channel of heights by frames.part"
        )
    said = f"heights are levelled ({how})" if how != "none" else "heights are not levelled"
    note = said + (", scars filled" if scars else "")
    return Changed(frames, partial(level, how=how, scars=scars), name="levelled", note=note, dtype=np.dtype(np.float32))


def height_warnings(frames: Frames, recipe: Recipe) -> tuple[str, ...]:
    """A warning for a height map that is analysed as it was stored."""
    if not is_height_map(frames) or recipe.frames.level != "none":
        return ()
    return ('The heights were not levelled; a tilted or bowed map has no one threshold: frames.level = "quadratic+rows".',)


def outline_notes(frames: Frames) -> tuple[str, ...]:
    """What the outlines of particles on a height map mean."""
    if not is_height_map(frames):
        return ()
    return (
        "Outlines on a height map lie where they were found, with a threshold about half-way up: diameters and areas of rounded "
        "particles are smaller than those of their feet. Volumes take in the foot.",
    )


def ground_warnings(image: Image, recipe: Recipe) -> tuple[str, ...]:
    """What speaks against the levelling of a height map (h, w) that the recipe had levelled."""
    if recipe.frames.level == "none":
        return ()
    doubts = ground_seen(image).doubts() if min(image.shape) >= 3 else ()
    return tuple(f"Look at the levelled map: {doubt}. Heights and volumes of it may be wrong." for doubt in doubts)


def with_heights(
    objects: pd.DataFrame, image: Image, plan: Plan, *, everything: NDArray[np.int32], value: NDArray[np.int64]
) -> pd.DataFrame:
    """Objects with the columns of `schema.HEIGHTS`, measured in the plan's region of a height map.

    Args:
        objects: n of them.
        image: (h, w) of the map as stored.
        plan: region, excluded parts and scale.
        everything: label image of the region with all that was found, also what is no object of the run: none of it is ground.
        value: (n,) values of the objects in it.
    """
    found = heights(plan.crop(image), everything, calibration=plan.calibration, valid=plan.valid_mask())
    known = found.set_index("mask_label").reindex(value).set_axis(objects.index)
    return objects.assign(**{name: known[name] for name in HEIGHTS})
