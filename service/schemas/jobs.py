"""Work that outlasts its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.service.workers.job_store import JobStatus

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class FailureBody(BaseModel):
    """A file that could not be added."""

    part: int = Field(description="Which of the files sent, from 0")
    name: str = Field(description="Its name, as it was sent")
    reason: str


class JobBody(BaseModel):
    """How a job stands."""

    id: str = Field(examples=["1Tk6Pu7FqqC-TfbjddUtpQ"])
    state: State = Field(description="waiting → running → done, cancelled or failed")
    total: int = Field(description="Files in all")
    done: int = Field(description="Files added or failed")
    added: list[str] = Field(description="Ids of the clips added so far; they stay")
    twins: dict[str, str] = Field(description="Of these, the very sound of an earlier clip: its id")
    failed: list[FailureBody]
    problem: str | None = Field(description="Why the whole job failed")
    created_at: str
    ended_at: str | None
    events: str = Field(description="Where its events are")

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
            events=f"/v1/jobs/{status.id}/events",
        )
