"""REST: thin views over ``web.arena``; one blueprint per resource."""

from __future__ import annotations

from apiflask import APIBlueprint


def blueprints() -> list[APIBlueprint]:
    """Everything under ``/api``, and the operators' endpoints."""
    from web.api import (
        admin,
        admin_rulings,
        admin_workers,
        batches,
        battles,
        catalog,
        challenge,
        events,
        exports,
        health,
        leaderboard,
        metrics,
        openai,
        shares,
        votes,
    )

    operators = [admin.bp, admin_workers.bp, admin_rulings.bp]
    ours = [challenge.bp]
    return [
        *operators,
        *ours,
        battles.bp,
        events.bp,
        votes.bp,
        batches.bp,
        shares.bp,
        leaderboard.bp,
        exports.bp,
        catalog.bp,
        health.bp,
        metrics.bp,
        openai.bp,
    ]
