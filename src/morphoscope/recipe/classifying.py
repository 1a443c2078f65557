"""The section of a recipe on the categories of images: how sure a decision must be, and what happens with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from morphoscope.recipe.parts import Section

Share = Annotated[float, Field(gt=0, lt=1)]


class ClassifyRecipe(Section):
    """How images are put into categories by `classify`."""

    model: str | None = Field(None, description="the path of an .onnx file that `train classify` wrote")
    accuracy: Share = Field(0.99, description="what is accepted without a person shall be right in this share of images")
    confidence: Share = Field(0.95, description="how sure that must be, by images the model has not learnt")
    coverage: Share = Field(0.9, description="share of images whose true category is among those that `labels` names")
    sort: Literal["copy", "link"] | None = Field(
        None, description="files into sorted/accept/CLASS, sorted/review/CLASS and sorted/foreign: copies or links; none: not"
    )
    project: str | None = Field(None, description="project that keeps decisions; what a person said there holds")
    next: int = Field(20, ge=0, description="how many images to label next are named in next.csv")
