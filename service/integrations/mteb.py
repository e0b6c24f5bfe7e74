"""Any encoder as MTEB asks models: `mteb.evaluate(load_encoder(), tasks)`.

MTEB (the package `mteb`, extra `mteb`) gives batches of phrases (`text`) or of sounds (`audio`),
and compares vectors by their cosine. Axes: n = inputs, D = shared dimension.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import ConfigError, InputError
from earmark.model.embedder import Embedder, unit
from earmark.model.sound_text_model import SoundTextModel

if TYPE_CHECKING:
    from mteb.models import ModelMeta

# BCP 47 → a language and its script, as MTEB writes them.
LANGUAGES = {
    "ar": "ara-Arab", "de": "deu-Latn", "en": "eng-Latn", "es": "spa-Latn", "fr": "fra-Latn",
    "it": "ita-Latn", "ja": "jpn-Jpan", "ko": "kor-Hang", "nl": "nld-Latn", "pl": "pol-Latn",
    "pt": "por-Latn", "ru": "rus-Cyrl", "th": "tha-Thai", "tr": "tur-Latn", "zh": "zho-Hans",
    "zh-TW": "zho-Hant",
}  # fmt: skip
# What is known of the model that ships, but not stated in its files. The data are its teacher's:
# its own training sounds are in no task.
SHIPPED: Mapping[str, Any] = {
    "framework": ["PyTorch"],
    "open_weights": True,
    "training_datasets": {"AudioSet"},
}
INPUTS = ("text", "audio")  # columns of a batch


class MtebEncoder:
    """An encoder that MTEB's tasks can ask (its `EncoderProtocol`).

    `model_name`, `revision`: as MTEB knows it; `model`: a model's file or folder, or a loaded
    encoder; the model that ships for None. `device`: "cpu" where MTEB names none. Raises as
    `load_embedder`.
    """

    mteb_model_meta: ModelMeta | None = None  # MTEB sets it

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str | None = None,
        model: str | Path | Embedder | None = None,
    ) -> None:
        self.name, self.revision = model_name, revision
        self.model = SoundTextModel(model, device or "cpu")

    def encode(
        self,
        inputs: Iterable[Mapping[str, Sequence[Any]]],
        *,
        precision: str = "float32",
        **task: Any,  # noqa: ANN401 (MTEB's: what the inputs are for)
    ) -> Array:
        """Batches of phrases or sounds → unit vectors [n, D]; where a batch has both, the mean.

        A vector is the same for every task, split, kind of prompt and size of batches. Raises
        InputError for batches of other things and for another precision, and as
        `SoundTextModel.encode`.
        """
        del task
        if precision != "float32":
            raise InputError(f"precision: expected float32, got {precision!r}")
        vectors = [np.zeros((0, self.model.embedder.dim), dtype=np.float32)]
        for batch in _batches(inputs):
            parts = [self.model.encode(list(batch[kind])) for kind in INPUTS if kind in batch]
            if not parts:
                raise InputError(f"inputs: expected text or audio, got {sorted(batch)}")
            vectors.append(parts[0] if len(parts) == 1 else unit(np.sum(parts, axis=0)))
        return np.concatenate(vectors)

    def similarity(self, first: Any, second: Any) -> Any:  # noqa: ANN401 (arrays or tensors)
        """Vectors [n, D] and [m, D] → their cosines [n, m]."""
        return self.model.similarity(first, second)

    def similarity_pairwise(self, first: Any, second: Any) -> Any:  # noqa: ANN401
        """Vectors [n, D] and [n, D] → the cosine of each with its counterpart [n]."""
        return self.model.similarity_pairwise(first, second)


def load_encoder(
    model: str | Path | None = None,
    device: str = "cpu",
    **stated: Any,  # noqa: ANN401
) -> MtebEncoder:
    """An encoder with its `ModelMeta`, for `mteb.evaluate`. The rest is as of `model_meta`."""
    _require_mteb()
    encoder = MtebEncoder("", device=device, model=model)
    meta = _meta(encoder.model.embedder, model, stated)
    encoder.name, encoder.revision, encoder.mteb_model_meta = meta.name, meta.revision, meta
    return encoder


def model_meta(model: str | Path | None = None, **stated: Any) -> ModelMeta:  # noqa: ANN401
    """What MTEB wants to know of a model, and how it loads it.

    `model`: a model's file or folder; the model that ships for None. `stated`: fields of
    `ModelMeta` that its files do not tell, as `reference` or `training_datasets`; they are None
    (not known) otherwise. Raises as `load_embedder`, and ConfigError where mteb is not installed.
    """
    _require_mteb()
    return _meta(SoundTextModel(model).embedder, model, stated)


def _require_mteb() -> None:
    try:
        import mteb.models  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError("mteb: needs `pip install 'earmark[mteb]'`") from error


def _meta(embedder: Embedder, model: str | Path | None, stated: Mapping[str, Any]) -> ModelMeta:
    from mteb.models import ModelMeta
    from mteb.types import Licenses

    licence = embedder.licence.lower()
    fields: dict[str, Any] = {
        "loader": MtebEncoder,
        "loader_kwargs": {} if model is None else {"model": str(model)},
        "name": embedder.name if "/" in embedder.name else f"earmark/{embedder.name}",
        "revision": embedder.fingerprint,
        "release_date": None,
        "languages": [LANGUAGES[each] for each in embedder.languages if each in LANGUAGES] or None,
        "n_parameters": None,
        "memory_usage_mb": None,
        "max_tokens": None,
        "embed_dim": embedder.dim,
        "license": licence if licence in get_args(Licenses) else None,
        "open_weights": None,
        "public_training_code": None,
        "public_training_data": None,
        "framework": [],
        "similarity_fn_name": "cosine",
        "use_instructions": False,
        "training_datasets": None,
        "modalities": ["audio", "text"],
    }
    known = SHIPPED if model is None else {}
    return ModelMeta(**{**fields, **known, **stated})


def _batches(inputs: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The batches of a data loader. Files of sounds are left for Earmark to decode: it hears them
    as everywhere else, and MTEB's own decoder is not needed."""
    dataset: Any = getattr(inputs, "dataset", None)
    if type(getattr(dataset, "features", {}).get("audio")).__name__ != "Audio":
        yield from inputs
        return
    from datasets import Audio

    size = getattr(inputs, "batch_size", None) or 1
    dataset = dataset.cast_column("audio", Audio(decode=False))
    for start in range(0, len(dataset), size):
        yield dataset[start : start + size]
