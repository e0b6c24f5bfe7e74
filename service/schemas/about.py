"""The service about itself, and its errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class ModelBody(BaseModel):
    """What is known of the model."""

    name: str
    fingerprint: str
    dim: int
    words: int
    vocabulary: int
    max_tags: int
    window_seconds: float
    sample_rate: int
    card: dict[str, Any]


class Health(BaseModel):
    """A probe's answer."""

    status: str


class KindBody(BaseModel):
    """What a type of problem means."""

    title: str
    status: int
    description: str


class Problem(BaseModel):
    """An error as RFC 9457 wants it; `type` leads to its description."""

    type: str
    title: str
    status: int
    detail: str
