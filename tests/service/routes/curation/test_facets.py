"""Facets, and the filters and orders beside them, over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from earmark.index.facets import count_facets
from earmark.index.library import Library
from earmark.index.types import SearchRequest
from earmark.model.encoders.load import load_embedder
from earmark.service.client import Client
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics
from earmark.service.routes.curation.facets import facets
from earmark.service.schemas.curation.facets import FacetsQuery
from earmark.service.workers.facets import FacetCounter
from tests.service.conftest import MANIFEST
from tests.service.server_process import Server

TAGS = {tag for _, _, tags in MANIFEST for tag in tags.split()}


def test_without_words_all_that_pass_are_counted(server: Server) -> None:
    body = server.client.get("/v1/facets").json()
    assert (body["total"], body["licences"]) == (6, [{"licence": "CC0-1.0", "count": 6}])
    assert {one["tag"]: one["count"] for one in body["tags"]} == dict.fromkeys(TAGS, 1)
    clips = server.client.get("/v1/clips").json()["clips"]
    assert [one["month"] for one in body["added"]] == [clips[0]["added_at"][:7]]
    rates = {one["sample_rate"]: one["count"] for one in body["sample_rates"]}
    assert rates == {clip["sample_rate"]: 6 for clip in clips}
    assert (body["categories"], body["collections"], body["classifiers"]) == ([], [], [])
    tag = clips[0]["tags"][0]
    for query in (f"tag={tag}&names=0", f"tag={tag}&licence=none&names=0"):
        one = server.client.get(f"/v1/facets?{query}").json()
        assert one["tags"] == []
        assert one["channels"] == ([{"channels": 1, "count": 1}] if "none" not in query else [])


def test_with_words_it_counts_what_a_sorted_search_lists(server: Server) -> None:
    tag = min(TAGS)
    hits = server.client.get(f"/v1/search?q={tag}&sort=newest&k=100").json()["hits"]
    body = server.client.get(f"/v1/facets?q={tag}&k=3&sort=title&cursor=x").json()
    assert body["total"] == len(hits) > 0
    assert sum(one["count"] for one in body["sources"]) == len(hits)


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    first = server.client.get("/v1/facets?licence=CC0-1.0")
    tag = {"If-None-Match": first.headers["etag"]}
    assert server.client.get("/v1/facets?licence=CC0-1.0", headers=tag).status_code == 304
    assert server.client.get("/v1/facets?licence=cc0-1.0", headers=tag).status_code == 200


def test_counts_of_an_index_that_is_behind_are_not_kept_as_the_newest(
    library_folder: Path, model_folder: Path
) -> None:
    with Library.open(library_folder, load_embedder(model_folder)) as library:
        found = count_facets(library, SearchRequest(), 1)
        behind = SimpleNamespace(get=lambda *_: replace(found, generation=found.generation - 1))
        services: Any = SimpleNamespace(library=library, facets=behind)
        request: Any = SimpleNamespace(scope={"query_string": b""})
        answer = facets(request, services, FacetsQuery())
        assert facets(request, services, FacetsQuery(), answer.headers["ETag"]).status_code == 200


@pytest.mark.parametrize(
    "query",
    ["sample_rate=0", "sample_rate=x", "channels=1.5", "min_loudness=nan", "min_loudness=1e9",
     "min_loudness=0&max_loudness=-1", "added_after=yesterday", "added_after=2026-02-30",
     "added_before=20261130", "category=", "names=1001"],
)  # fmt: skip
def test_conditions_that_make_no_sense_are_refused(server: Server, query: str) -> None:
    answer = server.client.get(f"/v1/facets?{query}")
    assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (422, "invalid-request")
    if not query.startswith("names"):
        assert server.client.get(f"/v1/clips?{query}").status_code == 422


def test_searches_and_lists_are_filtered_and_sorted_so(server: Server) -> None:
    clips = server.client.get("/v1/clips").json()["clips"]
    rate, day = clips[0]["sample_rate"], clips[0]["added_at"][:10]
    for query, passing in (
        (f"sample_rate={rate}&channels=1", 6), ("channels=2&channels=3", 0),
        (f"added_after={day}&added_before=2999", 6), (f"added_before={day[:4]}", 0),
        ("category=AMBForst", 0),
    ):  # fmt: skip
        assert server.client.get(f"/v1/clips?{query}").json()["total"] == passing, query
        found = server.client.get(f"/v1/search?q={min(TAGS)}&k=9&{query}").json()["hits"]
        assert len(found) == passing, query
    weighted = {"q": min(TAGS), "sample_rate": [float(rate)], "added_after": day, "k": 9}
    assert len(server.client.post("/v1/search", json=weighted).json()["hits"]) == 6
    seconds = {clip["id"]: clip["duration"] for clip in clips}
    client = Client(str(server.client.base_url))
    longest = [clip.id for clip in client.clips(sort="longest", k=2, sample_rate=[rate])]
    assert [seconds[one] for one in longest] == sorted(seconds.values(), reverse=True)
    assert client.facets(names=3, channels=[1]).total == 6
    client.close()


def test_where_too_many_wait_none_is_taken(library_folder: Path, model_folder: Path) -> None:
    with Library.open(library_folder, load_embedder(model_folder)) as library:
        counter = FacetCounter(library, Metrics(), max_waiting=1)
        assert counter.get(SearchRequest(), 1) is counter.get(SearchRequest(), 1)  # kept
        with counter.turn(), pytest.raises(ProblemError, match="1 requests are waiting"):
            counter.get(SearchRequest(), 1)
