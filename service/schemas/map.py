"""The map of the library in two dimensions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]


class PointsBody(BaseModel):
    """The clips of the map, as columns of the same length."""

    id: list[str]
    title: list[str]
    tag: list[str] = Field(
        description="The clip's most frequent tag in the library; empty without tags"
    )
    tags: list[list[Number]] = Field(
        description="Positions in `names`, the most frequent tag first"
    )
    x: list[Share]
    y: list[Share]


class MapBody(BaseModel):
    """The map of the library: similar sounds lie close together."""

    state: Literal["empty", "making", "ready"] = Field(
        description="making: a new layout is being computed; request it again"
    )
    rough: bool = Field(description="Whether this is a quick projection, until there is a layout")
    generation: int = Field(description="Generation of the library that the map shows")
    total: int = Field(description="Clips in the library")
    shown: int = Field(description="Clips in the map: a sample of very large libraries")
    names: list[str] = Field(
        description="All tags of the clips in the map, the most frequent first"
    )
    points: PointsBody
