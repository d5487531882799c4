"""The environment is filled from the locks, not touched when nothing changed, and pip's failures become advice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.setup import pip, venv
from ops.setup.console import SetupError


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "base.txt").write_text('# note\none==1.0\nTwo.x==2.0 ; python_full_version < "3.11.3"\n')
    (folder / "cpu.txt").write_text('torch==2.13.0+cpu\nfast==3.0 ; platform_machine == "x86_64"\n')
    for name in ("gpu", "test"):
        (folder / f"{name}.txt").write_text("absent==9.9\n")
    monkeypatch.setattr(venv, "LOCKS", folder)
    return folder


@pytest.fixture
def made(tmp_path: Path, locks: Path) -> venv.Venv:
    """Looks like an environment that holds `one`, as far as anybody who does not run it can tell."""
    target = venv.Venv(tmp_path / ".venv")
    site = target.path / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (target.path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    _add(target, "one", "1.0")
    return target


def _add(target: venv.Venv, name: str, version: str) -> None:
    info = next(target.path.glob("lib/python3*/site-packages")) / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, made: venv.Venv) -> list[list[str]]:
    """Arguments of every pip call; what pip would install is then there."""
    said: list[list[str]] = []

    def install(_python: Path, arguments: list[str], **_: object) -> None:
        said.append(arguments)
        for pin in arguments:
            name, _equals, version = pin.replace("===", "==").partition("==")
            if version:
                _add(made, name, version)

    monkeypatch.setattr(pip, "install", install)
    monkeypatch.setattr(venv, "_works", lambda _: True)
    return said


def test_markers_choose_by_python_and_processor(locks: Path) -> None:
    assert [str(p) for p in venv.read_lock("base", "3.11.2")] == ["one==1.0", "Two.x==2.0"]
    assert [str(p) for p in venv.read_lock("base", "3.12.0")] == ["one==1.0"]
    assert [str(p) for p in venv.read_lock("cpu", "3.12.0", "aarch64")] == ["torch===2.13.0+cpu"]


def test_only_what_is_missing_goes_to_pip(
    made: venv.Venv, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venv.platform, "machine", lambda: "x86_64")
    venv.ensure(made, ("base", "cpu"))
    assert calls[:-1] == [["torch===2.13.0+cpu"], ["fast==3.0"]]
    assert "--editable" in calls[-1]


def test_a_second_time_nothing_is_done(made: venv.Venv, calls: list[list[str]]) -> None:
    venv.ensure(made, ("base", "cpu"))
    calls.clear()
    venv.ensure(made, ("base", "cpu"))
    venv.ensure(made, ("base",))
    assert calls == []


def test_a_changed_lock_is_installed(made: venv.Venv, calls: list[list[str]], locks: Path) -> None:
    venv.ensure(made, ("base",))
    calls.clear()
    (locks / "base.txt").write_text("one==1.0\nnew==1.0\n")
    venv.ensure(made, ("base",))
    assert calls[0] == ["new==1.0"]


@pytest.mark.parametrize("stamp", ["", "[]", '{"place": 1}', json.dumps({"place": {}, "digests": {}})])
def test_a_broken_stamp_only_costs_time(made: venv.Venv, calls: list[list[str]], stamp: str) -> None:
    made.stamp.write_text(stamp)
    venv.ensure(made, ("base",))
    assert venv.satisfied(made, ("base",))


def test_torch_falls_back_to_pytorchs_index(made: venv.Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []

    def install(_python: Path, arguments: list[str], **_: object) -> None:
        said.append(arguments)
        if arguments == ["torch===2.13.0+cpu"]:
            raise pip.NotFoundError("no torch")

    monkeypatch.setattr(pip, "install", install)
    monkeypatch.setattr(venv, "_works", lambda _: True)
    venv.ensure(made, ("cpu",))
    assert said[1] == ["torch===2.13.0+cpu", "--index-url", "https://download.pytorch.org/whl/cpu"]


@pytest.mark.parametrize(
    ("output", "kind", "said"),
    [
        (
            "WARNING: Retrying ... NewConnectionError('refused')\nERROR: No matching distribution found for celery==5",
            SetupError,
            "could not be downloaded",
        ),
        ("ERROR: No matching distribution found for torch===2.13.0+cpu", pip.NotFoundError, "no torch===2.13.0+cpu"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", SetupError, "full"),
        ("ERROR: something else", SetupError, "something else"),
    ],
)
def test_pips_failures_say_what_to_do(output: str, kind: type[SetupError], said: str) -> None:
    error = pip.explained(output)
    assert type(error) is kind
    assert said in error.what
    assert error.fix


def test_no_network_is_told_from_the_real_pip(tmp_path: Path) -> None:
    import sys

    arguments = ["--index-url", "http://127.0.0.1:9/simple", "--retries", "1", "--isolated", "llm-arena-nothing==1"]
    with pytest.raises(SetupError, match="could not be downloaded") as caught:
        pip.install(Path(sys.executable), arguments)
    assert "Check the network" in caught.value.fix


def test_a_link_to_an_environment_of_another_place_is_refused_and_what_it_names_kept(
    tmp_path: Path, locks: Path
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    ours = venv.Venv(tmp_path / ".venv")
    ours.path.symlink_to(theirs)
    with pytest.raises(SetupError, match="is a link to"):
        venv.ensure(ours, ["base"])
    assert (theirs / "pyvenv.cfg").exists()
