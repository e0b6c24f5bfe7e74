"""Parts of the OpenAPI document that hold for all operations: headers, keys, events, examples."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, made by `earmark keys add`. Writing needs scope write, "
        "except from the service's own machine; reading needs one only where the operator "
        "requires it.",
    },
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, for clients that cannot send a bearer token.",
    },
}

TEXT: Json = {"type": "string"}
EVENT: Json = {  # of a stream
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Number of a job's event"},
        "event": {"enum": ["progress", "heard", "failed", "done", "result", "problem"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
SECONDS: Json = {"type": "integer", "minimum": 1}
HEADERS: Json = {
    "ETag": {
        "description": "Entity tag of the answer, for If-None-Match; a clip's also for If-Match",
        "schema": {"type": "string", "pattern": '^(W/)?"[^"]*"$'},
        "example": '"5a5b407f41fc5ba1f827b8fa472de0f5"',
    },
    "Cache-Control": {
        "description": "The answer may be cached, but must be revalidated",
        "schema": {"const": "no-cache"},
    },
    "Location": {
        "description": "Address of the new resource",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/v1/clips/71f23d79680d",
    },
    "Last-Modified": {
        "description": "When the file was changed, for If-Modified-Since and If-Range",
        "schema": TEXT,
        "example": "Mon, 23 Nov 2026 08:25:57 GMT",
    },
    "Accept-Ranges": {
        "description": "Whether ranges of bytes can be requested: not of a stretch",
        "schema": {"enum": ["bytes", "none"]},
    },
    "Content-Range": {
        "description": "The range sent, and the size in bytes",
        "schema": {"type": "string", "pattern": r"^bytes (\d+-\d+|\*)/\d+$"},
        "example": "bytes 0-99/67644",
    },
    "Content-Disposition": {
        "description": "File name to save it under",
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
        "description": "The client's rate: `q` requests in `w` seconds; absent without one",
        "schema": TEXT,
        "example": '"searches";q=6000;w=60',
    },
    "RateLimit": {
        "description": "`r` requests are left; there are more after `t` seconds",
        "schema": TEXT,
        "example": '"searches";r=5999;t=60',
    },
    "X-Request-ID": {
        "description": "The request's id, as sent or else generated; the log contains it",
        "schema": TEXT,
        "example": "a7c1b0d24e5f4b6f8f0f0f5d1f6b2c3d",
    },
}
PROBLEM_HEADERS = {  # by status
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    416: ("Content-Range",),
    429: ("Retry-After",),
}
# For routes that answer conditional requests without declaring the header.
IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "ETag of a cached answer: if unchanged, it is not sent again (304)",
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
