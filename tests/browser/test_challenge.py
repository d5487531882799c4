"""A proof of work before the first battle: the page finds it by itself, and stays alive meanwhile."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect

from tests.processes import ROOT, Stack, arena
from tests.redis_server import private_redis

TEXTS = ["", "a", "abc", "q0Yx0iJY3q3mX4C0q9oQvA.12345678901234567890", "x" * 55, *(f"seed.{n}" for n in range(2000))]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("guarded"))
    catalog = str(ROOT / "ops" / "catalogs" / "echo.toml")
    with private_redis(folder) as url:
        env = {"ARENA_REDIS_URL": url, "ARENA_CATALOG": catalog}
        with arena({**env, "ARENA_CHALLENGE": "proof_of_work", "ARENA_CHALLENGE_DIFFICULTY": "14"}, folder) as stack:
            yield stack


def zero_bits(text: str) -> int:
    return 256 - int.from_bytes(hashlib.sha256(text.encode()).digest(), "big").bit_length()


def test_the_pages_hash_is_sha_256(harness: Page) -> None:
    assert harness.evaluate("(texts) => texts.map(harness.zeroBits)", TEXTS) == [zero_bits(t) for t in TEXTS]


def test_an_answer_is_a_proof_and_the_page_goes_on_drawing(harness: Page) -> None:
    challenge = {"kind": "proof_of_work", "seed": "s", "difficulty": 16, "token": "t"}
    answer, frames = harness.evaluate(
        """async (challenge) => {
            let frames = 0, going = true;
            const draw = () => { frames += 1; if (going) requestAnimationFrame(draw); };
            requestAnimationFrame(draw);
            const answer = await harness.answer(challenge);
            going = false;
            return [answer, frames];
        }""",
        challenge,
    )
    token, number = answer.split(":")
    assert token == "t"
    assert zero_bits(f"s.{number}") >= 16
    assert frames > 1


def test_the_first_battle_begins_after_a_proof_and_the_second_without(page: Page, guarded: Stack) -> None:
    sent: list[tuple[int, bool]] = []

    def heard(reply: Response) -> None:
        if reply.url.endswith("/api/battles"):
            sent.append((reply.status, "arena-challenge" in reply.request.headers))

    page.on("response", heard)
    page.goto(guarded.url)
    page.get_by_label("Your prompt").fill("Write a haiku.")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/battles/[A-Za-z0-9_-]{22}$"))
    page.goto(guarded.url)
    page.get_by_label("Your prompt").fill("And another.")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/battles/[A-Za-z0-9_-]{22}$"))
    assert sent == [(202, True), (202, False)]
