"""Authorization: the caller's address and key, cross-site requests, host names.

Reading is open unless the settings require a key. Writing is allowed from this machine, and from
elsewhere with a key of scope write. A request counts as writing unless its path is listed as one
that only reads, so a new route is protected by default. A key is sent in a header, never in an
address: addresses end up in logs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from earmark.model.core.errors import ConfigError
from earmark.service.auth import client_address
from earmark.service.auth.api_keys import Key, KeyFile, KeysError
from earmark.service.auth.client_address import UNKNOWN, Proxies
from earmark.service.http.openai_errors import EMBEDDINGS, is_openai_path
from earmark.service.http.problems import ProblemError, problem
from earmark.service.settings import Settings

log = logging.getLogger(__name__)

HEALTH_CHECKS = frozenset({"/healthz", "/readyz"})  # open to all
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOAD_PATHS = frozenset({"/v1/tags", "/v1/classify", "/v1/search/audio"})  # only read
MCP_PATH = "/mcp"  # what its messages ask for is asked again, as requests of their own
READ_PATHS = UPLOAD_PATHS | {"/v1/search", EMBEDDINGS, MCP_PATH}
# Headers of a proxy: with one of these, a request is not from this machine itself.
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
# The headers that decide who a caller is, and what the caller may do.
CALLER_HEADERS = frozenset(
    {*FORWARDED, b"x-forwarded-proto", b"host", b"authorization", b"x-api-key", b"origin"}
    | {b"sec-fetch-site"}
)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="earmark"'}

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the address, as trusted proxies report it, and the key's name.

    `local`: from this machine, with no proxy in between; `may_write`: whether the key's scope is
    write.
    """

    address: str
    local: bool
    key: str | None = None
    may_write: bool = False

    @property
    def client(self) -> str:
        """What limits are counted for: the key, or else the address."""
        return f"key {self.key}" if self.key else client_address.rate_group(self.address)


@dataclass(frozen=True)
class AccessRules:
    """Who may do what, by the operator's settings.

    `key_always`: writing needs a key even on this machine; `key_to_read`: reading from elsewhere
    needs one. `origins`: whose pages may write; `hosts`: names the service answers to.
    """

    proxies: Proxies
    keys: KeyFile | None = None
    key_always: bool = False
    key_to_read: bool = False
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> AccessRules:
        """The rules of these settings. Raises ConfigError for settings that contradict each other,
        and KeysError for a file of keys that cannot be read."""
        for name, required in (
            ("require_key", settings.require_key == "always"),
            ("require_read_key", settings.require_read_key),
        ):
            if required and settings.keys is None:
                raise ConfigError(f"{name}: expected a file of keys (EARMARK_KEYS), got none")
        keys = None if settings.keys is None else KeyFile(settings.keys)
        if keys is not None:
            keys.read()
        return cls(
            Proxies(settings.proxies),
            keys,
            settings.require_key == "always",
            settings.require_read_key,
            frozenset(origin.lower() for origin in settings.cors) - {"*"},
            frozenset(host.lower() for host in settings.hosts),
        )

    def caller(self, scope: Scope, headers: Headers) -> Caller:
        """The sender of a request, without its key.

        A caller is local if the peer is on loopback, is no trusted proxy, sends no header of a
        proxy, and names a loopback host: a foreign page after DNS rebinding names another.
        """
        peer = client_address.parse(scope["client"][0]) if scope.get("client") else None
        if peer is None:
            return Caller(UNKNOWN, local=False)
        if self.proxies.trusts(peer):
            forwarded = b",".join(
                value for name, value in scope["headers"] if name == b"x-forwarded-for"
            )
            if (scheme := headers.get(b"x-forwarded-proto", b"")) in (b"http", b"https"):
                scope["scheme"] = scheme.decode()  # the client's own, for redirects
            return Caller(str(self.proxies.client(peer, forwarded.decode("latin-1"))), local=False)
        local = (
            peer.is_loopback
            and client_address.is_loopback(headers.get(b"host", b"").decode("latin-1"))
            and not any(name in headers for name in FORWARDED)
        )
        return Caller(str(peer), local)

    def key(self, headers: Headers, path: str = "") -> Key | None:
        """The key of a request; None without. Raises ProblemError for an unknown one, KeysError.

        Clients of OpenAI's form always send a key: where there are none, theirs is no mistake.
        """
        if self.keys is None and is_openai_path(path):
            return None
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            secret = headers.get(b"x-api-key", b"")
        if not (secret := secret.strip()):
            return None
        found = self.keys.find(secret.decode("latin-1")) if self.keys else None
        if found is None:
            raise ProblemError("unauthorized", "key: expected one that is in use", CHALLENGE)
        return found

    def check(self, scope: Scope, headers: Headers, caller: Caller, key: Key | None) -> None:
        """Raise ProblemError if the caller may not do this."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.hosts and not client_address.is_loopback(host) and _bare(host) not in self.hosts:
            raise ProblemError("forbidden", "Host: expected a name that this service answers to")
        if writes(scope) or scope["path"] == MCP_PATH:
            self._check_site(headers, host)
        if writes(scope):
            if key is None and (self.key_always or not caller.local):
                raise ProblemError("unauthorized", "key: expected one to write with", CHALLENGE)
            if key is not None and key.scope != "write":
                raise ProblemError("forbidden", "key: expected one of scope write, got read")
        elif self.key_to_read and key is None and not caller.local and holds_data(scope["path"]):
            raise ProblemError("unauthorized", "key: expected one to read with", CHALLENGE)

    def _check_site(self, headers: Headers, host: str) -> None:
        """Refuse cross-site requests: those that a foreign page makes a visitor's browser send.

        Browsers say so in Sec-Fetch-Site; older ones send only the page's Origin.
        """
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        site = headers.get(b"sec-fetch-site", b"").lower()
        if origin in self.origins:
            return
        if site:
            allowed = site in (b"same-origin", b"none")
        else:
            allowed = not origin or origin.partition("://")[2] == host
        if not allowed:
            raise ProblemError(
                "forbidden", "Origin: expected this service's page or one allowed to write"
            )


def writes(scope: Scope) -> bool:
    """Whether a request may change something."""
    return scope["method"] not in SAFE_METHODS and not (
        scope["method"] == "POST" and scope["path"] in READ_PATHS
    )


def holds_data(path: str) -> bool:
    """Whether a path serves data: not the page's files, health checks or documentation."""
    return path.startswith("/v1/") or path in ("/metrics", MCP_PATH)


def _bare(host: str) -> str:
    """A host name or address without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


class Authorization:
    """Middleware: enforces the rules, and puts the `Caller` into the request's state."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        state = scope.setdefault("state", {})
        caller = state["caller"] = self.rules.caller(scope, headers)
        if scope["path"] not in HEALTH_CHECKS:
            try:
                key = self.rules.key(headers, scope["path"])
                if key is not None:
                    caller = state["caller"] = Caller(
                        caller.address, caller.local, key.name, key.scope == "write"
                    )
                self.rules.check(scope, headers, caller, key)
            except ProblemError as error:
                refusal = problem(error.name, str(error.detail), dict(error.headers or {}))
                await refusal(scope, receive, send)
                return
            except KeysError as error:
                log.error("%s", error)
                await problem("unavailable", "the keys cannot be read now")(scope, receive, send)
                return
        await self.app(scope, receive, send)
