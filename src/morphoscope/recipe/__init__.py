"""A run's settings: validated, unknown keys refused, TOML in and out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from morphoscope.calibration import Axis, Calibration
from morphoscope.errors import InputError, RecipeError
from morphoscope.recipe.classifying import ClassifyRecipe
from morphoscope.recipe.finding import CalibrationRecipe, DetectRecipe, FramesRecipe, SegmentRecipe
from morphoscope.recipe.orienting import OrientRecipe
from morphoscope.recipe.parts import AxisRecipe, Region, Section
from morphoscope.recipe.scoring import ScoreRecipe
from morphoscope.recipe.telling import PhysicsRecipe, ReportRecipe, RunRecipe, TrackRecipe, TrainRecipe

__all__ = [
    "AxisRecipe",
    "CalibrationRecipe",
    "ClassifyRecipe",
    "DetectRecipe",
    "FramesRecipe",
    "OrientRecipe",
    "PhysicsRecipe",
    "Recipe",
    "Region",
    "ReportRecipe",
    "RunRecipe",
    "ScoreRecipe",
    "SegmentRecipe",
    "TrackRecipe",
    "TrainRecipe",
    "load_recipe",
    "parse_recipe",
]
UNION_PARTS = (
    "constrained-float",
    "tuple[constrained-float, constrained-float]",
)  # pydantic's names of `Positive` and a pair of it


class Recipe(Section):
    """All settings of a run, by section."""

    calibration: CalibrationRecipe = CalibrationRecipe()
    frames: FramesRecipe = FramesRecipe()
    detect: DetectRecipe = DetectRecipe()
    segment: SegmentRecipe = SegmentRecipe()
    score: ScoreRecipe = ScoreRecipe()
    classify: ClassifyRecipe = ClassifyRecipe()
    orient: OrientRecipe = OrientRecipe()
    track: TrackRecipe = TrackRecipe()
    physics: PhysicsRecipe = PhysicsRecipe()
    report: ReportRecipe = ReportRecipe()
    train: TrainRecipe = TrainRecipe()
    run: RunRecipe = RunRecipe()

    def calibrate(self, found: Calibration) -> Calibration:
        """The calibration of the file overruled by the recipe's, with provenance."""
        given = self.calibration
        size = given.pixel_size_nm
        return found.updated(
            "recipe",
            pixel_size_nm=(size, size) if isinstance(size, float) else size,
            frame_interval_s=given.frame_interval_s,
            axes=tuple(Axis(a.name, a.unit, a.start, a.step) for a in given.axes),
        )


def parse_recipe(values: dict[str, Any], source: str = "the recipe") -> Recipe:
    """A validated recipe from nested plain values.

    Raises:
        RecipeError: naming each key that is unknown or whose value is impossible.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source} cannot be used:\n" + "\n".join(filter(None, map(_say, error.errors())))) from error


def _say(error: Any) -> str | None:
    """One of pydantic's errors in plain words; None for the alternative of a union that the value was not meant for."""
    loc, value = error["loc"], error["input"]
    where = ".".join(str(part) for part in loc if part not in UNION_PARTS)
    listed = isinstance(value, (list, tuple))
    if (loc[-1] == UNION_PARTS[0] and listed) or (loc[-1] == UNION_PARTS[1] and not listed):
        return None
    if error["type"] == "extra_forbidden":
        return f"  {where}: unknown key; known here: {', '.join(_section_at(loc[:-1]).model_fields)}"
    if error["type"] == "value_error":
        return f"  {where}: {error['msg'].removeprefix('Value error, ')}"
    if error["type"] == "missing":
        return f"  {where}: is missing"
    return f"  {where}: {error['msg']}, got {value!r}"


def _section_at(loc: tuple[str | int, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Recipe
    for part in loc:
        if part in section.model_fields:
            section = _model_in(section.model_fields[str(part)].annotation) or section
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation such as `Region | None` or `tuple[AxisRecipe, ...]` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def as_recipe(recipe: Recipe | str | Path | None) -> Recipe:
    """A recipe as it is, the one in a TOML file, or the default one."""
    if isinstance(recipe, Recipe):
        return recipe
    return load_recipe(recipe) if recipe is not None else Recipe()


def load_recipe(path: str | Path) -> Recipe:
    """The recipe in a TOML file; the models, objects, conditions and hand counts it names are relative to it.

    Raises:
        InputError: the file cannot be read.
        RecipeError: it is not TOML, or a key or value is wrong.
    """
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise InputError(
            f"cannot read the recipe {path}: {error.strerror}; `morphoscope init` prints one to start from"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    return _from_folder(parse_recipe(values, str(path)), Path(path).resolve().parent)


def _from_folder(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the files it names taken relative to its own folder."""
    truth, model = recipe.physics.truth, folder / recipe.detect.model
    physics = recipe.physics.model_copy(update={"truth": str(folder / truth)}) if truth is not None else recipe.physics
    detect = recipe.detect.model_copy(update={"model": str(model)}) if model.is_file() else recipe.detect
    frames = recipe.frames
    if frames.samples is not None:
        frames = frames.model_copy(update={"samples": str(folder / frames.samples)})
    if detect.objects is not None:
        detect = detect.model_copy(update={"objects": str(folder / detect.objects)})
    score, scorer = recipe.score, folder / recipe.score.model
    if scorer.is_file():
        score = score.model_copy(update={"model": str(scorer)})
    if score.conditions is not None:
        score = score.model_copy(update={"conditions": str(folder / score.conditions)})
    named = {"model": recipe.classify.model, "project": recipe.classify.project}
    classify = recipe.classify.model_copy(update={key: str(folder / name) for key, name in named.items() if name is not None})
    orient, orienter = recipe.orient, folder / recipe.orient.model
    if orienter.is_file():
        orient = orient.model_copy(update={"model": str(orienter)})
    train = recipe.train
    if train.weights is not None:
        train = train.model_copy(update={"weights": str(folder / train.weights)})
    changed = {"physics": physics, "detect": detect, "frames": frames, "score": score, "classify": classify}
    return recipe.model_copy(update={**changed, "orient": orient, "train": train})
