"""Bodies take every number that is an integer to JSON's schema, and no other."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from earmark.service.schemas.curation.classifiers import ExportedClassifier
from earmark.service.schemas.curation.review import LeaseBody
from earmark.service.schemas.embeddings import EmbeddingsQuery
from earmark.service.schemas.search import WeightedSearchQuery

CLASSIFIER = {
    "format": "earmark-classifier", "version": 1, "name": "hum", "tag": "hum", "dim": 16,
    "fingerprint": "0", "vector": "", "bias": 0.5,
}  # fmt: skip
BODIES: list[tuple[type[BaseModel], dict[str, object], list[str]]] = [
    (LeaseBody, {"reviewer": "ann", "k": 7}, ["k"]),
    (WeightedSearchQuery, {"k": 7, "moments": 2}, ["k", "moments"]),
    (ExportedClassifier, CLASSIFIER, ["dim"]),
    (EmbeddingsQuery, {"input": "rain", "dimensions": 16}, ["dimensions"]),
]


@pytest.mark.parametrize(("kind", "body", "integers"), BODIES)
def test_a_float_that_is_whole_is_an_integer(
    kind: type[BaseModel], body: dict[str, object], integers: list[str]
) -> None:
    expected = kind.model_validate(body, strict=True)
    for name in integers:
        assert kind.model_validate(body | {name: float(str(body[name]))}, strict=True) == expected
        for wrong in (1.5, str(body[name]), True, float("nan"), float("inf")):
            with pytest.raises(ValidationError, match=name):
                kind.model_validate(body | {name: wrong}, strict=True)


def test_so_are_those_of_lists() -> None:
    body = LeaseBody.model_validate({"reviewer": "ann", "sample_rate": [44_100.0], "channels": [2]})
    assert (body.sample_rate, body.channels) == ([44_100], [2])
    with pytest.raises(ValidationError, match="channels"):
        LeaseBody.model_validate({"reviewer": "ann", "channels": [1.5]})
