"""``/api/batches``: many prompts at once, for programs with a key of scope ``battle``.

There is no such thing for browsers: a session is anybody's, and whoever may take half of the line should be known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from web.access import require
from web.api.parsing import JSONL, TEXT, json_body, lines
from web.api.schemas.batches import (
    BatchesOut,
    BatchesQuery,
    BatchIn,
    BatchOut,
    BatchQuery,
    ResultLine,
    ResultsQuery,
)
from web.arena import batch_results, batches
from web.arena.batches import Progress
from web.bounds import JSON, accepts
from web.context import arena
from web.errors import (
    BadCursor,
    BatchesOff,
    BatchTooLarge,
    InvalidLines,
    ModerationUnavailable,
    SameContender,
    SamplingRefused,
    TooManyBatches,
    UnknownBatch,
    UnknownContender,
)
from web.limits import spend_prompts
from web.openapi import access, leads_to, problems, takes, text_body

bp = APIBlueprint("batches", __name__, url_prefix="/api/batches", tag="Batches")

_LINES = 'One prompt a line. JSONL: `"..."` or `{"prompt": "..."}`; other members are ignored. Blank lines are none.'


@bp.post("")
@bp.input(BatchQuery, location="query", arg_name="query")
@bp.output(BatchOut, status_code=202)
@accepts(max_bytes=lambda settings: settings.batch_max_bytes, media=(JSON, *JSONL, TEXT))
@takes(BatchIn, {JSONL[0]: '{"prompt": "Why is the sky blue?"}\n', TEXT: "Why is the sky blue?\n"}, _LINES)
@problems(BatchesOff, BatchTooLarge, InvalidLines, ModerationUnavailable)
@problems(SameContender, SamplingRefused, TooManyBatches, UnknownContender)
@access(session=False, scope="battle")
@leads_to("batch_id", "/id")
def create(query: BatchQuery) -> dict[str, Any]:
    """Hand in a batch of prompts.

    As JSON, or as a file of lines (`application/jsonl` or `text/plain`). It is taken in whole or refused in whole, with
    the numbers of the lines that are wrong. All its prompts count at once among those you have a day. Each of them
    becomes an ordinary battle of yours, as room allows: only a few of a batch are in line at a time, and none while
    much of the line is taken.
    """
    owner = require("battle").owner
    if request.mimetype in (*JSONL, TEXT):
        return _out(batches.create(arena(), owner, query.name, lines(), spend=spend_prompts))
    body = json_body(BatchIn)
    sampling = body.sampling.model_dump(exclude_none=True) if body.sampling else None
    prompts = list(enumerate(body.prompts, 1))
    return _out(batches.create(arena(), owner, body.name or query.name, prompts, sampling, body.models, spend_prompts))


@bp.get("")
@bp.input(BatchesQuery, location="query", arg_name="query")
@bp.output(BatchesOut)
@problems(BadCursor)
@access(session=False, scope="battle")
def index(query: BatchesQuery) -> dict[str, Any]:
    """Your batches.

    Newest first, a page at a time.
    """
    owner = require("battle").owner
    found, following = arena().db.read(lambda s: batches.page(s, owner, query.limit, query.cursor))
    return {"batches": [_out(p) for p in found], "next_cursor": following}


@bp.get("/<batch_id>")
@bp.output(BatchOut)
@problems(UnknownBatch)
@access(session=False, scope="battle")
def show(batch_id: str) -> dict[str, Any]:
    """How far a batch is."""
    owner = require("battle").owner
    return _out(arena().db.read(lambda s: batches.read(s, batch_id, owner)))


@bp.get("/<batch_id>/results")
@bp.input(ResultsQuery, location="query", arg_name="query")
@text_body(JSONL[0], ResultLine)
@problems(UnknownBatch)
@access(session=False, scope="battle")
def results(batch_id: str, query: ResultsQuery) -> Response:
    """What became of each prompt.

    One line of JSON per prompt, in their order, at any time; `after` goes on where an earlier answer ended. Models are
    named for battles that were voted. A batch that named its pair is not ranked: its battles tell theirs when they are
    over.
    """
    owner, context = require("battle").owner, arena()
    batch = context.db.read(lambda s: batches.owned(s, batch_id, owner))
    found = batch_results.results(context, batch_id, query.after, cancelled=batch.cancelled_at is not None)
    return Response(_jsonl(found), content_type=JSONL[0])


def _jsonl(entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        yield json.dumps(entry, ensure_ascii=False) + "\n"


@bp.post("/<batch_id>/cancel")
@bp.output(BatchOut, status_code=202)
@problems(UnknownBatch)
@access(session=False, scope="battle")
def cancel(batch_id: str) -> dict[str, Any]:
    """Stop a batch.

    No further battle begins, those that run are stopped, and the prompts that waited are forgotten. What was answered
    stays.
    """
    return _out(batches.cancel(arena(), batch_id, require("battle").owner))


def _out(found: Progress) -> dict[str, Any]:
    batch = found.batch
    return {
        "id": batch.id,
        "name": batch.name,
        "state": found.state,
        "size": batch.size,
        "counts": dict(found.counts),
        "voted": found.voted,
        "created_at": batch.created_at.isoformat(),
        "results": f"/api/batches/{batch.id}/results",
    }
