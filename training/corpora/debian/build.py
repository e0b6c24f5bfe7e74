"""Builds the corpus: fetch each package, check, unpack, choose, cut; then the manifest.

DIR/PACKAGE/*.ogg with `record.json` and the package's `copyright.txt`, DIR/manifest.csv,
DIR/ATTRIBUTION.md. Work in progress is under hidden names: .deb files in DIR/.debs until their
package is done, and DIR/.PACKAGE.partial, which becomes DIR/PACKAGE by a rename.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path, PurePosixPath

from earmark.model.core.progress import progress
from earmark.training.corpora.debian import assemble, licences, tags
from earmark.training.corpora.debian.clips import Made, make_clip
from earmark.training.corpora.debian.fetch import Deb, Fetch, FetchError, get
from earmark.training.corpora.debian.packages import Package
from earmark.training.corpora.debian.record import COPYRIGHT, Clip, Record, read_record
from earmark.training.corpora.debian.tags import read_lexicon, tags_of
from earmark.training.corpora.debian.unpack import Unpacked, unpack
from earmark.training.errors import CorpusError

log = logging.getLogger(__name__)

FORMAT = 1  # counts on when the same rules give other clips
DEBS = ".debs"


@dataclass(frozen=True)
class Chosen:
    """A sound that becomes a clip."""

    member: str
    file: Path
    tags: tuple[str, ...]


@dataclass
class Report:
    """What a run did: packages there now, those that were there before, and those that failed."""

    records: list[Record] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    clips: int = 0
    seconds: float = 0.0
    duplicates: int = 0  # between packages


def build(
    packages: Sequence[Package],
    out: Path,
    fetch: Fetch,
    *,
    any_version: bool = False,
    jobs: int | None = None,
) -> Report:
    """Make the packages that are not done, then the manifest of all that are in `out`.

    A package that cannot be made is told in the report, and the others go on. `jobs`: processes
    that decode; all cores when None. Raises CorpusError where `out` cannot be used, FetchError
    where nothing was made.
    """
    report = Report()
    try:
        (out / DEBS).mkdir(parents=True, exist_ok=True)
        with _pool(jobs or os.cpu_count() or 1) as pool:
            for number, package in enumerate(packages, start=1):
                title = f"[{number}/{len(packages)}] {package.name}"
                try:
                    _make(package, out, fetch, any_version, pool, title, report)
                except (CorpusError, FetchError) as error:
                    report.failed[package.name] = str(error)
                except BrokenExecutor as error:
                    raise CorpusError(
                        f"{package.name}: decoding a sound ended its process; --jobs 1 tells which"
                    ) from error
        if not report.failed:
            shutil.rmtree(out / DEBS, ignore_errors=True)
        records = [record for folder in sorted(out.iterdir()) if (record := read_record(folder))]
        report.records = records
        if not records:
            raise FetchError("; ".join(report.failed.values()) or "no package was asked for")
        rows = assemble.rows(records)
        report.clips, report.seconds = len(rows), sum(row.clip.seconds for row in rows)
        report.duplicates = sum(len(record.clips) for record in records) - len(rows)
        assemble.write(out, records, rows)
    except OSError as error:
        raise CorpusError(f"{error.filename or out}: {error.strerror}") from error
    return report


def _make(
    package: Package,
    out: Path,
    fetch: Fetch,
    any_version: bool,
    pool: Executor | None,
    title: str,
    report: Report,
) -> None:
    """Make one package's folder, unless it is done."""
    folder, rules = out / package.name, _rules(package)
    partial = out / f".{package.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    done = read_record(folder)
    if done is not None and done.rules == rules and (done.pinned or any_version):
        report.kept.append(package.name)
        return
    log.info("%s: fetching version %s", title, package.version)
    deb = get(package, out / DEBS, fetch, any_version=any_version)
    log.info("%s: unpacking %.0f MB", title, deb.file.stat().st_size / 1e6)
    unpacked = unpack(deb.file, partial / "unpacked", package.wants)
    made = partial / package.name
    made.mkdir()
    record = _clips(package, deb, rules, unpacked, made, pool, title)
    record.write(made)
    (made / COPYRIGHT).write_text(unpacked.copyright, encoding="utf-8")
    if folder.exists():  # of other rules; a rename needs the place
        folder.rename(partial / "replaced")
    made.rename(folder)
    shutil.rmtree(partial)
    deb.file.unlink()


def _rules(package: Package) -> str:
    """Names all that decides on a package's clips."""
    digest = hashlib.sha256(f"{FORMAT} {package.digest()} ".encode())
    digest.update(tags.FILE.read_bytes())
    return digest.hexdigest()[:16]


