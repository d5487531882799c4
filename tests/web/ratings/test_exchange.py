from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.web.ratings.test_board import add_votes
from web.context import Arena
from web.models import Battle, Turn, Vote, Words
from web.ratings import exchange
from web.ratings.__main__ import main
from web.ratings.features import of_prompt
from web.ratings.imports import parse
from web.records.service import Records

VOTES = (
    ("x", "y", "a", True), ("y", "x", "tie", True), ("y", "z", "both_bad", True), ("z", "y", "b", True),
    ("x", "z", "a", True), ("x", "z", "b", True), ("x", "y", "b", False),
)  # fmt: skip
STYLE = {side: {"tokens": n, "headers": 0, "list_items": 1, "bold": 2} for side, n in (("a", 10), ("b", 20))}


@pytest.fixture
def command(app: Flask) -> Callable[..., bytes]:
    def run(*arguments: str, code: int = 0) -> bytes:
        result = app.test_cli_runner().invoke(args=list(arguments))
        assert result.exit_code == code, result.output
        return bytes(result.stdout_bytes)

    return run


@pytest.fixture
def voted(arena: Arena) -> Arena:
    for vote, probability in zip(VOTES, (0.5, 0.2, 0.3, 0.3, 0.2, 0.5, 0.5), strict=True):
        add_votes(arena, vote, features={"probability": probability, "boards": ["code"], "style": STYLE})
    return arena


