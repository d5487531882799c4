"""The leaderboard and the models' pages, read without a script."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import update

from tests.web.helpers import MODELS
from web.context import Arena
from web.models import ModelState, RatingSnapshot, Vote
from web.records.service import Records

SWIFT, SAGE, BARD, CODER = MODELS


@pytest.fixture
def board(votes: Callable[..., None]) -> None:
    votes(*[(SWIFT, SAGE, "a")] * 30, *[(SAGE, SWIFT, "tie")] * 3, (SWIFT, BARD, "both_bad"), (BARD, SAGE, "b"))
    votes((SAGE, SWIFT, "a"))


def read(client: FlaskClient, path: str) -> BeautifulSoup:
    answer = client.get(path)
    assert answer.status_code == 200
    assert " style=" not in answer.text
    assert "<script>" not in answer.text
    return BeautifulSoup(answer.text, "html.parser")


def rows(page: BeautifulSoup) -> list[str]:
    return [a["href"].rpartition("/")[2] for a in page.select("table.board tbody th a")]  # type: ignore[union-attr]


def test_the_board_has_a_row_per_model_with_its_interval_in_a_picture_and_in_words(
    client: FlaskClient, built: Path, board: None
) -> None:
    page = read(client, "/leaderboard")
    api = client.get("/api/leaderboard").get_json()
    assert rows(page) == [row["model"] for row in api["models"]] == [SWIFT, SAGE, BARD]
    for shown, row in zip(page.select("table.board tbody tr"), api["models"], strict=True):
        picture = shown.select_one("svg[role=img]")
        assert picture is not None
        assert picture["aria-label"] == f"between {row['lower']:.0f} and {row['upper']:.0f}"
        assert f"{row['rating']:.0f}" in shown.get_text()
        assert ("preliminary" in shown.get_text()) == row["preliminary"]
    assert page.select_one("table.board caption time")["datetime"] == api["updated_at"]  # type: ignore[index]


@pytest.mark.parametrize("sort", ["name", "rating", "votes", "win_rate", "nonsense"])
def test_the_order_is_a_link_and_says_itself(client: FlaskClient, built: Path, board: None, sort: str) -> None:
    page = read(client, f"/leaderboard?sort={sort}")
    models = client.get("/api/leaderboard").get_json()["models"]
    if sort == "name":
        expected = sorted(models, key=lambda m: m["name"].casefold())
    elif sort == "nonsense":
        expected = models
    else:
        expected = sorted(models, key=lambda m: (-m[sort], m["rank"]))
    assert rows(page) == [m["model"] for m in expected]
    [head] = page.select("thead [aria-sort]")
    assert head["aria-sort"] == ("ascending" if sort in ("name", "nonsense") else "descending")
    assert "/leaderboard?sort=votes" in {a["href"] for a in page.select("table.board thead a")}


def test_categories_are_links_and_an_unknown_one_is_a_readable_404(
    client: FlaskClient, built: Path, board: None, arena: Arena
) -> None:
    def add(session: object) -> None:
        session.add(RatingSnapshot(board="code", votes=1, newest_vote=1, method="t"))  # type: ignore[attr-defined]

    arena.db.write(add)
    page = read(client, "/leaderboard?sort=votes")
    assert [a["href"] for a in page.select(".chips a")] == [
        "/leaderboard?sort=votes",
        "/leaderboard?category=code&sort=votes",
    ]
    assert page.select_one(".chips [aria-current=page]").text == "All votes"  # type: ignore[union-attr]
    answer = client.get("/leaderboard?category=poems", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is no such category" in answer.text


def test_who_beats_whom_is_a_picture_and_a_table_that_agree(client: FlaskClient, built: Path, board: None) -> None:
    page = read(client, "/leaderboard")
    shares, counts = page.select("svg.heatmap")
    tips = [t.text for t in shares.select("g > title")]
    api = client.get("/api/leaderboard/pairs").get_json()["pairs"]
    assert len(tips) == 2 * len(api) == len(counts.select("g > title"))
    table = page.select("table.matrix")[0]
    cells = {td.get_text(" ", strip=True) for td in table.select("td")} - {"–", ""}
    assert {f"{pair['rate_a']:.0%} {pair['games']}" for pair in api} <= cells


def test_the_figures_of_honesty_are_told_in_words(
    client: FlaskClient, built: Path, board: None, arena: Arena, records: Records
) -> None:
    arena.db.write(
        lambda s: s.execute(update(Vote).where(Vote.winner == "both_bad").values(counted=False, reasons=["leak"]))
    )
    records.refresh_ratings()
    told = " ".join(read(client, "/leaderboard").select_one("dl.honesty").get_text(" ").split())  # type: ignore[union-attr]
    honesty = client.get("/api/leaderboard").get_json()["honesty"]
    assert f"{honesty['flip']['votes']} votes" in told
    assert f"{honesty['coverage']['met']} of {honesty['coverage']['possible']}" in told
    assert f"{honesty['position']['share']:.1%}" in told
    assert "1 an answer told who wrote it" in told


def test_a_first_place_that_nothing_was_found_to_overthrow_says_so_and_no_number(
    client: FlaskClient, built: Path, votes: Callable[..., None]
) -> None:
    votes(*[(SWIFT, SAGE, "a")] * 5)
    told = read(client, "/leaderboard").select_one("dl.honesty dd").get_text(" ")  # type: ignore[union-attr]
    assert not client.get("/api/leaderboard").get_json()["honesty"]["flip"]["confirmed"]
    assert told.startswith("None found")
    assert not re.search(r"\d", told.replace("(stand-in)", ""))


def test_the_history_appears_with_the_second_snapshot(client: FlaskClient, built: Path, board: None) -> None:
    page = read(client, "/leaderboard")
    names = [row["name"] for row in client.get("/api/leaderboard").get_json()["models"]]
    table = page.select("table.matrix")[1]
    assert [th.text for th in table.select("thead th")][1:-1] == names
    assert len(table.select("tbody tr")) == 2
    firm = [t.text for t in page.select("svg.history g > title")]
    assert firm == names[:2], "one with two votes jumps about, and would leave the others no room"


def test_while_no_model_has_many_votes_the_history_shows_them_all(
    client: FlaskClient, built: Path, votes: Callable[..., None]
) -> None:
    votes((SWIFT, SAGE, "a"))
    assert "of the 1 vote with a winner went to A" in read(client, "/leaderboard").get_text()
    votes((BARD, SAGE, "b"))
    assert len(read(client, "/leaderboard").select("svg.history g > title")) == 3


def test_what_can_be_downloaded_is_there(client: FlaskClient, built: Path, board: None) -> None:
    links = [str(a["href"]) for a in read(client, "/leaderboard").select(".downloads a")]
    assert len(links) == 2
    for link in links:
        assert SWIFT in client.get(link).text


def test_a_models_page_tells_its_record_and_leads_to_those_it_met(
    client: FlaskClient, built: Path, board: None
) -> None:
    page = read(client, f"/models/{SWIFT}")
    api = client.get(f"/api/models/{SWIFT}").get_json()
    text = " ".join(page.main.get_text(" ").split())  # type: ignore[union-attr]
    record = api["record"]
    assert f"Of {record['games']} battles it won {record['won']} and lost {record['lost']}" in text
    assert rows(page) == [opponent["model"] for opponent in api["opponents"]]
    assert "It takes part in battles now." in text
    assert api["licence"] in text
    assert len(page.select("svg.whiskers .row")) == len(api["standings"])


def test_a_model_nobody_voted_on_has_its_facts_and_an_unknown_one_is_a_404(
    client: FlaskClient, built: Path, board: None
) -> None:
    assert "No vote on it has been counted yet." in read(client, f"/models/{CODER}").get_text()
    assert client.get("/models/nobody", headers={"Accept": "text/html"}).status_code == 404


def test_a_model_that_is_out_for_now_says_so(client: FlaskClient, built: Path, arena: Arena) -> None:
    arena.db.write(lambda s: s.add(ModelState(model=BARD, enabled=False)))
    assert "No battles are drawn with it at the moment." in read(client, f"/models/{BARD}").get_text()


def test_a_retired_model_keeps_its_page_and_its_row(
    client: FlaskClient, built: Path, votes: Callable[..., None], arena: Arena
) -> None:
    votes(("model-of-old", SWIFT, "a"), ("model-of-old", SAGE, "a"))
    page = read(client, "/models/model-of-old")
    assert "retired" in page.h1.get_text()  # type: ignore[union-attr]
    assert "its votes stay" in page.get_text()
    first = read(client, "/leaderboard").select("table.board tbody tr")[0]
    assert "retired" in first.get_text()
