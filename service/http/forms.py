"""Forms of uploads: parts whose file name is sent in any of the usual ways."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing

from fastapi import Request
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Scope

from earmark.service.http.file_names import with_plain_name
from earmark.service.http.problems import ProblemError

MULTIPART = "multipart/form-data"
FORM = "a multipart form whose parts have names, got one that cannot be read"


class _Parser(MultiPartParser):
    """Starlette's, which knows plain file names only: it is given the headers rewritten."""

    _name = _value = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's name."""
        super().on_header_field(data, start, end)
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """The header is complete."""
        value = self._value
        if self._name.lower() == b"content-disposition":
            value = with_plain_name(value)
        super().on_header_value(value, 0, len(value))
        self._name = self._value = b""
        super().on_header_end()


class FormRequest(Request):
    """A request whose form is parsed by the above, once."""

    _parsed: FormData | None = None

    async def form(  # type: ignore[override]  # a coroutine: nobody needs it as a context
        self,
        *,
        max_files: int | float = 1000,
        max_fields: int | float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> FormData:
        """The form. Raises ProblemError (400) for one that cannot be parsed, or is over a limit."""
        if self._parsed is None:
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            limits = {"max_files": max_files, "max_fields": max_fields}
            if kind != MULTIPART:
                self._parsed = await super().form(**limits, max_part_size=max_part_size)
                return self._parsed
            async with aclosing(self.stream()) as stream:
                parser = _Parser(self.headers, stream, **limits, max_part_size=max_part_size)
                try:
                    self._parsed = await parser.parse()
                except MultiPartException as error:
                    expected = {
                        "Too many files": f"at most {max_files} files",
                        "Too many fields": f"at most {max_fields} fields",
                        "Part exceeded": f"at most {max_part_size} bytes in a field",
                    }
                    raise ProblemError("bad-request", _detail(error, expected)) from error
        return self._parsed


def _detail(error: MultiPartException, expected: Mapping[str, str]) -> str:
    """What was wrong with a form, in our words. `expected`: by the start of the parser's."""
    found = (limit for start, limit in expected.items() if error.message.startswith(start))
    return f"body: expected {next(found, FORM)}"


def is_form(scope: Scope) -> bool:
    """Whether a request's body is said to be a form with files."""
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return bool(kind.lower().startswith(MULTIPART.encode()))
