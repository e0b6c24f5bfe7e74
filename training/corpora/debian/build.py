"""Builds the corpus: fetches, checks, unpacks and cuts each package, then writes the manifest.

Files: DIR/PACKAGE/*.ogg with `record.json` and the package's `copyright.txt`, DIR/manifest.csv,
DIR/ATTRIBUTION.md. Work in progress has hidden names: .deb files in DIR/.debs until their package
is finished, and DIR/.PACKAGE.partial, which becomes DIR/PACKAGE by a rename.
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
from earmark.training.corpora.debian import assemble, licences
from earmark.training.corpora.debian.clips import ClipResult, make_clip
from earmark.training.corpora.debian.fetch import Deb, Fetch, FetchError, get
from earmark.training.corpora.debian.packages import Package
from earmark.training.corpora.debian.record import (
    COPYRIGHT,
    ClipRecord,
    PackageRecord,
    read_record,
)
from earmark.training.corpora.debian.tags import LEXICON_FILE, read_lexicon, tags_of
from earmark.training.corpora.debian.unpack import UnpackedPackage, unpack
from earmark.training.errors import CorpusError

log = logging.getLogger(__name__)

RULES_VERSION = 1  # raised when the same rules give other clips
DEBS_FOLDER = ".debs"


@dataclass(frozen=True)
class SelectedSound:
    """A sound that becomes a clip."""

    member: str
    file: Path
    tags: tuple[str, ...]


@dataclass
class BuildReport:
    """The packages in the folder, those that were unchanged, and those that failed, with errors."""

    records: list[PackageRecord] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
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
) -> BuildReport:
    """Build the packages that are not finished, then the manifest of all in `out`.

    A package that fails is listed in the report, and the others continue. `jobs`: processes that
    decode; all cores when None. Raises CorpusError where `out` cannot be used, FetchError without a
    finished package.
    """
    report = BuildReport()
    try:
        (out / DEBS_FOLDER).mkdir(parents=True, exist_ok=True)
        with _decoding_pool(jobs or os.cpu_count() or 1) as pool:
            for number, package in enumerate(packages, start=1):
                title = f"[{number}/{len(packages)}] {package.name}"
                try:
                    _build_package(package, out, fetch, any_version, pool, title, report)
                except (CorpusError, FetchError) as error:
                    report.failed[package.name] = str(error)
                except BrokenExecutor as error:
                    raise CorpusError(
                        f"{package.name}: decoding a sound ended its process; --jobs 1 tells which"
                    ) from error
        if not report.failed:
            shutil.rmtree(out / DEBS_FOLDER, ignore_errors=True)
        records = [record for folder in sorted(out.iterdir()) if (record := read_record(folder))]
        report.records = records
        if not records:
            raise FetchError("; ".join(report.failed.values()) or "no package was asked for")
        rows = assemble.corpus_rows(records)
        report.clips, report.seconds = len(rows), sum(row.clip.seconds for row in rows)
        report.duplicates = sum(len(record.clips) for record in records) - len(rows)
        assemble.write(out, records, rows)
    except OSError as error:
        raise CorpusError(f"{error.filename or out}: {error.strerror}") from error
    return report


def _build_package(
    package: Package,
    out: Path,
    fetch: Fetch,
    any_version: bool,
    pool: Executor | None,
    title: str,
    report: BuildReport,
) -> None:
    """Build one package's folder, unless it is finished."""
    folder, rules = out / package.name, _rules_hash(package)
    partial = out / f".{package.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
    record = read_record(folder)
    if record is not None and record.rules == rules and (record.pinned or any_version):
        report.unchanged.append(package.name)
        return
    log.info("%s: fetching version %s", title, package.version)
    deb = get(package, out / DEBS_FOLDER, fetch, any_version=any_version)
    log.info("%s: unpacking %.0f MB", title, deb.file.stat().st_size / 1e6)
    unpacked = unpack(deb.file, partial / "unpacked", package.selects)
    built = partial / package.name
    built.mkdir()
    record = _cut_clips(package, deb, rules, unpacked, built, pool, title)
    record.write(built)
    (built / COPYRIGHT).write_text(unpacked.copyright, encoding="utf-8")
    if folder.exists():  # built by other rules; a rename needs a free name
        folder.rename(partial / "replaced")
    built.rename(folder)
    shutil.rmtree(partial)
    deb.file.unlink()


def _rules_hash(package: Package) -> str:
    """A hash of all that determines a package's clips."""
    digest = hashlib.sha256(f"{RULES_VERSION} {package.digest()} ".encode())
    digest.update(LEXICON_FILE.read_bytes())
    return digest.hexdigest()[:16]


