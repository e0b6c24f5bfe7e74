"""Jobs: work that outlasts its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from earmark.service.http.addresses import address

if TYPE_CHECKING:
    from earmark.service.workers.job_store import JobStatus

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class FailureBody(BaseModel):
    """A file that could not be added."""

    part: int = Field(description="Number of the file in the request, from 0")
    name: str = Field(description="Name of the file, as it was sent")
    reason: str


class JobBody(BaseModel):
    """A job's state and results."""

    id: str = Field(examples=["1Tk6Pu7FqqC-TfbjddUtpQ"])
    state: State = Field(
        description="waiting → running → done, cancelled or failed; waiting again when the "
        "service stops before the end"
    )
    total: int = Field(description="Files in all")
    done: int = Field(description="Files added or failed so far")
    added: list[str] = Field(description="Ids of the clips added so far; they stay")
    twins: dict[str, str] = Field(
        description="Of these, duplicates: id → id of the earlier clip with the same sound"
    )
    failed: list[FailureBody]
    problem: str | None = Field(description="Why the job failed")
    created_at: str
    ended_at: str | None
    events: str = Field(description="Address of its events")

    @classmethod
    def of(cls, status: JobStatus) -> JobBody:
        """From a job's status."""
        return cls(
            id=status.id,
            state=status.state,
            total=status.total,
            done=len(status.added) + len(status.failed),
            added=list(status.added),
            twins=status.duplicates,
            failed=[FailureBody(**vars(part)) for part in status.failed],
            problem=status.problem or None,
            created_at=status.created_at,
            ended_at=status.ended_at or None,
            events=address(f"/v1/jobs/{status.id}/events"),
        )
