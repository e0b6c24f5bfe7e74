"""Bodies of `/v1/embeddings`: phrases and sounds, as JSON or as a form.

A JSON body waits on disk once it is large, as the files of a form do, and is read one at a time.
Its sounds are decoded from base64 into a file again: what waits for its turn takes no memory.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import orjson
from fastapi import Request, UploadFile
from pydantic import ValidationError
from starlette.datastructures import UploadFile as AnyUpload

from earmark.model.core.errors import InputError
from earmark.service.http.problems import ProblemError
from earmark.service.middleware.body_limit import MAX_FIELD_BYTES, MAX_FIELDS, MAX_OTHER_BYTES
from earmark.service.schemas.embeddings import (
    MAX_INPUTS,
    MAX_PHRASE_CHARACTERS,
    EmbeddingOptions,
)
from earmark.service.services import Services
from earmark.service.workers.phrase_vectors import Phrase

JSON, FORM = "application/json", "multipart/form-data"
MAX_QUOTED = 60  # letters of a name in a message
# Of a JSON body that is large: more would take memory, and hold up all threads while it is parsed.
MAX_VALUES = 20_000
BASE64_PIECE = 1 << 18  # letters decoded at a time: a multiple of four
AUDIO_MEMBERS = {"data", "format"}
KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", dict: "an object"}


@dataclass(frozen=True)
class Sound:
    """A sound to embed. `name`: of the input, in messages; `read`: gives its bytes."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Inputs:
    """What a request sends, in its order. `counted`: sounds that count as uploads already."""

    items: list[Phrase | Sound]
    options: EmbeddingOptions
    counted: int = 0


Check = Callable[[EmbeddingOptions], None]


