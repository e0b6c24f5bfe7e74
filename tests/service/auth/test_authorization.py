"""Who may do what: addresses, proxies, keys, other sites' pages, over real servers.

Clients elsewhere come through a trusted proxy on loopback that names them in X-Forwarded-For: so
they need no second network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from earmark.model.core.errors import ConfigError
from earmark.service.auth.api_keys import KeyFile
from earmark.service.auth.authorization import AccessRules, holds_data, writes
from earmark.service.http.problems import ProblemError
from earmark.service.settings import Settings
from tests.service import sounds
from tests.service.server_process import Server, serving

WRITES = [(method, "/v1/clips/nothing") for method in ("DELETE", "PATCH", "POST")]
PASSED = {400, 404, 405, 422}  # let in, and there is no such clip, or it lacks a sound
ELSEWHERE = "198.51.100.7"
LISTED = "https://sounds.example"


@dataclass(frozen=True)
class Guarded:
    """A server behind a trusted proxy on loopback, its file of keys, and two keys."""

    server: Server
    file: KeyFile
    reading: str
    writing: str

    def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        """Ask through the proxy, as somebody elsewhere unless the headers say who."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.client.request(
            method, path, headers={"X-Forwarded-For": ELSEWHERE, **named}
        )


@pytest.fixture(scope="module")
def guarded_server(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, library_folder: Path
) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    file = KeyFile(folder / "keys")
    reading, writing = file.add("reader", "read"), file.add("writer", "write")
    settings = {
        "EARMARK_KEYS": str(file.path),
        "EARMARK_PROXIES": "127.0.0.1, 10.0.0.0/8",
        "EARMARK_REQUIRE_READ_KEY": "true",
        "EARMARK_CORS": LISTED,
        "EARMARK_LOG_LEVEL": "debug",
    }
    arguments = ("--library", library_folder, "--model", model_folder)
    log = folder / "log"
    with serving(log, *arguments, **settings) as server:
        yield Guarded(server, file, reading, writing)
        assert server.stop() == 0
    text = log.read_text()
    assert reading not in text
    assert writing not in text
    assert "em_" not in text
    assert "writer" in text  # by its name
    assert "Traceback" not in text


def test_assistants_need_what_reading_needs(guarded_server: Guarded) -> None:
    key = guarded_server.reading
    assert guarded_server.ask("POST", "/mcp").status_code == 401
    assert guarded_server.ask("POST", "/mcp", X_API_Key=key).status_code == 405  # it is off here
    foreign = {"Origin": "https://elsewhere.example"}
    assert guarded_server.ask("POST", "/mcp", X_API_Key=key, **foreign).status_code == 403
    assert guarded_server.ask("POST", "/mcp", X_API_Key=key, Origin=LISTED).status_code == 405


def test_from_this_machine_writing_needs_no_key(server: Server) -> None:
    for method, path in WRITES:
        assert server.client.request(method, path).status_code in PASSED
    named = {"Host": f"localhost:{server.port}", "Origin": f"http://localhost:{server.port}"}
    assert server.client.request(*WRITES[0], headers=named).status_code in PASSED


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # a name bent to 127.0.0.1
        {"Host": "127.0.0.1.evil.example:8000"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.0.2.1"},
        {"Host": ""},
        {"X-Forwarded-For": "127.0.0.1"},  # a proxy that we were not told of
        {"X-Forwarded-For": ""},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
    ],
)
def test_what_only_looks_like_this_machine_may_read_and_not_write(
    server: Server, headers: dict[str, str]
) -> None:
    for method, path in WRITES:
        response = server.client.request(method, path, headers=headers)
        server.problem(response, 401, "key: expected one to write with")
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert server.client.get("/v1/search?q=dog", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://127.0.0.1:3000"}, False),  # another program of this machine
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://{host}"}, True),
    ],
)
def test_pages_of_other_sites_may_not_write(
    server: Server, headers: dict[str, str], allowed: bool
) -> None:
    host = f"127.0.0.1:{server.port}"
    sent = {name: value.format(host=host) for name, value in headers.items()}
    for method, path in WRITES:
        response = server.client.request(method, path, headers=sent)
        if allowed:
            assert response.status_code in PASSED
        else:
            server.problem(response, 403, "Origin: expected this service's page")
    upload = {"files": {"file": ("a.wav", sounds.noise())}, "headers": sent}
    assert server.client.post("/v1/tags", **upload).status_code == 200  # type: ignore[arg-type]


