"""Shows both sides at one cadence, so that speed and loading do not tell the models apart. Pure: text in, text out.

The rules:

* nothing is shown until both sides have text (or one has ended, or ``cap_s`` has passed since the first had some);
* no cap holds for sides that are answered one after the other (``one_by_one``): showing the first alone would tell
  which of the two had to be brought into memory;
* while both are being shown, each tick shows the same number of characters of each: the pair reads at the pace of the
  slower one, and since the vote needs both anyway, nobody waits longer for it;
* a side that has nothing to show for ``cap_s`` stops holding the other back;
* when one side has been shown to its end, the other goes on at the same pace, but its rest is spread over at most
  ``tail_s`` once it is complete.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.contract.events import SIDES, Side


@dataclass(slots=True)
class _Lane:
    buffer: list[str] = field(default_factory=list)
    length: int = 0
    begun: bool = False
    ended: bool = False
    fed_at: float = 0.0
    credit: float = 0.0
    tail_pace: float | None = None

    @property
    def drained(self) -> bool:
        return self.ended and self.length == 0

    def take(self, n: int) -> str:
        text = "".join(self.buffer)
        self.buffer = [text[n:]] if n < len(text) else []
        self.length = max(self.length - n, 0)
        return text[:n]


class Pacer:
    """``push`` and ``end`` as generation goes; ``take`` once a tick. Times are seconds of one clock."""

    def __init__(self, *, tick_s: float, cap_s: float, tail_s: float, enabled: bool = True) -> None:
        self._lanes: dict[Side, _Lane] = {"a": _Lane(), "b": _Lane()}
        self._tick = tick_s
        self._cap = cap_s
        self._tail = tail_s
        self._enabled = enabled
        self._one_by_one = False
        self._first_at: float | None = None
        self._released = False
        self._ticks = 0
        self._shown = 0

    def push(self, side: Side, text: str, now: float) -> None:
        """Text as it was generated."""
        if not text:
            return
        lane = self._lanes[side]
        lane.begun = True
        lane.buffer.append(text)
        lane.length += len(text)
        lane.fed_at = now
        if self._first_at is None:
            self._first_at = now

    def end(self, side: Side) -> None:
        """No more text will come from this side."""
        self._lanes[side].ended = True

    def one_by_one(self) -> None:
        """The sides are answered in turn: the first is held until the other has text, however long that takes."""
        self._one_by_one = True

    def forget(self, side: Side) -> None:
        """This side begins anew; only while nothing has been shown. What the other side has is held meanwhile."""
        self._lanes[side] = _Lane()
        if any(lane.begun for lane in self._lanes.values()):
            self._one_by_one = True
        else:
            self._first_at = None

    @property
    def resting(self) -> bool:
        """Nothing will be shown before the next ``push`` or ``end``, whatever the clock says."""
        if self._first_at is None:
            return True
        return self._one_by_one and not self._released and not self._both_began

    def drained(self, side: Side) -> bool:
        """The side has ended and everything it said has been taken."""
        return self._lanes[side].drained

    def take(self, now: float) -> dict[Side, str]:
        """What to show now, by side; sides with nothing to show are absent."""
        if not self._enabled:
            return {} if self._one_by_one and not self._both_began else self.flush()
        self._released = self._released or self._may_begin(now)
        if not self._released:
            return {}
        amounts = self._amounts(now)
        return {s: self._lanes[s].take(amounts[s]) for s in SIDES if amounts[s] > 0}

    def flush(self) -> dict[Side, str]:
        """Everything at once: pacing is off, or the battle was stopped."""
        return {s: lane.take(lane.length) for s, lane in self._lanes.items() if lane.length}

    def _may_begin(self, now: float) -> bool:
        if self._first_at is None:
            return False
        return self._both_began or (not self._one_by_one and now - self._first_at >= self._cap)

    @property
    def _both_began(self) -> bool:
        return all(lane.begun or lane.ended for lane in self._lanes.values())

    def _amounts(self, now: float) -> dict[Side, int]:
        a, b = self._lanes["a"], self._lanes["b"]
        if a.drained or b.drained:
            return {"a": self._alone(a), "b": self._alone(b)}
        if a.length and not b.length and now - b.fed_at >= self._cap:
            return {"a": a.length, "b": 0}
        if b.length and not a.length and now - a.fed_at >= self._cap:
            return {"a": 0, "b": b.length}
        common = min(a.length, b.length)
        self._ticks += 1
        self._shown += common
        return {"a": common, "b": common}

    def _alone(self, lane: _Lane) -> int:
        if not lane.length:
            return 0
        pace = max(self._shown / self._ticks if self._ticks else 0.0, 1.0)
        if lane.ended:
            if lane.tail_pace is None:
                lane.tail_pace = lane.length * self._tick / self._tail if self._tail > 0 else float(lane.length)
            pace = max(pace, lane.tail_pace)
        lane.credit += pace
        # Compared first: a tail next to nothing makes the pace infinite, and that has no integer.
        whole = lane.length if lane.credit >= lane.length else int(lane.credit)
        lane.credit -= whole
        return whole
