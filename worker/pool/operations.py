"""What operators asked of this worker and what became of it, each under an id that is given at once."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

OperationState = Literal["running", "done", "failed"]
KEPT = 200


@dataclass(frozen=True, slots=True)
class Operation:
    """``at``, ``ended``: unix seconds."""

    id: str
    command: str
    subject: str
    at: float
    state: OperationState = "running"
    detail: str = ""
    ended: float | None = None


class Operations:
    """The last :data:`KEPT`, newest last."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: deque[Operation] = deque(maxlen=KEPT)

    def begin(self, command: str, subject: str, detail: str) -> Operation:
        operation = Operation(secrets.token_hex(4), command, subject, self._clock(), detail=detail)
        self._kept.append(operation)
        return operation

    def at_once(self, command: str, subject: str, detail: str) -> Operation:
        """One that is done as it is asked."""
        operation = self.begin(command, subject, detail)
        return self.end(operation.id, "done", detail) or operation

    def end(self, operation_id: str, state: OperationState, detail: str) -> Operation | None:
        """Nothing happens to one that has ended, or that is no longer kept."""
        for place, known in enumerate(self._kept):
            if known.id == operation_id and known.state == "running":
                self._kept[place] = replace(known, state=state, detail=detail, ended=self._clock())
                return self._kept[place]
        return None

    def list(self) -> tuple[Operation, ...]:
        return tuple(self._kept)

    def get(self, operation_id: str) -> Operation | None:
        return next((o for o in self._kept if o.id == operation_id), None)
