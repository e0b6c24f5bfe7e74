"""Finding moments in long recordings: `python -m tests.benchmarks.bench_moments DATA --cache DIR`.

Recordings are mixed from the clips of DATA as `tests.benchmarks.mixtures` states, always the same
ones, and are never written to disk: what is computed of them is kept in DIR, so that a run that was
stopped goes on where it was. `--source` says where events are from, `--part` what is measured.

`find`: 200 recordings of ten minutes, one event of one to three seconds in each, all in one
library, whose titles and tags say nothing. Each event is asked for by its tag. Printed: the share
of events whose recording is within ten hits, by moments and by the recordings' own vectors, other
recordings that hold an event of the tag left out of the hits, as they are right too; and of those
found the share whose first moment starts within 2 s of the event. Beside them other ways to rank
recordings, what would be found if each recording were its event alone, and where failures lie.

`timelines`: ten recordings of two minutes with eight events each, asked for all tags of the events
of all ten. Printed: the event-based F1 of `sed_eval` (onsets within 0.5 s, offsets within 0.5 s or
half of the event), over all tags and recordings.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from earmark.index.catalogue.embedded_sound import EmbeddedSound, SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.library import Library
from earmark.model import zero_shot
from earmark.model.audio.log_mel import window_blocks
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.arrays import Array
from earmark.model.core.progress import progress
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.encoders.base import WINDOW_BATCH
from earmark.model.encoders.load import load_embedder
from earmark.model.encoders.steps import cut_windows
from earmark.model.model_files import starter_model
from earmark.model.timeline.steps import HeardSound
from earmark.model.timeline.timeline import make_timeline
from tests.benchmarks.mixtures import RATE, Plan, event_sound, mix, plan, read_clips

COUNT, SECONDS, NEAREST, WITHIN = 200, 600.0, 10, 2.0
HALF = 2  # windows overlap by half: every second lies side by side
TIMELINES, TIMELINE_SECONDS, EVENTS, TIMELINE_SEED = 10, 120.0, 8, 9
COLLAR = 0.5


@dataclass(frozen=True)
class Embedded:
    """A recording's vector [D], and those of its windows [W, D] with their starts [W] (seconds);
    they overlap by half. `alone`: the vector [D] of its event, without the bed."""

    vector: Array
    windows: Array
    starts: Array
    alone: Array


def embed(embedder: Embedder, made: Plan, cache: Path) -> Embedded:
    """Of one recording, from the cache where it is there."""
    digest = hashlib.sha256(f"{made} {embedder.fingerprint}".encode()).hexdigest()[:24]
    file = cache / f"{digest}.npz"
    if not file.exists():
        features = embedder.config.features
        assert features.sample_rate == RATE
        blocks = window_blocks(embedder.log_mel, [mix(made)], WINDOW_BATCH)
        grid = features.frames // embedder.window_steps
        cut = list(cut_windows(blocks, features.frames // HALF, grid))
        codes = np.concatenate([embedder.encode(windows) for windows, _ in cut])
        firsts = np.concatenate([first_frames for _, first_frames in cut])
        [event] = made.events
        [alone] = window_blocks(embedder.log_mel, [event_sound(event)], WINDOW_BATCH)
        means = [each.mean(axis=0) for each in (codes[::HALF], embedder.encode(alone[0]))]
        vectors = embedder.project(np.concatenate([means, codes]))
        starts = firsts * (features.hop / features.sample_rate)
        cache.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, vector=vectors[0], alone=vectors[1], windows=vectors[2:], starts=starts)
        part.rename(file)
    with np.load(file) as kept:
        return Embedded(kept["vector"], kept["windows"], kept["starts"], kept["alone"])


def as_sound(made: Plan, embedded: Embedded) -> EmbeddedSound:
    """A recording as it is added to a library: windows side by side."""
    info = SoundInfo(RATE, 1, round(made.seconds * RATE), f"{made.number:064x}")
    sides = slice(None, None, HALF)
    embedding = AudioEmbedding(
        embedded.vector,
        np.zeros(1, np.float32),
        embedded.windows[sides],
        embedded.starts[sides],
        info,
    )
    source = SourceFile(
        Path(f"/recordings/{made.number}.wav"), Metadata(f"{made.number}", ("-",)), f"{made.number}"
    )
    return EmbeddedSound(source, embedding, 1, 1)


# Cosines of a recording's windows [W], and of its own vector → what recordings are ranked by.
SCORES: dict[str, Callable[[Array, float], float]] = {
    "own vector": lambda windows, own: own,
    "best window": lambda windows, own: float(windows.max()),
    "best window - own vector": lambda windows, own: float(windows.max() - own),
    "best window's standard score": lambda windows, own: float(
        (windows.max() - windows.mean()) / windows.std()
    ),
}


@dataclass(frozen=True)
class Find:
    """Whether each event's recording was found [n], and its first moment's start [n], seconds."""

    found: np.ndarray
    starts: np.ndarray

    def line(self, name: str, plans: Sequence[Plan]) -> str:
        """The two shares."""
        near = np.abs(self.starts - [each.events[0].start for each in plans]) <= WITHIN
        moment = f"{near[self.found].mean():7.1%}" if self.found.any() else "      –"
        return f"{name:44} {self.found.mean():7.1%} {moment}"


def by_library(plans: Sequence[Plan], made: Sequence[Embedded], embedder: Embedder) -> Find:
    """What a library of all recordings answers."""
    tags = [each.events[0].tag for each in plans]
    found, starts = np.zeros(len(plans), bool), np.full(len(plans), np.nan)
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder), embedder, create=True) as library,
    ):
        library.add([as_sound(*pair) for pair in zip(plans, made, strict=True)])
        for number, tag in enumerate(tags):
            hits = library.search(tag.replace("-", " "), NEAREST + tags.count(tag)).hits
            shown = [h for h in hits if h.clip.id == f"{number}" or tags[int(h.clip.id)] != tag]
            for hit in shown[:NEAREST]:
                if hit.clip.id == f"{number}":
                    found[number] = True
                    starts[number] = hit.moments[0].start if hit.moments else np.nan
    return Find(found, starts)


def by_score(
    plans: Sequence[Plan], made: Sequence[Embedded], queries: Array, name: str, every: int
) -> Find:
    """What exact ranking by one of SCORES would answer. queries: [n, D]."""
    tags = np.array([each.events[0].tag for each in plans])
    cosines = [queries @ each.windows[::every].T for each in made]
    own = np.stack([queries @ each.vector for each in made], axis=1)
    found = np.zeros(len(plans), bool)
    for number in range(len(plans)):
        scores = np.array(
            [SCORES[name](of_one[number], own[number, each]) for each, of_one in enumerate(cosines)]
        )
        found[number] = ((scores > scores[number]) & (tags != tags[number])).sum() < NEAREST
    best = [of_one[number].argmax() for number, of_one in enumerate(cosines)]
    starts = [each.starts[::every][at] for each, at in zip(made, best, strict=True)]
    return Find(found, np.array(starts))


def find(embedder: Embedder, plans: Sequence[Plan], made: Sequence[Embedded]) -> None:
    """Print the figures of the part `find`."""
    print(f"{len(plans)} recordings of {SECONDS / 60:g} min {'':16} within {NEAREST}  moment")
    answered = by_library(plans, made, embedder)
    print(answered.line("library", plans))
    queries = embedder.embed_tags([[each.events[0].tag.replace("-", " ")] for each in plans])
    for every, how in ((HALF, "side by side"), (1, "half overlap")):
        for name in SCORES:
            print(by_score(plans, made, queries, name, every).line(f"{name}, {how}", plans))
    tags = np.array([each.events[0].tag for each in plans])
    best = np.stack([(queries @ each.windows[::HALF].T).max(axis=1) for each in made], axis=1)
    alone = np.array([q @ each.alone for q, each in zip(queries, made, strict=True)])
    clear = np.array(
        [
            ((best[number] > alone[number]) & (tags != tags[number])).sum() < NEAREST
            for number in range(len(plans))
        ]
    )
    print(f"{'the event alone, among the recordings':44} {clear.mean():7.1%}")
    print(f"found of those {answered.found[clear].mean():.1%}")
    for low, high in ((0.0, 10 / 3), (10 / 3, 20 / 3), (20 / 3, 10.0)):
        of = np.array([low <= each.events[0].snr < high for each in plans])
        print(f"  {low:4.1f} to {high:4.1f} dB: {answered.found[of].mean():.1%} of {of.sum()}")
    for title, names in (("bed", [each.bed for each in plans]), ("tag", tags.tolist())):
        for name in sorted(set(names)):
            of = np.array([each == name for each in names])
            share, known = answered.found[of].mean(), clear[of].mean()
            print(f"  {title} {name}: {share:.0%} of {of.sum()}, alone {known:.0%}")


def timelines(embedder: Embedder, plans: Sequence[Plan]) -> None:
    """Print the figures of the part `timelines`."""
    # A dependency of sed_eval imports this module, which setuptools no longer brings, for nothing
    # that is used here.
    sys.modules.setdefault("pkg_resources", ModuleType("pkg_resources"))
    from dcase_util.containers import MetaDataContainer
    from sed_eval.sound_event import EventBasedMetrics

    tags = sorted({event.tag for each in plans for event in each.events})
    labels = zero_shot.embed_labels(embedder, zero_shot.plain_prompts(tags))
    both, onsets = (
        EventBasedMetrics(tags, t_collar=COLLAR, percentage_of_length=0.5, evaluate_offset=offset)
        for offset in (True, False)
    )
    for each in plans:
        samples = mix(each)
        codes = embedder.encode_sound_steps(embedder.front_end.windows([samples], WINDOW_BATCH))
        heard = HeardSound(codes, SoundInfo(RATE, 1, len(samples)))
        given = [(event.tag, event.start, event.end) for event in each.events]
        told = [
            (lane.tag, event.start, event.end)
            for lane in make_timeline(embedder, heard, labels).tags
            for event in lane.events
        ]
        lists = [
            MetaDataContainer(
                [
                    {"file": f"{each.number}", "event_label": tag, "onset": start, "offset": end}
                    for tag, start, end in events
                ]
            )
            for events in (given, told)
        ]
        both.evaluate(*lists)
        onsets.evaluate(*lists)
    print(f"{len(plans)} recordings of {TIMELINE_SECONDS:g} s, {len(tags)} tags: event-based, %")
    for name, metrics in (("onsets and offsets", both), ("onsets alone", onsets)):
        figures = metrics.results_overall_metrics()["f_measure"]
        print(f"  {name:20} " + "  ".join(f"{k} {v:.1%}" for k, v in figures.items()))


def main() -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--count", type=int, default=COUNT, help="recordings of the part find")
    parser.add_argument("--source", choices=("tagged", "classes"), default="tagged")
    parser.add_argument("--part", choices=("find", "timelines"), default="find")
    options = parser.parse_args()
    torch.set_num_threads(1)
    embedder = load_embedder(starter_model())
    clips = read_clips(options.data, embedder.card, options.source)
    print(f"events: {options.source}, {sum(map(len, clips.events.values()))} clips")
    if options.part == "timelines":
        timelines(embedder, plan(clips, TIMELINES, TIMELINE_SECONDS, EVENTS, TIMELINE_SEED))
        return
    plans, made = plan(clips, options.count, SECONDS, 1), []
    with progress("embedding", len(plans), "recordings") as bar:
        for each in plans:
            made.append(embed(embedder, each, options.cache))
            bar.step()
    find(embedder, plans, made)


if __name__ == "__main__":
    main()
