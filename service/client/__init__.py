"""A typed client of the service, for other people's programs: see docs/client.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.service.client.errors import ProblemError
from earmark.service.client.events import Event, Retries

if TYPE_CHECKING:
    from earmark.service.client.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "Event", "ProblemError", "Retries"]


def __getattr__(name: str) -> object:
    """The clients, imported on first use: they need httpx, which the service does not."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from earmark.service.client.client import AsyncClient, Client

    return {"AsyncClient": AsyncClient, "Client": Client}[name]
