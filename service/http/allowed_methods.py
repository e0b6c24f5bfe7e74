"""Which methods an address takes: what a refusal of any other tells in `Allow`."""

from __future__ import annotations

import re
from functools import lru_cache

from fastapi import FastAPI

CLIP = "{clip_id}"
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def allowed(app: FastAPI, path: str) -> str:
    """The methods of a path, as the OpenAPI has them; empty where there is none."""
    for pattern, methods in _paths(app):
        if pattern.fullmatch(path):
            return methods
    return ""


@lru_cache(maxsize=1)
def _paths(app: FastAPI) -> list[tuple[re.Pattern[str], str]]:
    """Patterns of all paths, in the order of the routes, and their methods."""
    found = []
    for path, calls in app.openapi()["paths"].items():
        # An id may hold slashes (`{clip_id:path}`): what stands after it comes first here too.
        pattern = "".join(
            (".+" if part == CLIP else "[^/]+") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]*\})", path)
        )
        methods = ", ".join(method.upper() for method in METHODS if method in calls)
        found.append((re.compile(pattern, re.DOTALL), methods))
    return found
