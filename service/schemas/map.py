"""The library as a picture in two dimensions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]


class PointsBody(BaseModel):
    """The clips that are shown, in columns of the same length."""

    id: list[str]
    title: list[str]
    tag: list[str] = Field(description="The most frequent of its tags; empty where it has none")
    tags: list[list[Number]] = Field(description="Places in `names`, the most frequent first")
    x: list[Share]
    y: list[Share]


class MapBody(BaseModel):
    """The library as a picture: sounds that are alike lie near to each other."""

    state: Literal["empty", "making", "ready"] = Field(
        description="making: a better map is being made; ask again"
    )
    rough: bool = Field(description="A first picture, until there is a map")
    generation: int = Field(description="Of the library, that the map was made of")
    total: int = Field(description="Clips in the library")
    shown: int = Field(description="Clips in the map: of very large libraries a sample")
    names: list[str] = Field(description="All tags of these, the most frequent first")
    points: PointsBody
