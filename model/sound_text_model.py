"""Any encoder behind the calls of sentence-transformers: `encode` and `similarity`.

A `str` is always a phrase; a sound is a `Path`, the `bytes` of a file, or what `datasets` gives:
`{"array": samples, "sampling_rate": Hz}`, or `{"bytes": data, "path": name}` of files that it does
not decode. Nothing is guessed. All vectors have length 1 and lie in one space. Axes: n, m = inputs,
D = shared dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import ArrayReader, SoundReader
from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError, WordsError
from earmark.model.core.progress import progress
from earmark.model.embedder import AudioEmbedding, Embedder, unit
from earmark.model.encoders.load import load_embedder

if TYPE_CHECKING:
    import torch

    Vectors = npt.NDArray[np.floating[Any]] | torch.Tensor

MAX_QUOTED = 60  # letters of a phrase in a message


class SoundTextModel:
    """Sounds and phrases → vectors, and their similarities.

    `model`: a model's file or folder, or a loaded encoder; the model that ships for None. `device`:
    "cpu", "cuda" or "cuda:N", for what is loaded here. Raises as `load_embedder`.
    """

    def __init__(self, model: str | Path | Embedder | None = None, device: str = "cpu") -> None:
        if model is None or isinstance(model, str | Path):
            self.embedder = load_embedder(Path(model) if model is not None else None, device)
        else:
            self.embedder = model

    def get_sentence_embedding_dimension(self) -> int:
        """D, the size of every vector."""
        return self.embedder.dim

    def encode(
        self,
        inputs: Any,  # noqa: ANN401 (one input, or a sequence of them)
        batch_size: int = 32,
        *,
        show_progress_bar: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = True,
    ) -> Any:  # noqa: ANN401 (an array, a tensor, or a list of tensors)
        """Phrases and sounds → vectors [n, D], float32; one input, not in a list → one vector [D].

        `batch_size`: phrases in one pass; a sound is always encoded by itself, so that it has the
        same vector alone and among others. `convert_to_tensor`: a tensor of torch instead of an
        array; neither that nor `convert_to_numpy`: a list of tensors. `normalize_embeddings`
        changes nothing: vectors have length 1 in any case. Raises InputError: AudioError for what
        is no sound, WordsError for a phrase without a known word, ConfigError for a model that
        cannot embed sounds.
        """
        del normalize_embeddings
        if batch_size < 1:
            raise InputError(f"batch_size: expected 1 or more, got {batch_size}")
        is_single = isinstance(inputs, str | bytes) or not isinstance(inputs, Sequence)
        items: Sequence[Any] = [inputs] if is_single else inputs
        vectors = np.zeros((len(items), self.embedder.dim), dtype=np.float32)
        with progress("encoding", len(items), "inputs", quiet=not show_progress_bar) as bar:
            phrases = [place for place, item in enumerate(items) if isinstance(item, str)]
            for start in range(0, len(phrases), batch_size):
                places = phrases[start : start + batch_size]
                vectors[places] = self._phrase_vectors([items[place] for place in places])
                bar.step(len(places))
            for place, item in enumerate(items):
                if not isinstance(item, str):
                    vectors[place] = self._sound_vector(item, f"input {place}")
                    bar.step()
        found = vectors[0] if is_single else vectors
        if not convert_to_tensor and convert_to_numpy:
            return found
        import torch

        tensors = torch.from_numpy(found)
        return tensors if convert_to_tensor or is_single else list(tensors)

    def similarity(self, first: Vectors, second: Vectors) -> Any:  # noqa: ANN401 (as they are)
        """Vectors [n, D] and [m, D], or single ones → their cosines [n, m].

        A tensor where one of them is a tensor, else an array. Raises InputError for other shapes.
        """
        left, right = _checked(first, second)
        return _as_given(unit(left) @ unit(right).T, first, second)

    def similarity_pairwise(self, first: Vectors, second: Vectors) -> Any:  # noqa: ANN401
        """Vectors [n, D] and [n, D] → the cosine of each with its counterpart [n].

        A tensor where one of them is a tensor, else an array. Raises InputError for other shapes.
        """
        left, right = _checked(first, second)
        if len(left) != len(right):
            raise InputError(f"second: expected as many vectors, {len(left)}, got {len(right)}")
        return _as_given(np.einsum("nd,nd->n", unit(left), unit(right)), first, second)

    def _phrase_vectors(self, phrases: list[str]) -> Array:
        """Phrases → unit vectors [n, D]."""
        pieces = [self.embedder.parse_tags(phrase).pieces for phrase in phrases]
        for phrase, known in zip(phrases, pieces, strict=True):
            if not known:
                raise WordsError(
                    f"inputs: expected phrases with words that the model knows, "
                    f"got {phrase[:MAX_QUOTED]!r}"
                )
        return self.embedder.embed_tags(pieces)

    def _sound_vector(self, sound: Any, name: str) -> Array:  # noqa: ANN401 (checked here)
        """A sound → its unit vector [D]."""
        embedder, rate = self.embedder, self.embedder.front_end.sample_rate
        if isinstance(sound, Mapping) and isinstance(sound.get("bytes"), bytes):
            sound = sound["bytes"]
        elif isinstance(sound, Mapping) and "array" not in sound and sound.get("path") is not None:
            sound = Path(sound["path"])
        if isinstance(sound, Path | bytes):
            return embedder.embed_audio(sound, name).vector
        try:
            samples, given_rate = sound["array"], sound["sampling_rate"]
        except (TypeError, KeyError, IndexError) as error:
            raise InputError(
                f'{name}: expected a phrase (str), a Path, bytes, or {{"array", "sampling_rate"}}, '
                f"got {type(sound).__name__}"
            ) from error
        embedder.require_audio()
        reader = ArrayReader(_array(samples, name), given_rate, rate, name)
        return embed_sound(embedder, reader).vector


def embed_sound(embedder: Embedder, reader: SoundReader) -> AudioEmbedding:
    """Embed the sound that a reader gives. Raises AudioError."""
    codes, starts = [], []
    for windows, window_starts in embedder.windows(reader):
        codes.append(embedder.encode(windows))
        starts.append(window_starts)
    return embedder.embed_codes(np.concatenate(codes), np.concatenate(starts), reader.info)


def _array(values: Any, name: str) -> npt.NDArray[np.floating[Any]]:  # noqa: ANN401 (many)
    """An array of what may be a list, or a tensor on any device. Raises InputError."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        # Numpy has no bfloat16.
        values = values.float() if values.is_floating_point() and values.itemsize < 4 else values
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: expected an array of numbers, got a {type(values).__name__} of others, or "
            "with rows of different lengths"
        ) from error


def _checked(first: Vectors, second: Vectors) -> tuple[Array, Array]:
    """Vectors [n, D] and [m, D] as float32: a sum of squares has no room in float16."""
    left, right = np.atleast_2d(_array(first, "first")), np.atleast_2d(_array(second, "second"))
    for name, vectors in (("first", left), ("second", right)):
        if vectors.dtype.kind not in "iuf":
            raise InputError(f"{name}: expected vectors of numbers, got {vectors.dtype}")
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise InputError(
            f"second: expected vectors of the same size as the first's, {left.shape}, "
            f"got {right.shape}"
        )
    return left.astype(np.float32), right.astype(np.float32)


def _as_given(values: Array, *given: Vectors) -> Any:  # noqa: ANN401 (an array or a tensor)
    """The values, as a tensor on the device of the first tensor among what was given."""
    tensors = [one for one in given if not isinstance(one, np.ndarray) and hasattr(one, "device")]
    if not tensors:
        return values
    import torch

    return torch.from_numpy(values).to(tensors[0].device)
