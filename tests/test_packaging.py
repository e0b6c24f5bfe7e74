"""The wheel of this tree: what it holds, and that it serves the demo where the tree is not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tests import distributions
from tests.conftest import ROOT
from tests.distributions import FOLDERS, LIBRARIES, PACKAGE_FOLDERS, PROJECT, installed_place

# In the folders of packages, but no parts of them: for readers, and the client's distribution.
NOT_INSTALLED = {
    PurePosixPath("training/README.md"),
    PurePosixPath("service/client/pyproject.toml"),
    PurePosixPath("service/client/distribution/README.md"),
    PurePosixPath("service/client/distribution/backend.py"),
}

# Imported by what needs an extra, and by nothing else (FastAPI has OpenTelemetry with it).
OF_EXTRAS = (
    *("fsspec", "h5py", "httpx", "matplotlib", "mcp", "milvus_lite", "mteb", "onnx"),
    *("onnxruntime", "pymilvus", "ray", "s3fs", "tensorboard", "transformers"),
)
WITHOUT_EXTRAS = f"""
import sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OF_EXTRAS}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
import earmark.hear
import earmark.service.app
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.cli.main import main

folder, sound = map(Path, sys.argv[1:])
with Library.open(folder, load_embedder(), create=True):
    pass
for command in (["add", str(sound)], ["search", "rain"]):
    assert main([*command, "--library", str(folder)]) == 0, command
"""
STRANGER = "raise SystemExit('a module of the user was imported')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    return distributions.build_wheel(distributions.copy_tree(folder / "tree"), folder)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The folder of that wheel, installed."""
    return distributions.install(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder of the user that has packages of our folders' names."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(STRANGER)
    return tmp_path


def test_the_list_of_packages_is_complete() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert listed == sorted(listed)
    folders = (path.parent for name in FOLDERS for path in (ROOT / name).rglob("__init__.py"))
    packages = {".".join(("earmark", *installed_place(folder).parts)) for folder in folders}
    assert set(listed) == packages


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {PurePosixPath(name) for name in archive.namelist()}
    files = {
        name.relative_to("earmark") for name in names if not name.parts[0].endswith(".dist-info")
    }
    tree = {
        installed_place(path)
        for name in FOLDERS
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == tree - NOT_INSTALLED
    assert {PurePosixPath(name, "py.typed") for name in FOLDERS} <= files
    assert distributions.metadata_of(wheel)["Version"] == PROJECT["project"]["version"]


@pytest.mark.slow
def test_nothing_else_is_at_the_top_of_site_packages(installed: Path) -> None:
    version = PROJECT["project"]["version"]
    top = {path.name for path in installed.iterdir()}
    assert top == {"earmark", "bin", f"earmark-{version}.dist-info"}
    packages = {name.split(".")[1] for name in PACKAGE_FOLDERS}
    assert {path.name for path in (installed / "earmark").iterdir()} == packages


@pytest.mark.slow
def test_the_wheel_serves_the_demo_from_another_folder(installed: Path, tmp_path: Path) -> None:
    env = distributions.only(installed, LIBRARIES) | {"XDG_DATA_HOME": str(tmp_path / "data")}
    code = "import earmark.service.app, sys; print(*earmark.__path__, *sys.path, sep='\\n')"
    where = distributions.python("-c", code, folder=tmp_path, env=env)
    assert where.returncode == 0, where.stderr
    lines = where.stdout.splitlines()
    assert lines[0] == str(installed / "earmark")
    assert not [line for line in lines if Path(tmp_path, line).is_relative_to(ROOT / "build")]
    assert str(ROOT) not in lines
    with distributions.serving_installed(tmp_path, env) as client:
        found = client.get("/v1/search", params={"q": "thunder storm", "k": 3}).json()
        assert "thunder" in found["hits"][0]["tags"]
        sound = client.get(found["hits"][0]["audio"])
        assert sound.content.startswith(b"OggS")
        assert client.get("/").text.startswith("<!doctype html>")
        suggested = client.post("/v1/tags", files={"file": ("a.ogg", sound.content)})
        assert suggested.json()["tags"]


@pytest.mark.slow
def test_the_command_works_beside_packages_of_our_folders_names(
    installed: Path, strangers: Path
) -> None:
    env = distributions.only(strangers, installed, LIBRARIES)
    helped = distributions.python(installed / "bin/earmark", "--help", folder=strangers, env=env)
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.startswith("usage: earmark")


@pytest.mark.slow
def test_the_client_is_imported_beside_packages_of_our_folders_names(
    installed: Path, strangers: Path
) -> None:
    env = distributions.only(installed, LIBRARIES)
    code = "import earmark.service.client"
    imported = distributions.python("-c", code, folder=strangers, env=env)  # which is on sys.path
    assert imported.returncode == 0, imported.stderr
    imported = distributions.python("-c", "import service", folder=strangers, env=env)
    assert "a module of the user was imported" in imported.stderr


@pytest.mark.slow
def test_without_extras_sounds_are_added_and_found(tmp_path: Path) -> None:
    sound = ROOT / "index/demo/audio/birdsong-1.ogg"
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, tmp_path / "library", sound],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "birdsong 1" in ran.stdout
