"""What must not be in public, told in one line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from web.production import Misconfigured, check, load
from web.settings import WebSettings

SECRET = "k3-" + "Zx8_qW2pL9vN4tR7" * 3
FIT = {
    "ARENA_PRODUCTION": "1",
    "ARENA_SECRET_KEY": SECRET,
    "ARENA_HOSTS": "arena.example",
    "ARENA_TRUSTED_PROXIES": "127.0.0.1/32",
    "ARENA_ORIGINS": "https://arena.example",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(**change: str) -> WebSettings:
        for name, value in {**FIT, **change}.items():
            monkeypatch.setenv(name, value)
        return load()

    return put


def test_what_is_fit_passes(environment: Any) -> None:
    check(environment())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ARENA_SECRET_KEY": ""}, "ARENA_SECRET_KEY_FILE is not set; make a key and name its file: python -c"),
        ({"ARENA_SECRET_KEY": "changeme"}, "the key in ARENA_SECRET_KEY is shorter than 32 characters"),
        ({"ARENA_SECRET_KEY": "a" * 64}, "or too plain"),
        ({"ARENA_SECRET_KEY": "", "ARENA_SECRET_KEY_FILE": "/nowhere/key"}, "cannot be read: No such file"),
        ({"ARENA_ADMIN_KEY": "arena"}, "ARENA_ADMIN_KEY is shorter than 32 characters"),
        ({"ARENA_ORIGINS": "https://a.example,http://b.example"}, "ARENA_ORIGINS names http://b.example"),
        ({"ARENA_HOSTS": ""}, "ARENA_HOSTS is not set"),
        ({"ARENA_TRUSTED_PROXIES": ""}, "ARENA_TRUSTED_PROXIES is not set"),
        ({"ARENA_LIMITS": "off"}, "ARENA_LIMITS=off"),
    ],
)
def test_what_is_not_fit_is_named_with_its_remedy(environment: Any, change: dict[str, str], said: str) -> None:
    with pytest.raises(Misconfigured) as told:
        check(environment(**change))
    assert said in told.value.message
    assert "\n" not in told.value.message
    assert "changeme" not in told.value.message
    check(environment(**change, ARENA_PRODUCTION="0"))


def test_a_missing_secret_file_is_not_made_in_production(environment: Any, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        check(environment(ARENA_SECRET_KEY="", ARENA_SECRET_KEY_FILE=str(tmp_path / "key")))
    assert list(tmp_path.iterdir()) == []


def test_both_secrets_may_be_files(environment: Any, tmp_path: Path) -> None:
    for name in ("secret", "admin"):
        (tmp_path / name).write_text(f"{name}-{SECRET}\n")
    settings: WebSettings = environment(
        ARENA_SECRET_KEY="",
        ARENA_SECRET_KEY_FILE=str(tmp_path / "secret"),
        ARENA_ADMIN_KEY_FILE=str(tmp_path / "admin"),
    )
    check(settings)
    assert settings.signing_key() == f"secret-{SECRET}"
    assert settings.admin_key is not None
    assert settings.admin_key.get_secret_value() == f"admin-{SECRET}"
    assert SECRET not in repr(settings)


def test_an_admin_key_in_the_environment_wins_over_its_file(environment: Any, tmp_path: Path) -> None:
    settings = environment(ARENA_ADMIN_KEY=SECRET, ARENA_ADMIN_KEY_FILE=str(tmp_path / "none"))
    assert settings.admin_key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ARENA_PROMPTS_PER_MINUTE": "-3"}, "ARENA_PROMPTS_PER_MINUTE: Input should be greater than or equal to 0"),
        ({"ARENA_TRUSTED_PROXIES": "proxy"}, "ARENA_TRUSTED_PROXIES: "),
        ({"ARENA_ADMIN_KEY_FILE": "/nowhere/key"}, "ARENA_ADMIN_KEY_FILE cannot be read: No such file"),
        ({"ARENA_LIMITS_WITHOUT_REDIS": "maybe"}, "ARENA_LIMITS_WITHOUT_REDIS: Input should be 'open' or 'closed'"),
    ],
)
def test_nonsense_is_named_by_its_variable(environment: Any, change: dict[str, str], said: str) -> None:
    with pytest.raises(Misconfigured) as told:
        environment(**change)
    assert said in told.value.message
    assert "\n" not in told.value.message
