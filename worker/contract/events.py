"""The closed set of messages between server and browser; the one source the TypeScript types are made from.

Three families, told apart by who may lose them:

* **stored events** (``StoredEvent``) are appended to a battle's log, carry ``battle`` and ``seq`` on the wire, and
  reach every follower exactly once;
* **socket messages** (``SocketMessage``) concern one connection (or re-tell stored events to it), never stored;
* **client messages** (``ClientMessage``) only ask to observe. A socket can never command.

No event names a model except ``battle.revealed``, which only exists after the vote.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")
FinishReason = Literal["stop", "length", "cancelled", "failed"]
Winner = Literal["a", "b", "tie", "both_bad"]
BattleStateName = Literal["queued", "running", "finished", "failed", "cancelled"]
CancelledBy = Literal["user", "operator"]

SUBPROTOCOL = "arena.v1"
REASON_MAX = 200
"""Characters of an operator's reason."""


class Failure(msgspec.Struct, frozen=True):
    """Why a side or a battle failed, in words for the person who asked. Never names a model.

    ``code`` is stable: ``context_overflow | engine_failed | load_failed | preempted | overloaded | deadline_exceeded |
    empty_answer | queue_unavailable | model_unknown | internal``.
    """

    code: str
    message: str
    retryable: bool = True


class ModelFacts(msgspec.Struct, frozen=True):
    """What the reveal tells about one contender. ``tokens_per_s`` and ``first_token_s`` are of this battle."""

    id: str
    name: str
    maker: str = ""
    licence: str = ""
    terms_url: str = ""
    parameters: str = ""
    quantization: str = ""
    completion_tokens: int | None = None
    tokens_per_s: float | None = None
    first_token_s: float | None = None
    rating: float | None = None


class RevealedModels(msgspec.Struct, frozen=True):
    a: ModelFacts
    b: ModelFacts


# ── stored events ────────────────────────────────────────────────────────────────────────────────────────────────


class _Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    pass


class TurnStarted(_Event, frozen=True, tag="turn.started"):
    turn: int
    prompt: str


class TurnRetried(_Event, frozen=True, tag="turn.retried"):
    """``sides`` of the newest turn are answered anew: forget what they said. ``retry`` counts from 1 in each turn."""

    turn: int
    retry: int
    sides: tuple[Side, ...]


class BattleQueued(_Event, frozen=True, tag="battle.queued"):
    """``position`` is the place in line (1 = next); ``eta_s`` whole seconds until start, absent when unknown."""

    position: int
    eta_s: float | None = None


class BattleLoading(_Event, frozen=True, tag="battle.loading"):
    """``fraction`` in 0..1 of the loading still owed to this battle, both sides together: never per side."""

    fraction: float
    eta_s: float | None = None


class SideStarted(_Event, frozen=True, tag="side.started"):
    side: Side


class SideDelta(_Event, frozen=True, tag="side.delta"):
    side: Side
    text: str


class SideDone(_Event, frozen=True, tag="side.done"):
    side: Side
    finish_reason: FinishReason


class SideFailed(_Event, frozen=True, tag="side.failed"):
    side: Side
    error: Failure


class BattleRestarted(_Event, frozen=True, tag="battle.restarted"):
    """A new attempt begins: forget the turn's text so far."""

    attempt: int


class BattleVotable(_Event, frozen=True, tag="battle.votable"):
    pass


class BattleVoted(_Event, frozen=True, tag="battle.voted"):
    winner: Winner


class BattleRevealed(_Event, frozen=True, tag="battle.revealed"):
    models: RevealedModels


class BattleFailed(_Event, frozen=True, tag="battle.failed"):
    """The newest turn failed. ``votable``: earlier turns ended well, and may be voted all the same."""

    error: Failure
    votable: bool = False


class BattleCancelled(_Event, frozen=True, tag="battle.cancelled"):
    """The newest turn was stopped. ``reason``: the operator's words. ``votable`` as in ``battle.failed``."""

    by: CancelledBy
    reason: str = ""
    votable: bool = False


StoredEvent = (
    TurnStarted
    | TurnRetried
    | BattleQueued
    | BattleLoading
    | SideStarted
    | SideDelta
    | SideDone
    | SideFailed
    | BattleRestarted
    | BattleVotable
    | BattleVoted
    | BattleRevealed
    | BattleFailed
    | BattleCancelled
)

# ── the state a follower holds: the fold of its events (see view.py) ────────────────────────────────────────────


class SideView(msgspec.Struct, frozen=True):
    """``status``: waiting → streaming → done | failed."""

    text: str = ""
    status: Literal["waiting", "streaming", "done", "failed"] = "waiting"
    finish_reason: FinishReason | None = None
    error: Failure | None = None


