"""The service's log: JSON lines or text, with the id of the request that each line belongs to.

Conventions: times in UTC. One record is one line of JSON; in text, only tracebacks take more lines.
What clients send (ids, addresses, names) never brings a line break or control character into it.
Keys are not logged at all, what was searched for only at debug.
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

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_FIELDS = ("time", "levelname", "name", "message")
_NAMES = {"levelname": "level", "name": "logger"}


def id_of(sent: str) -> str:
    """The id that a request was sent with where it is well-formed, else a new one."""
    return sent if _WELL_FORMED.fullmatch(sent) else uuid.uuid4().hex


def escaped(text: str) -> str:
    """With control characters and line breaks written out, as in \\n."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Json(JsonFormatter):
    """One JSON object a record, ASCII: json.dumps writes control characters out by itself."""

    def __init__(self) -> None:
        super().__init__(_FIELDS, rename_fields=_NAMES)
        self._skip_fields.add("color_message")  # of uvicorn, for terminals

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record.time = _time(record)
        return super().format(record)


class _Text(logging.Formatter):
    """`time LEVEL logger: message [id]`."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without a traceback."""
        own = getattr(record, "request_id", "")
        line = f"{_time(record)} {record.levelname} {record.name}: {escaped(record.message)}"
        return f"{line} [{own}]" if own else line


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _with_id(record: logging.LogRecord) -> bool:
    """A filter that drops nothing: the record learns its request's id."""
    if own := request_id.get():
        record.request_id = own
    return True


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at that moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr


def configure(form: Format = "auto", level: Level = "info") -> None:
    """Let all loggers of this process write to standard error.

    `auto`: text on a terminal, JSON elsewhere.
    """
    handler = StandardError()
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(_Text() if as_text else _Json())
    handler.addFilter(_with_id)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name in ("asyncio", "httpx", "multipart", "python_multipart", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
    logging.captureWarnings(capture=True)
