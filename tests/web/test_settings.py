from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from web.settings import WebSettings
from worker.settings import WorkerSettings


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_PROMPT_MAX_CHARS", "123")
    monkeypatch.setenv("ARENA_ORIGINS", "https://a.example/, https://b.example")
    monkeypatch.setenv("ARENA_PRIVATE_PORT", "")
    settings = WebSettings.from_env()
    assert settings.prompt_max_chars == 123
    assert settings.origins == ("https://a.example", "https://b.example")
    assert settings.private_port is None


def test_nonsense_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_PROMPT_MAX_CHARS", "many")
    with pytest.raises(ValidationError, match="prompt_max_chars"):
        WebSettings.from_env()


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
    ],
)
def test_postgresql_always_goes_through_psycopg_3(given: str, used: str) -> None:
    assert WebSettings(database_url=given).database == used


def test_by_default_the_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    assert WebSettings(data_dir=tmp_path, database_url=None).database == f"sqlite:///{tmp_path}/arena.sqlite3"


def test_a_key_is_made_once_and_kept_to_oneself(tmp_path: Path) -> None:
    settings = WebSettings(data_dir=tmp_path / "new", secret_key=None)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: settings.signing_key(), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 40
    (file,) = (tmp_path / "new").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_given_key_is_used_and_never_shown(tmp_path: Path) -> None:
    settings = WebSettings(data_dir=tmp_path, secret_key=SecretStr("hush-hush"))
    assert settings.signing_key() == "hush-hush"
    assert "hush" not in repr(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_log_level_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_LOG_LEVEL", "warning")
    assert WebSettings.from_env().log_level == "WARNING"
    assert WorkerSettings.from_env().log_level == "WARNING"