def lines(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("board", ["overall", "code", "style_control"])
@pytest.mark.parametrize("shape", ["jsonl", "csv"])
def test_the_exported_board_is_what_anybody_makes_of_the_exported_votes(
    shape: str, board: str, voted: Arena, command: Callable[..., bytes], tmp_path: Path, repo_root: Path
) -> None:
    file = tmp_path / "votes"
    file.write_bytes(command("export", "votes", "--delay-days", "0", "--format", shape))
    made = subprocess.run(
        [sys.executable, "-m", "web.ratings", str(file), "--board", board],
        capture_output=True,
        cwd=repo_root,
        check=True,
        timeout=60,
    )
    exported = command("export", "leaderboard", "--delay-days", "0", "--board", board)
    assert exported == made.stdout
    assert sum(row["votes"] for row in json.loads(exported)) == 2 * sum(counted for *_, counted in VOTES)


def test_the_exported_board_is_the_stored_one(
    voted: Arena, records: Records, client: FlaskClient, command: Callable[..., bytes]
) -> None:
    assert records.refresh_ratings() is True
    shown = client.get("/api/leaderboard").get_json()["models"]
    exported = json.loads(command("export", "leaderboard", "--delay-days", "0"))
    assert [(r["model"], r["rank"], r["rating"], r["votes"]) for r in shown] == [
        (r["model"], r["rank"], round(r["rating"], 1), r["votes"]) for r in exported
    ]


def test_votes_that_do_not_count_are_there_and_say_why(voted: Arena, command: Callable[..., bytes]) -> None:
    voted.db.write(lambda s: s.execute(update(Vote).where(Vote.counted.is_(False)).values(reasons=["flagged"])))
    rows = lines(command("export", "votes", "--delay-days", "0"))
    assert len(rows) == len(VOTES)
    assert [row["reasons"] for row in rows if not row["counted"]] == [["flagged"]]
    assert list(rows[0]) == list(exchange.COLUMNS)


def test_nothing_in_the_export_can_be_joined_to_a_session_or_a_battle(
    voted: Arena, command: Callable[..., bytes]
) -> None:
    output = command("export", "votes", "--delay-days", "0")
    hidden = voted.db.read(lambda s: [*s.scalars(select(Battle.id)), *s.scalars(select(Vote.created_at))])
    for secret in hidden:
        text = secret.isoformat(sep=" ")[:19] if isinstance(secret, datetime) else secret
        assert text.encode() not in output
        assert text.replace(" ", "T").encode() not in output
    assert len({row["voter"] for row in lines(output)}) == 1
    assert len({row["vote"] for row in lines(output)}) == len(VOTES)
    other = exchange.pseudonym(b"another salt", "voter", "o")
    assert other not in {row["voter"] for row in lines(output)}


def test_the_order_says_nothing_and_stays(voted: Arena, command: Callable[..., bytes]) -> None:
    before = [row["vote"] for row in lines(command("export", "votes", "--delay-days", "0"))]
    assert before == sorted(before)
    add_votes(voted, ("x", "y", "a", True))
    after = [row["vote"] for row in lines(command("export", "votes", "--delay-days", "0"))]
    assert [vote for vote in after if vote in before] == before


def test_votes_appear_after_the_delay_and_by_whole_days(voted: Arena, command: Callable[..., bytes]) -> None:
    assert command("export", "votes") == b""
    assert command("export", "leaderboard") == b"[]\n"
    old = datetime.now(UTC) - timedelta(days=9)
    voted.db.write(lambda s: s.execute(update(Vote).where(Vote.id == 1).values(created_at=old)))
    assert len(lines(command("export", "votes"))) == 1
    assert exchange.cutoff(datetime(2026, 3, 8, 23, 59, tzinfo=UTC), 7) == datetime(2026, 3, 1, tzinfo=UTC)


def test_csv_holds_the_same_as_json_lines(voted: Arena, command: Callable[..., bytes]) -> None:
    table = list(
        csv.DictReader(command("export", "votes", "--delay-days", "0", "--format", "csv").decode().splitlines())
    )
    rows = lines(command("export", "votes", "--delay-days", "0"))
    assert [(r["vote"], r["winner"], float(r["probability"]), r["boards"].split(), r["counted"]) for r in table] == [
        (r["vote"], r["winner"], r["probability"], r["boards"], str(r["counted"]).lower()) for r in rows
    ]
    assert json.loads(table[0]["style_a"]) == STYLE["a"]


def test_a_battle_is_exported_once_no_vote_can_come_any_more(voted: Arena, command: Callable[..., bytes]) -> None:
    def work(session: Any) -> None:
        for name, state, votable in (("open", "finished", True), ("failed", "failed", False), ("on", "running", False)):
            session.add(Battle(id=f"{name}-1", owner="o", state=state, votable=votable, model_a="x", model_b="y",
                               probability=0.5, policy_version="t"))  # fmt: skip
        session.execute(update(Battle).where(Battle.id.like("battle-%")).values(voted_at=datetime.now(UTC)))

    voted.db.write(work)
    rows = lines(command("export", "battles", "--delay-days", "0"))
    assert list(rows[0]) == list(exchange.BATTLE_COLUMNS)
    assert sorted((row["state"], row["voted"]) for row in rows) == [("failed", False)] + [("finished", True)] * 7
    votes = {row["vote"] for row in lines(command("export", "votes", "--delay-days", "0"))}
    assert votes == {row["battle"] for row in rows if row["voted"]}
    assert [row["battle"] for row in rows] == sorted(row["battle"] for row in rows)


def test_texts_come_only_when_asked_for_and_without_what_is_somebodys(
    voted: Arena, command: Callable[..., bytes]
) -> None:
    prompts = {"battle-0000": "Why is the sea salty?", "battle-0001": "Write to ada@example.org for me"}

    def work(session: Any) -> None:
        for battle, prompt in prompts.items():
            session.add(Turn(battle_id=battle, turn=1, prompt_chars=len(prompt), features=of_prompt(prompt)))
            session.flush()
            session.add(Words(battle_id=battle, turn=1, part="prompt", content=prompt))
            session.add(Words(battle_id=battle, turn=1, part="a", content="An answer"))

    voted.db.write(work)
    silent = command("export", "votes", "--delay-days", "0")
    assert b"salty" not in silent
    assert b"ada@" not in silent
    flags = [row["pii"] for row in lines(silent)]
    assert (flags.count(None), flags.count(True), flags.count(False)) == (5, 1, 1)
    said = [row["texts"] for row in lines(command("export", "votes", "--delay-days", "0", "--texts")) if row["texts"]]
    assert said == [[{"prompt": prompts["battle-0000"], "a": "An answer"}]]
    every = command("export", "battles", "--delay-days", "0", "--texts", "--with-pii", "--format", "csv")
    assert every.count(b"ada@example.org") == 1
    command("export", "votes", "--with-pii", code=1)


def test_parquet_holds_the_same_as_json_lines(voted: Arena, command: Callable[..., bytes]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(command("export", "votes", "--delay-days", "0", "--format", "parquet")))
    rows = lines(command("export", "votes", "--delay-days", "0"))
    for read, row in zip(table.to_pylist(), rows, strict=True):
        style = {name: json.loads(read[name]) for name in ("style_a", "style_b")}
        assert read | style == row


@pytest.mark.parametrize(
    ("arguments", "package", "said"),
    [
        (("export", "votes", "--format", "parquet"), "pyarrow", "pip install 'llm-arena[parquet]'"),
        (("export", "plots", "plots", "--format", "png"), "resvg_py", "pip install 'llm-arena[plots]'"),
    ],
)
def test_what_is_not_installed_is_said_in_one_line_with_the_fix(
    arguments: tuple[str, ...], package: str, said: str, app: Flask, voted: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = app.test_cli_runner().invoke(args=[*arguments, "--delay-days", "0"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert said in result.output


def test_plots_of_the_published_board_are_files(
    voted: Arena, records: Records, command: Callable[..., bytes], tmp_path: Path
) -> None:
    records.refresh_ratings()
    command("export", "plots", str(tmp_path / "p"), "--delay-days", "0")
    made = sorted(file.name for file in (tmp_path / "p").iterdir())
    assert made == ["counts.svg", "history.svg", "ratings.svg", "wins.svg"]
    for file in (tmp_path / "p").iterdir():
        assert ElementTree.fromstring(file.read_text()).tag.endswith("svg")
        assert "style=" not in file.read_text()


def test_a_plot_has_pixels_where_the_package_for_it_is(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    file, picture = tmp_path / "votes.csv", tmp_path / "board.png"
    file.write_text("model_a,model_b,winner\nx,y,model_a\ny,z,tie\n")
    assert main([str(file), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        main([str(file), "--plot", "board.gif"])


FASTCHAT = {
    "question_id": "q1", "model_a": "vicuna-13b", "model_b": "koala-13b", "winner": "tie (bothbad)",
    "judge": "arena_user_7", "turn": 2, "anony": True, "language": "German", "tstamp": 1682351591.1,
}  # fmt: skip
ASKED = {"role": "user", "content": "Write a poem about the sea"}
LMARENA = {
    "id": "e5", "model_a": "m-1", "model_b": "m-2", "winner": "both_bad", "evaluation_session_id": "s9",
    "timestamp": "2025-06-01T10:00:00", "is_code": True, "language": "en",
    "conversation_a": [ASKED, {"role": "assistant", "content": "**Sea**"}],
    "conversation_b": [ASKED, {"role": "assistant", "content": "# A\nb c"}],
}  # fmt: skip


def test_fastchats_rows_are_understood() -> None:
    vote = parse(FASTCHAT, 1)
    assert vote is not None
    assert (vote.winner, vote.voter, vote.turns) == ("both_bad", "arena_user_7", 2)
    assert vote.at == datetime.fromtimestamp(1682351591.1, UTC)
    assert vote.features == {"boards": ["language_de", "multi_turn"]}
    assert parse(FASTCHAT | {"anony": False}, 1) is None


def test_lmarenas_rows_are_understood_and_leave_only_features_of_texts() -> None:
    vote = parse(LMARENA, 1)
    assert vote is not None
    assert (vote.winner, vote.voter, vote.at) == ("both_bad", "s9", datetime(2025, 6, 1, 10, tzinfo=UTC))
    assert vote.features["boards"] == ["code", "language_en"]
    assert vote.features["style"]["a"] == {"tokens": 1, "headers": 0, "list_items": 0, "bold": 1}
    assert "sea" not in str(vote).lower()


def part(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text, "image": None, "mimeType": None}]


SIDE = {"h1": 1, "h2": 2, "h3": 0, "h4": 0, "h5": 0, "h6": 0}
PUBLISHED = {
    "id": "c4b9710c-8d64-4bee-a0b0-94637ae4cc65", "model_a": "claude-3-7-sonnet", "model_b": "gemini-2.5-pro",
    "winner": "model_b", "evaluation_session_id": "f0ccc2a5", "evaluation_order": 2,
    "conversation_a": [{"role": "user", "content": part("Write a limerick and mail it to jo@example.org")},
                       {"role": "assistant", "content": part("There once was a *lass*"), "num_tokens": 9}],
    "conversation_b": [{"role": "user", "content": part("Write a limerick and mail it to jo@example.org")},
                       {"role": "assistant", "content": part("No."), "num_tokens": 2}],
    "full_conversation": [{"user": {"role": "user", "content": part("hi")}}],
    "conv_metadata": {"sum_user_tokens": 9, "sum_assistant_a_tokens": 41, "sum_assistant_b_tokens": 7, "turns": 1,
                      "header_count_a": SIDE, "header_count_b": {}, "list_count_a": {"ordered": 1, "unordered": 4},
                      "list_count_b": {"ordered": 0, "unordered": 0}, "bold_count_a": {"**": 2, "__": 0},
                      "bold_count_b": {"**": 0, "__": 0}},
    "category_tag": {"math_v0.1": {"math": True}, "creative_writing_v0.1": {"creative_writing": True}},
    "language": "en", "is_code": False, "timestamp": 1748772000000,
}  # fmt: skip
"""In the form of LMArena's published 140k: parts in messages, its own counts, a moment as pandas writes it."""


def test_lmarenas_published_form_is_understood() -> None:
    vote = parse(PUBLISHED, 1)
    assert vote is not None
    assert (vote.winner, vote.voter, vote.at) == ("b", "f0ccc2a5", datetime(2025, 6, 1, 10, tzinfo=UTC))
    assert vote.features == {
        "boards": ["language_en", "math"],
        "pii": ["mail"],
        "style": {
            "a": {"tokens": 41, "headers": 3, "list_items": 5, "bold": 2},
            "b": {"tokens": 7, "headers": 0, "list_items": 0, "bold": 0},
        },
    }
    assert "limerick" not in str(vote)


def test_a_hundred_votes_of_both_forms_make_one_board(
    arena: Arena, records: Records, client: FlaskClient, command: Callable[..., bytes], tmp_path: Path
) -> None:
    theirs = [FASTCHAT | {"question_id": f"q{n}", "judge": f"arena_user_{n % 9}"} for n in range(50)]
    published = [PUBLISHED | {"id": f"id-{n}", "evaluation_session_id": f"s{n % 7}"} for n in range(50)]
    (tmp_path / "clean_battle.json").write_text(json.dumps(theirs))
    (tmp_path / "human-preference.jsonl").write_text("\n".join(map(json.dumps, published)))
    assert command("import", str(tmp_path / "clean_battle.json"), "--source", "lmsys").startswith(b"read 50, stored 50")
    said = command("import", str(tmp_path / "human-preference.jsonl"), "--source", "lmarena")
    assert said.startswith(b"read 50, stored 50")
    records.refresh_ratings()
    body = client.get("/api/leaderboard").get_json()
    assert (body["votes"], len(body["models"])) == (100, 4)
    assert {"language_en", "language_de", "math", "multi_turn"} <= set(body["categories"])
    assert all(row["retired"] for row in body["models"])
    rows = lines(command("export", "votes", "--delay-days", "0"))
    assert len({row["voter"] for row in rows}) == 9 + 7
    assert [row["pii"] for row in rows].count(True) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"winner": "none"}, "winner is 'none'"),
        ({"model_b": "vicuna-13b"}, "cannot meet itself"),
        ({"model_a": ""}, "model_a is ''"),
        ({"model_a": "x" * 65}, "more than 64"),
        ({"model_a": "a\x00b"}, "cannot be printed"),
        ({"tstamp": "yesterday"}, "neither seconds nor"),
        ({"tstamp": math.inf}, "neither seconds nor"),
    ],
)
def test_what_is_no_vote_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(FASTCHAT | change, 1)


def test_an_import_joins_the_board_once(
    arena: Arena, records: Records, client: FlaskClient, command: Callable[..., bytes], tmp_path: Path
) -> None:
    file = tmp_path / "clean_battle.json"
    file.write_text(json.dumps([FASTCHAT, FASTCHAT | {"question_id": "q2", "winner": "model_a"}, LMARENA,
                                FASTCHAT | {"anony": False}]))  # fmt: skip
    assert command("import", str(file), "--source", "lmsys", "--dry-run") == b"read 3, stored 0, not blind 1\n"
    assert command("import", str(file), "--source", "lmsys") == b"read 3, stored 3, not blind 1\n"
    assert command("import", str(file), "--source", "lmsys") == b"read 3, stored 0, not blind 1\n"
    assert records.refresh_ratings() is True
    rows = {row["model"]: row["votes"] for row in client.get("/api/leaderboard").get_json()["models"]}
    assert rows == {"vicuna-13b": 2, "koala-13b": 2, "m-1": 1, "m-2": 1}


def test_our_own_export_can_be_imported(voted: Arena, command: Callable[..., bytes], tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_bytes(command("export", "votes", "--delay-days", "0"))
    assert command("import", str(file), "--source", "mirror") == b"read 7, stored 7, not blind 0\n"
    assert voted.db.read(lambda s: len(s.scalars(select(Vote.id).where(Vote.counted.is_(False))).all())) == 2


def test_a_bad_row_stops_the_import_before_anything_is_stored(
    arena: Arena, command: Callable[..., bytes], tmp_path: Path
) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text(json.dumps(FASTCHAT) + "\n{}\n")
    command("import", str(file), "--source", "x", code=1)
    assert arena.db.read(lambda s: s.scalars(select(Vote.id)).all()) == []