def test_from_elsewhere_writing_needs_a_key_that_may_write(guarded_server: Guarded) -> None:
    problem = guarded_server.server.problem
    for method, path in WRITES:
        problem(guarded_server.ask(method, path), 401, "key: expected one to write with")
        reading = guarded_server.ask(method, path, X_API_Key=guarded_server.reading)
        problem(reading, 403, "expected one of scope write, got read")
        for sent in (
            {"X_API_Key": guarded_server.writing},
            {"Authorization": f"Bearer {guarded_server.writing}"},
            {"Authorization": f"bearer  {guarded_server.writing}"},
            {"Authorization": "Basic YTpi", "X_API_Key": guarded_server.writing},
        ):
            assert guarded_server.ask(method, path, **sent).status_code in PASSED


def test_a_key_in_the_address_is_none(guarded_server: Guarded) -> None:
    refused = guarded_server.server.client.delete("/v1/clips/nothing?key=secret&api_key=secret")
    guarded_server.server.problem(refused, 401, "key: expected one to write with")


def test_a_key_that_is_none_of_ours_is_refused_wherever_a_key_counts(
    server: Server, guarded_server: Guarded
) -> None:
    for wrong in ("em_x", guarded_server.writing[:-1], "\xff", "x" * 20_000):
        sent = {b"X-API-Key": wrong.encode("latin-1")}
        for target in (server, guarded_server.server):
            answer = target.client.get("/v1/search?q=dog", headers=sent)
            target.problem(answer, 401, "key: expected one that is in use")
            assert wrong not in answer.text
            assert target.client.get("/healthz", headers=sent).status_code == 200


def test_reading_from_elsewhere_may_need_a_key(guarded_server: Guarded) -> None:
    for path in ("/v1/search?q=dog", "/v1/model", "/metrics"):
        refused = guarded_server.ask("GET", path)
        guarded_server.server.problem(refused, 401, "key: expected one to read with")
        for key in (guarded_server.reading, guarded_server.writing):
            assert guarded_server.ask("GET", path, X_API_Key=key).status_code == 200
    for path in ("/healthz", "/readyz", "/", "/docs", "/problems/unauthorized"):
        assert guarded_server.ask("GET", path).status_code == 200


def test_behind_a_trusted_proxy_nobody_is_this_machine(guarded_server: Guarded) -> None:
    client = guarded_server.server.client
    assert client.delete("/v1/clips/nothing").status_code == 401
    for hops in ("127.0.0.1", "127.0.0.1, 10.1.1.1", "::1", "localhost", "garbage", ""):
        assert guarded_server.ask(*WRITES[0], X_Forwarded_For=hops).status_code == 401


def test_redirects_keep_the_scheme_that_a_trusted_proxy_tells(
    server: Server, guarded_server: Guarded
) -> None:
    sent = {"X-Forwarded-Proto": "https", "X-API-Key": guarded_server.reading}
    for target, scheme in ((guarded_server.server, "https"), (server, "http")):
        key = {} if target is server else sent
        answer = target.client.get("/v1/model/", headers={**key, "X-Forwarded-Proto": "https"})
        assert answer.status_code == 307
        assert answer.headers["location"].startswith(f"{scheme}://")


