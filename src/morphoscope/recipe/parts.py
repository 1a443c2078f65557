"""What the sections of a recipe are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """Settings that belong together: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def stated(self, name: str) -> Any:
        """The value of a setting that was given and is another than its default; None where the command's own is wanted.

        A recipe that lists every setting with its default asks for nothing.
        """
        value = getattr(self, name)
        return value if name in self.model_fields_set and value != type(self).model_fields[name].default else None


class Region(Section):
    """A rectangle in px of the stored frame: x0 <= x < x1, y0 <= y < y1."""

    x0: int = Field(ge=0)
    y0: int = Field(ge=0)
    x1: int = Field(ge=1)
    y1: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Region:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"a region needs x0 < x1 and y0 < y1, got x {self.x0}..{self.x1}, y {self.y0}..{self.y1}")
        return self


class AxisRecipe(Section):
    """A quantity linear in the frame number: value = start + step * frame."""

    name: str
    unit: str = ""
    start: Finite = 0.0
    step: Finite
