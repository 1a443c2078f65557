"""Whether the parts of a run that a recipe picks out are there at all, before any work is done."""

from __future__ import annotations

from collections.abc import Collection

from morphoscope.errors import RecipeError
from morphoscope.pipeline.follow import Field
from morphoscope.pipeline.motion import corners
from morphoscope.recipe import Recipe


def check_selection(recipe: Recipe, numbers: range, field: Field, *, tracks: Collection[int] = ()) -> None:
    """Whether the inner region and the track that is told lie in what is analysed; nothing where nothing is tracked.

    Steady frames that are not analysed only draw the run's warning: a recipe for a whole video is tried on a part of it, too.

    Args:
        recipe: what is picked out.
        numbers: the analysed frames.
        field: x0, y0, x1, y1 of what is analysed of each frame, px as stored.
        tracks: those that objects come with; empty where they are still to be linked.

    Raises:
        RecipeError: one of them lies outside.
    """
    if not (recipe.track.enabled and recipe.frames.series and len(numbers) > 1):
        return
    inner, told = recipe.physics.inner, recipe.report.track
    if inner is not None:
        x0, y0, x1, y1 = corners(inner)
        if x0 >= field[2] or y0 >= field[3] or x1 <= field[0] or y1 <= field[1]:
            raise RecipeError(
                f"physics.inner, x {inner.x0} to {inner.x1}, y {inner.y0} to {inner.y1} px, lies outside of what is analysed, "
                f"x {field[0] + 0.5:.0f} to {field[2] + 0.5:.0f}, y {field[1] + 0.5:.0f} to {field[3] + 0.5:.0f} px"
            )
    if told is not None and tracks and told not in tracks:
        raise RecipeError(f"report.track = {told}: the objects come with {len(tracks)} tracks, and none has that number")