async def read_inputs(
    request: Request, services: Services, stack: AsyncExitStack, check: Check
) -> Inputs:
    """The inputs of a request, whose files the stack closes. `check`: of the options, comes first.

    Raises InputError, ProblemError (415, and as `UploadQueue.admit`).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        services.uploads.admit()
        return await _read_form(request, services.settings.max_files, stack, check)
    if kind != JSON:
        raise ProblemError(
            "unsupported-media-type", f"body: expected {JSON} or {FORM}, got {kind[:60]!r}"
        )
    spool = SpooledTemporaryFile(max_size=MAX_OTHER_BYTES)  # noqa: SIM115
    body = UploadFile(spool, size=0)  # type: ignore[arg-type]  # as Starlette's own are
    stack.push_async_callback(body.close)
    is_large, values = False, 0
    async for chunk in request.stream():
        await body.write(chunk)
        values += sum(map(chunk.count, (b",", b"[", b"{")))
        if not is_large and (body.size or 0) > MAX_OTHER_BYTES:
            is_large = True
            services.uploads.admit()  # so much can only be sounds
        if is_large and values > MAX_VALUES:
            raise ProblemError(
                "too-large",
                f"body: expected at most {MAX_OTHER_BYTES} bytes beside sounds, got more",
            )
    sounds = SpooledTemporaryFile(max_size=MAX_OTHER_BYTES)  # noqa: SIM115
    stack.callback(sounds.close)
    read = partial(_read_json, body.file, sounds, services.settings.max_files, check)
    return await services.phrases.run(read) if is_large else read()


async def _read_form(
    request: Request, max_files: int, stack: AsyncExitStack, check: Check
) -> Inputs:
    form = await request.form(
        max_files=max_files, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    )
    stack.push_async_callback(form.close)
    files = [part for part in form.getlist("file") if isinstance(part, AnyUpload)]
    fields = {
        name: values[0] if len(values) == 1 else values
        for name in form
        if (values := [part for part in form.getlist(name) if part not in files])
    }
    options = _options(fields, strict=False)
    check(options)
    if not files:
        raise InputError("file: expected one sound or several, got none")
    items = [
        Sound(f"file[{place}]" if len(files) > 1 else "file", part.file.read)
        for place, part in enumerate(files)
    ]
    return Inputs([*items], options, counted=1)


def _read_json(body: IO[bytes], sounds: IO[bytes], max_sounds: int, check: Check) -> Inputs:
    """The inputs of a JSON body. `sounds`: an empty file that takes their bytes."""
    body.seek(0)
    data = body.read()
    try:
        sent = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError("body: expected JSON, got what cannot be read as such") from error
    del data
    if not isinstance(sent, dict):
        raise InputError(f"body: expected an object, got {_kind(sent)}")
    found = sent.pop("input", None)
    options = _options(sent, strict=True)
    check(options)
    items = list(_items(found, sounds))
    if (count := sum(isinstance(item, Sound) for item in items)) > max_sounds:
        raise InputError(f"input: expected at most {max_sounds} sounds, got {count}")
    return Inputs(items, options)


def _options(fields: Mapping[str, object], *, strict: bool) -> EmbeddingOptions:
    try:
        return EmbeddingOptions.model_validate(fields, strict=strict)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = str(found["loc"][0])[:MAX_QUOTED].encode(errors="replace").decode()
        raise InputError(f"{name}: {found['msg']}") from error


def _items(found: object, sounds: IO[bytes]) -> Iterator[Phrase | Sound]:
    """The inputs of a JSON body. Raises InputError."""
    if isinstance(found, str):
        yield _phrase(found, "input")
        return
    if not isinstance(found, list) or not found:
        got = "an empty list" if isinstance(found, list) else _kind(found)
        raise InputError(f"input: expected a phrase, or a list of phrases and sounds, got {got}")
    if len(found) > MAX_INPUTS:
        raise InputError(f"input: expected at most {MAX_INPUTS}, got {len(found)}")
    letters = sum(len(item) for item in found if isinstance(item, str))
    if letters > MAX_OTHER_BYTES:
        raise InputError(f"input: expected at most {MAX_OTHER_BYTES} letters, got {letters}")
    for place, item in enumerate(found):
        name = f"input[{place}]"
        if isinstance(item, str):
            yield _phrase(item, name)
        elif isinstance(item, dict):
            yield _sound(item, name, sounds)
        elif isinstance(item, (int, list)):
            raise InputError(
                "input: expected phrases, got token ids, which this model does not have "
                "(LangChain sends text with check_embedding_ctx_length=False)"
            )
        else:
            raise InputError(f"{name}: expected a phrase or a sound, got {_kind(item)}")


def _phrase(text: str, name: str) -> Phrase:
    if not 1 <= len(text) <= MAX_PHRASE_CHARACTERS:
        raise InputError(f"{name}: expected 1 to {MAX_PHRASE_CHARACTERS} letters, got {len(text)}")
    return Phrase(text, name)


def _sound(item: dict[str, Any], name: str, sounds: IO[bytes]) -> Sound:
    """A sound of a JSON body, decoded into the file."""
    audio = item.get("input_audio")
    known = {"type", "input_audio"} == item.keys() and item["type"] == "input_audio"
    if not known or not isinstance(audio, dict) or not {"data"} <= audio.keys() <= AUDIO_MEMBERS:
        raise InputError(
            f"{name}: expected a sound as "
            '{"type": "input_audio", "input_audio": {"data": …, "format": …}}'
        )
    audio_format = audio.get("format")
    if audio_format is not None and not (isinstance(audio_format, str) and len(audio_format) <= 40):
        raise InputError(f"{name}: format: expected the name of one, such as wav")
    start = sounds.tell()
    length = decode_base64(audio["data"], name, sounds)

    def read() -> bytes:
        sounds.seek(start)
        return sounds.read(length)

    return Sound(name, read)


def decode_base64(text: object, name: str, into: IO[bytes]) -> int:
    """Write what the text stands for; how many bytes that is. Piece by piece, so that other
    threads can work in between."""
    refusal = InputError(f"{name}: data: expected base64, got what is not")
    if not isinstance(text, str) or not text or not text.isascii():
        raise refusal
    length = 0
    for start in range(0, len(text), BASE64_PIECE):
        piece = text[start : start + BASE64_PIECE]
        if start + BASE64_PIECE < len(text) and piece.endswith("="):
            raise refusal
        try:
            length += into.write(binascii.a2b_base64(piece, strict_mode=True))
        except binascii.Error as error:
            raise refusal from error
    return length


def _kind(value: object) -> str:
    """What a value of JSON is, for a message."""
    return "nothing" if value is None else KINDS.get(type(value), "a list")
