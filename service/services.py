"""What the routes work with, opened and closed in one place.

`open_services` opens each part after those that it needs, and closes them in reverse: first what
begins new work (the map, jobs), then the queues, then the library.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import anyio.to_thread
from threadpoolctl import threadpool_limits

from earmark.index.files.missing import MissingMonitor
from earmark.index.library import Library
from earmark.index.projection.map import LibraryMap
from earmark.index.search.query import parse
from earmark.index.search.recall_monitor import RecallMonitor
from earmark.index.statistics import StatisticsCache
from earmark.index.types import SearchRequest
from earmark.model.core.errors import EarmarkError
from earmark.model.core.threads import use_one_thread
from earmark.model.encoders.load import load_embedder
from earmark.model.inference.decode_pool import DecodePool
from earmark.service import demo
from earmark.service.http.body_cache import BodyCache
from earmark.service.library_service import LibraryService
from earmark.service.observability.metrics import Metrics
from earmark.service.search.processes import ForkServer, ProcessWorker, ThreadWorker
from earmark.service.search.queue import SearchQueue
from earmark.service.server.readiness import QUERY, Readiness
from earmark.service.settings import Settings
from earmark.service.workers.add_parts import add_parts
from earmark.service.workers.cuts import Cuts
from earmark.service.workers.drawings import Drawings
from earmark.service.workers.facets import FacetCounter
from earmark.service.workers.handovers import Handovers
from earmark.service.workers.jobs import Jobs
from earmark.service.workers.phrase_vectors import PhraseVectors
from earmark.service.workers.stretch_vectors import StretchVectors
from earmark.service.workers.suggestions import SuggestionWorker
from earmark.service.workers.timelines import Timelines
from earmark.service.workers.turns import Turns
from earmark.service.workers.upload_queue import UploadQueue

log = logging.getLogger(__name__)

# Processes that decode for the library: one for jobs, two for drawings, one for timelines.
READERS = 4


@dataclass(frozen=True)
class Services:
    """An open library and all that works on it. The model is `library.embedder`."""

    settings: Settings
    metrics: Metrics
    readiness: Readiness
    library: Library
    library_service: LibraryService
    searches: SearchQueue
    uploads: UploadQueue
    phrases: PhraseVectors
    stretch_vectors: StretchVectors
    jobs: Jobs
    suggestions: SuggestionWorker
    drawings: Drawings
    cuts: Cuts
    handovers: Handovers
    timelines: Timelines
    statistics: StatisticsCache
    facets: FacetCounter
    turns: Turns
    missing: MissingMonitor
    library_map: LibraryMap
    map_body: BodyCache


@asynccontextmanager
async def open_services(
    settings: Settings,
    metrics: Metrics,
    readiness: Readiness,
    opened: Library | None = None,
    fork_server: ForkServer | None = None,
) -> AsyncIterator[Services]:
    """The services of one application, for as long as the context lasts.

    `opened`: a library that is open already; else the one that the settings name is opened.
    `fork_server`: forks the processes that search; without one, threads of this process search.
    Both are closed as well.
    """
    in_thread = anyio.to_thread.run_sync
    async with AsyncExitStack() as stack:
        library = await in_thread(open_library, settings) if opened is None else opened
        stack.callback(library.close)
        _measure(library, metrics, settings)
        stack.callback(_monitor_recall(library, metrics, settings).close)
        missing = MissingMonitor(library.catalogue)
        stack.callback(missing.close)
        if fork_server is not None:
            stack.callback(fork_server.close)
        searches = _searches(library, fork_server, metrics, settings)
        stack.push_async_callback(searches.close)
        if library.store.outdated:
            _start_rebuilding(library, fork_server, searches)
        readiness.search = lambda: searches.search(SearchRequest(parse(QUERY), 1))
        uploads = _uploads(library, metrics, settings)
        readers = DecodePool(library.embedder.front_end, READERS)
        cuts = Cuts(library.embedder.front_end)
        for decoding in (uploads, readers, cuts):
            stack.callback(decoding.close)
        jobs, library_map = _jobs(library, readers, settings), LibraryMap(library)
        suggestions = SuggestionWorker(library)
        for worker in (jobs, library_map, suggestions):
            stack.push_async_callback(in_thread, worker.close)
        yield Services(
            settings=settings,
            metrics=metrics,
            readiness=readiness,
            library=library,
            library_service=LibraryService(library),
            searches=searches,
            uploads=uploads,
            phrases=PhraseVectors(library.embedder, metrics, settings.upload_seconds),
            stretch_vectors=StretchVectors(uploads, settings.max_seconds),
            jobs=jobs,
            suggestions=suggestions,
            drawings=Drawings(readers),
            cuts=cuts,
            handovers=Handovers(),
            timelines=Timelines(readers, library.embedder),
            statistics=StatisticsCache(library),
            facets=FacetCounter(library, metrics),
            turns=Turns(metrics),
            missing=missing,
            library_map=library_map,
            map_body=BodyCache(),
        )


def _jobs(library: Library, readers: DecodePool, settings: Settings) -> Jobs:
    """The jobs of a library, which they add sounds to."""
    adding = partial(add_parts, library=library, readers=readers, max_seconds=settings.max_seconds)
    return Jobs(library.folder, adding)


def _monitor_recall(library: Library, metrics: Metrics, settings: Settings) -> RecallMonitor:
    """The monitor of a library's searches, which it begins to use."""
    monitor = library.recall_monitor = RecallMonitor(
        lambda: library.store,
        library.catalogue,
        metrics.observe_recall,
        one_in=settings.recall_sample,
    )
    return monitor


