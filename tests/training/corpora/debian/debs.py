"""Small real .deb files, and a build of them in a process of its own.

`python -m tests.training.corpora.debian.debs DEBS OUT JOBS` builds the corpus of `tiny()` from
DEBS. Written again, a package has the same bytes.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from earmark.training.corpora.debian.build import build
from earmark.training.corpora.debian.fetch import from_folder, sha256_of
from earmark.training.corpora.debian.packages import Package

RATE = 16_000  # Hz
COPYRIGHT = """Format: copyright-format/1.0

Files: *
Copyright: 2001-2003, Ada Lovelace <ada@example.org>
License: GPL-2+

Files: data/sounds/weather/*
Copyright: (c) 2009 Luke Howard
License: CC-BY-3.0
"""
CONTROL = """Package: {name}
Version: {version}
Architecture: all
Maintainer: Nobody <nobody@example.org>
Homepage: https://example.org/{name}
Description: sounds
"""


def noise(seconds: float, seed: int, level: float = 0.3) -> npt.NDArray[np.float32]:
    """Noise of its own."""
    values = np.random.default_rng(seed).uniform(-level, level, int(seconds * RATE))
    return values.astype(np.float32)


def wav(samples: npt.NDArray[np.float32]) -> bytes:
    """A sound as a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip file of files."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # the same date, always
    return whole.getvalue()


def tarred(files: Mapping[str, bytes], link: str = "") -> bytes:
    """A tar file in xz; `link`: the name of a symbolic link to put before the files."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:xz") as archive:
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return whole.getvalue()


def ar(parts: Mapping[str, bytes]) -> bytes:
    """An ar archive."""
    whole = b"!<arch>\n"
    for name, data in parts.items():
        whole += f"{name:16s}{0:<12d}{0:<6d}{0:<6d}{'100644':8s}{len(data):<10d}`\n".encode()
        whole += data + b"\n" * (len(data) % 2)
    return whole


def deb(
    folder: Path, name: str, files: Mapping[str, bytes], version: str = "1.0-1", link: str = ""
) -> Path:
    """Write a package with those files."""
    control = CONTROL.format(name=name, version=version).encode()
    doc = {f"./usr/share/doc/{name}/copyright": COPYRIGHT.encode()}
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": tarred({"./control": control}),
        "data.tar.xz": tarred({**doc, **files}, link),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
    file.write_bytes(ar(parts))
    return file


def package_of(file: Path, **changes: object) -> Package:
    """The entry of a package's file, pinned to what it is."""
    name, version, _ = file.name.split("_")
    plain = Package(name, version.replace("%3a", ":"), sha256_of(file), "GPL-2+")
    return replace(plain, **changes)  # type: ignore[arg-type]


def tiny(folder: Path) -> list[Package]:
    """Two packages with all that is met: an archive inside, repeated, silent and broken sounds."""
    base = "./usr/share/games/tiny/sounds"
    long = np.concatenate([noise(9, 1, 0.01), noise(8, 2, 0.5), noise(3, 3, 0.01)])
    first = {
        f"{base}/DogBark1.wav": wav(noise(1, 4)),
        f"{base}/dog_bark_again.wav": wav(noise(1, 4)),
        f"{base}/weather/rain.wav": wav(long),
        f"{base}/silence_of_sheep.wav": wav(np.zeros(RATE, dtype=np.float32)),
        f"{base}/click.wav": wav(noise(0.01, 5)),
        f"{base}/horse.ogg": b"OggS, but no more than that",
        f"{base}/xyzzy.wav": wav(noise(1, 6)),
        f"{base}/music.wav": wav(noise(1, 7)),
        "./usr/share/games/tiny/more.pk3": zipped(
            {"sound/steps/gravel.wav": wav(noise(1, 8)), "../CREDITS": b"us", "a.txt": b"no"}
        ),
    }
    second = {f"./usr/share/two/{name}.wav": wav(noise(0.5, 20 + n)) for n, name in enumerate(CATS)}
    second["./usr/share/two/puppy.wav"] = wav(noise(1, 4))  # a sound of the other's
    return [
        package_of(
            deb(folder, "tiny-data", first),
            drop="music",
            folders=1,
            rules=(("steps/", "footsteps"),),
        ),
        package_of(deb(folder, "two-data", second, "2:0.5~rc1-2"), most_alike=4),
    ]


CATS = [f"meow_{letter}" for letter in "abcdefgh"]


if __name__ == "__main__":
    debs = Path(sys.argv[1])
    build(tiny(debs), Path(sys.argv[2]), from_folder(debs), jobs=int(sys.argv[3]))
