"""The service's log: JSON lines or text, each with its request's id.

Conventions: times in UTC. One record is one line of JSON; in text, only tracebacks take more lines.
Line breaks and control characters that clients send (in ids, addresses, names) are escaped. Keys
are never logged, search queries only at debug.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from contextvars import ContextVar
from typing import Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

Format = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]

request_id: ContextVar[str] = ContextVar("request_id", default="")

# Logged at debug only, and never traced: what probes and Prometheus fetch every few seconds.
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_FIELDS = ("time", "levelname", "name", "message")
_NAMES = {"levelname": "level", "name": "logger"}


def valid_or_new_id(value: str) -> str:
    """The id that the client sent, if it is well-formed; else a new one."""
    return value if _WELL_FORMED.fullmatch(value) else uuid.uuid4().hex


def escaped(text: str) -> str:
    """The text with control characters and line breaks escaped, as in \\n."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Json(JsonFormatter):
    """One JSON object a record, ASCII: json.dumps writes control characters out by itself."""

    def __init__(self) -> None:
        super().__init__(_FIELDS, rename_fields=_NAMES)
        self._skip_fields.add("color_message")  # uvicorn's, for terminals

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record.time = _time(record)
        return super().format(record)


class _Text(logging.Formatter):
    """`time LEVEL logger: message [id]`."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without a traceback."""
        record_id = getattr(record, "request_id", "")
        line = f"{_time(record)} {record.levelname} {record.name}: {escaped(record.message)}"
        return f"{line} [{record_id}]" if record_id else line


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _add_request_id(record: logging.LogRecord) -> bool:
    """A filter that drops nothing: it gives the record its request's id."""
    if current := request_id.get():
        record.request_id = current
    return True


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, which tests replace."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr


def configure(form: Format = "auto", level: Level = "info") -> None:
    """Send all loggers of this process to standard error.

    `auto`: text on a terminal, JSON elsewhere.
    """
    handler = StandardError()
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(_Text() if as_text else _Json())
    handler.addFilter(_add_request_id)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name in ("asyncio", "multipart", "python_multipart", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    for name in ("httpx", "mcp"):  # they log every request, httpx with its query
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.captureWarnings(capture=True)
