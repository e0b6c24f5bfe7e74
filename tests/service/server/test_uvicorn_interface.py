"""What is used of uvicorn: the list is complete, and another uvicorn is refused in clear words."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl

from earmark.model.core.errors import ConfigError
from earmark.service.server import connection_limits, shutdown
from earmark.service.server.connection_limits import limited_protocol
from earmark.service.server.uvicorn_interface import (
    ATTRIBUTES,
    METHODS,
    SUPPORTED,
    check_uvicorn,
    missing_parts,
)
from earmark.service.settings import Settings
from tests.distributions import PROJECT

PROTOCOL = "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol"


def used_of_super(cls: type) -> Iterator[str]:
    """Names that a class overrides, or uses of itself without having them."""
    defined = set(vars(cls)) | set(getattr(cls, "__annotations__", {}))
    tree = ast.parse(inspect.getsource(cls))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id != "self":
                continue
            if isinstance(node.ctx, ast.Store):
                defined.add(node.attr)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        of_self = isinstance(node.value, ast.Name) and node.value.id == "self"
        of_super = isinstance(node.value, ast.Call) and ast.unparse(node.value) == "super()"
        if of_super or (of_self and node.attr not in defined):
            yield node.attr


@pytest.mark.parametrize(
    ("cls", "path"),
    [(connection_limits.LimitedProtocol, PROTOCOL), (shutdown.Server, "uvicorn.server.Server")],
)
def test_the_list_is_complete(cls: type, path: str) -> None:
    used = set(used_of_super(cls))
    assert len(used) > 1
    assert used <= {*METHODS[path], *ATTRIBUTES[path]}


def test_the_installed_uvicorn_fits() -> None:
    assert f"uvicorn{SUPPORTED}" in PROJECT["project"]["dependencies"]
    check_uvicorn()
    assert missing_parts() == []
    assert limited_protocol(Settings(head_seconds=3.0)).head_seconds == 3.0


def test_another_uvicorn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Protocol(asyncio.Protocol):
        """One whose methods have other parameters, or are missing."""

        def __init__(self, config: uvicorn.Config) -> None:
            self.loop = config.loop

        def data_received(self, data: bytes) -> None: ...

        def on_url(self, whole: bytes) -> None: ...

    monkeypatch.setattr(httptools_impl, "HttpToolsProtocol", Protocol)
    monkeypatch.delattr(httptools_impl, "RequestResponseCycle")
    missing = missing_parts()
    assert "HttpToolsProtocol.on_url(url)" in missing
    assert "HttpToolsProtocol._start_asgi_task(cycle, app)" in missing
    assert "HttpToolsProtocol.pipeline" in missing
    assert "uvicorn.protocols.http.httptools_impl.RequestResponseCycle" in missing
    assert not {"HttpToolsProtocol.data_received(data)", "HttpToolsProtocol.loop"} & set(missing)
    with pytest.raises(
        ConfigError, match=r"uvicorn: expected >=0\.54,<0\.55, got .* lacks Http.*…$"
    ):
        limited_protocol(Settings())
