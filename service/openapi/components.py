"""What the OpenAPI document says of headers, keys, events and examples, as it says it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, made by `earmark keys add`. Writing needs one of scope write, "
        "unless it is asked for on the service's own machine; reading, only where the operator "
        "wants it.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, for clients that cannot send it as a bearer.",
    },
}

TEXT: Json = {"type": "string"}
EVENT: Json = {  # one of a stream
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Its number, of a job's"},
        "event": {"enum": ["progress", "failed", "done", "result", "problem"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
SECONDS: Json = {"type": "integer", "minimum": 1}
HEADERS: Json = {
    "ETag": {
        "description": "Of this answer: for If-None-Match, and If-Match where it is a clip's",
        "schema": {"type": "string", "pattern": '^(W/)?"[^"]*"$'},
        "example": '"5a5b407f41fc5ba1f827b8fa472de0f5"',
    },
    "Cache-Control": {"description": "Keep it, but ask again", "schema": {"const": "no-cache"}},
    "Location": {
        "description": "Where what was made is",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/v1/clips/71f23d79680d",
    },
    "Accept-Ranges": {"description": "Parts can be asked for", "schema": {"const": "bytes"}},
    "Content-Range": {
        "description": "Which part of how many bytes",
        "schema": {"type": "string", "pattern": r"^bytes (\d+-\d+|\*)/\d+$"},
        "example": "bytes 0-99/67644",
    },
    "Content-Disposition": {
        "description": "The name to save it by",
        "schema": TEXT,
        "example": 'attachment; filename="manifest.csv"',
    },
    "Retry-After": {"description": "Seconds to wait", "schema": SECONDS, "example": 10},
    "WWW-Authenticate": {
        "description": "How to send a key",
        "schema": TEXT,
        "example": 'Bearer realm="earmark"',
    },
    "Allow": {"description": "Methods that this address takes", "schema": TEXT, "example": "GET"},
    "RateLimit-Policy": {
        "description": "The rate: `q` requests in `w` seconds; where one holds for the client",
        "schema": TEXT,
        "example": '"searches";q=6000;w=60',
    },
    "RateLimit": {
        "description": "Of these `r` are left; more are after `t` seconds",
        "schema": TEXT,
        "example": '"searches";r=5999;t=60',
    },
    "X-Request-ID": {
        "description": "The one sent along, or one made up: the log knows it",
        "schema": TEXT,
        "example": "a7c1b0d24e5f4b6f8f0f0f5d1f6b2c3d",
    },
}
PROBLEM_HEADERS = {  # headers that a problem always has
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    416: ("Content-Range",),
    429: ("Retry-After",),
}
# What a header of a request may be; FastAPI knows those that a route declares.
IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETag of an answer that you have: unchanged, it is not sent again (304)",
    "schema": TEXT,
}
PROGRESS_EXAMPLE = 'event: progress\ndata: {"seconds": 4.2}\n\nevent: result\ndata: {…}\n\n'
HEADER_NAMES = {"if-none-match": "If-None-Match", "if-match": "If-Match"}
DETAIL_EXAMPLES = {
    "invalid-request": "k: Input should be greater than or equal to 1, got '0'",
    "not-a-sound": "file: not a sound this can read (Format not recognised)",
    "unknown-clip": "id: no clip 'nothing'",
    "too-many-requests": "searches: expected at most 6000 in 60 s, got more",
    "unauthorized": "key: expected one to write with",
}
