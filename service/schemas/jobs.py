"""Work that outlasts its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.service.workers.jobs import Seen

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
    def of(cls, seen: Seen) -> JobBody:
        """From the job as of one instant."""
        own: dict[str, Any] = {
            **vars(seen),
            "added": list(seen.added),
            "failed": [FailureBody(**vars(each)) for each in seen.failed],
            "problem": seen.problem or None,
            "ended_at": seen.ended_at or None,
        }
        done = len(seen.added) + len(seen.failed)
        return cls(**own, done=done, events=f"/v1/jobs/{seen.id}/events")
