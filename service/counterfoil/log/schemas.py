"""Answers of the log's routes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field


class Receipt(BaseModel):
    """Proof that a record is in its log: a C2SP tlog-proof, to be kept and checked offline."""

    log: str
    origin: str
    seq: int
    proof: Annotated[str, Field(description="The tlog-proof as text, checkpoint and signatures included.")]


class PendingReceipt(BaseModel):
    """A record that no checkpoint covers yet."""

    log: str
    origin: str
    seq: int


class Receipts(BaseModel):
    """Receipts of the records that were asked for, and those still to come (then the status is 202)."""

    items: list[Receipt]
    pending: list[PendingReceipt]


class AsOf(BaseModel):
    """Which log an answer was read from, and how many records it had."""

    log: str
    size: int


class AccessRecord(BaseModel):
    """One record of the access log: who did what, when. `content` only for those who may read content."""

    seq: int
    leaf: dict[str, Any]
    content: dict[str, Any] | None = None


class AccessPage(BaseModel):
    """A page of the access log, newest first; `next` is the cursor of the page after it."""

    items: list[AccessRecord]
    next: str | None
    as_of: AsOf
