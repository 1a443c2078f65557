"""One input made ready: opened, its scale settled, what of it is analysed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, MorphoscopeError, RecipeError, TruncatedError
from morphoscope.io.adjust import inverted
from morphoscope.io.frames import Frames, StatingFrames
from morphoscope.io.independent import open_independent
from morphoscope.io.open import open_frames
from morphoscope.pipeline.finders import ObjectFinder
from morphoscope.pipeline.given import GivenObjects
from morphoscope.pipeline.height_maps import ground_warnings, height_warnings, is_height_map, levelled, outline_notes
from morphoscope.pipeline.masks import Masks
from morphoscope.pipeline.motion import corners
from morphoscope.pipeline.remarks import overruled
from morphoscope.pipeline.results import read_truth
from morphoscope.pipeline.scale import Scale, settle_scale
from morphoscope.pipeline.selection import check_selection
from morphoscope.pipeline.stages import Image, Plan, make_plan
from morphoscope.pipeline.views import Views, info_bar
from morphoscope.recipe import Recipe, Region

TRIED = 8  # frames from the first on of which one must be readable


@dataclass(frozen=True)
class Task:
    """One input, checked and ready."""

    path: Path
    recipe: Recipe
    frames: Frames
    calibration: Calibration
    finder: ObjectFinder
    plan: Plan
    numbers: range
    truth: pd.DataFrame | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    views: Views | None = None

    @property
    def tracked(self) -> bool:
        """Whether objects are followed from frame to frame."""
        return self.recipe.track.enabled and self.recipe.frames.series and len(self.numbers) > 1

    @property
    def registered(self) -> bool:
        """Whether drift between frames is measured."""
        return self.tracked and self.recipe.track.register_frames


def open_input(path: Path, recipe: Recipe) -> Frames:
    """Frames of an input as the recipe wants them.

    Raises:
        InputError: it cannot be opened.
        RecipeError: it is to be levelled and is no height map.
    """
    stored: StatingFrames
    if is_independent(path, recipe):
        stored = open_independent(path, part=recipe.frames.part, channel=recipe.frames.channel)
    else:
        stored = cast(StatingFrames, open_frames(path, part=recipe.frames.part, channel=recipe.frames.channel))
    try:
        frames = levelled(stored, recipe)
    except BaseException:
        stored.close()
        raise
    return inverted(frames) if recipe.frames.invert else frames


def is_independent(path: Path, recipe: Recipe) -> bool:
    """Whether an input is a folder of pictures that do not belong together."""
    return path.is_dir() and not recipe.frames.series


def prepare(path: Path, recipe: Recipe, frames: Frames, finder: ObjectFinder) -> Task:
    """The task of a run over opened frames.

    Raises:
        RecipeError: the recipe asks for frames, a region, an axis or a part of these that the input does not have.
        InputError: a scale was to come from a scale bar that is not there.
    """
    wanted = recipe.frames
    numbers = range(wanted.start, min(wanted.stop or len(frames), len(frames)), wanted.step)
    if not numbers:
        raise RecipeError(
            f"frames.start = {wanted.start}, frames.stop = {wanted.stop}: no frame of {path}, which has {len(frames)}"
        )
    picture = _first_good(frames, numbers)
    scale = Scale(recipe.calibrate(frames.calibration))
    bottom = None
    doubts: tuple[str, ...] = ()
    independent = is_independent(path, recipe)
    if picture is not None and not independent:
        scale = settle_scale(scale.calibration, picture, recipe.calibration.scale_bar)
        bottom = info_bar(recipe, frames.metadata, picture)
        doubts = ground_warnings(picture, recipe)
    calibration, notes = scale.calibration, scale.notes
    if recipe.report.axis is not None:
        calibration.axis(recipe.report.axis)
    if bottom is not None:
        notes += (f'The info bar from row {bottom} on is left out of the analysis (frames.info_bar = "keep" keeps it).',)
    known, region = _known_region(recipe, frames, finder, bottom)
    notes += known + (outline_notes(frames) if finder.masks else ())
    warnings = scale.warnings + tuple(overruled(recipe, frames.calibration)) + height_warnings(frames, recipe) + doubts
    views = None
    if independent:
        views = Views(cast(StatingFrames, frames), region, finder.card, finder.rim, is_height_map(frames))
        views.doubts = finder.doubts_of if isinstance(finder, Masks) else None
        plan = _first_plan(views, frames, numbers)
    else:
        plan = make_plan(region, frames.shape, calibration, finder.card, bottom=bottom, rim=finder.rim)
        plan = replace(plan, heights=is_height_map(frames))
    check_selection(recipe, numbers, corners(plan.region))
    if isinstance(finder, GivenObjects):
        finder, said = finder.bound(frames)
        notes += said
    elif isinstance(finder, Masks) and not independent:
        finder, said = finder.settled(_samples(frames, numbers), plan)
        notes += said
        warnings += finder.doubts
    return Task(path, recipe, frames, calibration, finder, plan, numbers, read_truth(recipe), warnings, notes, views)


def _known_region(recipe: Recipe, frames: Frames, finder: ObjectFinder, bottom: int | None) -> tuple[tuple[str, ...], Recipe]:
    """The recipe with the region in which given labels are complete, where it names none itself, and what is said of it."""
    complete = finder.labels.complete_region if isinstance(finder, GivenObjects) else None
    if complete is None or recipe.frames.region is not None:
        return (), recipe
    height, width = frames.shape
    right, lower = min(complete.x1, width), min(complete.y1, bottom or height)
    if complete.x0 >= right or complete.y0 >= lower:
        raise InputError(
            f"the region in which the labels are complete, {complete}, lies outside the frames of {width} x {height} px"
        )
    region = Region(x0=complete.x0, y0=complete.y0, x1=right, y1=lower)
    said = f"Labels are complete for x {region.x0} to {region.x1}, y {region.y0} to {region.y1} only: nothing else is counted."
    return (said,), recipe.model_copy(update={"frames": recipe.frames.model_copy(update={"region": region})})


def _samples(frames: Frames, numbers: range) -> list[Image]:
    """The first, the middle and the last frame, as far as they can be used."""
    found = []
    for number in sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]}):
        with suppress(TruncatedError):
            found.append(frames[number])
    return [image for image in found if np.isfinite(image).all()]


def _first_good(frames: Frames, numbers: range) -> Image | None:
    """The first frame that can be read."""
    for number in numbers[:TRIED]:
        try:
            return frames[number]
        except TruncatedError:
            continue
    return None


def _first_plan(views: Views, frames: Frames, numbers: range) -> Plan:
    """The plan of the first image that can be used."""
    wrong: MorphoscopeError | None = None
    for number in numbers[:TRIED]:
        try:
            return views.plan(number, frames[number])
        except MorphoscopeError as error:
            wrong = wrong or error
    assert wrong is not None
    raise wrong
