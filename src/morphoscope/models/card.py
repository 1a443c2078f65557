"""The card a model file carries: what it is for, how to feed it, how to read it, how good it is."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from morphoscope.errors import ModelError
from morphoscope.measure.honest_held import HeldOut

KEY = "morphoscope"
Task = Literal["detect", "classify", "score", "segment", "orient", "read"]
Answer = Literal["multi-label", "exclusive", "ordinal"]


class DataSource(BaseModel):
    """One data set a model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    citation: str = ""


class HeldOutAnswers(BaseModel):
    """What was said of images by networks that never learnt them: calibration, prediction sets and acceptance rest on it.

    `truth_probability` (n,): calibrated probability of the true class; `top`: of the class that was said; `right`: whether that
    is the true one; `group`: number of the image's group, from 0; `foreign`: whether the image was too far from what was learnt
    to be accepted. `by_class` (k,): how many images of each class were held out. Both may be empty: not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    truth_probability: tuple[float, ...]
    top: tuple[float, ...]
    right: tuple[bool, ...]
    group: tuple[int, ...]
    foreign: tuple[bool, ...] = ()
    by_class: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _as_many(self) -> HeldOutAnswers:
        if not len(self.truth_probability) == len(self.top) == len(self.right) == len(self.group):
            raise ValueError("truth_probability, top, right and group have a value for each image")
        if self.foreign and len(self.foreign) != len(self.top):
            raise ValueError("foreign has a value for each image or none")
        return self


class ModelCard(BaseModel):
    """Metadata inside each .onnx file (key `morphoscope`, JSON); for foreign files a TOML of the same name beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    task: Task
    classes: tuple[str, ...] = Field(min_length=1)
    preprocess: str = Field(
        description="input scaling: robust-1, rgb-letterbox-1 for the YOLO family, line-1 for texts, unit-1, robust-rgb-1, "
        "standard-rgb-1"
    )
    postprocess: str = Field(
        description="the output read as: centres-1, instances-1, classes-1, yolo-v8-1, yolo-v5-1, ctc-1, scores-1, "
        "cells-1, neighbours-1, classes-of-image-1 or wires-1"
    )
    stride: int = Field(
        1, ge=1, description="height and width are padded to a multiple of this; scores: px from patch to patch in a dense pass"
    )
    zoom: float = Field(1.0, gt=0, description="images are resized by this before the network sees them")
    zooms: tuple[float, ...] = Field((), description="magnifications of which each image gets the one that suits it; none: zoom")
    cell: Literal[1, 2] = Field(2, description="segment: px of the resized image per px of the network's maps, to a side")
    views: Literal[1, 2, 4] = Field(
        1, description="segment, classes: logits are the mean over the image and its mirror image(s): left-right, and up-down too"
    )
    outline: Literal["learnt", "half level"] = Field("learnt", description="masks as learnt, or moved to half level")
    threshold: float = Field(0.25, gt=0, lt=1, description="lowest score, chosen on validation data")
    pixel_size_nm: float | None = Field(None, gt=0, description="pixel size the model was trained at; none: any")
    patch_px: int | None = Field(None, ge=1, description="scores: side of the patch that the network sees, in its px")
    seen_px: float | None = Field(
        None, gt=0, description="scores: side, in px of the stored image, that a training patch covered"
    )
    channels: Literal[1, 3] = Field(1, description="1: grey, 3: red, green, blue")
    dense: bool = Field(
        False, description="scores: a larger input gives the answers of all its patches, or cells, `stride` px apart"
    )
    answer: Answer | None = Field(None, description="scores: classes that may overlap, exclude each other, or are degrees")
    levels: int = Field(10, ge=1, description="scores: degrees of an ordinal answer, 0 to this")
    thresholds: tuple[float, ...] = Field((), description="scores: of each class, chosen on validation data")
    temperature: float = Field(1.0, gt=0, description="scores, classify: logits are divided by this, chosen on validation data")
    extent_error: dict[str, float] = Field(
        {}, description="scores: of each class, half the width of the 95 % interval of an image's extent, from images held out"
    )
    extent_shared: dict[str, float] = Field(
        {}, description="scores: the part of extent_error that all images of one film and microscope share"
    )
    view_px: int | None = Field(None, ge=32, description="classify: px of the shorter side of an image as the network sees it")
    foreign_threshold: float = Field(1.0, gt=0, description="classify: from which distance on an image is like none learnt")
    held_out: HeldOutAnswers | None = Field(None, description="classify: answers on images never learnt by what answered")
    architecture: dict[str, Any] = Field({}, description="what training needs to build the network again")
    data: tuple[DataSource, ...] = ()
    metrics: dict[str, float] = {}
    limits: str = ""
    training: dict[str, Any] = {}
    morphoscope_version: str = ""

    @property
    def unvalidated(self) -> tuple[str, ...]:
        """Classes of which no image was held out though others were: nothing is promised of answers that name them."""
        counts = self.held_out.by_class if self.held_out is not None else ()
        return tuple(name for name, count in zip(self.classes, counts, strict=False) if not count)


def held_out_of(card: ModelCard) -> HeldOut | None:
    """The answers on a card to images that were not learnt; None where none were held out."""
    held = card.held_out
    if held is None or not held.top:
        return None
    named = (held.truth_probability, held.top, held.right, held.group, held.foreign)
    return HeldOut(*(np.array(values) for values in named))


def parse_card(values: Any, source: str) -> ModelCard:
    """A validated card from plain values or a JSON string.

    Raises:
        ModelError: naming what is missing or wrong.
    """
    try:
        return ModelCard.model_validate_json(values) if isinstance(values, (str, bytes)) else ModelCard.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ModelError(f"the model card of {source} cannot be used: {wrong}") from error


def sidecar_card(path: Path) -> ModelCard | None:
    """The card in the TOML file beside a foreign model (`model.onnx` and `model.toml`), if there is one."""
    sidecar = path.with_suffix(".toml")
    if not sidecar.is_file():
        return None
    try:
        return parse_card(tomllib.loads(sidecar.read_text(encoding="utf-8")), str(sidecar))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"the model card {sidecar} is not valid TOML: {error}") from error


def shipped_models() -> dict[str, Path]:
    """Names and paths of the models inside the package."""
    folder = Path(str(files("morphoscope.models") / "weights"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def resolve_model(model: str | Path) -> Path:
    """The path of a shipped model's name or of an .onnx file.

    Raises:
        ModelError: there is neither.
    """
    shipped = shipped_models()
    if str(model) in shipped:
        return shipped[str(model)]
    path = Path(model)
    if path.is_file():
        return path
    raise ModelError(
        f"wanted a model file or a shipped model's name ({', '.join(shipped)}), got {str(model)!r}, which is neither"
    )
