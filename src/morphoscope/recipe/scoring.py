"""The section of a recipe on the scores of films: by which patches, and against which conditions they are told."""

from __future__ import annotations

from pydantic import Field, model_validator

from morphoscope.recipe.parts import Positive, Section


class ScoreRecipe(Section):
    """How films are scored by `score`, and which patches `train score` learns from."""

    model: str = Field("films", description="a shipped model or the path of an .onnx file")
    patch_px: Positive | None = Field(None, description="side of a patch in px of the image; none: as the model was trained")
    patch_nm: Positive | None = Field(None, description="the same in nm, for images with a scale")
    stride_px: Positive | None = Field(None, description="px from patch to patch; none: the patch, so that they touch")
    maps: bool = Field(True, description="write maps/ with a defect map per file")
    conditions: str | None = Field(None, description="CSV of conditions: file, then columns such as time, ratio, anneal")
    time: str | None = Field(None, description="column of the time; none: one named time, or a unit after it")
    x: str | None = Field(None, description="column along x of the response surface; none: found")
    y: str | None = Field(None, description="column along y of the response surface; none: found")

    @model_validator(mode="after")
    def _one_size(self) -> ScoreRecipe:
        if self.patch_px is not None and self.patch_nm is not None:
            raise ValueError("give one of patch_px and patch_nm")
        return self
