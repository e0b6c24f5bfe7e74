"""`earmark corpus debian-sounds`: small real packages through the same code, from disk."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.model.core.errors import EarmarkError
from earmark.model.core.manifest import read_manifest
from earmark.service.cli.main import main
from earmark.training.corpora.debian import clips, clonk, fetch, packages, unpack
from earmark.training.corpora.debian.build import BuildReport, build, clip_names
from earmark.training.corpora.debian.packages import Package
from earmark.training.corpora.debian.record import read_record
from earmark.training.errors import CorpusError
from tests.conftest import ROOT
from tests.training.corpora.debian import debs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("debs")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> list[Package]:
    return debs.tiny(folder)


@pytest.fixture(scope="module")
def built(
    folder: Path, tiny: list[Package], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, BuildReport]:
    out = tmp_path_factory.mktemp("corpus")
    return out, build(tiny, out, fetch.from_folder(folder), jobs=1)


def bytes_in(out: Path) -> dict[str, bytes]:
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


# What is built


def test_manifest_is_one(built: tuple[Path, BuildReport]) -> None:
    out, report = built
    rows = read_manifest(out)
    assert report.clips == len(rows) == 3 + 4
    assert {row.source for row in rows} == {"tiny-data", "two-data"}
    by_file = {row.path.name: row for row in rows}
    dog = by_file["DogBark1.ogg"]
    assert dog.tags == ("dog", "bark", "mammal", "animal")
    assert (dog.title, dog.licence, dog.author) == ("DogBark1", "GPL-2+", "Ada Lovelace")
    assert (by_file["rain.ogg"].licence, by_file["rain.ogg"].author) == ("CC-BY-3.0", "Luke Howard")
    assert by_file["gravel.ogg"].tags == ("footsteps", "gravel", "walking")
    for row in rows:
        samples, rate = soundfile.read(row.path)
        assert rate == 24_000 and samples.ndim == 1 and len(samples) <= 8 * rate


def test_skipped_sounds_are_counted(built: tuple[Path, BuildReport]) -> None:
    _, report = built
    tiny, two = report.records
    broken = [reason for reason in tiny.skipped if "not a sound" in reason]
    assert len(broken) == 1
    assert {reason: n for reason, n in tiny.skipped.items() if reason not in broken} == {
        "no tags": 1,
        "the same sound again": 1,
        "shorter than 40 ms": 1,
        "silent": 1,
    }
    assert two.skipped == {"enough of the same tags": 4}
    assert report.duplicates == 1  # the puppy is the other package's dog
    assert report.failed == {}


def test_nothing_is_left_beside(built: tuple[Path, BuildReport]) -> None:
    out, _ = built
    names = {"ATTRIBUTION.md", "manifest.csv", "tiny-data", "two-data"}
    assert {path.name for path in out.iterdir()} == names
    text = (out / "ATTRIBUTION.md").read_text()
    assert "Version 2:0.5~rc1-2;" in text and "Upstream: https://example.org/tiny-data" in text
    assert "| 1 | CC-BY-3.0 | Luke Howard |" in text
    assert (out / "tiny-data" / "copyright.txt").read_text() == debs.COPYRIGHT


def test_again_gives_the_same_bytes(
    built: tuple[Path, BuildReport], folder: Path, tiny: list[Package], tmp_path: Path
) -> None:
    time.sleep(1.1)  # the encoder draws its stream's number by the second
    build(tiny[::-1], tmp_path, fetch.from_folder(folder), jobs=2)
    assert bytes_in(tmp_path) == bytes_in(built[0])


def test_loudest_part() -> None:
    samples = np.concatenate([debs.noise(9, 1, 0.1), debs.noise(8, 2), debs.noise(3, 3, 0.1)])
    samples = np.interp(np.arange(20 * 24_000) / 1.5, np.arange(len(samples)), samples)
    part = clips.loudest_part(samples.astype(np.float32))
    assert np.array_equal(part, samples[9 * 24_000 :][: 8 * 24_000].astype(np.float32))


def test_clip_names() -> None:
    members = ["a/Hit.wav", "b/hit.wav", "c/b/hit.ogg", "a/ü$.wav", "a/...wav"]
    assert clip_names(members) == ["Hit.ogg", "b-hit.ogg", "hit-2.ogg", "ü.ogg", "sound.ogg"]


# Going on, and being stopped


class Counting:
    """Fetches from a folder and remembers what."""

    def __init__(self, folder: Path) -> None:
        self.fetched: list[str] = []
        self._fetch = fetch.from_folder(folder)

    def __call__(self, name: str, version: str, folder: Path) -> Path:
        self.fetched.append(name)
        return self._fetch(name, version, folder)


def test_what_is_done_is_not_fetched_again(
    built: tuple[Path, BuildReport], folder: Path, tiny: list[Package], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(built[0], out)
    counting = Counting(folder)
    report = build(tiny, out, counting, jobs=1)
    assert (counting.fetched, report.unchanged) == ([], ["tiny-data", "two-data"])
    assert bytes_in(out) == bytes_in(built[0])
    changed = replace(tiny[1], base="funny")
    report = build([tiny[0], changed], out, counting, jobs=1)
    assert (counting.fetched, report.unchanged) == (["two-data"], ["tiny-data"])
    assert {"funny", "cat"} <= set(read_manifest(out)[-1].tags)


def test_killed_anywhere_it_goes_on(
    built: tuple[Path, BuildReport], folder: Path, tiny: list[Package], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.training.corpora.debian.debs", str(folder), str(out)]
    for mark, jobs in ((".tiny-data.partial/unpacked", 1), ("tiny-data", 2)):
        with subprocess.Popen([*command, str(jobs)], cwd=ROOT, start_new_session=True) as process:
            while not (out / mark).exists() and process.poll() is None:
                time.sleep(0.001)
            os.kill(process.pid, signal.SIGKILL)
        for done in (path for path in out.glob("[!.]*") if path.is_dir()):
            record = read_record(done)
            assert record is not None
            assert {path.stem for path in done.glob("*.ogg")} == {
                Path(clip.file).stem for clip in record.clips
            }
    build(tiny, out, fetch.from_folder(folder), jobs=1)
    assert bytes_in(out) == bytes_in(built[0])


# Versions and hashes


def test_wrong_hash_and_nothing_is_unpacked(
    folder: Path, tiny: list[Package], tmp_path: Path
) -> None:
    wrong = replace(tiny[0], sha256="0" * 64)
    report = build([wrong, tiny[1]], tmp_path, fetch.from_folder(folder), jobs=1)
    assert "expected the SHA-256 0000" in report.failed["tiny-data"]
    assert not list(tmp_path.rglob("*tiny*"))
    assert [record.name for record in report.records] == ["two-data"]  # the others go on
    with pytest.raises(EarmarkError, match="nothing of it was unpacked"):
        build([wrong], tmp_path / "none", fetch.from_folder(folder), any_version=True, jobs=1)


def test_another_version(folder: Path, tiny: list[Package], tmp_path: Path) -> None:
    other_version = replace(tiny[0], version="0.9-1")
    take = fetch.from_folder(folder)
    message = r"tiny-data: version 0\.9-1 is wanted, 1\.0-1 can be had; --any-version"
    with pytest.raises(EarmarkError, match=message):
        build([other_version], tmp_path, take, jobs=1)
    [record] = build([other_version], tmp_path, take, any_version=True, jobs=1).records
    assert (record.version, record.pinned) == ("1.0-1", False)
    assert "not the version that was pinned" in (tmp_path / "ATTRIBUTION.md").read_text()
    assert build([other_version], tmp_path, take, any_version=True, jobs=1).unchanged == [
        "tiny-data"
    ]
    assert build([other_version], tmp_path, take, jobs=1).unchanged == []  # pinned it was not


APT_CACHE = """#!/bin/sh
[ "$1 $2" = "madison two-data" ] || exit 0
echo " two-data | 2:0.5~rc1-2 | somewhere/main all Packages"
"""
APT_GET = """#!/bin/sh
[ "$1 $2 $3" = "download -q two-data=2:0.5~rc1-2" ] || { echo "E: no $3" >&2; exit 100; }
cp "$DEBS"/two-data_* .
"""


def test_by_apt(
    folder: Path, tiny: list[Package], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("apt-cache", APT_CACHE), ("apt-get", APT_GET)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DEBS", str(folder))
    got = fetch.get(tiny[1], tmp_path / "got", fetch.by_apt, any_version=False)
    assert (got.version, got.pinned, got.file.exists()) == ("2:0.5~rc1-2", True, True)
    with pytest.raises(fetch.VersionError, match=r"version 3 is wanted, 2:0\.5~rc1-2 can"):
        fetch.by_apt("two-data", "3", tmp_path)
    with pytest.raises(fetch.VersionError, match="none can be had"):
        fetch.by_apt("three-data", "3", tmp_path)
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'E: disk full' >&2; exit 100\n")
    with pytest.raises(fetch.FetchError, match="disk full"):
        fetch.by_apt("two-data", "", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(fetch.FetchError, match="--debs"):
        fetch.by_apt("two-data", "", tmp_path)


# Unpacking


@pytest.mark.parametrize("name", ["../evil.wav", "/etc/evil.wav", "./usr/../../evil.wav"])
def test_hostile_paths_are_refused(name: str, tmp_path: Path) -> None:
    file = debs.deb(tmp_path / "debs", "evil", {name: debs.wav(debs.noise(1, 1))})
    with pytest.raises(CorpusError, match="hostile path"):
        unpack.unpack(file, tmp_path / "a" / "b", lambda _: True)
    assert not list(tmp_path.rglob("*.wav"))


def test_links_are_not_made_nor_followed(tmp_path: Path) -> None:
    files = {"./usr/link/new.wav": debs.wav(debs.noise(1, 1)), "./plain.txt": b"no sound"}
    file = debs.deb(tmp_path / "debs", "linked", files, link="./usr/link")
    unpacked = unpack.unpack(file, tmp_path / "out", lambda _: True)
    assert [name for name, _ in unpacked.sounds] == ["usr/link/new.wav"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["000000.wav"]


def test_paths_that_lead_out_of_an_inner_archive(tmp_path: Path) -> None:
    inner = {"../../evil.wav": debs.wav(debs.noise(1, 1)), "fine.wav": debs.wav(debs.noise(1, 2))}
    file = debs.deb(tmp_path / "debs", "mixed", {"./x/a.zip": debs.zipped(inner)})
    unpacked = unpack.unpack(file, tmp_path / "out", lambda _: True)
    assert [name for name, _ in unpacked.sounds] == ["x/a.zip/fine.wav"]
    assert unpacked.skipped == [("x/a.zip/../../evil.wav", "a path that leads out of its archive")]


@pytest.mark.parametrize("damage", ["short", "noise", "empty"])
def test_broken_packages(damage: str, folder: Path, tmp_path: Path) -> None:
    whole = next(folder.glob("tiny-data_*")).read_bytes()
    data = {"short": whole[: len(whole) // 2], "noise": b"MZ" + whole, "empty": b""}[damage]
    file = tmp_path / "x_1_all.deb"
    file.write_bytes(data)
    with pytest.raises(CorpusError, match=r"not a (whole|Debian) package"):
        unpack.unpack(file, tmp_path / "out", lambda _: True)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not on this machine")
@pytest.mark.parametrize("compression", ["xz", "gzip", "zstd", "none"])
def test_what_dpkg_builds(compression: str, tmp_path: Path) -> None:
    if compression == "zstd" and shutil.which("zstd") is None:
        pytest.skip("zstd is not on this machine")
    (tmp_path / "tree/DEBIAN").mkdir(parents=True)
    (tmp_path / "tree/DEBIAN/control").write_text(debs.CONTROL.format(name="real", version="1"))
    (tmp_path / "tree/usr").mkdir()
    (tmp_path / "tree/usr/dog.wav").write_bytes(debs.wav(debs.noise(1, 1)))
    file = tmp_path / "real_1_all.deb"
    command = ["dpkg-deb", f"-Z{compression}", "--build", tmp_path / "tree", file]
    subprocess.run(command, check=True, capture_output=True)
    unpacked = unpack.unpack(file, tmp_path / "out", lambda _: True)
    assert [name for name, _ in unpacked.sounds] == ["usr/dog.wav"]
    assert "Homepage: https://example.org/real" in unpacked.control


def group(files: dict[str, bytes | dict[str, bytes]]) -> bytes:
    """A Clonk group."""
    table, data = b"", b""
    for name, content in files.items():
        body = group(dict(content)) if isinstance(content, dict) else content
        numbers = (0, isinstance(content, dict), len(body), 0, len(data))
        table += name.encode().ljust(260, b"\0") + struct.pack("<5i", *numbers) + bytes(36)
        data += body
    header = bytearray(b"RedWolf Design GrpFolder".ljust(36, b"\0"))
    header = (header + struct.pack("<i", len(files))).ljust(204, b"\0")
    for place in range(0, 202, 3):
        header[place], header[place + 2] = header[place + 2], header[place]
    return bytes(byte ^ 237 for byte in header) + table + data


def test_clonk_groups() -> None:
    plain = group({"Hit.wav": b"hit", "Animals.ocg": {"Dog.ogg": b"dog"}})
    packed = b"\x1e\x8c" + gzip.compress(plain)[2:]
    expected = [("Hit.wav", b"hit"), ("Animals.ocg/Dog.ogg", b"dog")]
    assert list(clonk.members(packed)) == list(clonk.members(plain)) == expected
    for broken in (b"", b"\x1e\x8c123", plain[:300], b"x" * 300):
        with pytest.raises(CorpusError, match="Clonk group"):
            list(clonk.members(broken))


# The command


def test_the_command(
    folder: Path,
    tiny: list[Package],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = ("name", "version", "sha256", "licence")
    lines = []
    for package in (tiny[1], replace(tiny[1], name="three-data")):
        lines += ["[[package]]", *(f'{name} = "{getattr(package, name)}"' for name in texts)]
    (tmp_path / "packages.toml").write_text("\n".join(lines))
    monkeypatch.setattr(packages, "PACKAGES_FILE", tmp_path / "packages.toml")
    out = tmp_path / "out"
    command = ["corpus", "debian-sounds", "--out", str(out), "--debs", str(folder), "--jobs", "1"]
    assert main([*command, "--package", "two-data", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["clips"], result["packages"][0]["version"]) == (9, "2:0.5~rc1-2")
    with (out / "manifest.csv").open(newline="") as file:
        assert csv.DictReader(file).fieldnames == "path tags source licence title author".split()
    assert main(command) == 1  # one cannot be had, the other is there
    printed = capsys.readouterr()
    assert "two-data                         9 clips  2:0.5~rc1-2" in printed.out
    assert printed.err.count("three-data: version 2:0.5~rc1-2 is wanted, none can be had") == 1
    assert main([*command, "--package", "nothing"]) == 2
    assert "unknown: nothing" in capsys.readouterr().err
    assert main([*command, "--jobs", "0"]) == 2
