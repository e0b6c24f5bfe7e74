"""What a library holds, counted: in memory and in the catalogue alike, and without any path."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.index.library import Library
from earmark.index.statistics import (
    MAX_FAILURES,
    LibraryStatistics,
    StatisticsCache,
    redact_path,
)
from earmark.index.stores import factory
from earmark.index.types import Filter
from earmark.model.embedder import Embedder
from earmark.model.text.text_key import text_key
from tests.index import made

DIM = 16
TAGS = ("Dog", "dog", "bark", "rain", "Regen", "Straße", "STRASSE", "cafe\u0301", "Café")

clips = st.fixed_dictionaries(
    {
        "tags": st.lists(st.sampled_from(TAGS), max_size=4).map(tuple),
        "licence": st.sampled_from(("", "CC0-1.0", "cc0-1.0", "CC-BY-4.0")),
        "source": st.sampled_from(("", "one", "two")),
        "duration": st.floats(0.125, 30, width=32),
    }
)
writes = st.lists(
    st.tuples(st.sampled_from(("put", "put", "remove", "fail")), st.integers(0, 9), clips),
    max_size=25,
)


def write(library: Library, kind: str, number: int, clip: dict[str, object]) -> None:
    with library.catalogue.write() as writer:
        if kind == "put":
            vector = made.vector(number, DIM)
            writer.put(made.new_clip(f"clip-{number}", number, vector=vector, **clip))
        elif kind == "fail":
            writer.record_failure(f"/sounds/broken-{number}.wav", f"broken-{number}.wav: damaged")
        else:
            held = [each.id for each in library.catalogue.clips()]
            if held:
                writer.remove(held[number % len(held)])


def usual(names: list[str]) -> dict[str, int]:
    """The names and their counts: of those that count as the same the most frequent, for all."""
    totals: Counter[str] = Counter()
    for key in set(map(text_key, names)):
        same = Counter(sorted(name for name in names if text_key(name) == key))
        totals[same.most_common(1)[0][0]] = same.total()
    return dict(totals)


def check(summary: LibraryStatistics, library: Library) -> None:
    held = library.catalogue.clips()
    tags = [name.lower() for each in held for name in each.tags]
    assert summary.clips == len(held)
    assert summary.seconds == pytest.approx(sum(each.duration for each in held), rel=1e-5)
    assert dict(summary.tags) == usual(tags)
    assert dict(summary.licences) == usual([each.licence for each in held if each.licence])
    assert dict(summary.sources) == usual([each.source for each in held if each.source])
    assert summary.generation == library.generation
    failures = library.catalogue.failures()
    assert summary.failures == len(failures)
    assert {each.name for each in summary.latest} == {Path(path).name for path in failures}
    for counts in (summary.tags, summary.licences, summary.sources):
        assert list(counts) == sorted(counts, key=lambda each: (-each[1], each[0]))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(done=writes)
def test_after_any_writes_all_is_counted(
    done: list[tuple[str, int, dict[str, object]]],
    embedder: Embedder,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with Library.open(tmp_path_factory.mktemp("any"), embedder, create=True) as library:
        summaries = StatisticsCache(library)
        for number, each in enumerate(done):
            write(library, *each)
            if number % 5 == 0:
                check(summaries.get(), library)
        check(summaries.get(), library)
        assert summaries.get() is summaries.get()


def test_a_library_in_milvus_tells_the_same_but_not_where_it_is(
    library: Library, milvus_file: str
) -> None:
    said = {"licence": "CC0-1.0", "source": "one", "duration": 2.5}
    for number in range(30):
        tags = TAGS[: number % len(TAGS)]
        write(library, "put", number, {**said, "tags": tags})
    beside = StatisticsCache(library).get()
    library.store.close()
    library.store = factory.open_store(library.catalogue, milvus_file)
    factory.catch_up(library.store, library.catalogue)
    assert len(library.store.passing(Filter())) == 30
    summary = StatisticsCache(library).get()
    check(summary, library)
    assert summary == beside
    assert milvus_file in library.store.description()
    assert library.store.label().startswith("Milvus ")
    assert "/" not in library.store.label()


def test_the_last_failures_are_told_first(library: Library) -> None:
    for number in range(MAX_FAILURES + 5):
        with library.catalogue.write() as writer:
            writer.record_failure(f"/far/away/{number}.wav", f"{number}.wav: not a sound")
    summary = StatisticsCache(library).get()
    assert summary.failures == MAX_FAILURES + 5
    assert [each.name for each in summary.latest[:2]] == [
        f"{MAX_FAILURES + 4}.wav",
        f"{MAX_FAILURES + 3}.wav",
    ]
    assert {each.reason for each in summary.latest} == {"not a sound"}
    assert len(summary.latest) == MAX_FAILURES


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("b.wav: not a sound this can read", "not a sound this can read"),
        ("/a dir/b.wav: not a sound this can read", "not a sound this can read"),
        ("file: too long", "too long"),
        ("b.wav: 44.1/48 kHz and/or 24 bits", "44.1/48 kHz and/or 24 bits"),
        ("b.wav: cannot open '/a dir/b.wav' (gone)", "cannot open 'b.wav' (gone)"),
        ("b.wav: linked to /srv/other place/c.wav, gone", "linked to…"),
        ("b.wav: [Errno 2] No such file: '/srv/x'", "[Errno 2] No such file…"),
        (r"b.wav: in C:\sounds\b.wav", "in…"),
        ("b.wav: in ~/sounds", "in…"),
    ],
)
def test_reasons_hold_no_path(reason: str, said: str) -> None:
    assert redact_path("/a dir/b.wav", reason) == said


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=8)


@given(folders=st.lists(names, min_size=1, max_size=3), around=st.sampled_from("'\"( :="))
def test_no_folder_of_any_path_is_told(folders: list[str], around: str) -> None:
    path = "/secret/" + "/".join(folders) + "/b.wav"
    for text in (path, "/secret/elsewhere/" + folders[0]):
        assert "secret" not in redact_path(path, f"b.wav: cannot read {around}{text}")
