"""The distribution `earmark-client`: built, installed without the service, and used at a server."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from earmark.service import client
from tests import distributions
from tests.conftest import ROOT
from tests.distributions import PROJECT
from tests.service.server_process import Server

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, sys
from pathlib import Path
from earmark.client import AsyncClient, Client, Event, ProblemError, Retries

base, sound = sys.argv[1], Path(sys.argv[2])

async def first_title():
    async with AsyncClient(base) as client:
        return (await client.search("dog", k=1)).hits[0].title

with Client(base, retries=Retries(0)) as client:
    print(client.search("dog", k=1).hits[0].title)
    seconds = []
    print(len(client.tags(sound, k=3, progress=seconds.append).tags), seconds[-1] > 0.9)
    try:
        client.clip("nothing")
    except ProblemError as problem:
        print(problem.type)
print(asyncio.run(first_title()))
print(sorted(name for name in sys.modules if name.startswith("earmark."))[:2])
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree."""
    return distributions.copy_tree(tmp_path_factory.mktemp("client") / "tree")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    """The client's wheel, from the tree."""
    return distributions.build_wheel(tree / "service/client", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_of_sdist(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    """The client's wheel, from its source distribution."""
    to = tmp_path_factory.mktemp("sdist")
    build = "import sys, backend; backend.build_sdist(sys.argv[1])"
    backend = tree / "service/client/distribution"
    subprocess.run([sys.executable, "-c", build, to], cwd=backend, check=True, timeout=120)
    [sdist] = to.glob("earmark_client-*.tar.gz")
    return distributions.build_wheel(sdist, tmp_path_factory.mktemp("wheel"))


@pytest.mark.parametrize("made_from", ["wheel", "wheel_of_sdist"])
def test_it_speaks_to_a_server_with_its_requirements_alone(
    made_from: str,
    request: pytest.FixtureRequest,
    server: Server,
    sounds: Path,
    tmp_path: Path,
) -> None:
    wheel: Path = request.getfixturevalue(made_from)
    assert distributions.metadata_of(wheel)["Version"] == PROJECT["project"]["version"]
    installed = distributions.install(tmp_path / "installed", wheel)
    (tmp_path / "libraries").mkdir()
    libraries = distributions.link_requirements(wheel, tmp_path / "libraries")
    env = distributions.only(installed, libraries)
    base = f"http://127.0.0.1:{server.port}"
    ran = distributions.python("-c", PROGRAM, base, sounds / "dog.wav", folder=tmp_path, env=env)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "Dog barking in a yard",
        "3 True",
        "unknown-clip",
        "Dog barking in a yard",
        "['earmark.client', 'earmark.client.addresses']",
    ]
    for name in ("numpy", "torch", "fastapi", "earmark.service", "earmark.index"):
        hidden = distributions.python("-c", f"import {name}", folder=tmp_path, env=env)
        assert "No module named" in hidden.stderr, name


def test_it_is_installed_beside_the_service(tree: Path, wheel: Path, tmp_path: Path) -> None:
    full = distributions.build_wheel(tree, tmp_path)
    with zipfile.ZipFile(full) as one, zipfile.ZipFile(wheel) as other:
        assert not set(one.namelist()) & set(other.namelist())
    both = distributions.install(tmp_path / "both", full, wheel)
    code = (
        "from earmark.client import Client as Light\n"
        "from earmark.service.client import Client as Full\n"
        "print(Light.__module__, Full.__module__)"
    )
    env = distributions.only(both, distributions.LIBRARIES)
    ran = distributions.python("-c", code, folder=tmp_path, env=env)
    assert ran.stdout == "earmark.client.client earmark.service.client.client\n", ran.stderr


def test_an_import_from_the_rest_of_the_tree_is_refused(tree: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "backend", tree / "service/client/distribution/backend.py"
    )
    assert spec is not None
    assert spec.loader is not None
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    file = tree / "service/client/events.py"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"from earmark.index.library import Library\n{text}", encoding="utf-8")
    try:
        with pytest.raises(ImportError, match=r"no import of earmark\.index\.library"):
            backend.build_wheel(str(tmp_path))
    finally:
        file.write_text(text, encoding="utf-8")


def test_the_face_of_the_client_offers_the_same_names() -> None:
    assert {name for name in client.__all__ if getattr(client, name).__name__ == name} == {
        "AsyncClient",
        "Client",
        "Event",
        "ProblemError",
        "Retries",
    }
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        client.Server  # noqa: B018


def test_it_is_light_until_a_client_is_made() -> None:
    code = "import sys, earmark.service.client; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