def _clips(
    package: Package,
    deb: Deb,
    rules: str,
    unpacked: Unpacked,
    folder: Path,
    pool: Executor | None,
    title: str,
) -> Record:
    """Decode, cut and write the chosen sounds; silent, broken and repeated ones are counted."""
    skipped = Counter(reason for _, reason in unpacked.skipped)
    sounds = choose(package, unpacked.sounds, skipped)
    files = clip_names([sound.member for sound in sounds])
    terms = licences.paragraphs(unpacked.copyright)
    kept: dict[str, Clip] = {}
    with progress(title, len(sounds)) as shown:
        targets = [folder / name for name in files]
        for sound, target, made in zip(
            sounds, targets, _decoded(sounds, targets, pool), strict=True
        ):
            shown.step()
            if made.reason:
                skipped[made.reason] += 1
            elif made.sha256 in kept:
                skipped["the same sound again"] += 1
                target.unlink()
                first = kept[made.sha256]
                both = tuple(dict.fromkeys([*first.tags, *sound.tags]))
                kept[made.sha256] = replace(first, tags=both)
            else:
                licence, author = _terms(package, terms, sound.member)
                kept[made.sha256] = Clip(
                    target.name, sound.member, sound.tags, licence, author,
                    round(made.seconds, 3), made.sha256,
                )  # fmt: skip
        said = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        shown.write(f"{title}: {len(kept)} clips; not taken: {said or 'none'}")
    upstream = re.search(r"^Homepage: *(\S+)", unpacked.control, re.MULTILINE)
    return Record(
        package.name,
        deb.version,
        deb.sha256,
        deb.pinned,
        rules,
        upstream[1] if upstream else "",
        tuple(kept.values()),
        dict(sorted(skipped.items())),
    )


def choose(
    package: Package, sounds: Iterable[tuple[str, Path]], skipped: Counter[str]
) -> list[Chosen]:
    """The sounds that have tags, and of many with the same tags only so many, by path.

    Which of those is decided by a hash of the path: spread over all, and the same every time.
    """
    lexicon = read_lexicon()
    by_chance = sorted(sounds, key=lambda sound: hashlib.sha256(sound[0].encode()).digest())
    counts: Counter[str] = Counter()
    taken = []
    for member, file in by_chance:
        own = tags_of(package, member, lexicon)
        group, most = " ".join(sorted(own)), package.most_alike
        for pattern, _, limit in reversed(package.fixed):
            if re.search(pattern, member, re.IGNORECASE):
                group, most = pattern, limit
        counts[group] += 1
        if not own:
            skipped["no tags"] += 1
        elif most and counts[group] > most:
            skipped["enough of the same tags"] += 1
        else:
            taken.append(Chosen(member, file, tuple(own)))
    return sorted(taken, key=lambda sound: sound.member)


def clip_names(members: Sequence[str]) -> list[str]:
    """A file name for each: its stem; with its folder, or a number, where that is taken."""
    taken: set[str] = set()
    names = []
    for member in members:
        path = PurePosixPath(member)
        stem = _plain(path.stem)
        tries = [stem, f"{_plain(path.parent.name)}-{stem}"]
        tries += [f"{stem}-{number}" for number in range(2, len(members) + 2)]
        # Some disks know no capitals.
        name = next(each for each in tries if each.lower() not in taken)
        taken.add(name.lower())
        names.append(f"{name}.ogg")
    return names


def _plain(name: str) -> str:
    """A name that every disk takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._")[:100] or "sound"


def _terms(package: Package, found: list[licences.Paragraph], member: str) -> tuple[str, str]:
    """(licence, author) of a sound."""
    for pattern, licence in package.licences:
        if re.search(pattern, member, re.IGNORECASE):
            return licence, ""
    paragraph = licences.of_sound(found, member)
    return (paragraph.licence, paragraph.author) if paragraph else (package.licence, "")


def _decoded(
    sounds: Sequence[Chosen], targets: Sequence[Path], pool: Executor | None
) -> Iterator[Made]:
    sources = [sound.file for sound in sounds]
    if pool is None:
        return map(make_clip, sources, targets)
    return pool.map(make_clip, sources, targets, chunksize=4)


@contextmanager
def _pool(jobs: int) -> Iterator[Executor | None]:
    """Processes that decode; none beside this one for a single job."""
    if jobs <= 1:
        yield None
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In a decoding process: Ctrl-C is for the parent, and a killed parent's end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
