"""The tools: each is a call or two of the service's client, and a short answer made of what it got.

They know nothing of where the service is: in this process, or somewhere else (`Access`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Generic, TypeVar

import anyio.to_thread

from earmark.model.audio.formats import SUFFIXES
from earmark.model.core.errors import InputError
from earmark.service.client.client import AsyncClient
from earmark.service.integrations.mcp import answers as made
from earmark.service.integrations.mcp import arguments as given
from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.hits import PageBody, SearchBody

MAX_FILE_MB = 200

Given = TypeVar("Given", bound=given.Arguments)


@dataclass(frozen=True)
class Access:
    """The service, as who calls the tools may use it.

    `address`: of a clip's sound, as the caller reaches it. `writes`: whether there are tools that
    change something; `reads_files`: whether tools take paths of files of this machine.
    """

    client: AsyncClient
    address: Callable[[ClipBody], str]
    writes: bool = False
    reads_files: bool = False


@dataclass(frozen=True)
class Tool(Generic[Given]):
    """A tool: what an assistant reads of it, what it takes, what it does.

    `with_files`: what it takes where it may read files; None: the same. `replaces`: whether it may
    change what is there; `repeatable`: whether doing it again changes nothing more.
    """

    name: str
    title: str
    description: str
    takes: type[Given]
    answers: type[made.Answer]
    run: Callable[[Access, Given], Awaitable[made.Answer]]
    with_files: type[given.Arguments] | None = None
    writes: bool = False
    replaces: bool = False
    repeatable: bool = True

    def arguments(self, access: Access) -> type[given.Arguments]:
        """What it takes of a caller with this access."""
        return self.with_files if self.with_files and access.reads_files else self.takes


async def _search(access: Access, asked: given.Search) -> made.Hits:
    where: dict[str, Any] = asked.model_dump(
        exclude={"words", "k", "cursor", "sort"}, exclude_defaults=True
    )
    page = await access.client.search(
        asked.words,
        k=asked.k,
        cursor=asked.cursor,
        sort=asked.sort,
        moments=made.MAX_MOMENTS,
        **where,
    )
    return _hits(access, page)


async def _find_similar(
    access: Access, asked: given.SimilarToClip | given.SimilarToSound
) -> made.Hits:
    options: dict[str, Any] = {"k": asked.k, "cursor": asked.cursor, "moments": made.MAX_MOMENTS}
    if asked.file is not None:
        page = await access.client.search_audio(await _sound(asked.file), **options)
    else:
        page = await access.client.similar(asked.clip or "", **options)
    return _hits(access, page)


async def _suggest_tags(
    access: Access, asked: given.TagsOfClip | given.TagsOfSound
) -> made.SuggestedTags:
    if asked.file is not None:
        body = await access.client.tags(await _sound(asked.file), k=asked.k)
    else:
        body = await access.client.clip_tags(asked.clip or "", k=asked.k)
    return made.SuggestedTags.of(body)


async def _classify(
    access: Access, asked: given.ClassifyClip | given.ClassifySound
) -> made.Classes:
    multiple = asked.multiple
    if asked.file is not None:
        sound = await _sound(asked.file)
        body = await access.client.classify(sound, asked.labels, multiple=multiple)
    else:
        body = await access.client.classify_clip(asked.clip or "", asked.labels, multiple=multiple)
    return made.Classes.of(body)


async def _get_clip(access: Access, asked: given.OfClip) -> made.ClipDetails:
    clip = await access.client.clip(asked.clip)
    return made.ClipDetails.of(clip, access.address(clip))


async def _list_tags(access: Access, asked: given.ListTags) -> made.TagList:
    return made.TagList.of(await access.client.library(tags=asked.k))


async def _list_collections(access: Access, asked: given.NoArguments) -> made.CollectionList:
    del asked
    return made.CollectionList.of((await access.client.collections()).collections)


async def _get_collection(access: Access, asked: given.GetCollection) -> made.CollectionClips:
    found = await access.client.collection(asked.collection)
    page = await access.client.collection_page(asked.collection, k=asked.k, cursor=asked.cursor)
    return made.CollectionClips(
        collection=made.CollectionFacts.of(found),
        clips=[made.Sound.of(clip, access.address(clip)) for clip in page.clips],
        next=page.next,
    )


async def _edit_clips(access: Access, asked: given.EditClips) -> made.Edited:
    fields: dict[str, Any] = asked.fields()
    return made.Edited.of(
        await access.client.edit_many(
            asked.clips, add_tags=asked.add_tags, remove_tags=asked.remove_tags, **fields
        )
    )


async def _add_to_collection(access: Access, asked: given.AddToCollection) -> made.CollectionFacts:
    changed = await access.client.change_collection(asked.collection, add=asked.clips)
    return made.CollectionFacts.of(changed)


async def _create_collection(access: Access, asked: given.CreateCollection) -> made.CollectionFacts:
    new = await access.client.create_collection(
        asked.name, description=asked.description, clips=asked.clips
    )
    return made.CollectionFacts.of(new)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "search",
        "Search sounds",
        "Find sounds by words: by how they sound, and by titles and tags.",
        given.Search,
        made.Hits,
        _search,
    ),
    Tool(
        "find_similar",
        "Find similar sounds",
        "Find sounds that sound like a given one.",
        given.SimilarToClip,
        made.Hits,
        _find_similar,
        with_files=given.SimilarToSound,
    ),
    Tool(
        "suggest_tags",
        "Suggest tags",
        "Suggest tags for a sound, with probabilities, from what is heard in it.",
        given.TagsOfClip,
        made.SuggestedTags,
        _suggest_tags,
        with_files=given.TagsOfSound,
    ),
    Tool(
        "classify",
        "Classify a sound",
        "Tell which of the given labels a sound is, with probabilities.",
        given.ClassifyClip,
        made.Classes,
        _classify,
        with_files=given.ClassifySound,
    ),
    Tool(
        "get_clip",
        "Get a clip",
        "Read what is known of a sound of the library.",
        given.OfClip,
        made.ClipDetails,
        _get_clip,
    ),
    Tool(
        "list_tags",
        "List tags",
        "List the library's most frequent tags, and how many sounds have them.",
        given.ListTags,
        made.TagList,
        _list_tags,
    ),
    Tool(
        "list_collections",
        "List collections",
        "List the library's collections of sounds.",
        given.NoArguments,
        made.CollectionList,
        _list_collections,
    ),
    Tool(
        "get_collection",
        "Get a collection",
        "List the sounds of a collection.",
        given.GetCollection,
        made.CollectionClips,
        _get_collection,
    ),
    Tool(
        "edit_clips",
        "Edit clips",
        "Add or remove tags of clips, or set their metadata: all of them, or none.",
        given.EditClips,
        made.Edited,
        _edit_clips,
        writes=True,
        replaces=True,
    ),
    Tool(
        "add_to_collection",
        "Add to a collection",
        "Add clips to a collection; those that are in it already stay where they are.",
        given.AddToCollection,
        made.CollectionFacts,
        _add_to_collection,
        writes=True,
    ),
    Tool(
        "create_collection",
        "Create a collection",
        "Make a new collection of clips.",
        given.CreateCollection,
        made.CollectionFacts,
        _create_collection,
        writes=True,
        repeatable=False,
    ),
)


def tools_of(access: Access) -> dict[str, Tool[Any]]:
    """The tools of a caller with this access, by name."""
    return {tool.name: tool for tool in TOOLS if access.writes or not tool.writes}


def _hits(access: Access, page: PageBody) -> made.Hits:
    hits = [made.Hit.of_hit(hit, access.address(hit)) for hit in page.hits]
    not_used = page.ignored if isinstance(page, SearchBody) else []
    return made.Hits(
        hits=hits, next=page.next, not_used=[made.line(word) for word in not_used[:20]]
    )


async def _sound(file: str) -> bytes:
    """The bytes of a file of this machine. Raises InputError."""
    return await anyio.to_thread.run_sync(_read, file)


def _read(file: str) -> bytes:
    if PurePath(file).suffix.lower() not in SUFFIXES:  # no other file leaves this machine
        raise InputError(f"file: expected a name that ends as a sound's, as in .wav, got {file!r}")
    try:
        path = Path(file).expanduser()
        if path.is_file() and path.stat().st_size <= MAX_FILE_MB * 10**6:
            return path.read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # no such user; a null byte
        raise InputError(f"file: expected one that can be read, got {file!r}") from error
    # A pipe or a device may have no end.
    raise InputError(f"file: expected one that is there, {MAX_FILE_MB} MB at most, got {file!r}")
