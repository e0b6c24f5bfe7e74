"""Rates: what is counted for whom, headers, waiting, memory. Clients come through a proxy."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import limits
import pytest
from limits.strategies import SlidingWindowCounterRateLimiter

from earmark.service.auth import client_address
from earmark.service.auth.api_keys import KeyFile
from earmark.service.middleware.rate_limit import RecentClients, rate_of
from tests.service import sounds
from tests.service.server_process import Server, serving

SEARCH = "/v1/search?q=dog"
REFUSED = 'earmark_rejected_total{reason="rate"}'
fresh = (f"203.0.113.{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of keys, and its one key."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    return path, KeyFile(path).add("ann", "write")


@pytest.fixture(scope="module")
def limited(
    tmp_path_factory: pytest.TempPathFactory,
    key: tuple[Path, str],
    model_folder: Path,
    library_folder: Path,
) -> Iterator[Server]:
    """A server with low rates behind a proxy on loopback."""
    log = tmp_path_factory.mktemp("limited") / "log"
    settings = {
        "EARMARK_KEYS": str(key[0]),
        "EARMARK_PROXIES": "127.0.0.1",
        "EARMARK_RATE_UPLOADS": "2 per 2 second",
        "EARMARK_RATE_SEARCHES": "3/hour",
        "EARMARK_RATE_WRITES": "",
    }
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(log, *arguments, **settings) as server:
        yield server
        assert "Traceback" not in log.read_text()


def ask(server: Server, who: str, path: str = SEARCH, **headers: str) -> httpx.Response:
    return server.client.get(path, headers={"X-Forwarded-For": who, **headers})


def spend(server: Server, who: str, **headers: str) -> httpx.Response:
    """Ask until it is too much; that answer."""
    answers = [ask(server, who, **headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    return answers[-1]


def upload(server: Server, who: str, path: str = "/v1/tags") -> httpx.Response:
    files = {"file": ("a.wav", sounds.noise(0.2))}
    named = {"X-Forwarded-For": who}
    return server.client.post(path, files=files, data={"labels": "a,b"}, headers=named)


def test_the_headers_say_what_is_left(limited: Server) -> None:
    who = next(fresh)
    for left in (2, 1, 0):
        answer = ask(limited, who)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"searches";q=3;w=3600'
        name, rest, until = answer.headers["ratelimit"].split(";")
        assert (name, rest) == ('"searches"', f"r={left}")
        assert 1 <= int(until.removeprefix("t=")) <= 3_600


def test_who_asks_too_often_is_refused_and_others_are_not(limited: Server) -> None:
    refused = spend(limited, next(fresh))
    limited.problem(refused, 429, "searches: expected at most 3 in 3600 s, got more")
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert ";r=0;" in refused.headers["ratelimit"]
    assert ask(limited, next(fresh)).status_code == 200


def test_uploads_have_a_rate_of_their_own_and_may_come_again_after_a_while(
    limited: Server,
) -> None:
    who, answers = next(fresh), []
    while not answers or answers[-1].status_code != 429:
        assert len(answers) < 40
        answers.append(upload(limited, who, ("/v1/tags", "/v1/classify")[len(answers) % 2]))
    assert answers[0].headers["ratelimit-policy"] == '"uploads";q=2;w=2'
    limited.problem(answers[-1], 429, "uploads: expected at most 2 in 2 s")
    wait = int(answers[-1].headers["retry-after"])
    assert 1 <= wait <= 2
    time.sleep(wait)
    again = upload(limited, who)
    assert "ratelimit" in again.headers
    assert again.status_code != 429
    assert ask(limited, who).status_code == 200


def test_what_the_client_writes_before_its_address_is_not_believed(limited: Server) -> None:
    who = next(fresh)
    spend(limited, who)
    assert ask(limited, f"192.0.2.99, {who}").status_code == 429


def test_a_key_counts_wherever_it_comes_from(limited: Server, key: tuple[Path, str]) -> None:
    spend(limited, next(fresh), **{"X-API-Key": key[1]})
    who = next(fresh)
    assert ask(limited, who, **{"Authorization": f"Bearer {key[1]}"}).status_code == 429
    assert ask(limited, who).status_code == 200


def test_of_ipv6_a_network_of_64_bits_is_one_client(limited: Server) -> None:
    spend(limited, "2001:db8:1:2::1")
    assert ask(limited, "2001:db8:1:2:ffff::9").status_code == 429
    assert ask(limited, "2001:db8:1:3::1").status_code == 200


def test_what_has_no_rate(limited: Server, server: Server) -> None:
    who = next(fresh)
    for path in ("/healthz", "/", "/problems/busy"):
        for _ in range(5):
            answer = ask(limited, who, path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
    for _ in range(5):  # rate_writes is off
        deleted = limited.client.delete("/v1/clips/x", headers={"X-Forwarded-For": who})
        assert deleted.status_code == 401
    assert "ratelimit" not in server.client.get(SEARCH).headers  # from this machine


def test_refusals_are_counted(limited: Server) -> None:
    def count() -> float:
        text = ask(limited, next(fresh), "/metrics").text
        (line,) = (line for line in text.splitlines() if line.startswith(REFUSED))
        return float(line.split()[1])

    before = count()
    spend(limited, next(fresh))
    assert count() == before + 1


def test_the_window_slides(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    limiter, rate = SlidingWindowCounterRateLimiter(RecentClients()), limits.parse("10/10 second")
    now += 9.9  # near the end of a window: twice the rate must not fit into a moment around it
    assert sum(limiter.hit(rate, "a") for _ in range(20)) == 10
    now += 0.2
    assert sum(limiter.hit(rate, "a") for _ in range(20)) == 1
    stats = limiter.get_window_stats(rate, "a")
    assert stats.remaining == 0
    now = stats.reset_time - 0.01
    assert not limiter.hit(rate, "a")
    now += 0.02
    assert limiter.hit(rate, "a")
    now += 20.0
    assert sum(limiter.hit(rate, "a") for _ in range(20)) == 10


def test_many_clients_cost_bounded_memory_and_the_latest_are_kept() -> None:
    storage = RecentClients(max_clients=100)
    limiter, rate = SlidingWindowCounterRateLimiter(storage), limits.parse("2/hour")
    for number in range(10_000):
        limiter.hit(rate, f"client {number}")
        limiter.hit(rate, "busy")
    assert storage.reset() == 100
    for number in range(150):
        limiter.hit(rate, f"client {number}", cost=2)
    assert not limiter.test(rate, "client 149")
    assert limiter.test(rate, "client 0")  # forgotten
    assert storage.reset() == 100


def test_groups_and_kinds() -> None:
    for address, group in (
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("unknown", "unknown"),
    ):
        assert client_address.rate_group(address) == group
    for method, address, kind in (
        ("POST", "/v1/tags", "uploads"), ("POST", "/v1/search/audio", "uploads"),
        ("POST", "/v1/embeddings", "searches"), ("GET", "/v1/models", "searches"),
        ("POST", "/v1/search", "searches"), ("GET", "/v1/clips", "searches"),
        ("POST", "/mcp", "searches"), ("DELETE", "/mcp", "writes"),
        ("POST", "/v1/clips", "writes"), ("DELETE", "/v1/clips/x", "writes"),
        ("GET", "/metrics", None), ("GET", "/styles/base.css", None),
        ("OPTIONS", "/v1/tags", "searches"),
        ("GET", "/v1/clips/x/timeline", "uploads"), ("HEAD", "/v1/clips/x/timeline", "uploads"),
        ("GET", "/v1/clips/x/audio", "searches"), ("GET", "/v1/clips/x/similar", "searches"),
        ("GET", "/v1/clips/x/audio?start=", "uploads"),
        ("GET", "/v1/clips/x/audio?format=wav", "uploads"),
        ("HEAD", "/v1/clips/x/similar?k=5&%65nd=3", "uploads"),
        ("GET", "/v1/clips/x/waveform?points=9&start=1", "uploads"),
        ("GET", "/v1/clips/x/spectrogram?width=9", "searches"),
        ("GET", "/v1/clips/x/spectrogram?end=1", "uploads"),
        ("GET", "/v1/clips/x/similar?k=1&q=start&\xff%ff=%", "searches"),
        ("GET", "/v1/search?start=1", "searches"),
        ("PATCH", "/v1/clips/x/timeline", "writes"),
    ):  # fmt: skip
        path, _, query = address.partition("?")
        scope = {"method": method, "path": path, "query_string": query.encode("latin-1")}
        assert rate_of({**scope, "headers": []}) == kind


def test_sounds_to_embed_count_as_uploads_each(limited: Server) -> None:
    from openai import OpenAI, RateLimitError, omit

    who = {"X-Forwarded-For": next(fresh)}
    three = [("file", ("a.wav", sounds.noise(0.2)))] * 3
    refused = limited.client.post("/v1/embeddings", files=three, headers=who)
    limited.problem(refused, 429, "uploads: expected at most 2 in 2 s")
    who = {"X-Forwarded-For": next(fresh), "Authorization": omit}  # counted by its address
    base = f"http://127.0.0.1:{limited.port}/v1"
    sound = {"data": base64.b64encode(sounds.noise(0.2)).decode()}
    inputs = [{"type": "input_audio", "input_audio": sound}] * 3
    with OpenAI(base_url=base, api_key="none", max_retries=0) as client:
        create = partial(client.embeddings.create, model="earmark", extra_headers=who)
        with pytest.raises(RateLimitError, match="uploads: expected at most 2") as several:
            create(input=inputs)
        assert several.value.code == "rate_limit_exceeded"
        assert len(create(input=inputs[:2]).data) == 2
        create(input="dog")
        with pytest.raises(RateLimitError, match="searches: expected at most 3"):
            create(input="dog")
