"""Addresses of clients and proxies, from the socket and the headers.

An IPv4 address mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"  # a peer without an address


@functools.lru_cache(4_096)
def parse(text: str) -> Address | None:
    """The address in a text, with or without a port; None for anything else."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, names this machine itself."""
    name = host.strip().lower()
    if name.partition(":")[0].rstrip(".") == "localhost":
        return True
    address = parse(name)
    return address is not None and address.is_loopback


def rate_group(address: str) -> str:
    """What shares a rate: an IPv4 address, or an IPv6 /64, all of which one client can use."""
    parsed = parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address


class Proxies:
    """The trusted proxies: peers within these networks."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def trusts(self, address: Address | None) -> bool:
        """Whether a peer is a trusted proxy."""
        return address is not None and any(address in network for network in self._networks)

    def client(self, peer: Address, forwarded: str) -> Address:
        """The client behind a trusted peer: the last hop of X-Forwarded-For that is no proxy.

        Anything left of it may be forged by the client. A hop that is no address ends the search
        at the proxy that passed it on.
        """
        found = peer
        for hop in reversed(forwarded.split(",") if forwarded else []):
            address = parse(hop)
            if address is None:
                break
            found = address
            if not self.trusts(address):
                break
        return found
