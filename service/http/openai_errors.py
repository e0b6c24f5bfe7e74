"""Errors as clients of OpenAI's form read them, beside the problem of RFC 9457.

At the addresses of that form every problem holds `error` as well, with the same message: clients of
both kinds can read it. That it does belongs to the context, as the root path does: problems are
made in many places.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

EMBEDDINGS, MODELS = "/v1/embeddings", "/v1/models"
CODES = {  # where that form has a name of its own
    "unauthorized": "invalid_api_key",
    "unknown-model": "model_not_found",
    "busy": "rate_limit_exceeded",
    "too-many-requests": "rate_limit_exceeded",
}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_PARAMETER = re.compile(r"([a-z_]+(\[\d+\])?): ")

_is_used: ContextVar[bool] = ContextVar("openai_errors", default=False)


def is_openai_path(path: str) -> bool:
    """Whether a path is one of that form."""
    return path in (EMBEDDINGS, MODELS) or path.startswith(f"{MODELS}/")


def use_openai_errors(path: str) -> None:
    """Let problems of this context hold `error` if the request's path is one of that form."""
    _is_used.set(is_openai_path(path))


def openai_error(name: str, status: int, detail: str) -> dict[str, dict[str, str | None]]:
    """What a problem of this type holds in addition: `error`, or nothing.

    `param` is the parameter that the detail begins with, where one of the request's is at fault.
    """
    if not _is_used.get():
        return {}
    found = _PARAMETER.match(detail) if status in (404, 422) else None
    other = "server_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": detail,
            "type": TYPES.get(status, other),
            "param": found[1] if found and found[1] != "body" else None,
            "code": CODES.get(name, name.replace("-", "_")),
        }
    }
