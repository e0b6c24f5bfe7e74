"""`earmark mcp`: a server of the Model Context Protocol for an assistant on this machine."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

if TYPE_CHECKING:
    from earmark.service.settings import Settings

KEY_VARIABLE = "EARMARK_API_KEY"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `mcp` to the parser."""
    mcp = commands.add_parser(
        "mcp", help="serve an assistant on this machine (Model Context Protocol, on stdio)"
    )
    mcp.add_argument("--library", type=Path, metavar="DIR", help="default: the demo sounds")
    mcp.add_argument("--model", type=Path, metavar="PATH", help="default: the starter model")
    mcp.add_argument("--url", help="use a running service instead, such as http://localhost:8000")
    mcp.add_argument(
        "--api-key", metavar="KEY", help=f"of that service; default: {KEY_VARIABLE}, if it is set"
    )
    mcp.add_argument(
        "--write", action="store_true", help="let the assistant edit clips and fill collections"
    )
    mcp.set_defaults(run=_mcp)


def _mcp(options: argparse.Namespace) -> int:
    import anyio

    from earmark.model.core.errors import ConfigError, InputError

    try:
        import earmark.service.integrations.mcp.stdio  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError("mcp: needs `pip install 'earmark[mcp]'`") from error
    from earmark.service.settings import read_settings

    library = {
        name: value
        for name in ("library", "model")
        if (value := getattr(options, name)) is not None
    }
    key = options.api_key or os.environ.get(KEY_VARIABLE) or None
    if options.url is None:
        # Nobody else reaches this service: what holds for a network does not hold for it.
        settings = read_settings(
            **library, keys=None, require_key="elsewhere", require_read_key=False,
            hosts=(), proxies=(), root_path="", rate_loopback=False, mcp=False,
        )  # fmt: skip
        interrupted = anyio.run(_serve_library, settings, options.write)
    else:
        if library:
            raise InputError(f"--url: expected no --{next(iter(library))} beside it")
        _check_url(options.url)
        if options.write and key is None:
            raise InputError(f"--write: expected a key beside it (--api-key or {KEY_VARIABLE})")
        interrupted = anyio.run(_serve_url, options.url, key, options.write)
    if interrupted:
        raise KeyboardInterrupt
    return 0


def _check_url(url: str) -> None:
    """Raise InputError unless a service can be there."""
    import httpx

    from earmark.model.core.errors import InputError

    try:
        parsed = httpx.URL(url)
        is_one = parsed.scheme in ("http", "https") and parsed.host and (parsed.port or 1) < 2**16
    except (httpx.InvalidURL, ValueError):
        is_one = False
    if not is_one:
        raise InputError(f"--url: expected http://… or https://…, got {url!r}")
    if parsed.userinfo:  # addresses of sounds, which assistants are given, would hold them
        raise InputError("--url: expected no name or password in it")


async def _serve_library(settings: Settings, write: bool) -> bool:
    """Serve a library that this process opens: the whole service, without a socket."""
    from earmark.index.library import Library
    from earmark.model.cloud.addresses import is_address
    from earmark.service.app import create_app
    from earmark.service.client.client import AsyncClient
    from earmark.service.integrations.mcp import stdio
    from earmark.service.integrations.mcp.inside import Inside
    from earmark.service.integrations.mcp.tools import Access
    from earmark.service.schemas.clips import ClipBody

    app = create_app(settings)
    async with app.router.lifespan_context(app):
        library: Library = app.state.services.library

        def address(clip: ClipBody) -> str:
            path = library.catalogue.clip(clip.id).path
            return path if is_address(path) else Path(path).absolute().as_uri()

        transport = Inside(app, ("127.0.0.1", 0))
        async with AsyncClient("http://localhost", transport=transport) as client:
            return await stdio.serve(Access(client, address, write, reads_files=True))


async def _serve_url(url: str, key: str | None, write: bool) -> bool:
    """Serve what a running service has."""
    from earmark.service.client.client import AsyncClient
    from earmark.service.integrations.mcp import stdio
    from earmark.service.integrations.mcp.tools import Access
    from earmark.service.schemas.clips import ClipBody

    def address(clip: ClipBody) -> str:
        return urljoin(url, clip.audio)

    async with AsyncClient(url, key) as client:
        return await stdio.serve(Access(client, address, write, reads_files=True))
