"""Addresses of clients and proxies, as the socket and the headers tell them.

An IPv4 address that comes mapped into IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
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
    """The address that the text is, with a port or not; None where it is none."""
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
    """Whether a host, with a port or not, names this machine itself."""
    name = host.strip().lower()
    if name.partition(":")[0].rstrip(".") == "localhost":
        return True
    address = parse(name)
    return address is not None and address.is_loopback


def group(address: str) -> str:
    """Whom a rate limit takes for one: an IPv4 address; of IPv6 a /64, as one client has it all."""
    known = parse(address)
    if isinstance(known, IPv6Address):
        return str(ip_network((known, 64), strict=False))
    return address


class Proxies:
    """The proxies that are believed: peers within these networks."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)

    def trust(self, address: Address | None) -> bool:
        """Whether that peer is one of them."""
        return address is not None and any(address in network for network in self._networks)

    def client(self, peer: Address, forwarded: str) -> Address:
        """Who stands behind a trusted peer: the last hop of X-Forwarded-For that is no proxy.

        What stands left of it was written by the client itself. A hop that is no address ends
        the search: then it is the proxy that let it pass.
        """
        found = peer
        for hop in reversed(forwarded.split(",") if forwarded else []):
            address = parse(hop)
            if address is None:
                break
            found = address
            if not self.trust(address):
                break
        return found
