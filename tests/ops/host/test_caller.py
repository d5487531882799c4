"""The example of a calling application, against the installed arena's port inside."""

from __future__ import annotations

import asyncio

import pytest

from ops.examples.caller import Settings, compare
from tests.ops.host.conftest import Installed


@pytest.mark.parametrize(("mode", "answers"), [("true", 2), ("false", 1)])
def test_models_are_asked_at_once_and_streamed(running: Installed, mode: str, answers: int) -> None:
    shown: list[tuple[str, str]] = []
    settings = Settings.read({"VLLM_BASE_URL": running.inside, "USE_VLLM": "true", "ARENA_MODE_ENABLED": mode})
    got = asyncio.run(compare(settings, "test", lambda model, text: shown.append((model, text))))
    assert len({a.model for a in got}) == answers
    for one in got:
        assert one.finish_reason in ("stop", "length")
        assert "".join(text for model, text in shown if model == one.model) == one.text != ""
    if answers == 2:
        half = {model for model, _ in shown[: len(shown) // 2]}
        assert len(half) == 2, "the second model does not wait for the first"


def test_an_application_may_turn_the_models_off() -> None:
    off = Settings.read({"VLLM_BASE_URL": "http://10.0.0.9:8000/v1", "USE_VLLM": "false"})
    assert off.base_url == "http://10.0.0.9:8000/v1"
    assert asyncio.run(compare(off, "test", lambda *_: None)) == []
