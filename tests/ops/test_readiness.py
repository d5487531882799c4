"""What a person reads while the arena is not ready yet."""

from __future__ import annotations

from pathlib import Path

from ops.setup.readiness import ask_ready, worker_says

OLD = "[2026-01-01 10:00:00,000: INFO/MainProcess] loaded a in 3.0 s\n"
NEW = "[2026-01-01 11:00:00,000: INFO/MainProcess] loading b\n[..: INFO/MainProcess] something else\n"
BAD = "[2026-01-01 11:00:09,000: ERROR/MainProcess] b failed to load, next try in 30 s at the earliest: no room\n"


def test_the_workers_last_word_on_loading_is_passed_on(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    assert worker_says(log, "") == ""
    log.write_text(OLD)
    assert worker_says(log, OLD) == "", "a word from before this start"
    log.write_text(OLD + NEW)
    assert worker_says(log, OLD) == "Model worker: loading b."
    log.write_text(OLD + NEW + BAD)
    assert worker_says(log, OLD).startswith("Model worker: b failed to load, next try in 30 s")


def test_a_server_that_is_not_there_yet_is_starting() -> None:
    assert ask_ready("http://127.0.0.1:9/") == "The web server is starting."
