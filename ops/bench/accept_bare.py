"""What a battle is accepted by at the very least: JSON in, three rows, one message to the queue, JSON out."""

from __future__ import annotations

import secrets
import time
from typing import Any

from flask import Flask, request
from sqlalchemy.orm import Session

from web.context import build_arena
from web.models import Battle, Turn, Words
from web.queue import Queue, make_celery
from web.settings import WebSettings
from worker.contract.jobs import BattleJob, Message, SideJob, SideJobs


def make_app() -> Flask:
    """No session, no check, no draw, no limit, no log."""
    settings = WebSettings.from_env()
    arena = build_arena(settings, Queue(make_celery(settings, "bare")))
    one, other = arena.catalog.ids[:2]
    app = Flask(__name__)
    app.extensions["arena"] = arena  # for the server's bounds, which both have

    @app.get("/")
    def home() -> str:
        return "up"

    @app.post("/battles")
    def begin() -> tuple[dict[str, Any], int]:
        prompt, battle = str(request.get_json()["prompt"]), secrets.token_urlsafe(16)

        def store(session: Session) -> None:
            session.add(
                Battle(id=battle, owner="", model_a=one, model_b=other, probability=1.0, policy_version="uniform-1")
            )
            session.flush()
            session.add(Turn(battle_id=battle, turn=1, prompt_chars=len(prompt)))
            session.flush()
            session.add(Words(battle_id=battle, turn=1, part="prompt", content=prompt))

        arena.db.write(store)
        messages = (Message("user", prompt),)
        sides = SideJobs(SideJob(one, messages), SideJob(other, messages))
        arena.queue.run_battle(BattleJob(battle, 1, sides, time.time() + settings.deadline_s))
        return {"id": battle, "state": "queued"}, 202

    return app