def test_a_revoked_key_ends_at_once(guarded_server: Guarded) -> None:
    secret = guarded_server.file.add("brief", "write")
    assert guarded_server.ask(*WRITES[0], X_API_Key=secret).status_code in PASSED
    guarded_server.file.revoke("brief")
    assert guarded_server.ask(*WRITES[0], X_API_Key=secret).status_code == 401


def test_a_broken_file_of_keys_lets_nobody_in(guarded_server: Guarded) -> None:
    path = guarded_server.file.path
    before = path.read_bytes()
    try:
        path.write_bytes(before + b"{")
        answer = guarded_server.ask("GET", "/v1/model", X_API_Key=guarded_server.reading)
        guarded_server.server.problem(answer, 503, "keys cannot be read now")
        assert str(path) not in answer.text
    finally:
        path.write_bytes(before)
    answer = guarded_server.ask("GET", "/v1/model", X_API_Key=guarded_server.reading)
    assert answer.status_code == 200


def test_pages_of_allowed_origins_may_call(guarded_server: Guarded) -> None:
    key = guarded_server.writing
    preflight = {
        "Access_Control_Request_Method": "DELETE",
        "Access_Control_Request_Headers": "x-api-key",
    }
    allowed = guarded_server.ask("OPTIONS", "/v1/clips/nothing", Origin=LISTED, **preflight)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == LISTED
    assert "DELETE" in allowed.headers["access-control-allow-methods"]
    other = guarded_server.ask(
        "OPTIONS", "/v1/clips/nothing", Origin="https://x.example", **preflight
    )
    assert other.status_code == 400
    assert "access-control-allow-origin" not in other.headers
    openai = {  # as the openai package for JavaScript asks before it embeds
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "authorization,content-type,x-stainless-arch,"
        "x-stainless-lang,x-stainless-os,x-stainless-package-version,x-stainless-retry-count,"
        "x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout",
    }
    asked = guarded_server.ask("OPTIONS", "/v1/embeddings", Origin=LISTED, **openai)
    assert asked.status_code == 200
    sent = {"X_API_Key": key, "Sec_Fetch_Site": "cross-site"}
    written = guarded_server.ask(*WRITES[0], Origin=LISTED, **sent)
    assert written.status_code in PASSED
    assert written.headers["access-control-allow-origin"] == LISTED
    assert guarded_server.ask(*WRITES[0], Origin="https://x.example", **sent).status_code == 403
    refused = guarded_server.ask(*WRITES[0], Origin=LISTED)  # the page must see why
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == LISTED
    assert refused.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize(
    "header",
    ["If-Match", "If-None-Match", "If-Modified-Since", "Last-Event-ID", "traceparent", "Range"],
)
def test_pages_of_allowed_origins_may_send_what_the_service_reads(
    guarded_server: Guarded, header: str
) -> None:
    asked = {
        "Access_Control_Request_Method": "PATCH",
        "Access_Control_Request_Headers": f"content-type, {header.lower()}",
    }
    allowed = guarded_server.ask("OPTIONS", "/v1/clips/nothing", Origin=LISTED, **asked)
    assert allowed.status_code == 200
    assert header.lower() in allowed.headers["access-control-allow-headers"].lower().split(", ")


def test_pages_of_allowed_origins_may_read_what_it_tells(guarded_server: Guarded) -> None:
    answer = guarded_server.ask("GET", "/", Origin=LISTED)
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    for header in ("ETag", "Location", "Content-Disposition", "Content-Range", "Retry-After"):
        assert header in exposed