def _cut_clips(
    package: Package,
    deb: Deb,
    rules: str,
    unpacked: UnpackedPackage,
    folder: Path,
    pool: Executor | None,
    title: str,
) -> PackageRecord:
    """Decode, cut and write the selected sounds; counts silent, broken and repeated ones."""
    skipped = Counter(reason for _, reason in unpacked.skipped)
    sounds = select_sounds(package, unpacked.sounds, skipped)
    files = clip_names([sound.member for sound in sounds])
    paragraphs = licences.paragraphs(unpacked.copyright)
    clips: dict[str, ClipRecord] = {}
    with progress(title, len(sounds)) as bar:
        targets = [folder / name for name in files]
        for sound, target, result in zip(
            sounds, targets, _make_clips(sounds, targets, pool), strict=True
        ):
            bar.step()
            if result.reason:
                skipped[result.reason] += 1
            elif result.sha256 in clips:
                skipped["the same sound again"] += 1
                target.unlink()
                first = clips[result.sha256]
                tags = tuple(dict.fromkeys([*first.tags, *sound.tags]))
                clips[result.sha256] = replace(first, tags=tags)
            else:
                licence, author = _licence_and_author(package, paragraphs, sound.member)
                clips[result.sha256] = ClipRecord(
                    target.name, sound.member, sound.tags, licence, author,
                    round(result.seconds, 3), result.sha256,
                )  # fmt: skip
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        bar.write(f"{title}: {len(clips)} clips; not taken: {reasons or 'none'}")
    upstream = re.search(r"^Homepage: *(\S+)", unpacked.control, re.MULTILINE)
    return PackageRecord(
        package.name,
        deb.version,
        deb.sha256,
        deb.pinned,
        rules,
        upstream[1] if upstream else "",
        tuple(clips.values()),
        dict(sorted(skipped.items())),
    )


def select_sounds(
    package: Package, sounds: Iterable[tuple[str, Path]], skipped: Counter[str]
) -> list[SelectedSound]:
    """The sounds that have tags, at most `most_alike` of each tag set, in order of their paths.

    A hash of the path decides which: evenly spread, and the same every time.
    """
    lexicon = read_lexicon()
    shuffled = sorted(sounds, key=lambda sound: hashlib.sha256(sound[0].encode()).digest())
    counts: Counter[str] = Counter()
    selected = []
    for member, file in shuffled:
        tags = tags_of(package, member, lexicon)
        group, limit = " ".join(sorted(tags)), package.most_alike
        for pattern, _, fixed_limit in reversed(package.fixed):
            if re.search(pattern, member, re.IGNORECASE):
                group, limit = pattern, fixed_limit
        counts[group] += 1
        if not tags:
            skipped["no tags"] += 1
        elif limit and counts[group] > limit:
            skipped["enough of the same tags"] += 1
        else:
            selected.append(SelectedSound(member, file, tuple(tags)))
    return sorted(selected, key=lambda sound: sound.member)


def clip_names(members: Sequence[str]) -> list[str]:
    """A unique file name for each member: its stem, with its folder or a number if needed."""
    used: set[str] = set()
    names = []
    for member in members:
        path = PurePosixPath(member)
        stem = _portable_name(path.stem)
        candidates = [stem, f"{_portable_name(path.parent.name)}-{stem}"]
        candidates += [f"{stem}-{number}" for number in range(2, len(members) + 2)]
        # Some file systems ignore case.
        name = next(candidate for candidate in candidates if candidate.lower() not in used)
        used.add(name.lower())
        names.append(f"{name}.ogg")
    return names


def _portable_name(name: str) -> str:
    """A name that every file system accepts."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._")[:100] or "sound"


def _licence_and_author(
    package: Package, paragraphs: list[licences.Paragraph], member: str
) -> tuple[str, str]:
    """(licence, author) of a sound."""
    for pattern, licence in package.licences:
        if re.search(pattern, member, re.IGNORECASE):
            return licence, ""
    paragraph = licences.paragraph_for(paragraphs, member)
    return (paragraph.licence, paragraph.author) if paragraph else (package.licence, "")


def _make_clips(
    sounds: Sequence[SelectedSound], targets: Sequence[Path], pool: Executor | None
) -> Iterator[ClipResult]:
    sources = [sound.file for sound in sounds]
    if pool is None:
        return map(make_clip, sources, targets)
    return pool.map(make_clip, sources, targets, chunksize=4)


@contextmanager
def _decoding_pool(jobs: int) -> Iterator[Executor | None]:
    """Processes that decode; None for a single job, which runs in this process."""
    if jobs <= 1:
        yield None
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """In a decoding process: ignore Ctrl-C, which the parent handles, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