def _start_rebuilding(
    library: Library, fork_server: ForkServer | None, searches: SearchQueue
) -> None:
    """Build an outdated store anew in a thread; for the event loop."""
    renew = partial(asyncio.get_running_loop().call_soon_threadsafe, searches.renew)
    rebuilding = partial(_rebuild_store, library, fork_server, renew)
    threading.Thread(target=rebuilding, name="rebuild", daemon=True).start()


def _rebuild_store(
    library: Library, fork_server: ForkServer | None, renew: Callable[[], object]
) -> None:
    """Build an outdated store anew, and let the workers search it."""
    try:
        if library.rebuild_store():
            if fork_server is not None:
                fork_server.renew()
            renew()
    except (EarmarkError, OSError, RuntimeError) as error:
        # RuntimeError: the event loop is closed, or FAISS is short of memory.
        log.warning("the index could not be built anew: %s", error)


def open_library(settings: Settings) -> Library:
    """The model and library that the settings name, ready to answer."""
    embedder = load_embedder(settings.model, settings.device, settings.runtime)
    # Requests share the cores: teams of threads would fight for them, and cannot be forked. Last,
    # as loading a model imports what computes it.
    use_one_thread()
    threadpool_limits(1, "blas")
    library = demo.open_library(settings.library, embedder)
    # Computed now, so that neither the first upload nor the first search need wait. Related words
    # may be of another encoder than phrases: processes that search share its memory.
    _ = embedder.vocabulary_vectors, embedder.vocabulary_moments
    embedder.words.cosines("rain", ["wind"])
    return library


def open_fork_server(settings: Settings, library: Library) -> ForkServer | None:
    """The process that forks workers for searches, to be started while this one has one thread.

    None where no process can be forked: on systems other than Linux, beside a GPU, or with a
    store that holds a connection.
    """
    if sys.platform != "linux" or settings.device != "cpu" or not library.store.forkable:
        return None
    return ForkServer(library, settings.recall_sample, settings.root_path)


def _searches(
    library: Library, fork_server: ForkServer | None, metrics: Metrics, settings: Settings
) -> SearchQueue:
    root_path = settings.root_path
    return SearchQueue(
        [
            ThreadWorker(library, root_path)
            if fork_server is None
            else ProcessWorker(fork_server, library, root_path)
            for _ in range(settings.searchers or os.cpu_count() or 1)
        ],
        metrics,
        max_waiting=settings.max_searches,
        deadline=settings.search_seconds,
    )


def _uploads(library: Library, metrics: Metrics, settings: Settings) -> UploadQueue:
    return UploadQueue(
        library.embedder,
        metrics,
        decoders=settings.threads,
        max_uploads=settings.max_waiting,
        seconds=settings.upload_seconds,
    )


def _measure(library: Library, metrics: Metrics, settings: Settings) -> None:
    metrics.set_build(version("earmark"), library.embedder.fingerprint, settings.device)
    metrics.watch("clips", lambda: len(library.current_store()))
    metrics.watch("generation", lambda: library.current_store().generation)
