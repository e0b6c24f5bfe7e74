"""Sounds that people teach: by labels on clips and moments, fitted at once, used at once."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from earmark.index.catalogue.classifiers import classifier, classifiers, labels
from earmark.index.curation import classifiers as taught
from earmark.index.curation.classifiers import NewLabel
from earmark.service.http.addresses import address
from earmark.service.openapi.operation import Tag, operation
from earmark.service.routes.conversions import filter_of
from earmark.service.routes.dependencies import TURN, KeyName, ServicesDep
from earmark.service.schemas.curation.classifiers import (
    AskedBody,
    AskQuery,
    ClassifierBody,
    ClassifierChanges,
    ClassifiersBody,
    ExportedClassifier,
    HitsQuery,
    LabelsBody,
    LabelsGiven,
    NewClassifier,
)
from earmark.service.schemas.hits import HitBody, PageBody

TAG: Tag = {
    "name": "classifiers",
    "description": "Sounds that people teach: labels, what they find, what to label next.",
}
router = APIRouter(tags=[TAG["name"]], dependencies=[TURN])

PROBLEMS = ("invalid-request", "unknown-classifier")
RANKING = (*PROBLEMS, "not-taught")
LINKS = {
    "classifier_id": (
        *("get_classifier", "edit_classifier", "delete_classifier", "label_sounds"),
        *("list_labels", "classifier_hits", "ask_for_labels", "export_classifier"),
    )
}

ClassifierId = Annotated[str, Path(max_length=100, description="Its id, such as `our-front-door`")]


@router.get("/v1/classifiers", **operation("list_classifiers"))
def list_classifiers(services: ServicesDep) -> ClassifiersBody:
    """List all taught sounds by name, with their scores on left-out labels."""
    found = classifiers(services.library.catalogue)
    return ClassifiersBody(classifiers=[ClassifierBody.of(one) for one in found])


@router.post(
    "/v1/classifiers",
    status_code=201,
    **operation(
        "create_classifier", problems=("invalid-request",), headers=("Location",), links=LINKS
    ),
)
def create(services: ServicesDep, body: NewClassifier, response: Response) -> ClassifierBody:
    """Begin to teach a sound. Its id comes from its name, whose words are the first guess."""
    made = taught.create(services.library, body.name, body.tag)
    services.library.refresh(wait=True)
    response.headers["Location"] = address(f"/v1/classifiers/{made.id}")
    return ClassifierBody.of(made)


@router.post(
    "/v1/classifiers/import",
    status_code=201,
    **operation(
        "import_classifier",
        problems=("invalid-request", "other-model"),
        headers=("Location",),
        links=LINKS,
    ),
)
def take_in(
    services: ServicesDep,
    body: ExportedClassifier,
    response: Response,
    name: Annotated[
        str | None, Query(min_length=1, max_length=100, description="Instead of its own")
    ] = None,
) -> ClassifierBody:
    """Take in what a library of the same model has exported. Labels go on from it."""
    made = taught.take_in(services.library, body.model_dump(), name)
    services.library.refresh(wait=True)
    response.headers["Location"] = address(f"/v1/classifiers/{made.id}")
    return ClassifierBody.of(made)


@router.get(
    "/v1/classifiers/{classifier_id}",
    **operation("get_classifier", problems=PROBLEMS),
)
def get(services: ServicesDep, classifier_id: ClassifierId) -> ClassifierBody:
    """Get a taught sound."""
    return ClassifierBody.of(classifier(services.library.catalogue, classifier_id))


@router.patch(
    "/v1/classifiers/{classifier_id}",
    **operation("edit_classifier", problems=PROBLEMS),
)
def edit(
    services: ServicesDep, classifier_id: ClassifierId, body: ClassifierChanges
) -> ClassifierBody:
    """Change a taught sound's name or tag. Its id stays."""
    changed = taught.edit(services.library, classifier_id, body.name, body.tag)
    services.library.refresh(wait=True)
    return ClassifierBody.of(changed)


@router.delete(
    "/v1/classifiers/{classifier_id}",
    status_code=204,
    **operation("delete_classifier", problems=PROBLEMS),
)
def delete(services: ServicesDep, classifier_id: ClassifierId) -> None:
    """Delete a taught sound, with its labels. Tags that it suggested stay."""
    taught.remove(services.library, classifier_id)
    services.library.refresh(wait=True)


@router.post(
    "/v1/classifiers/{classifier_id}/labels",
    **operation("label_sounds", problems=(*PROBLEMS, "unknown-clip")),
)
def label(
    services: ServicesDep, classifier_id: ClassifierId, body: LabelsGiven, by: KeyName
) -> ClassifierBody:
    """Say of clips, or moments of them, whether they are the sound. The next version is fitted
    at once, and the next search uses it."""
    given = [NewLabel(each.clip, each.is_it, each.start, each.end) for each in body.labels]
    changed = taught.label(services.library, classifier_id, given, by)
    services.library.refresh(wait=True)
    return ClassifierBody.of(changed)


@router.get(
    "/v1/classifiers/{classifier_id}/labels",
    **operation("list_labels", problems=PROBLEMS),
)
def list_labels(services: ServicesDep, classifier_id: ClassifierId) -> LabelsBody:
    """List what was said of which clips, the last first."""
    catalogue = services.library.catalogue
    return LabelsBody.of(labels(catalogue, classifier(catalogue, classifier_id).number))


@router.get(
    "/v1/classifiers/{classifier_id}/hits",
    **operation("classifier_hits", problems=(*RANKING, "unknown-collection")),
)
def hits(
    services: ServicesDep, classifier_id: ClassifierId, query: Annotated[HitsQuery, Query()]
) -> PageBody:
    """Rank the library by a taught sound, the surest first; probabilities are its own."""
    library = services.library
    return PageBody.of(
        library.search_by_classifier(
            classifier(library.catalogue, classifier_id),
            query.k,
            filter_of(query),
            cursor=query.cursor,
            distinct=query.distinct,
            min_probability=query.min_probability,
            moments=query.moments,
        )
    )


@router.get(
    "/v1/classifiers/{classifier_id}/ask",
    **operation("ask_for_labels", problems=(*RANKING, "busy")),
)
def ask(
    services: ServicesDep, classifier_id: ClassifierId, query: Annotated[AskQuery, Query()]
) -> AskedBody:
    """Ask which clips to label next: those that it takes for the sound, and those that it is
    least sure of. None has a label yet."""
    library = services.library
    with services.facets.turn():
        asked = taught.ask(library, classifier_id, query.k, query.moments)
    version = classifier(library.catalogue, classifier_id).version
    return AskedBody(version=version, hits=[HitBody.of(hit) for hit in asked])


@router.get(
    "/v1/classifiers/{classifier_id}/export",
    response_model=ExportedClassifier,
    **operation("export_classifier", problems=RANKING, headers=("Content-Disposition",)),
)
def export(services: ServicesDep, classifier_id: ClassifierId) -> Response:
    """Export a taught sound, for another library of the same model: plain numbers, no sounds."""
    found = classifier(services.library.catalogue, classifier_id)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.json"'}
    return Response(
        json.dumps(taught.to_export(found)), headers=headers, media_type="application/json"
    )
