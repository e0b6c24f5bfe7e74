"""Requests that were made to hurt: forms, queries, bodies, ids and heads that nobody sends.

Every one comes from a seed alone, as the bytes that go over the wire.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from urllib.parse import quote, quote_from_bytes

from tests.service.http_connection import BOUNDARY, form, post
from tests.service.server.hostile_sounds import good

Request = bytes
Make = Callable[[random.Random], Request]

FORM = b"multipart/form-data; boundary=" + BOUNDARY
JSON = b"application/json"
CALLS = ("/v1/tags", "/v1/classify", "/v1/search/audio", "/v1/clips", "/v1/feedback", "/v1/jobs",
         "/v1/embeddings")  # fmt: skip
NAMES = (
    b"../../../../etc/evil.wav", b"..\\..\\evil.wav", b"/etc/passwd", b"a\x00.wav", b"", b".",
    b"..",
    b"a.raw", b"a.sd2", b"x" * 5_000, b"\xff\xfe\xc0\xaf.wav", b"a\x1b[2J.wav", b"C:\\a.wav",
    "\u202ewav.exe".encode(), b"a;b=c.wav", b"%2e%2e%2fa.wav", b"file:///etc/passwd",
)  # fmt: skip
TEXTS = (
    b"%00", b"a%00b", b"%ED%A0%80", b"%ED%B0%80%ED%A0%80", b"%C0%AF", b"%C0%80", b"%F5%80%80%80",
    b"%FF%FE", b"%80", b"%E2%80", b"%", b"%zz", b"%u0041", b"+", b"%20%20", b"%0D%0ASet-Cookie:a=b",
    b"%1B%5B2J", b"%E2%80%AE", b"%F0%9F%90%B6" * 40, b"a%CC%80" * 90, b"%EF%BF%BE", b"1e309",
    b"NaN",
    b"-1", b"0", b"9" * 30, b"1.5", b"0x10", b"true", b"null", b"''%3B--", b"%22%20OR%20%22",
    b"NEAR(a%20b,%2099999999999)", b"%22" * 99, b"(" * 200, b"*" * 50, b"-rain", b"AND", b"{}",
    b"[]",
    b"%3Cscript%3E", b"${jndi:ldap://a}", b"../../etc/passwd", b"..%2f..%2fetc%2fpasswd",
    b"%252e%252e%252f", b"/", b"//", b"./.", b"a/audio", b"a/audio/audio", b"audio", b"similar",
    b"",
    b"\xc3\xa9", b"\xff", b"?", b"%23", b"%3F", b"~", b"CON", b"rain:99999999999", b"tag^9e99",
)  # fmt: skip
PARAMETERS = (
    b"q", b"k", b"cursor", b"tag", b"any_tag", b"no_tag", b"min_duration", b"max_duration",
    b"licence",
    b"source", b"distinct", b"sort", b"fields", b"points", b"width", b"before", b"suggested",
    b"order", b"reviewer",
    b"collection", b"format", b"classifier",
    b"category", b"sample_rate", b"channels", b"min_loudness", b"max_loudness", b"added_after",
    b"added_before", b"names",
    b"labels", b"multiple",
    b"x", b"", b"q[]", b"q%00",
)  # fmt: skip
PATHS = (
    b"/v1/search", b"/v1/search", b"/v1/search", b"/v1/clips", b"/v1/clips/%b",
    b"/v1/clips/%b/similar",
    b"/v1/clips/%b/audio", b"/v1/clips/%b/waveform", b"/v1/clips/%b/timeline",
    b"/v1/clips/%b/spectrogram", b"/v1/clips/%b/tags", b"/v1/clips/%b/classify",
    b"/v1/feedback", b"/v1/feedback/manifest.csv",
    b"/v1/collections", b"/v1/collections/%b", b"/v1/collections/%b/clips",
    b"/v1/collections/%b/export", b"/v1/collections/favourites/export",
    b"/v1/jobs/%b", b"/v1/jobs/%b/events", b"/problems/%b", b"/%b", b"/../%b", b"/static/%b",
    b"/v1/%b",
    b"/v1/facets", b"/v1/facets", b"/v1/edits", b"/v1/clips/%b/history",
    b"/v1/classifiers", b"/v1/classifiers/%b", b"/v1/classifiers/hostile/hits",
    b"/v1/classifiers/%b/ask", b"/v1/classifiers/%b/labels", b"/v1/classifiers/%b/export",
    b"/docs/%b", b"/v1/model", b"/healthz/%b", b"/metrics", b"//%b", b"/./v1/search",
    b"/v1/models/%b",
    b"/v1/suggestions", b"/v1/suggestions/tags", b"/v1/suggestions/progress",
)  # fmt: skip


# Uploads: what stands around a sound


def plain_upload(seed: random.Random, sound: bytes) -> Request:
    """A sound, sent as it should be, with texts that should not be."""
    fields = {
        name: seed.choice(TEXTS)
        for name in ("tags", "labels", "title", "licence", "accepted", "prompts", "multiple", "k")
        if seed.random() < 0.3
    }
    return post(seed.choice(CALLS), form(sound, seed.choice(NAMES), **fields), FORM)


def odd_upload(seed: random.Random, sound: bytes) -> Request:
    """A form that is none: parts inside parts, no end, no name, wrong lengths."""
    sound = sound[:20_000]
    body, kind, path = form(sound), FORM, seed.choice(CALLS)
    head = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    way = seed.randrange(14)
    if way == 0:  # a form in the form
        body = form(form(sound), b"a.wav")
    elif way == 1:
        body = body[: seed.randrange(len(body))]
    elif way == 2:
        body = body.replace(b"\r\n", b"\n")
    elif way == 3:
        body = body.replace(
            b'name="file"', b'name="%b"' % (b"x" * seed.choice((9, 9_000, 200_000)))
        )
    elif way == 4:
        kind = seed.choice(
            (b"multipart/form-data", b"multipart/form-data; boundary=",
            b"multipart/mixed; boundary=x",
             b"multipart/form-data; boundary=" + b"b" * 9_000,
             b"multipart/form-data; boundary=\xff",
             b"text/plain", b"audio/wav", b"application/json", b"",
             b"application/x-www-form-urlencoded",
             FORM + b"; charset=utf-7", FORM + b"; charset=\xff", FORM + b"; charset=no-such")
        )  # fmt: skip
    elif way == 5:
        body = body.replace(head, head + b"Content-Transfer-Encoding: base64\r\n")
    elif way == 6:
        body = body.replace(head, seed.choice((b"", b"\r\n", b"A\r\n", b": \r\n", head * 30)))
    elif way == 7:
        body = b"".join(b"--%b\r\n%b\r\na\r\n" % (BOUNDARY, head) for _ in range(150)) + body
    elif way == 8:
        body = body.replace(
            b'name="file"', seed.choice((b"name=file", b"name", b"name*=utf-8''%ff"))
        )
    elif way == 9:
        part = b'Content-Disposition: form-data; name="file"\r\n\r\nnot a file'
        body = b"--%b\r\n%b\r\n%b" % (BOUNDARY, part, body)
    elif way == 10:
        body = seed.randbytes(seed.choice((0, 1, 100, 5_000)))
    elif way == 11:
        body = (b"--%b" % BOUNDARY) * 2_000 + b"\r\n" * 500
    return _misled(seed, post(path, body, kind), body, way)


def _misled(seed: random.Random, request: Request, body: bytes, way: int) -> Request:
    """A request whose length is not so, or that comes in chunks that are none."""
    length = b"Content-Length: %d" % len(body)
    if way == 12:
        wrong = (b"0", b"1", b"-1", b"9" * 40, b"%d" % (len(body) + 50), b"0x10", b"1, 2", b"")
        return request.replace(length, b"Content-Length: " + seed.choice(wrong))
    if way == 13:
        chunks = (
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
            b"FFFFFFFFFFFFFFFF\r\na",
            b"-1\r\na\r\n",
            b"5;a=%b\r\n" % (b"x" * 9_000),
            b"zz\r\n",
        )
        request = request.replace(length, b"Transfer-Encoding: chunked")
        return request.replace(body, seed.choice(chunks))
    return request


def upload(number: int, sound: bytes) -> Request:
    """The hostile upload of that number. Most are plain: it is the sound that hurts."""
    seed = random.Random(-1 - number)
    return (odd_upload if seed.random() < 0.25 else plain_upload)(seed, sound)


# Queries


def query_request(seed: random.Random) -> Request:
    """An address with texts that should not be there."""
    path = seed.choice(PATHS)
    if b"%b" in path:
        path = path.replace(b"%b", _text(seed).replace(b"?", b"%3F"))
    pairs = [
        b"%b=%b" % (seed.choice(PARAMETERS), _text(seed)) for _ in range(seed.choice((0, 1, 2, 5)))
    ]
    if seed.random() < 0.6:
        pairs.append(b"q=" + _text(seed))
    method = seed.choice(
        (b"GET",) * 12 + (b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"TRACE")
    )
    return b"%b %b?%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (
        method, path, b"&".join(pairs), _fields(seed)
    )  # fmt: skip


def _text(seed: random.Random) -> bytes:
    way = seed.random()
    if way < 0.6:
        return seed.choice(TEXTS)
    if way < 0.75:
        return quote_from_bytes(seed.randbytes(seed.choice((1, 4, 30)))).encode()
    if way < 0.9:
        letters = "".join(chr(seed.choice((32, 39, 0x600, 0xFFFD, 0x1F600))) for _ in range(9))
        return quote(letters).encode()
    return seed.choice((b"9" * 25_000, b"a+" * 9_000, b"dog%20" * 3_000, b"%00" * 8_000))


def _fields(seed: random.Random) -> bytes:
    """Fields of a head, mostly none."""
    odd = (
        b"Range: bytes=%b\r\n" % seed.choice((b"-", b"9-1", b"0-0,1-1,2-2", b"-9" * 99,
        b"9" * 999)),
        b"If-None-Match: %b\r\n" % seed.choice((b'"', b"*", b'W/"', b'"a",' * 900)),
        b"If-Match: *\r\n", b"If-Range: \xff\r\n", b"Accept: text/event-stream\r\n",
        b"Accept-Encoding: " + b"gzip," * 500 + b"\r\n", b"Expect: 100-continue\r\n",
        b"X-Request-ID: a\x0bb\r\n", b"X-Request-ID: " + b"x" * 9_000 + b"\r\n",
        b"Authorization: Bearer \xff\r\n", b"X-API-Key: ../../x\r\n",
        b"Authorization: Basic Og==\r\n",
        b"X-Forwarded-For: 10.0.0.1, \xff\r\n", b"Forwarded: for=_x\r\n", b"Cookie: a=%00\r\n",
        b"Origin: null\r\n", b"Origin: http://\xff\r\n", b"Host: evil.example\r\n",
        b"Host: \xff\r\n",
        b"traceparent: 00-zz\r\n", b"Content-Encoding: gzip\r\n", b"Connection: close, upgrade\r\n",
        b"Last-Event-ID: \xff\r\n", b"X-HTTP-Method-Override: DELETE\r\n", b"\xff: a\r\n", b"a\r\n",
    )  # fmt: skip
    return b"".join(seed.choice(odd) for _ in range(seed.choice((0, 0, 0, 1, 2))))


def posted(seed: random.Random) -> Request:
    """A JSON body, or what is none, to a call that takes one."""
    odd: tuple[object, ...] = (
        None, True, -1, 1e308, 10**25, "", "\x00", "\ud800", "a" * 9_000, [], {}, [[[]]], {"": ""},
        [{"type": "input_audio", "input_audio": {"data": "AAAA" * 99}}], [[1, 2]], ["rain"] * 400,
        [{"tag": "rain", "weight": 1e300}], [{"tag": "\ud800", "weight": -1}], "0",
    )  # fmt: skip
    names = ("q", "k", "tags", "cursor", "tag", "sort", "fields", "clip", "accepted", "rejected",
             "title", "description", "licence", "min_duration", "distinct", "prompts",
             "suggested", "reviewer", "verdicts", "order", "__class__",
             "ids", "where", "set", "add_tags", "remove_tags", "etags",
             "name", "clips", "follows", "add", "remove", "move", "collection",
             "input", "model", "dimensions", "encoding_format",
             "labels", "vector", "bias", "fingerprint", "version", "figures")  # fmt: skip
    body = json.dumps({name: seed.choice(odd) for name in seed.sample(names, seed.randrange(6))})
    data = seed.choice(
        (body.encode(),) * 6
        + (b"[" * 100_000, b'{"a":' * 50_000, b'{"q":' + b"9" * 100_000 + b"}", b"", b"\xff",
        b"nul",
           b'{"q":"\\ud800"}', b'{"q":"\xed\xa0\x80"}', b'{"q":1e999999}', b'{"k":NaN}',
           b"\xef\xbb\xbf{}",
           b'{"q":"a","q":"b"}', b'{"q":"' + b"a" * 900_000 + b'"}', body.encode("utf-16"))
    )  # fmt: skip
    path, method = seed.choice(
        (("/v1/search", b"POST"), ("/v1/search", b"POST"), ("/v1/feedback", b"POST"),
         ("/v1/suggestions/leases", b"POST"), ("/v1/suggestions/verdicts", b"POST"),
         ("/v1/collections", b"POST"), ("/v1/collections/favourites", b"PATCH"),
         ("/v1/collections/favourites/clips", b"PATCH"),
         ("/v1/classifiers", b"POST"), ("/v1/classifiers/import", b"POST"),
         ("/v1/classifiers/hostile/labels", b"POST"), ("/v1/classifiers/hostile", b"PATCH"),
         ("/v1/embeddings", b"POST"), ("/v1/embeddings", b"POST"),
         ("/v1/clips", b"PATCH"), ("/v1/edits/1/undo", b"POST"),
         ("/v1/clips/x", b"PATCH"), ("/v1/clips/..%2f..%2fx", b"PATCH"), ("/v1/jobs", b"POST"))
    )  # fmt: skip
    kind = seed.choice(
        (JSON, JSON, JSON, b"text/plain", b"application/json; charset=utf-16", b"a/b/c")
    )
    return post(path, data, kind).replace(b"POST", method, 1)


def broken(seed: random.Random) -> Request:
    """What is hardly HTTP."""
    base = seed.choice((query_request, posted))(seed)
    data = bytearray(base[:2_000])
    for _ in range(seed.choice((1, 4, 40))):
        data[seed.randrange(min(len(data), seed.choice((20, 200, 2_000))))] = seed.randrange(256)
    smuggled = base[:-2] + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    wild = (seed.randbytes(300),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + seed.randbytes(200),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50, base * 3,
            b"GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"CONNECT a:1 HTTP/1.1\r\n\r\n")  # fmt: skip
    return seed.choice((bytes(data), smuggled, seed.choice(wild)))


def query(number: int) -> Request:
    """The hostile query of that number."""
    seed = random.Random(number)
    make: Make = seed.choice((query_request,) * 5 + (posted,) * 3 + (broken,) * 2)
    return make(seed)


def ordinary() -> bytes:
    """A good sound."""
    return good()["wav"]
