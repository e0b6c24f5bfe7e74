"""Who may do what: the client's address and key, cross-site writing, the names we answer to.

Reading is open, unless a key is wanted for it. Writing is for this machine itself, and from
elsewhere for those with a key that may write. A call writes unless it is known only to read, so a
new route is safe until it is named here. A key comes in a header, never in an address: addresses
end up in logs.
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
from earmark.service.http.problems import ProblemError, problem
from earmark.service.settings import Settings

log = logging.getLogger(__name__)

PROBES = frozenset({"/healthz", "/readyz"})
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOADS = frozenset({"/v1/tags", "/v1/classify", "/v1/search/audio"})  # that only read
READING = UPLOADS | {"/v1/search"}
# A proxy that nobody told us of shows by one of these.
FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="earmark"'}

Headers = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Client:
    """Who asks: the address, as far as trusted proxies tell it, and the key's name.

    `local`: from this machine, with nothing in between.
    """

    address: str
    local: bool
    key: str | None = None


@dataclass(frozen=True)
class Rules:
    """What the operator decided. Raises ConfigError from `of` where it does not fit together."""

    proxies: Proxies
    keys: KeyFile | None = None
    always: bool = False
    reading: bool = False
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules of these settings; the file of keys is read once, to see that it can be."""
        for name, wanted in (
            ("require_key", settings.require_key == "always"),
            ("require_read_key", settings.require_read_key),
        ):
            if wanted and settings.keys is None:
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

    def client(self, scope: Scope, headers: Headers) -> Client:
        """Who asks, before any key.

        Local is a peer on loopback that is no proxy, shows no sign of one, and asks for this
        machine by its own name: a page elsewhere whose name was bent to 127.0.0.1 does not.
        """
        peer = client_address.parse(scope["client"][0]) if scope.get("client") else None
        if peer is None:
            return Client(UNKNOWN, local=False)
        if self.proxies.trust(peer):
            forwarded = b",".join(
                value for name, value in scope["headers"] if name == b"x-forwarded-for"
            )
            if (scheme := headers.get(b"x-forwarded-proto", b"")) in (b"http", b"https"):
                scope["scheme"] = scheme.decode()  # as the client spoke it, for redirects
            return Client(str(self.proxies.client(peer, forwarded.decode("latin-1"))), local=False)
        local = (
            peer.is_loopback
            and client_address.is_loopback(headers.get(b"host", b"").decode("latin-1"))
            and not any(name in headers for name in FORWARDED)
        )
        return Client(str(peer), local)

    def key(self, headers: Headers) -> Key | None:
        """The key that came along. Raises ProblemError where it is none of ours, KeysError."""
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            secret = headers.get(b"x-api-key", b"")
        if not (secret := secret.strip()):
            return None
        found = self.keys.find(secret.decode("latin-1")) if self.keys else None
        if found is None:
            raise ProblemError("unauthorized", "key: expected one that is in use", CHALLENGE)
        return found

    def check(self, scope: Scope, headers: Headers, client: Client, key: Key | None) -> None:
        """Raise ProblemError where the client may not do this."""
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if self.hosts and not client_address.is_loopback(host) and _bare(host) not in self.hosts:
            raise ProblemError("forbidden", "Host: expected a name this service is known by")
        if writes(scope):
            self._check_site(headers, host)
            if key is None and (self.always or not client.local):
                raise ProblemError("unauthorized", "key: expected one to write with", CHALLENGE)
            if key is not None and key.scope != "write":
                raise ProblemError("forbidden", "key: expected one of scope write, got read")
        elif self.reading and key is None and not client.local and guarded(scope["path"]):
            raise ProblemError("unauthorized", "key: expected one to read with", CHALLENGE)

    def _check_site(self, headers: Headers, host: str) -> None:
        """Refuse what a page of another site makes its reader's browser do.

        The browser says so itself in Sec-Fetch-Site; older ones only name the page's Origin.
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
            raise ProblemError("forbidden", "Origin: expected our own page or one allowed to write")


def writes(scope: Scope) -> bool:
    """Whether a request may change something."""
    return scope["method"] not in SAFE and not (
        scope["method"] == "POST" and scope["path"] in READING
    )


def guarded(path: str) -> bool:
    """Whether an address holds data: not the page's files, probes and descriptions."""
    return path.startswith("/v1/") or path == "/metrics"


def _bare(host: str) -> str:
    """A host's name, or its address, without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


class Access:
    """Middleware that keeps the rules; `client` in the request's state says who asks."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        state = scope.setdefault("state", {})
        client = state["client"] = self.rules.client(scope, headers)
        if scope["path"] not in PROBES:
            try:
                key = self.rules.key(headers)
                if key is not None:
                    client = state["client"] = Client(client.address, client.local, key.name)
                self.rules.check(scope, headers, client, key)
            except ProblemError as error:
                refused = problem(error.name, str(error.detail), dict(error.headers or {}))
                await refused(scope, receive, send)
                return
            except KeysError as error:
                log.error("%s", error)
                await problem("unavailable", "keys cannot be read now")(scope, receive, send)
                return
        await self.app(scope, receive, send)
