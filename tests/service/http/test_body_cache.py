"""Bodies that are rendered once: for each object once, whoever asks first."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from earmark.service.http.body_cache import BodyCache


def test_a_body_is_rendered_once_for_each_object() -> None:
    cache, rendered = BodyCache(), []

    def render() -> bytes:
        rendered.append(None)
        return b'{"number": %d}' % len(rendered)

    one, other = object(), object()
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda _: cache.get(one, render), range(100)))
    assert {body.content for body in bodies} == {b'{"number": 1}'}
    assert bodies[0].etag == f'"{hashlib.sha256(bodies[0].content).hexdigest()[:32]}"'
    body = cache.get(other, render)
    assert body.content == b'{"number": 2}'
    assert body.etag != bodies[0].etag
    assert cache.get(other, render) is body
