from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.ratings import llmfao
from web.ratings.__main__ import main
from web.ratings.bradley_terry import SCALE

JSONL = "".join(
    json.dumps({"model_a": a, "model_b": b, "winner": w}) + "\n"
    for a, b, w in [
        ("x", "y", "model_a"), ("y", "x", "model_b"), ("x", "y", "tie"), ("x", "y", "tie (bothbad)"),
        ("y", "z", "model_a"), ("z", "y", "model_a"), ("z", "x", "model_a"),
    ]
)  # fmt: skip


def ranked(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> list[dict]:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capfdbinary.readouterr().out)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "votes.jsonl"
    path.write_text(JSONL)
    return path


def test_a_row_says_what_it_promises(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = ranked(capfdbinary, str(file))
    assert [list(row) for row in rows] == [["model", "rank", "rating", "low", "high", "votes"]] * 3
    assert [(row["model"], row["votes"]) for row in rows] == [("z", 3), ("x", 5), ("y", 6)]
    assert all(row["low"] < row["rating"] < row["high"] for row in rows)
    assert sum(row["rating"] for row in rows) == pytest.approx(3000)


def test_all_three_formats_and_any_order_give_the_same_bytes(
    file: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = [json.loads(line) for line in JSONL.splitlines()]
    array = tmp_path / "votes.json"
    array.write_text(json.dumps(rows[::-1], indent=1))
    table = tmp_path / "votes.csv"
    table.write_text("id,left,right,winner\n" + "".join(
        f'{n},{r["model_a"]},{r["model_b"]},{r["winner"].replace("model_a", "left")}\n' for n, r in enumerate(rows)
    ))  # fmt: skip
    outputs = set()
    for path in (file, array, table):
        assert main([str(path), "--json"]) == 0
        outputs.add(capfdbinary.readouterr().out)
    assert len(outputs) == 1


def test_a_table_for_people_marks_the_preliminary(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([str(file), "--table", "--min-votes", "4"]) == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert [line.endswith("*") for line in lines[1:4]] == [True, False, False]
    assert lines[-1] == "* preliminary: fewer than 4 votes"


def test_votes_that_do_not_count_are_left_out(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "votes.csv"
    file.write_text(
        "model_a,model_b,winner,counted,boards\nx,y,tie,true,code math\nx,y,tie,false,code\nx,z,tie,1,math\n"
    )
    assert [r["votes"] for r in ranked(capfdbinary, str(file))] == [2, 1, 1]
    assert [r["model"] for r in ranked(capfdbinary, str(file), "--board", "code")] == ["x", "y"]


def test_both_bad_may_be_dropped(file: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert {r["model"]: r["votes"] for r in ranked(capfdbinary, str(file), "--both-bad", "drop")}["y"] == 5


def test_no_votes_are_an_empty_board(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    assert ranked(capfdbinary, str(empty)) == []


GOOD = '{"model_a": "x", "model_b": "y", "winner": "tie"}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + '{"model_a": "x", "model_b": "y", "winner": "both"}\n', "line 2: winner is 'both', not model_a,"),
        (GOOD + GOOD + '{"model_a": "x", "winner": "tie"}\n', "line 3: model_b is missing"),
        (GOOD + '{"model_a": "x", "model_b": 7, "winner": "tie"}\n', "line 2: model_b is 7, not a name"),
        (GOOD + '{"model_a": "x", "model_b": "x", "winner": "tie"}\n', "line 2: a model cannot meet itself"),
        ("\n" + GOOD + "{\n", "line 3: not a JSON object"),
        (GOOD + "[]\n", "line 2: not a JSON object"),
        (GOOD + '{"a":' * 100_000 + "\n", "line 2: not a JSON object"),
        ('[{"model_a": "x", "model_b": "y"}]', "line 1: winner is missing"),
        ("[1, 2]", "not a JSON array of objects"),
        ("model_a,model_b,winner\nx,y,tie\nx,y\n", "line 3: 3 columns expected"),
        ('model_a,model_b,winner,text\nx,y,tie,"a\nb"\nx,y,won,c\n', "line 4: winner is 'won'"),
        ("some,other,table\n1,2,3\n", "line 2: model_a is missing"),
        ('model_a,model_b,winner\nx,y,"ti', "not CSV"),
        ("model_a,model_b,winner,probability\nx,y,tie,1.5\n", "line 2: probability is '1.5'"),
        (GOOD.replace("tie", "\\ud800"), "line 1:"),
        ("model_a,model_b,winner\nx,\udcff,tie\n", "line 2: not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_not_votes_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "votes"
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert main([str(file), "--json"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_what_has_no_estimate_without_a_prior_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text(GOOD.replace("tie", "model_a"))
    assert main([str(file), "--prior", "0"]) == 2
    assert "never won, or never lost" in capfd.readouterr().err


@pytest.mark.parametrize("path", ["nowhere.jsonl", "."])
def test_what_is_no_file_is_refused(path: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / path)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("prior", ["-1", "nan", "inf", "much"])
def test_a_prior_is_a_number_of_at_least_zero(prior: str, file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(file), f"--prior={prior}"])
    assert stopped.value.code == 2
    assert "--prior" in capfd.readouterr().err


def test_weights_by_propensity_need_probabilities(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([str(file), "--weights", "propensity"]) == 2
    assert "probability" in capfd.readouterr().err


def test_the_module_runs_as_a_program_and_reads_standard_input(repo_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "web.ratings", "-", "--json"],
        input=JSONL.encode(), capture_output=True, cwd=repo_root, check=True, timeout=60,
    )  # fmt: skip
    assert len(json.loads(done.stdout)) == 3
    assert done.stderr == b""


def test_thousands_of_real_votes_give_the_published_scores(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = ranked(capfdbinary, str(llmfao.votes()), "--prior", "0")
    golden = llmfao.golden()
    scores = {row["model"]: math.exp(row["rating"] / SCALE) for row in rows}
    total = sum(scores.values())
    assert {model: score / total for model, score in scores.items()} == pytest.approx(golden, rel=1e-6)
    assert sum(row["votes"] for row in rows) == 2 * 8931