def test_security_headers_are_on_every_answer(server: Server) -> None:
    for path, policy in (
        ("/", "default-src 'self'; img"),
        ("/v1/search?q=dog", "default-src 'self'; img"),
        ("/nothing", "default-src 'self'; img"),
        ("/docs", "default-src 'self'; script"),
    ):
        headers = server.client.get(path).headers
        assert headers["content-security-policy"].startswith(policy)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "microphone=(self)" in headers["permissions-policy"]
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_a_call_writes_unless_it_is_known_only_to_read() -> None:
    for path in ("/v1/clips", "/v1/jobs", "/v1/feedback", "/v1/new", "/v1/tags/", "/v1/clips/tags"):
        assert writes({"method": "POST", "path": path})
    for method in ("PUT", "PATCH", "DELETE", "QUERY", "ANY"):
        assert writes({"method": method, "path": "/v1/search"})
    for path in ("/v1/tags", "/v1/classify", "/v1/search", "/v1/search/audio"):
        assert not writes({"method": "POST", "path": path})
    assert not writes({"method": "GET", "path": "/v1/clips"})
    assert holds_data("/v1/new") and holds_data("/metrics") and not holds_data("/")


def test_always_a_key_and_only_names_of_ours(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    file = KeyFile(tmp_path / "keys")
    secret = file.add("ann", "write")
    settings = {
        "EARMARK_KEYS": str(file.path),
        "EARMARK_REQUIRE_KEY": "always",
        "EARMARK_HOSTS": "sounds.example",
        "EARMARK_HOST": "0.0.0.0",
    }
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(tmp_path / "log", *arguments, **settings) as server:
        server.problem(server.client.delete("/v1/clips/x"), 401, "to write with")
        sent = {"Authorization": f"Bearer {secret}"}
        assert server.client.delete("/v1/clips/x", headers=sent).status_code in PASSED
        for host, status in (("sounds.example", 200), ("Sounds.Example:80", 200), ("x.y", 403)):
            answer = server.client.get("/v1/search?q=dog", headers={"Host": host})
            assert answer.status_code == status
        assert server.client.get("/v1/search?q=dog").status_code == 200
    assert "writing from elsewhere is refused" not in (tmp_path / "log").read_text()


def test_settings_that_do_not_fit_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("require_key: expected a file of keys")):
        AccessRules.of(Settings(require_key="always"))
    with pytest.raises(ConfigError, match="require_read_key: expected a file of keys"):
        AccessRules.of(Settings(require_read_key=True))
    with pytest.raises(ConfigError, match="earmark keys add"):
        AccessRules.of(Settings(keys=tmp_path / "nothing"))


def test_any_origin_may_be_let_read_and_none_write() -> None:
    assert AccessRules.of(Settings(cors=("*", LISTED))).origins == {LISTED}
    rules = AccessRules.of(Settings(hosts=("sounds.example", "[2001:db8::1]")))
    scope = {"method": "GET", "path": "/v1/model"}
    client = rules.caller({"client": ("192.0.2.1", 1), "headers": []}, {})
    for host in (b"sounds.example:80", b"[2001:db8::1]:80", b"[2001:db8::1]"):
        rules.check(scope, {b"host": host}, client, None)
    for host in (b"x.sounds.example", b"[2001:db8::2]", b""):
        with pytest.raises(ProblemError, match="Host: expected a name"):
            rules.check(scope, {b"host": host}, client, None)


def test_the_openai_package_sends_its_key_and_is_refused_without(
    guarded_server: Guarded, server: Server
) -> None:
    from openai import AuthenticationError, OpenAI

    def ask(to: Server, key: str) -> int:
        base = f"http://127.0.0.1:{to.port}/v1"
        elsewhere = {"X-Forwarded-For": ELSEWHERE}
        with OpenAI(base_url=base, api_key=key, max_retries=0, default_headers=elsewhere) as client:
            assert [model.owned_by for model in client.models.list()] == ["earmark"]
            return len(client.embeddings.create(model="earmark", input="dog").data)

    assert ask(guarded_server.server, guarded_server.reading) == 1
    with pytest.raises(AuthenticationError, match="key: expected one that is in use") as refused:
        ask(guarded_server.server, "sk-none")
    assert refused.value.code == "invalid_api_key"
    assert ask(server, "sk-none") == 1  # a server without keys: the package must send something