class TurnView(msgspec.Struct, frozen=True):
    """``retry``: how often it was answered anew because somebody asked for that."""

    turn: int
    prompt: str
    a: SideView = SideView()
    b: SideView = SideView()
    retry: int = 0


class BattleView(msgspec.Struct, frozen=True):
    """All a page needs to draw a battle. ``loading`` and ``queued`` are null when they no longer apply.

    ``state`` is that of the newest turn; one that failed or was cancelled leaves a battle ``votable`` whose earlier
    turns ended well.
    """

    state: BattleStateName = "queued"
    turns: tuple[TurnView, ...] = ()
    queued: BattleQueued | None = None
    loading: BattleLoading | None = None
    attempt: int = 1
    votable: bool = False
    winner: Winner | None = None
    models: RevealedModels | None = None
    error: Failure | None = None
    cancelled_by: CancelledBy | None = None
    cancel_reason: str | None = None


# ── socket messages ──────────────────────────────────────────────────────────────────────────────────────────────


class _Message(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    pass


class Hello(_Message, frozen=True, tag="hello"):
    """First message on every socket. ``heartbeat_s``: silence after which the server sends ``ping``."""

    protocol: str
    heartbeat_s: float
    server_time: float


class Snapshot(_Message, frozen=True, tag="snapshot"):
    """Replaces whatever the client holds of ``battle``; live events continue after ``seq`` of ``epoch``."""

    battle: str
    epoch: str
    seq: int
    view: BattleView


class Resumed(_Message, frozen=True, tag="resumed"):
    """What the client holds up to ``seq`` stands; what it missed follows as ``batch`` and live events."""

    battle: str
    epoch: str
    seq: int


class Batch(_Message, frozen=True, tag="batch"):
    """A merged catch-up of ``n`` log entries ending at ``seq``. Apply all or nothing, iff ``seq - n == last``."""

    battle: str
    seq: int
    n: int
    events: list[StoredEvent]


class Error(_Message, frozen=True, tag="error"):
    """Connection-level refusal; a close code follows when it cannot go on. ``battle`` when it is about one."""

    code: str
    message: str
    retryable: bool = False
    battle: str | None = None


class Bye(_Message, frozen=True, tag="bye"):
    """The server is going away on purpose; come back after ``reconnect_after_ms``."""

    reconnect_after_ms: int


class Ping(_Message, frozen=True, tag="ping"):
    n: int = 0


class Pong(_Message, frozen=True, tag="pong"):
    n: int = 0


SocketMessage = Hello | Snapshot | Resumed | Batch | Error | Bye | Ping | Pong

# ── client messages ──────────────────────────────────────────────────────────────────────────────────────────────

BattleId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{8,40}$")]


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """Follow a battle. With ``epoch`` and ``after`` (last seq held) the server resumes; else it sends a snapshot."""

    battle: BattleId
    epoch: str | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Unsubscribe(_Message, frozen=True, tag="unsubscribe"):
    battle: BattleId


ClientMessage = Subscribe | Unsubscribe | Ping | Pong


class CloseCode:
    """4000-4499: come back. 4500-4999: stop."""

    NORMAL = 1000
    GOING_AWAY = 1001
    TOO_BIG = 1009
    OVERLOAD = 1013
    SLOW = 4008
    HEARTBEAT = 4009
    LIMITED = 4029
    BAD_MESSAGE = 4500
    SESSION = 4501
    FORBIDDEN = 4503
    UNKNOWN = 4504
    VERSION = 4505


_encoder = msgspec.json.Encoder()
_event_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(StoredEvent)
_client_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ClientMessage)
_socket_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(SocketMessage)


def encode(message: msgspec.Struct) -> bytes:
    """JSON of one message; a stored event comes without ``battle`` and ``seq`` (the log adds them)."""
    return _encoder.encode(message)


def decode_event(frame: bytes | str) -> StoredEvent:
    """A stored event from its JSON, with or without the log's ``battle`` and ``seq``. Raises msgspec.DecodeError."""
    event: StoredEvent = _event_decoder.decode(frame)
    return event


def decode_client(frame: bytes | str) -> ClientMessage:
    """Raises msgspec.DecodeError (malformed or outside the closed set)."""
    message: ClientMessage = _client_decoder.decode(frame)
    return message


def decode_socket(frame: bytes | str) -> SocketMessage:
    """For clients written in Python (tests, benches). Raises msgspec.DecodeError, also for stored events."""
    message: SocketMessage = _socket_decoder.decode(frame)
    return message
