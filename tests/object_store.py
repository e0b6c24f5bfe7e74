"""A store of objects on this machine (moto's S3), which can be watched, and fail, in tests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from werkzeug.serving import make_server

from earmark.model.cloud import stores

BUCKET = "sounds"
SECRETS = ("AKIDTESTTESTTEST", "secret/of+the+tests")  # of nobody
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": SECRETS[0],
    "AWS_SECRET_ACCESS_KEY": SECRETS[1],
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Asked:
    """A request that the store got: its method, path and Range."""

    method: str
    path: str
    range: str


@dataclass
class ObjectStore:
    """The running store. `asked`: what it was asked for; `broken`: the paths whose bytes end amid
    an answer; `failing`: those that it fails with; `silent`: those that are not answered before
    `awake` is set."""

    url: str
    client: Any = None
    asked: list[Asked] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    awake: threading.Event = field(default_factory=threading.Event)

    def put(self, key: str, content: bytes) -> str:
        """Put an object there; its address."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def ranges_of(self, key: str) -> list[str]:
        """The ranges that were fetched of an object."""
        return [
            asked.range
            for asked in self.asked
            if (asked.method, asked.path) == ("GET", f"/{BUCKET}/{key}")
        ]


@contextmanager
def running() -> Iterator[ObjectStore]:
    """A store with an empty bucket, which this process and those it starts find by their
    environment."""
    from moto.backends import get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    get_backend("s3").reset()  # moto's is the process's: without what other tests put there
    serve = DomainDispatcherApplication(create_backend_app)
    store = ObjectStore("")

    def watched(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        asked = Asked(environ["REQUEST_METHOD"], path, environ.get("HTTP_RANGE", ""))
        store.asked.append(asked)
        if path in store.silent:
            store.awake.wait(60)
        if path in store.failing:
            start_response("500 Internal Server Error", [])
            return []
        answer = serve(environ, start_response)
        is_cut = path in store.broken and asked.method == "GET"
        return [b"".join(answer)[:-1_000]] if is_cut else answer

    server = make_server("127.0.0.1", 0, watched, threaded=True)
    store.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.url}.items():
            patch.setenv(name, value)
        store.client = boto3.client("s3")
        store.client.create_bucket(Bucket=BUCKET)
        try:
            yield store
        finally:
            store.awake.set()
            stores._filesystem.cache_clear()  # the next one has another port
            server.shutdown()
            server.server_close()
            store.client.close()
