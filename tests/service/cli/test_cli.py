"""The command, as processes with the starter model: a whole round, and nothing heavy for help."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

from tests.index.made import ROOT, earmark, environment
from tests.service import sounds
from tests.service.server_process import serving

DEMO = Path(str(files("earmark.index.demo"))) / "audio"
LIGHT = """
import sys
import earmark.service.cli.main
earmark.service.cli.main.build_parser()
print([name for name in ("torch", "numpy", "faiss", "fastapi", "sklearn", "pydantic", "uvicorn",
                         "librosa", "soundfile", "scipy", "av") if name in sys.modules])
"""


def test_the_parser_needs_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_version_is_that_of_the_package() -> None:
    done = earmark("--version")
    assert (done.returncode, done.stdout) == (0, f"earmark {version('earmark')}\n")


def answered(*arguments: object, status: int = 0) -> dict[str, object]:
    """The one JSON object that a command printed, nothing else beside it."""
    done = earmark(*arguments, "--json")
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("\n") == 1
    body = json.loads(done.stdout)
    assert isinstance(body, dict)
    return body


@pytest.mark.slow
def test_add_search_tag_similar_classify_remove_info(tmp_path: Path) -> None:
    library, dog = tmp_path / "library", DEMO / "dog-barking-1.ogg"
    (tmp_path / "bad.wav").write_text("no sound")
    files = [dog, *(DEMO / f"{name}-1.ogg" for name in ("applause", "bell-ringing", "door-slam"))]
    added = answered("add", *files, tmp_path / "bad.wav", "--library", library, status=1)
    assert (len(added["added"]), added["unchanged"], added["clips"]) == (4, 0, 4)
    assert list(added["failed"]) == [str(tmp_path / "bad.wav")]

    found = answered("search", "a dog barking", "-k", "2", "--library", library)
    assert found["understood"] == ["dog", "barking"]
    abroad = answered("search", "ein Hund bellt", "-k", "1", "--library", library)
    assert abroad["ignored"] == []
    assert abroad["hits"][0]["title"] == "dog barking 1"
    assert found["hits"][0]["title"] == "dog barking 1"
    assert len(found["hits"]) == 2

    tagged = answered("tag", dog, "-k", "3")
    assert {"tag", "score", "suggested", "lift", "windows"} == tagged["tags"][0].keys()
    assert len(tagged["tags"]) == 3

    alike = answered("similar", dog, "-k", "2", "--library", library)
    assert alike["hits"][0]["title"] == "dog barking 1"
    assert alike["hits"][0]["cosine"] == pytest.approx(1, abs=1e-4)

    classes = answered("classify", dog, "--labels", "dog,church bell,applause")["classes"]
    assert sum(label["probability"] for label in classes) == pytest.approx(1, abs=1e-6)
    assert {label["label"] for label in classes} == {"dog", "church bell", "applause"}

    said = earmark("classify", dog, "--labels", "dog,dogs !?,no dog,church bell").stdout
    assert "not used: !?\nnote: “no dog”: the model does not understand “no”\n" in said
    assert "note: “dog” and “dogs !?” mean nearly the same to the model\n" in said

    removed = earmark("remove", found["hits"][0]["id"], "--library", library)
    assert (removed.returncode, removed.stdout) == (0, "removed 1; 3 clips left\n")
    info = answered("info", "--library", library)
    assert (info["clips"], info["indexed"]) == (3, 3)
    assert list(info["failures"]) == [str(tmp_path / "bad.wav")]


@pytest.mark.slow
def test_the_demo_library_is_made_on_first_use(tmp_path: Path) -> None:
    done = earmark("search", "church bells", "--json", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert "bell" in " ".join(hit["title"].lower() for hit in body["hits"][:3])
    assert len(list((tmp_path / "earmark").iterdir())) == 1


@pytest.mark.slow
def test_without_a_home_the_demo_opens_in_a_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, so that no folder can be made in it")
    place = {"XDG_DATA_HOME": str(tmp_path / "home" / "data"), "TMPDIR": str(tmp_path)}
    with serving(tmp_path / "log", **place) as server:
        assert server.client.get("/v1/search?q=church+bells&k=1").json()["hits"]
        [folder] = tmp_path.glob("earmark-*/demo-*")
        assert server.stop() == 0
    said = (tmp_path / "log").read_text()
    assert f"{tmp_path}/home/data/earmark cannot be written to (Not a directory)" in said
    assert f"the demo library is in {folder.parent}, until this process ends" in said
    assert "Traceback" not in said
    assert list(tmp_path.glob("earmark-*")) == []


def test_one_line_and_a_status_for_people(tmp_path: Path) -> None:
    file = tmp_path / "text.wav"
    file.write_text("no sound")
    done = earmark("tag", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"earmark tag: {file}: not a sound this can read (")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "sound.wav").write_bytes(sounds.noise())
    process = subprocess.Popen(
        [sys.executable, "-m", "earmark.service.cli.main", "tag", str(tmp_path / "sound.wav")],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""
