"""Integers of JSON, which has one kind of number: 384.0 is one, in bodies that take no text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Integer = Annotated[int, WHOLE]
