"""The methods that a path takes, for the `Allow` header of a refusal."""

from __future__ import annotations

import re
from functools import lru_cache

from fastapi import FastAPI

CLIP = "{clip_id}"
METHODS = ("get", "post", "put", "patch", "delete")
FILES = "GET, HEAD"  # of the page's files, and of the documentation


def allowed_methods(app: FastAPI, path: str) -> str:
    """The methods of a path, from the OpenAPI document; where GET is, HEAD is too."""
    for pattern, methods in _paths(app):
        if pattern.fullmatch(path):
            return methods
    return FILES


@lru_cache(maxsize=1)
def _paths(app: FastAPI) -> list[tuple[re.Pattern[str], str]]:
    """The patterns of all paths, in the order of the routes, with their methods."""
    patterns = []
    for path, operations in app.openapi()["paths"].items():
        # A clip's id may hold slashes (`{clip_id:path}`), so longer paths come first here too.
        pattern = "".join(
            (".+" if part == CLIP else "[^/]+") if part.startswith("{") else re.escape(part)
            for part in re.split(r"(\{[^}]*\})", path)
        )
        methods = ", ".join(method.upper() for method in METHODS if method in operations)
        methods = methods.replace("GET", FILES)
        patterns.append((re.compile(pattern, re.DOTALL), methods))
    return patterns
