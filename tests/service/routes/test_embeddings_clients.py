"""The openai package and LangChain's embeddings class, against a real server.

They are imported where they are used: importing them takes a second.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from earmark.model.encoders.load import load_embedder
from tests.service import sounds
from tests.service.routes.test_embeddings import audio
from tests.service.server_process import Server

if TYPE_CHECKING:
    from openai import OpenAI

pytestmark = pytest.mark.slow  # clients that take long to import
PHRASES = ["dog bark", "rain", "wind in the glass"]


def client_of(server: Server) -> OpenAI:
    """A client as its documentation has it, with a key that the server has never seen."""
    from openai import OpenAI

    return OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)


def test_the_openai_package_embeds_phrases_and_sounds(server: Server, model_folder: Path) -> None:
    embedder = load_embedder(model_folder)
    expected = embedder.embed_tags([["dog", "bark"], ["rain"], ["wind", "glass"]])
    sound = sounds.noise(1.0, seed=8)
    with client_of(server) as client:
        made = client.embeddings.create(model="earmark", input=PHRASES)
        plain = client.embeddings.create(model="earmark", input=PHRASES, encoding_format="float")
        heard = client.embeddings.create(model="earmark", input=[audio(sound, format="wav")])
        named = client.models.retrieve(client.models.list().data[0].id)
    assert np.array([item.embedding for item in made.data]) == pytest.approx(expected, abs=1e-6)
    assert np.float32([item.embedding for item in plain.data]) == pytest.approx(
        np.float32([item.embedding for item in made.data]), abs=0
    )
    assert made.usage.total_tokens == 5
    vector = embedder.embed_audio(sound).vector
    assert np.array(heard.data[0].embedding) == pytest.approx(vector, abs=1e-5)
    assert (named.id, named.owned_by) == (made.model, "earmark")


def test_several_requests_of_its_asynchronous_client_are_answered(server: Server) -> None:
    from openai import AsyncOpenAI

    async def ask() -> list[int]:
        address = f"http://127.0.0.1:{server.port}/v1"
        async with AsyncOpenAI(base_url=address, api_key="none") as client:
            asked = (
                client.embeddings.create(model="earmark", input=["dog"] * n) for n in range(1, 9)
            )
            return [len(answer.data) for answer in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == list(range(1, 9))


def test_the_openai_package_raises_its_own_errors_with_our_messages(server: Server) -> None:
    from openai import NotFoundError, UnprocessableEntityError

    with client_of(server) as client:
        with pytest.raises(NotFoundError, match="expected one of earmark") as unknown:
            client.embeddings.create(model="text-embedding-3-small", input="dog")
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
        with pytest.raises(NotFoundError, match="got 'gpt'"):
            client.models.retrieve("gpt")
        with pytest.raises(UnprocessableEntityError, match=r"input\[1\]: expected words") as bad:
            client.embeddings.create(model="earmark", input=["dog", "…"])
        assert (bad.value.type, bad.value.param) == ("invalid_request_error", "input[1]")
        with pytest.raises(UnprocessableEntityError, match="dimensions: expected the model's 16"):
            client.embeddings.create(model="earmark", input="dog", dimensions=256)
        with pytest.raises(UnprocessableEntityError, match="check_embedding_ctx_length=False"):
            client.embeddings.create(model="earmark", input=[[1, 2]])


def test_langchain_embeds_documents_and_queries(server: Server, model_folder: Path) -> None:
    from langchain_openai import OpenAIEmbeddings
    from openai import UnprocessableEntityError

    expected = load_embedder(model_folder).embed_tags(
        [["dog", "bark"], ["rain"], ["wind", "glass"]]
    )
    with httpx.Client() as transport:
        embeddings = OpenAIEmbeddings(
            model="earmark",
            base_url=f"http://127.0.0.1:{server.port}/v1",
            api_key="none",
            check_embedding_ctx_length=False,
            chunk_size=2,
            http_client=transport,
        )
        assert np.array(embeddings.embed_documents(PHRASES)) == pytest.approx(expected, abs=1e-6)
        assert np.array(embeddings.embed_query("rain")) == pytest.approx(expected[1], abs=1e-6)
        with pytest.raises(UnprocessableEntityError, match="expected words that the model knows"):
            embeddings.embed_query("…")
