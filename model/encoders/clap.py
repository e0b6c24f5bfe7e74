"""CLAP models (Wu et al. 2023) in Hugging Face's format, computed by transformers and torch.

A window's code is what `ClapModel.get_audio_features` gives for it, a unit vector; a sound's vector
is the mean of its windows' codes, scaled to length 1. The vector of a set of phrases is the mean of
what `get_text_features` gives for each. A model of fused pieces hears each window as the short
sound that it is. Nothing is fetched, and no code of a folder is run. Axes: n = windows or phrases,
T = frames, F = mels, S = steps, D = shared dimension, which is the code's too.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from earmark.model.core.arrays import Array
from earmark.model.core.errors import CheckpointError, ConfigError, WordsError
from earmark.model.embedder import ParsedTags, unit
from earmark.model.encoders import clap_files
from earmark.model.encoders.base import BaseEmbedder
from earmark.model.encoders.clap_front_end import WINDOWS_IN_STEP, ClapFrontEnd
from earmark.model.encoders.device import select_device
from earmark.model.front_end import Windows
from earmark.model.text.phrase import read_phrase
from earmark.model.text.phrase_vectors import PhraseVectors
from earmark.model.text.sentence_vectors import SentenceVectors

if TYPE_CHECKING:
    from transformers import ClapModel, PreTrainedTokenizerBase

MAX_TAGS = 10  # of a set
AUDIO_BATCH = 4  # windows in one pass: more take memory, and no less time on a CPU
TEXT_BATCH = 64  # phrases
MIN_TOKENS = 3  # the first and the last are of every phrase
MAX_SCALE = 50  # of the cosines' logarithm; a trained model has about 3
# CLAP learned from captions, and tells classes by this one; what is longer is a caption itself.
LABEL_WORDS = 3
CAPTION = "This is a sound of {}."


class ClapWords(PhraseVectors):
    """CLAP's phrases. How near English words are to each other is asked of the sentence encoder:
    a search asks it of dozens of related words, and CLAP's own takes fifty times as long."""

    @cached_property
    def _sentences(self) -> SentenceVectors:
        return SentenceVectors([])

    def cosines(self, word: str, others: Sequence[str]) -> list[float]:
        """Cosines [n] of a word and others, by the sentence encoder."""
        return self._sentences.cosines(word, others)


