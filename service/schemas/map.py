"""The map of the library in two dimensions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.index.projection.map import MapView

MAX_CLIP_TAGS = 20  # of each clip, the most frequent ones
DECIMALS = 4  # of a position

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
    shown: int = Field(
        description="Clips in the map that pass the filters; of very large libraries a sample"
    )
    names: list[str] = Field(
        description="All tags of the clips in the map, the most frequent first"
    )
    points: PointsBody

    @staticmethod
    def fields_of(view: MapView) -> dict[str, Any]:
        """The fields of a map's body, to render without validation: they are long columns."""
        counts = Counter(tag for tags in view.tags for tag in tags)
        names = sorted(counts, key=lambda name: (-counts[name], name))
        ranks = {name: rank for rank, name in enumerate(names)}
        tags = [sorted(ranks[tag] for tag in tags)[:MAX_CLIP_TAGS] for tags in view.tags]
        x, y = view.positions.T.astype("float64").round(DECIMALS).tolist()
        return {
            "state": view.state,
            "rough": view.rough,
            "generation": view.generation,
            "total": view.total,
            "shown": len(view.ids),
            "names": names,
            "points": {
                "id": view.ids,
                "title": view.titles,
                "tag": [names[clip_tags[0]] if clip_tags else "" for clip_tags in tags],
                "tags": tags,
                "x": x,
                "y": y,
            },
        }
