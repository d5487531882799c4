"""What the runbook tells people to type exists: modules and their subcommands and options, units, control commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from ops.aws.command import parser as aws_parser
from ops.aws.prices import Prices
from ops.install.command import parser as install_parser
from ops.install.units import TEMPLATES
from tests.processes import ROOT
from worker.models.cli import parser as models_parser

TEXT = (ROOT / "ops/runbook.md").read_text()
QUOTED = [" ".join(q.split()) for q in re.findall(r"(?<!`)`([^`]+)`(?!`)", TEXT)]
MODULES = sorted({m for q in QUOTED for m in re.findall(r"python -m ((?:ops|worker)[\w.]+(?: [a-z]+)?)", q)})
CONTROLS = sorted({tuple(m) for q in QUOTED for m in re.findall(r"\b(control|inspect) ([a-z_]+)", q)})
OTHERS = {"postgresql"}
COMMAND_LINES = {
    program: [
        shlex.split(line.split(program, 1)[1].split("#")[0])
        for line in [*TEXT.splitlines(), *QUOTED]
        if re.fullmatch(rf"(sudo )?{re.escape(program)} [^|]+", line) and "..." not in line
    ]
    for program in ("./ops/up --production", "python -m ops.aws", "python -m worker.models")
}
"""What follows the program, of every line that is one command."""


def test_the_runbook_is_read() -> None:
    assert len(MODULES) >= 6
    assert len(CONTROLS) >= 7


@pytest.mark.parametrize("named", MODULES)
def test_every_module_and_its_subcommand_answer_for_help_with_the_options_named(named: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *named.split(), "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    options = {
        o for q in QUOTED if named in q for o in re.findall(r"(?<= )--[a-z-]+", q.split(named, 1)[1].split(";")[0])
    }
    assert [o for o in options if o not in done.stdout] == []


def test_every_option_of_the_installer_is_one() -> None:
    done = subprocess.run(["./ops/up", "--production", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installing = TEXT.split("## Installing")[1].split("| where | what |")[0]
    named = set(re.findall(r"--[a-z][a-z-]+", installing)) - {"--production", "--help"}
    assert len(named) >= 8
    assert [o for o in named if o not in done.stdout] == []


def test_every_command_line_of_the_installer_and_of_aws_is_understood() -> None:
    installing, cloud = COMMAND_LINES["./ops/up --production"], COMMAND_LINES["python -m ops.aws"]
    assert (len(installing) >= 5, len(cloud) >= 2) == (True, True)
    for words in installing:
        said = install_parser().parse_args(words)
        assert said.domain or said.worker_only, words
    for words in cloud:
        aws_parser().parse_args(words)


def test_every_command_line_about_models_is_understood() -> None:
    found = COMMAND_LINES["python -m worker.models"]
    assert {words[0] for words in found} == {"fetch", "mirror", "list", "verify", "prune", "plan"}
    for words in found:
        models_parser().parse_args(words)


def test_the_prices_are_those_of_the_file() -> None:
    prices = Prices.load()
    rows = re.findall(r"^\| (\w+\.\w+) \| (\d) x \w+ \| \$([\d.]+) \| \$(\d+) \| \$(\d+) \|$", TEXT, re.MULTILINE)
    assert {row[0] for row in rows} == set(prices.types)
    for name, gpus, hour, half, month in rows:
        bill = prices.bill(name, 100, balanced=False)
        assert (int(gpus), hour) == (prices.shape(name).gpus, f"{bill.hour:.3f}")
        assert (half, month) == (f"{bill.half:.0f}", f"{bill.month:.0f}")
    also = prices.bill("g4dn.xlarge", 100, balanced=True).month - prices.bill("g4dn.xlarge", 100, balanced=False).month
    assert f"a balancer adds ${also:.0f} a month" in TEXT


def test_the_planner_says_of_the_notes_three_models_what_the_runbook_says() -> None:
    [words] = [q for q in QUOTED if "seed_notes.toml" in q]
    done = subprocess.run(
        [sys.executable, *shlex.split(words)[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert all(figure in said for figure in ("17.09", "15.60", "16.01", "0 of 3 pairs fit")), said


def test_every_unit_is_one() -> None:
    named = {
        u
        for q in QUOTED
        for u in re.findall(r"\b(?:arena-[a-z]+|vllm-arena|arena)\.(?:service|socket|timer|target)", q)
    }
    named |= {f"{u}.service" for q in QUOTED for u in re.findall(r"(?<!sudo )-u (arena-[a-z]+|vllm-arena)", q)}
    for line in (q for q in QUOTED if "systemctl" in q):
        asked = " ".join(part for part in line.split(";") if "systemctl" in part)
        named |= {f"{word}.service" for word in re.findall(r"\b(?:arena-[a-z]+|vllm-arena)\b(?!\.)", asked)}
    assert len(named) >= 5
    assert [n for n in named if not (TEMPLATES / n).exists()] == []


def test_every_command_to_workers_is_one() -> None:
    code = (
        "import worker.celery\nfrom celery.worker.control import Panel\n"
        "worker.celery.app.loader.import_default_modules()\nprint(*Panel.meta)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = set(done.stdout.split())
    assert [name for _, name in CONTROLS if name not in known] == []
