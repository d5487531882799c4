"""Which models take part, by an operator's word. What is decided holds for battles that begin from then on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from web.access import Key
from web.admin.errors import Unchanged
from web.admin.log import note
from web.errors import UnknownModel
from web.models import ModelState, now
from worker.contract.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Standing:
    """``takes_part``: whether battles that begin now may draw it."""

    id: str
    name: str
    takes_part: bool
    enabled: bool
    out_until: datetime | None
    reason: str
    changed_at: datetime | None


def listed(session: Session, catalog: Catalog) -> list[Standing]:
    """All of the catalog, in its order."""
    known = {state.model: state for state in session.scalars(select(ModelState))}
    return [_standing(spec.id, spec.name, known.get(spec.id)) for spec in catalog.models]


def enable(session: Session, catalog: Catalog, by: Key, model: str, reason: str) -> Standing:
    """Have it take part again, whatever kept it out. Raises UnknownModel or Unchanged."""
    state = _state(session, catalog, model)
    if _takes_part(state):
        raise Unchanged(f"{model} takes part already.")
    state.enabled, state.out_until = True, None
    return _changed(session, catalog, state, by, "model.enable", reason)


def disable(session: Session, catalog: Catalog, by: Key, model: str, reason: str) -> Standing:
    """Have it take no part until it is enabled. Raises UnknownModel or Unchanged."""
    state = _state(session, catalog, model)
    if not state.enabled:
        raise Unchanged(f"{model} is disabled already.")
    state.enabled = False
    return _changed(session, catalog, state, by, "model.disable", reason)


def time_out(session: Session, catalog: Catalog, by: Key, model: str, seconds: int, reason: str) -> Standing:
    """Have it take no part for a while; a later word replaces an earlier one. Raises UnknownModel."""
    state = _state(session, catalog, model)
    state.out_until = now() + timedelta(seconds=seconds)
    return _changed(session, catalog, state, by, "model.time_out", f"{seconds} s: {reason}")


def _state(session: Session, catalog: Catalog, model: str) -> ModelState:
    spec = catalog.get(model)
    if spec is None:
        raise UnknownModel(f"There is no model {model[:40]!r} in the catalog.")
    found = session.get(ModelState, model, with_for_update=True)
    return found or ModelState(model=model, enabled=True, out_until=None, reason="", changed_at=now())


def _changed(session: Session, catalog: Catalog, state: ModelState, by: Key, action: str, reason: str) -> Standing:
    state.reason, state.changed_at = reason[:200], now()
    session.add(state)
    note(session, by, action, state.model, reason[:200])
    spec = catalog.get(state.model)
    return _standing(state.model, spec.name if spec else state.model, state)


def _standing(model: str, name: str, state: ModelState | None) -> Standing:
    if state is None:
        return Standing(model, name, True, True, None, "", None)
    left = state.out_until if state.out_until and state.out_until > now() else None
    return Standing(model, name, _takes_part(state), state.enabled, left, state.reason, state.changed_at)


def _takes_part(state: ModelState) -> bool:
    return state.enabled and (state.out_until is None or state.out_until <= now())