class ClapEmbedder(BaseEmbedder):
    """A loaded CLAP model, ready to embed. Safe to share between threads.

    `model`: a `ClapModel` in evaluation mode; `tokenizer`: its own.
    """

    front_end: ClapFrontEnd

    def __init__(
        self,
        folder: Path,
        model: ClapModel,
        tokenizer: PreTrainedTokenizerBase,
        front_end: ClapFrontEnd,
        device: str = "cpu",
    ) -> None:
        head = clap_files.head_of(folder)
        vocabulary, words = clap_files.starter_words()
        card = {
            "licence": clap_files.licence_of(head),
            "temperature": _temperature(folder, model),
        }
        fingerprint = clap_files.fingerprint_of(folder)
        self._dim = int(model.config.projection_dim)
        own = clap_files.read_own(folder, fingerprint, self._dim)
        if own is None:
            super().__init__(fingerprint, vocabulary, card)
        else:
            super().__init__(fingerprint, own.vocabulary, card | own.card, own.background)
            self.vocabulary_vectors = own.vectors
        self.name = folder.resolve().name
        self.languages = clap_files.languages_of(head)
        self.sentence_encoder = str(model.config.text_config.model_type)
        self.front_end = front_end
        self.words = ClapWords(words, self._dim, self._encode_phrases)
        self.device = select_device(device)
        self._model = model.to(self.device)
        self._tokenizer = tokenizer
        self._tokenizing = threading.Lock()  # its settings change with each call
        self._max_tokens = _max_tokens(folder, model, tokenizer)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> ClapEmbedder:
        """From a folder. Raises CheckpointError, and ConfigError where transformers is missing."""
        clap_files.weight_files(folder)  # refuses others
        clap_files.check_tokenizer(folder)
        front_end = ClapFrontEnd.from_config(clap_files.read_features(folder))
        model, tokenizer = _read(folder)
        audio = model.config.audio_config
        frames = front_end.size // front_end.hop + 1
        room = audio.spec_size * (audio.spec_size // audio.num_mel_bins)
        if front_end.n_mels != audio.num_mel_bins or frames > room:
            raise CheckpointError(
                f"{folder}: expected windows of {audio.num_mel_bins} mels and at most {room} "
                f"frames, got {front_end.n_mels} and {frames}"
            )
        return cls(folder, model, tokenizer, front_end, device)

    @property
    def dim(self) -> int:
        """D, the size of every vector."""
        return self._dim

    @property
    def code_dim(self) -> int:
        """The same: a window's code is its vector."""
        return self._dim

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.device.type == "cuda"

    # Sound

    @property
    def step_seconds(self) -> float:
        """Time between steps: between the starts of windows."""
        return self.front_end.step_samples / self.front_end.sample_rate

    @property
    def window_steps(self) -> int:
        """Steps in a window."""
        return WINDOWS_IN_STEP

    def encode(self, windows: Array) -> Array:
        """Log-mel windows [n, T, F] → codes [n, D]."""
        codes = np.empty((len(windows), self._dim), dtype=np.float32)
        size = AUDIO_BATCH if not self.on_gpu else len(windows)
        for start in range(0, len(windows), size):
            batch = torch.from_numpy(windows[start : start + size, None]).to(self.device)
            is_longer = torch.zeros(len(batch), 1, dtype=torch.bool, device=self.device)
            with torch.inference_mode():
                heard = self._model.get_audio_features(input_features=batch, is_longer=is_longer)
            codes[start : start + size] = heard.pooler_output.cpu().numpy()
        return codes

    def project(self, codes: Array) -> Array:
        """Codes [n, D] → unit vectors [n, D]."""
        return unit(codes)

    def encode_sound_steps(
        self, blocks: Iterable[Windows], on_seconds: Callable[[float], None] = lambda _: None
    ) -> npt.NDArray[np.float16]:
        """The codes [S, D] of a sound's steps: of each the mean of the windows that it lies in."""
        codes, firsts = [], []
        for windows, starts in blocks:
            codes.append(self.encode(windows))
            # A step lies in a window where its middle does.
            firsts.append(np.ceil(starts / self.step_seconds - 0.5 - 1e-6).astype(np.int64))
            on_seconds(float(starts[-1]) + self.front_end.window_seconds)
        steps = np.concatenate(firsts)[:, None] + np.arange(self.window_steps)
        sums = np.zeros((int(steps.max()) + 1, self._dim), dtype=np.float32)
        np.add.at(sums, steps, np.concatenate(codes)[:, None])
        counts = np.bincount(steps.ravel(), minlength=len(sums))
        return (sums / counts[:, None]).astype(np.float16)

    # Words

    @property
    def max_tags(self) -> int:
        """How many phrases of a set are read."""
        return MAX_TAGS

    def parse_tags(self, text: str | Iterable[str]) -> ParsedTags:
        """A text, or a list of words, as a phrase."""
        phrase = read_phrase(text if isinstance(text, str) else " ".join(text))
        return ParsedTags(phrase.words, phrase.ignored, {}, phrase.text)

    def embed_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of phrases → unit vectors [n, D]. Raises WordsError for a set without any."""
        return unit(self.encode_tags(tag_sets))

    def encode_tags(self, tag_sets: Sequence[Sequence[str]]) -> Array:
        """Sets of phrases → the means [n, D] of their first `max_tags`. Raises WordsError."""
        sets = [list(tags)[:MAX_TAGS] for tags in tag_sets]
        for tags in sets:
            if not any(tag.strip() for tag in tags):
                raise WordsError(f"tags: none of these words is understood: {' '.join(tags)!r}")
        if not sets:
            return np.zeros((0, self._dim), dtype=np.float32)
        self.words.vectors_of([tag for tags in sets for tag in tags])  # one batch, then cached
        return np.stack([self.words.vectors_of(tags).mean(axis=0) for tags in sets])

    def _encode_phrases(self, phrases: Sequence[str]) -> Array:
        """Unit vectors [n, D] of phrases, in batches of like length."""
        vectors = np.empty((len(phrases), self._dim), dtype=np.float32)
        order = sorted(range(len(phrases)), key=lambda number: len(phrases[number]))
        for start in range(0, len(order), TEXT_BATCH):
            rows = order[start : start + TEXT_BATCH]
            with self._tokenizing:
                tokens = self._tokenizer(
                    [_caption(phrases[row]) for row in rows],
                    padding=True,
                    truncation=True,
                    max_length=self._max_tokens,
                    return_tensors="pt",
                )
            inputs = {
                name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")
            }
            with torch.inference_mode():
                read = self._model.get_text_features(**inputs)
            vectors[rows] = read.pooler_output.cpu().numpy()
        return vectors


def _caption(phrase: str) -> str:
    """What CLAP is given of a phrase: a caption."""
    return CAPTION.format(phrase) if len(phrase.split()) <= LABEL_WORDS else phrase


def _temperature(folder: Path, model: ClapModel) -> float:
    """Of the softmax over classes. Raises CheckpointError where it is no number."""
    scale = float(model.logit_scale_a.detach())
    if not abs(scale) <= MAX_SCALE:  # NaN too
        raise CheckpointError(
            f"{folder}: logit_scale_a: expected -{MAX_SCALE} to {MAX_SCALE}, got {scale}"
        )
    return math.exp(-scale)


def _max_tokens(folder: Path, model: ClapModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """How many tokens of a phrase are read. Raises CheckpointError where the tokenizer is not the
    model's."""
    text = model.config.text_config
    highest = max(tokenizer.get_vocab().values(), default=0)
    if tokenizer.pad_token_id != text.pad_token_id or highest >= text.vocab_size:
        raise CheckpointError(
            f"{folder}: expected a tokenizer of at most {text.vocab_size} tokens that pads with "
            f"{text.pad_token_id}, got {highest + 1} and {tokenizer.pad_token_id}"
        )
    room, stated = text.max_position_embeddings - text.pad_token_id - 1, tokenizer.model_max_length
    if not isinstance(stated, int | float) or not min(room, stated) >= MIN_TOKENS:
        raise CheckpointError(
            f"{folder}: model_max_length: expected {MIN_TOKENS} tokens or more, got {stated!r}, "
            f"and room for {room}"
        )
    return int(min(room, stated))


def _read(folder: Path) -> tuple[ClapModel, PreTrainedTokenizerBase]:
    """The model and the tokenizer of a folder. Raises CheckpointError, ConfigError."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ConfigError("a CLAP model: needs `pip install 'earmark[clap]'`") from error
    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, info = transformers.ClapModel.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **local
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
    except Exception as error:  # of a damaged folder it raises anything
        why = str(error).strip().partition("\n")[0]
        if "ignore_mismatched_sizes" in why:  # what it says then helps nobody
            why = f"weights of other shapes than {clap_files.CONFIG} states"
        raise CheckpointError(f"{folder}: not a CLAP model that can be read ({why})") from error
    # Buffers of integers are the same in all models; those of numbers are learned.
    learned = {name: each for name, each in model.state_dict().items() if each.is_floating_point()}
    lacking = {*map(str, info["missing_keys"])} & learned.keys()
    for name in sorted({*lacking, *map(str, info["mismatched_keys"])}):
        raise CheckpointError(f"{folder}: parameter {name} is missing, or of another shape")
    for name, values in learned.items():
        if not torch.isfinite(values).all():
            raise CheckpointError(f"{folder}: parameter {name} holds NaN or infinite values")
    tokenizer.padding_side = "right"  # a phrase is read at its first token
    return model.eval(), tokenizer
