"""Addresses: who stands behind a proxy, and what is this machine."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from earmark.service.auth import client_address
from earmark.service.auth.authorization import AccessRules


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),  # no proxy: what it says is nothing
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # the client wrote the left one
        ("10.0.0.1", "1.1.1.1,203.0.113.9 , 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:1234", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_who_stands_behind_a_proxy(peer: str, forwarded: str, who: str) -> None:
    rules = AccessRules(client_address.Proxies([ip_network("10.0.0.0/8")]))
    headers = {b"x-forwarded-for": forwarded.encode(), b"host": b"localhost"}
    scope = {"client": (peer, 1), "headers": list(headers.items())}
    client = rules.caller(scope, headers)
    assert (client.address, client.local) == (who, False)


@pytest.mark.parametrize(
    ("host", "loops"),
    [
        ("localhost", True), ("LOCALHOST:8000", True), ("localhost.", True), ("127.0.0.1", True),
        ("127.9.9.9:1", True), ("[::1]:80", True), ("::1", True), ("[::ffff:127.0.0.1]", True),
        ("", False), ("0.0.0.0", False), ("192.0.2.1", False), ("localhost.example", False),
        ("127.0.0.1.example", False), ("2130706433", False), ("[::2]", False),
    ],
)  # fmt: skip
def test_which_hosts_are_this_machine(host: str, loops: bool) -> None:
    assert client_address.is_loopback(host) == loops


def test_a_peer_without_an_address_is_not_local() -> None:
    rules = AccessRules(client_address.Proxies(()))
    headers = {b"host": b"localhost"}
    assert not rules.caller({"client": None, "headers": []}, headers).local
    assert rules.caller({"client": ("127.0.0.1", 1), "headers": []}, headers).local
