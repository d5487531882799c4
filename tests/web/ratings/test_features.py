from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from tests.web.ratings import llmfao
from web.ratings.features import AnswerFacts, TurnFacts, boards, is_code, is_math, language, of_prompt, of_vote


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Write a short poem about rain, please.", "en"),
        ("Wie funktioniert ein Kühlschrank?", "de"),
        ("Explique-moi la photosynthèse comme si j'avais 5 ans", "fr"),
        ("¿Cuál es la capital de Francia?", "es"),
        ("Come funziona un frigorifero?", "it"),
        ("Como funciona uma geladeira?", "pt"),
        ("Hoe werkt een koelkast?", "nl"),
        ("Jak napisać list motywacyjny i co w nim zawrzeć?", "pl"),
        ("什么是量子计算？", "zh"),
        ("量子コンピュータとは何ですか", "ja"),
        ("어떻게 지내세요", "ko"),
        ("Что такое квантовый компьютер?", "ru"),
        ("Що таке квантовий комп'ютер і як він працює?", "uk"),
        ("ما هو الحاسوب الكمومي؟", "ar"),
        ("12 + 4", "und"), ("", "und"), ("🎉🎉", "und"), ("xyzzy", "und"),
    ],
)  # fmt: skip
def test_languages_are_told_apart(text: str, code: str) -> None:
    assert language(text) == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write a Python program that sorts names", True),
        ("def f(x):\n  pass", True),
        ("why is this wrong?\n```\nx\n```", True),
        ("int x = foo(1, 2);", True),
        ("How is C++ different from C#?", True),
        ("Write a class reunion invitation", False),
        ("What is the importance of trees?", False),
        ("Tell me about pythons in Florida", False),
    ],
)
def test_code_is_recognised(text: str, expected: bool) -> None:
    assert is_code(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Solve for x", True),
        (r"What is \int_0^1 x dx?", True),
        ("If 3x + 7 = 19, what is x?", True),
        ("I had 5 apples and ate 2. How many are left?", True),
        ("How many people live in Paris?", False),
        ("The battle of 1066, 950 years ago", False),
    ],
)
def test_mathematics_is_recognised(text: str, expected: bool) -> None:
    assert is_math(text) is expected


def test_published_questions_land_on_their_boards() -> None:
    """MT-Bench's 80 questions carry categories; kept outside the repository."""
    file = llmfao.FOLDER / "mt_bench_questions.jsonl"
    if not file.is_file():
        pytest.skip("MT-Bench's questions are not beside this checkout (../shared/data)")
    found: Counter[tuple[str, bool]] = Counter()
    for line in file.read_text().splitlines():
        question = json.loads(line)
        seen = of_prompt("\n".join(question["turns"]))
        for board, category in (("code", "coding"), ("math", "math")):
            if seen[board]:
                found[board, question["category"] == category] += 1
    assert found["code", True] == 10
    assert found["code", False] <= 2
    assert found["math", True] >= 9
    assert found["math", False] <= 5


@pytest.mark.parametrize(
    "unit", ["a", "x ", "$", "write a ", "1+", "SELECT ", "a(", "return ", "x-", "é", "|x-", "\\", "`"]
)
def test_no_prompt_takes_long_to_look_at(unit: str) -> None:
    def seconds(size: int) -> float:
        text = (unit * size)[:size]
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            of_prompt(text)
            times.append(time.perf_counter() - begin)
        return min(times)

    assert seconds(1_000_000) < 40 * max(seconds(4000), 1e-3)


def test_a_battle_is_on_the_boards_of_all_its_turns() -> None:
    first = TurnFacts(2000, {"language": "de", "code": False, "math": True})
    second = TurnFacts(1500, {"language": "en", "code": False, "math": False})
    assert boards([first, second]) == ["language_de", "long", "math", "multi_turn"]
    assert boards([second]) == ["language_en"]
    assert boards([second], fenced=True) == ["code", "language_en"]
    assert boards([TurnFacts(10, None)]) == []


def test_a_vote_takes_along_probability_boards_and_summed_style() -> None:
    answers = [
        AnswerFacts("a", {"headers": 1, "list_items": 2, "bold": 3, "code_blocks": 0}, 10),
        AnswerFacts("b", {"headers": 0, "list_items": 0, "bold": 0, "code_blocks": 1}, 20),
        AnswerFacts("a", {"headers": 1, "list_items": 0, "bold": 0, "code_blocks": 0}, 5),
    ]
    assert of_vote(0.25, [TurnFacts(5, None)], answers) == {
        "probability": 0.25,
        "boards": ["code"],
        "style": {
            "a": {"tokens": 15, "headers": 2, "list_items": 2, "bold": 3},
            "b": {"tokens": 20, "headers": 0, "list_items": 0, "bold": 0},
        },
    }
