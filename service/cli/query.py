"""`earmark search`, `similar`, `tag`, `classify`: the service's queries on the command line."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.service.cli.filters import add_filters, filter_of
from earmark.service.cli.times import clock, seconds_of

if TYPE_CHECKING:
    from earmark.index.library import Library
    from earmark.index.types import Hit
    from earmark.model.embedder import Embedder

# As `Sort`, which is not imported for every command.
SORTS = ("relevance", "newest", "oldest", "shortest", "longest", "title", "loudest", "quietest")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    search = commands.add_parser("search", help="find sounds by words")
    search.add_argument("text", help='for example "dog bark"')
    add_filters(search)
    search.add_argument(
        "--sort",
        choices=SORTS,
        default="relevance",
        help="order of the hits; other than by relevance only of those that may be right",
    )
    search.add_argument(
        "--distinct", action="store_true", help="list near-duplicates under the best of them"
    )
    similar = commands.add_parser("similar", help="find sounds similar to a file")
    tag = commands.add_parser("tag", help="suggest tags for a file")
    classify = commands.add_parser("classify", help="classify a file by labels of your own")
    for command in (similar, tag, classify):
        command.add_argument("file", type=Path, metavar="FILE")
    classify.add_argument("--labels", required=True, help='for example "dog,rain,siren"')
    for option, place in (("--start", "begins"), ("--end", "ends")):
        similar.add_argument(
            option,
            type=seconds_of,
            metavar="TIME",
            help=f"where the stretch of it {place} that is meant: seconds, m:s or h:m:s",
        )
    for command in (search, similar):
        command.add_argument("--library", type=Path, metavar="DIR", help="default: demo sounds")
        command.add_argument(
            "--min-probability",
            type=float,
            default=0.0,
            metavar="P",
            help="only hits that are right with this probability at least, 0 to 1",
        )
        command.add_argument(
            "--moments",
            type=int,
            default=3,
            metavar="N",
            help="moments of each hit in a long sound, at most, 0 to 10 (default 3)",
        )
    for command in (search, similar, tag):
        command.add_argument("-k", type=int, default=10, help="number of results (default 10)")
    for command, run in ((search, _search), (similar, _similar), (tag, _tag), (classify, _class)):
        command.add_argument("--model", type=Path, metavar="PATH", help="default: starter model")
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=run)


def _model(options: argparse.Namespace) -> Embedder:
    from earmark.model.core.errors import InputError
    from earmark.model.encoders.load import load_embedder
    from earmark.service.schemas.limits import MAX_MOMENTS

    if not 1 <= getattr(options, "k", 1) <= 1000:
        raise InputError(f"-k: expected 1 to 1000, got {options.k}")
    least = getattr(options, "min_probability", 0.0)
    if not 0 <= least <= 1:
        raise InputError(f"--min-probability: expected 0 to 1, got {least:g}")
    moments = getattr(options, "moments", 0)
    if not 0 <= moments <= MAX_MOMENTS:
        raise InputError(f"--moments: expected 0 to {MAX_MOMENTS}, got {moments}")
    return load_embedder(options.model)


def _library(options: argparse.Namespace) -> Library:
    from earmark.service.demo import open_library

    if options.library is None:
        print("searching the demo library; --library names another", file=sys.stderr)
    return open_library(options.library, _model(options))


def _print_hits(hits: Sequence[Hit]) -> None:
    """The hits, with a line before those that are all unlikely."""
    likely = [number for number, hit in enumerate(hits, 1) if hit.confidence != "unlikely"]
    last = likely[-1] if likely else 0
    if not likely:
        print("nothing here sounds like that; the nearest:" if hits else "nothing found")
    for number, hit in enumerate(hits, 1):
        if number == last + 1 > 1:
            print("     less likely from here:")
        cosine = "" if hit.cosine is None else f"{hit.cosine:.3f}"
        sure = _sureness(hit)
        print(f"{number:3}  {cosine:>6}  {sure:13}  {hit.clip.id}  {hit.clip.title}{_places(hit)}")
        alike = f"  and {len(hit.alike)} like it" if hit.alike else ""
        print(f"{'':28}  {' '.join(hit.clip.tags)}  ({hit.clip.duration:.1f} s){alike}")


def _sureness(hit: Hit) -> str:
    """How probable a hit is, in a word and in percent, rounded down: nothing is certain."""
    if hit.probability is None:
        return ""
    percent = min(99, math.floor(100 * hit.probability + 1e-9))
    return f"{hit.confidence:8} {f'{percent}%' if percent else '<1%':>4}"


def _places(hit: Hit) -> str:
    """Where in a long sound the hit is heard, best first."""
    places = [
        f"{clock(math.floor(moment.start))} to {clock(math.ceil(moment.end))}"
        for moment in hit.moments
    ]
    return f"  at {', '.join(places)}" if places else ""


def _search(options: argparse.Namespace) -> int:
    from earmark.model.core.errors import InputError
    from earmark.service.schemas.hits import SearchBody

    if not options.text.strip():
        raise InputError("text: expected words to search for, got nothing")
    if len(options.text) > 500:
        raise InputError(f"text: expected at most 500 characters, got {len(options.text)}")
    where = filter_of(options)
    with _library(options) as library:
        found = library.search(
            options.text,
            options.k,
            where,
            sort=options.sort,
            distinct=options.distinct,
            min_probability=options.min_probability,
            moments=options.moments,
        )
    if options.json:
        print(json.dumps(SearchBody.fields_of(found)))
        return 0
    _print_hits(found.hits)
    if found.without:
        print(f"without: {' '.join(found.without)}")
    if found.understood is not None:
        if found.understood.ignored:
            print(f"not used: {' '.join(found.understood.ignored)}")
        for word, known in found.understood.guessed.items():
            print(f"{word}: taken for {known}")
    return 0


def _similar(options: argparse.Namespace) -> int:
    from earmark.model.audio.stretch import Stretch
    from earmark.service.schemas.hits import HitBody

    source: Path | Stretch = options.file
    if options.start is not None or options.end is not None:
        end = math.inf if options.end is None else options.end
        source = Stretch(options.file, options.start or 0.0, end)
    with _library(options) as library:
        sound = library.embedder.embed_audio(source, str(options.file))
        found = library.search_by_vector(
            sound.vector,
            options.k,
            min_probability=options.min_probability,
            moments=options.moments,
        )
    if options.json:
        hits = [HitBody.of(hit).model_dump() for hit in found.hits]
        print(json.dumps({"hits": hits, "sure": found.sure}))
    else:
        _print_hits(found.hits)
    return 0


def _tag(options: argparse.Namespace) -> int:
    from earmark.model.tagging import suggest
    from earmark.service.schemas.tagging import TagsBody

    embedder = _model(options)
    suggestion = suggest(embedder, embedder.embed_audio(options.file, str(options.file)), options.k)
    if options.json:
        print(TagsBody.of(suggestion).model_dump_json())
        return 0
    for tag in suggestion.tags:
        print(f"{tag.score:6.1%}  {tag.tag}")
    return 0


def _class(options: argparse.Namespace) -> int:
    from earmark.model import zero_shot
    from earmark.service.schemas.tagging import ClassesBody

    embedder = _model(options)
    prompts = zero_shot.plain_prompts(options.labels.split(","))
    zero_shot.check_prompts(prompts, min_labels=2, name="--labels")
    labels = zero_shot.embed_labels(embedder, prompts, name="--labels")
    sound = embedder.embed_audio(options.file, str(options.file))
    classes = zero_shot.classify(embedder, labels, sound.vector)
    if options.json:
        print(ClassesBody.of(classes).model_dump_json())
        return 0
    for label in classes.classes:
        print(f"{label.probability:6.1%}  {label.label}")
    if classes.ignored:
        print(f"not used: {' '.join(classes.ignored)}")
    for note in classes.notes:
        print(f"note: {note}")
    return 0
