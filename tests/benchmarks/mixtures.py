"""Recordings whose sounds are known: events of seconds mixed into beds of minutes.

An event is the loudest stretch of a clip, silence at its ends left out. There are two sources of
events, of which no clip trained the starter model: `tagged`, the clips of the corpora's groups that
validated it, whose tags were made from the names of files; and `classes`, those of ESC-10 and
UrbanSound8K, which people have listened to. A bed is one kind of background: its clips follow each
other in random order with cross-fades until it is long enough; none of them carries a tag of the
recording's events. An event stands `snr` dB over its bed, both as root mean squares over the
event's length. Seconds, dB; samples are mono float32 at RATE. The same seed always gives the same
recordings.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile

from earmark.model.audio.decode import decode
from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.core.manifest import ManifestRow, read_manifest
from earmark.training.corpora.split import held_out_clips

RATE = 32_000  # Hz
CORPORA = ("sounds", "more", "everyday")
Source = Literal["tagged", "classes"]
# What people would ask for, from the particular to the general. Chosen by meaning, before any was
# measured: a clip is asked for by the first of these that it carries.
TAGS = tuple(
    "owl rooster crow duck goose frog cricket wolf elephant monkey lion bear cat cow sheep "
    "goat pig chicken horse dog seagull birdsong bee thunder siren church-bell bell alarm "
    "whistle horn train helicopter airplane motorcycle engine gunshot explosion scream "
    "laughter sneeze cough snoring baby applause burp footsteps door glass typing saw hammer "
    "chainsaw drill camera telephone clock coins splash flute clarinet saxophone oboe bassoon "
    "trumpet trombone french-horn violin cello double-bass guitar piano mandolin banjo "
    "snare-drum bass-drum cymbal tambourine gong jackhammer zipper heartbeat laser "
    "singing".split()
)
# Data set → its classes that are sounds of an instant → what they are asked for by. The others are
# backgrounds (rain, sea waves, air conditioner, engine idling, children playing, street music).
CLASSES: Mapping[str, Mapping[str, str]] = {
    "esc10": {
        "dog bark": "dog", "rooster": "rooster", "baby cry": "baby crying",
        "person sneeze": "sneeze", "clock tick": "clock ticking", "helicopter": "helicopter",
        "chainsaw": "chainsaw", "fire crackling": "fire crackling",
    },
    "us8k": {
        "dog_bark": "dog", "car_horn": "car horn", "gun_shot": "gunshot", "siren": "siren",
        "drilling": "drilling", "jackhammer": "jackhammer",
    },
}  # fmt: skip
# Tags of beds that go with what is asked for; else its own words.
APART = {
    "dog": {"dog", "bark", "barking"},
    "baby crying": {"baby", "crying", "cry"},
    "clock ticking": {"clock", "ticking", "tick"},
    "fire crackling": {"fire", "crackling", "campfire", "fireplace"},
    "car horn": {"car", "horn", "honk", "traffic", "vehicle"},
    "drilling": {"drill", "drilling", "construction", "machine"},
    "jackhammer": {"jackhammer", "construction", "machine"},
    "chainsaw": {"chainsaw", "saw"},
}
SHORTEST_EVENT, LONGEST_EVENT = 1.0, 3.0
SHORTEST_BED_CLIP = 4.0
SILENCE = 0.01  # of an event's loudest 10 ms: its ends are left out up to there
FADE, CROSS_FADE = 0.02, 1.0
BED_CLIPS = 12  # at most, in one bed
SNR = (0.0, 10.0)
BED_LEVEL = 0.03  # root mean square, full scale being 1
EDGE = 5.0  # between an event and the next, or an end of the recording
# Kinds of background by the tags of their clips. Chosen by meaning, before any was measured.
BEDS: Mapping[str, frozenset[str]] = {
    "rain": frozenset({"rain", "rainstorm", "heavyrain"}),
    "wind": frozenset({"wind"}),
    "water": frozenset({"river", "stream", "waterfall", "brook"}),
    "sea": frozenset({"sea", "seaside", "waves", "ocean"}),
    "nature": frozenset({"forest", "nature", "night", "nighttime", "jungle"}),
    "city": frozenset({"city", "traffic", "street", "crowd"}),
    "room": frozenset({"room", "hum", "ambience", "ambient", "drone", "noise"}),
}
# What is no background, whatever else it is tagged with.
NO_BED = frozenset(
    "weapon fight hit impact instrument music voice speech explosion alarm alert warning beep "
    "interface click notification magic monster death pain gun gunshot tool".split()
)


@dataclass(frozen=True)
class Event:
    """A sound in a recording: where it is heard, in seconds."""

    tag: str
    path: Path
    start: float
    end: float
    snr: float


@dataclass(frozen=True)
class Plan:
    """A recording to be mixed. `clips`: of its bed, of the kind `bed`."""

    number: int
    seconds: float
    bed: str
    clips: tuple[Path, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Clips:
    """What recordings are mixed from: clips of each tag, and of each kind of bed."""

    events: Mapping[str, list[ManifestRow]]
    beds: Mapping[str, list[ManifestRow]]


def read_clips(data: Path, card: Mapping[str, Any], source: Source) -> Clips:
    """The clips in the folder `data`; `card`: of the model that must not know the events."""
    rows = [row for corpus in CORPORA for row in read_manifest(data / corpus)]
    chosen = _tagged(rows, card) if source == "tagged" else _classes(data)
    events: dict[str, list[ManifestRow]] = {}
    for tag, row in sorted(chosen, key=lambda pair: str(pair[1].path)):
        if len(event_samples(row.path)) >= SHORTEST_EVENT * RATE:
            events.setdefault(tag, []).append(row)
    beds = {
        kind: [
            row
            for row in rows
            if not kinds.isdisjoint(row.tags)
            and NO_BED.isdisjoint(row.tags)
            and soundfile.info(row.path).duration >= SHORTEST_BED_CLIP
        ]
        for kind, kinds in BEDS.items()
    }
    return Clips(events, beds)


def _tagged(
    rows: Sequence[ManifestRow], card: Mapping[str, Any]
) -> Iterator[tuple[str, ManifestRow]]:
    held_out, _ = held_out_clips(card, rows)
    for row in held_out:
        if tag := next((tag for tag in TAGS if tag in row.tags), None):
            yield tag, row


def _classes(data: Path) -> Iterator[tuple[str, ManifestRow]]:
    """One clip of each recording, which may be cut into many."""
    known: set[str] = set()
    for corpus, asked in CLASSES.items():
        for row in read_manifest(data / corpus):
            source = row.group if corpus == "us8k" else row.path.stem.rpartition("-")[0]
            if row.label in asked and source not in known:
                known.add(source)
                yield asked[row.label], replace(row, tags=(asked[row.label],), group=source)


def _apart(tags: Iterable[str]) -> set[str]:
    """Tags that no bed of events with these tags may carry."""
    return {word for tag in tags for word in APART.get(tag, {tag, *tag.split()})}


def plan(clips: Clips, count: int, seconds: float, events: int, seed: int = 0) -> list[Plan]:
    """`count` recordings of `seconds` with `events` events each.

    Tags are taken in turn, and of each tag its clips in random order, none twice. Raises
    StopIteration where there are too few.
    """
    chance = random.Random(seed)
    turn = _in_turn(clips.events, chance)
    return [
        _one_plan(number, clips, [next(turn) for _ in range(events)], seconds, chance)
        for number in range(count)
    ]


def _in_turn(
    events: Mapping[str, list[ManifestRow]], chance: random.Random
) -> Iterator[tuple[str, ManifestRow]]:
    """(tag, clip) until all clips were taken."""
    decks = {tag: chance.sample(rows, len(rows)) for tag, rows in events.items() if rows}
    while decks:
        for tag in chance.sample(sorted(decks), len(decks)):
            yield tag, decks[tag].pop()
            if not decks[tag]:
                del decks[tag]


def _one_plan(
    number: int,
    clips: Clips,
    chosen: Sequence[tuple[str, ManifestRow]],
    seconds: float,
    chance: random.Random,
) -> Plan:
    asked = {tag for tag, _ in chosen}
    apart = _apart(asked | {tag for _, row in chosen for tag in row.tags if tag in clips.events})
    groups = {row.group for _, row in chosen}
    pools = {
        kind: [
            row.path for row in rows
            if apart.isdisjoint(row.tags) and row.group not in groups
        ]
        for kind, rows in clips.beds.items()
    }  # fmt: skip
    kind = chance.choice([kind for kind, pool in sorted(pools.items()) if pool])
    pool = chance.sample(pools[kind], min(BED_CLIPS, len(pools[kind])))
    lengths = [
        min(len(event_samples(row.path)) / RATE, chance.uniform(SHORTEST_EVENT, LONGEST_EVENT))
        for _, row in chosen
    ]
    placed = [
        Event(tag, row.path, start, start + length, chance.uniform(*SNR))
        for (tag, row), length, start in zip(
            chosen, lengths, _starts(lengths, seconds, chance), strict=True
        )
    ]
    return Plan(number, seconds, kind, tuple(pool), tuple(placed))


def _starts(lengths: Sequence[float], seconds: float, chance: random.Random) -> list[float]:
    """Where events of these lengths start, in order, at random, EDGE apart at least."""
    free = seconds - sum(lengths) - EDGE * (len(lengths) + 1)
    cuts = sorted(chance.uniform(0.0, free) for _ in lengths)
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    return [
        float(cut + past + EDGE * (place + 1))
        for place, (cut, past) in enumerate(zip(cuts, before, strict=True))
    ]


def mix(plan: Plan) -> Array:
    """The samples of a recording."""
    chance = random.Random(plan.number)
    samples = _bed(plan.clips, round(plan.seconds * RATE), chance)
    for event in plan.events:
        first, last = round(event.start * RATE), round(event.end * RATE)
        sound = event_sound(event)[: last - first]
        place = samples[first : first + len(sound)]
        gain = _level(place) / _level(sound) * 10 ** (event.snr / 20)
        place += np.float32(gain) * sound
    return np.asarray(samples / max(1.0, np.abs(samples).max()), dtype=np.float32)


def event_sound(event: Event) -> Array:
    """The samples of an event, without the bed."""
    count = round(event.end * RATE) - round(event.start * RATE)
    sound = _faded(_loudest(event_samples(event.path), count))
    return np.asarray(sound * (BED_LEVEL / _level(sound)), dtype=np.float32)


def _bed(clips: Sequence[Path], count: int, chance: random.Random) -> Array:
    """`count` samples of clips in random order, cross-faded, each brought to BED_LEVEL."""
    bed, filled, overlap = np.zeros(count, np.float32), 0, round(CROSS_FADE * RATE)
    rise = np.sqrt(np.linspace(0, 1, overlap, dtype=np.float32))
    last = None
    while filled < count:
        path = chance.choice([path for path in clips if path != last] or list(clips))
        piece, last = _bed_samples(path).copy(), path
        piece[:overlap] *= rise
        piece[-overlap:] *= rise[::-1]
        start = max(0, filled - overlap)
        end = min(count, start + len(piece))
        bed[start:end] += piece[: end - start]
        filled = start + len(piece)
    return bed


@lru_cache(maxsize=256)
def _bed_samples(path: Path) -> Array:
    samples = decode(path, RATE)
    return np.asarray(samples * (BED_LEVEL / _level(samples)), dtype=np.float32)


@cache
def event_samples(path: Path) -> Array:
    """A clip between the silences at its ends; empty where it cannot be read."""
    try:
        samples = decode(path, RATE)
    except AudioError:
        return np.zeros(0, np.float32)
    size = RATE // 100
    count = len(samples) // size
    if not count:
        return samples
    levels = np.sqrt((samples[: count * size].reshape(count, size) ** 2).mean(axis=1))
    heard = np.flatnonzero(levels > SILENCE * levels.max())
    return samples[heard[0] * size : (heard[-1] + 1) * size] if len(heard) else samples[:0]


def _loudest(samples: Array, count: int) -> Array:
    """The stretch of `count` samples with the most power."""
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    count = min(count, len(samples))
    sums = power[count:] - power[:-count]
    first = int(sums[:: RATE // 100].argmax()) * (RATE // 100)
    return samples[first : first + count]


def _faded(samples: Array) -> Array:
    ramp = np.ones(len(samples), np.float32)
    count = round(FADE * RATE)
    ramp[:count] = np.linspace(0, 1, count)
    ramp[-count:] = np.linspace(1, 0, count)
    return samples * ramp


def _level(samples: Array) -> float:
    """Root mean square; never 0."""
    return max(1e-6, float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))))
