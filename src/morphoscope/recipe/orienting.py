"""The section of a recipe on the directions of wires: by which model, and how far wires must agree."""

from __future__ import annotations

from pydantic import Field, model_validator

from morphoscope.recipe.parts import Positive, Section


class OrientRecipe(Section):
    """How nanowires and fibres are told by `orient`."""

    model: str = Field("wires", description="a shipped model or the path of an .onnx file")
    radius_px: Positive | None = Field(
        None, description="neighbourhood in which wires must agree to be aligned, 3 to 12 of their widths; none: 32 px"
    )
    radius_nm: Positive | None = Field(None, description="the same in nm, for images with a scale")
    compare: bool = Field(True, description="structure tensor and local gradient orientation beside the model")
    maps: bool = Field(True, description="write maps/ with direction, wires and alignment per file")

    @model_validator(mode="after")
    def _one_radius(self) -> OrientRecipe:
        if self.radius_px is not None and self.radius_nm is not None:
            raise ValueError("give one of radius_px and radius_nm")
        return self
