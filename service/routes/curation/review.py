"""Suggestions for the whole library, and their review."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from earmark.index.curation import review, suggestions
from earmark.index.curation.review import ReviewRequest
from earmark.index.curation.verdicts import Verdict
from earmark.service.http.addresses import address
from earmark.service.openapi.operation import NAMES_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import filter_of
from earmark.service.routes.dependencies import TURN, KeyName, ServicesDep
from earmark.service.schemas.curation.review import (
    JudgedBody,
    LeaseBody,
    SuggestingBody,
    SuggestionsBody,
    SuggestionsQuery,
    TagReviewsBody,
    VerdictsBody,
)

TAG: Tag = {
    "name": "review",
    "description": "Suggested tags for the whole library, and verdicts on them.",
}
router = APIRouter(tags=[TAG["name"]], dependencies=[TURN])

PROBLEMS = ("invalid-request", *NAMES_PROBLEMS)


@router.post(
    "/v1/suggestions", status_code=202, **operation("begin_suggestions", headers=("Location",))
)
def begin(services: ServicesDep, response: Response) -> SuggestingBody:
    """Compute suggested tags for every sound, and from then on for what is added or changed. Where
    that is so already, tell how far it is."""
    response.headers["Location"] = address("/v1/suggestions/progress")
    return SuggestingBody.of(services.suggestions.ask())


@router.delete("/v1/suggestions", **operation("stop_suggestions"))
def stop(services: ServicesDep) -> SuggestingBody:
    """Stop computing suggestions. Those that are there stay, and are reviewed as before."""
    return SuggestingBody.of(suggestions.stop(services.library))


@router.get("/v1/suggestions/progress", **operation("suggestions_progress"))
def progress(services: ServicesDep) -> SuggestingBody:
    """Tell how far suggestions are computed."""
    return SuggestingBody.of(suggestions.progress(services.library.catalogue))


@router.get("/v1/suggestions/tags", **operation("suggested_tags"))
def tags(services: ServicesDep) -> TagReviewsBody:
    """List the tags that wait for review or have a verdict, most waiting first."""
    return TagReviewsBody.of(review.tag_reviews(services.library))


@router.get("/v1/suggestions", **operation("list_suggestions", problems=PROBLEMS))
def listed(
    services: ServicesDep, query: Annotated[SuggestionsQuery, Query()], by: KeyName
) -> SuggestionsBody:
    """List suggestions that wait for a verdict and are in nobody else's hands, of one tag or sound
    by sound. To review them beside others, lease them."""
    request = _request(query, by)
    return SuggestionsBody.of(review.list_suggestions(services.library, request))


@router.post("/v1/suggestions/leases", **operation("lease_suggestions", problems=PROBLEMS))
def lease(services: ServicesDep, body: LeaseBody, by: KeyName) -> SuggestionsBody:
    """Lease suggestions to review: nobody else gets them for some minutes. The reviewer's earlier
    ones are among them where they are asked for again, and free where they are not."""
    return SuggestionsBody.of(review.lease(services.library, _request(body, by)))


@router.post("/v1/suggestions/verdicts", **operation("judge_suggestions", problems=PROBLEMS[:1]))
def judge(services: ServicesDep, body: VerdictsBody, by: KeyName) -> JudgedBody:
    """Accept or reject suggested tags, or take verdicts back: all of them, or none. An accepted tag
    is given to its clip, a rejected one is not suggested again."""
    verdicts = [Verdict(one.clip, one.tag, one.verdict) for one in body.verdicts]
    return JudgedBody.of(services.library_service.judge(verdicts, by, body.reviewer))


def _request(query: SuggestionsQuery, by: str) -> ReviewRequest:
    """What to review. A name is a reviewer's own among those of one key."""
    return ReviewRequest(
        query.suggested,
        query.order,
        query.k,
        filter_of(query),
        query.cursor,
        f"{by}/{query.reviewer}" if query.reviewer else "",
    )
