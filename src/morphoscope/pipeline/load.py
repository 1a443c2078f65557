"""The finder of objects that a recipe names: a model file, a way without a model, or objects that are given."""

from __future__ import annotations

from typing import cast

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import ModelError, RecipeError, UsageError
from morphoscope.measure.threshold import METHODS
from morphoscope.models.card import resolve_model
from morphoscope.models.class_maps import CLASSES
from morphoscope.models.detect import Detector
from morphoscope.models.patch_segment import PatchSegmenter
from morphoscope.models.runtime import available_cores, load_session
from morphoscope.models.score import Scorer
from morphoscope.models.segment import Segmenter
from morphoscope.pipeline.finders import Boxes, MaskFinder, ObjectFinder
from morphoscope.pipeline.given import GivenObjects
from morphoscope.pipeline.masks import Masks, ThresholdSegmenter
from morphoscope.pipeline.spotting import Spots
from morphoscope.pipeline.stages import Finder, Image, make_plan
from morphoscope.pipeline.stream import WORKERS
from morphoscope.recipe import Recipe

SPOTS = "spots"
WITHOUT_MODEL = (*METHODS, SPOTS)  # names of detect.model that stand for no file


def load_finder(recipe: Recipe) -> tuple[ObjectFinder, bool]:
    """The finder of a recipe, and whether the workers may run it at the same time, each with its share of the cores.

    Raises:
        ModelError: no such model, or one for another task.
        InputError: the objects that are given cannot be read.
        RecipeError: the recipe sets what this finder has no use for, see `check_used`.
    """
    name, wanted = recipe.detect.model, recipe.segment
    if recipe.detect.objects is not None:
        return GivenObjects(recipe.detect.objects), True
    if name in WITHOUT_MODEL:
        check_used(recipe, f"{name} is no model", "segment.zoom", "segment.outline", "detect.threshold")
    if name == SPOTS:
        return Spots(wanted), True
    if name in METHODS:
        return Masks(ThresholdSegmenter(name, wanted), wanted), True
    parallel = recipe.run.provider == "cpu"
    cores = recipe.run.threads or available_cores()
    try:
        path = resolve_model(name)
    except ModelError as error:
        raise ModelError(f"{error}; without a model there are {', '.join(WITHOUT_MODEL)}") from error
    threads = max(cores // WORKERS, 1) if parallel else cores
    session = load_session(path, threads=threads, provider=recipe.run.provider, precision=recipe.run.precision)
    if session.card.task == "segment":
        if session.card.postprocess == CLASSES:
            check_used(recipe, f"{name} names classes of pixels", "segment.outline")
        return Masks(Segmenter(session, path), wanted), parallel
    if session.card.task == "score":
        check_used(recipe, f"{name} scores patches", "segment.zoom", "segment.outline")
        return Masks(PatchSegmenter(Scorer(session, path)), wanted), parallel
    check_used(recipe, f"{name} finds boxes", "segment.zoom", "segment.outline")
    return Boxes(Detector(session, path)), parallel


USES = {
    "segment.zoom": "how much a model that segments sees pictures magnified",
    "segment.outline": "where a model that tells particles apart draws their outlines",
    "detect.threshold": "the lowest score a model's objects must reach",
}


def check_used(recipe: Recipe, why: str, *names: str) -> None:
    """Make sure that a recipe sets none of some settings without a default value, which would change nothing.

    Raises:
        RecipeError: it sets one; the message says what that is for.
    """
    for name in names:
        section, key = name.split(".")
        value = getattr(getattr(recipe, section), key)
        if value is not None:
            raise RecipeError(f"{name} = {value!r} would change nothing: it is {USES[name]}, and {why}; leave it out")


def check_masks(finder: ObjectFinder, recipe: Recipe) -> None:
    """Make sure that what is to write masks has them.

    Raises:
        UsageError: it has none.
    """
    if recipe.report.masks and not finder.masks:
        raise UsageError(
            f"masks are wanted (`segment`, report.masks), but of {finder.card.name} there are none: give a model that segments, "
            f"or one of {', '.join(METHODS)}; boxes and spots are for `analyze`"
        )


def as_finder(given: Finder | MaskFinder | ObjectFinder, recipe: Recipe) -> ObjectFinder:
    """What the pipeline asks for objects, of a detector or segmenter from outside."""
    if hasattr(given, "find"):
        return cast(ObjectFinder, given)
    if hasattr(given, "segment"):
        return Masks(cast(MaskFinder, given), recipe.segment)
    return Boxes(given)


def analyse_frame(
    image: Image, detector: Finder | MaskFinder, recipe: Recipe | None = None, *, calibration: Calibration | None = None
) -> pd.DataFrame:
    """Objects of one frame, found and measured: the same rows `analyze` gives for it, without time and track.

    Args:
        image: (h, w), grey, any dtype.
        detector: see `models.detect.load_detector`, `models.segment.load_segmenter` and `masks.ThresholdSegmenter`.
        recipe: region, excluded parts and thresholds; None for the defaults.
        calibration: the frame's own; the recipe's values win. Gives the `_nm` columns.

    Raises:
        RecipeError, ModelError: see `make_plan`.
    """
    recipe = recipe or Recipe()
    known = recipe.calibrate(calibration or Calibration())
    finder = as_finder(detector, recipe)
    plan = make_plan(recipe, (image.shape[0], image.shape[1]), known, finder.card, rim=finder.rim)
    return known.with_nm(finder.measure(image, finder.find(0, image, plan), plan).objects)
