"""Where things lie: private folders, and sockets whose paths the kernel accepts however deep the data folder is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ops.setup.console import SetupError
from ops.setup.layout import ROOT, Layout, layout_of


def test_sockets_lie_in_a_short_data_folder() -> None:
    layout = Layout(Path("/srv/arena"))
    assert layout.sockets == Path("/srv/arena/run")


@pytest.mark.parametrize("name", ["deep/" * 30 + "data", "with space", "per%cent", "ünïcode"])
def test_sockets_of_long_or_odd_paths_lie_elsewhere_and_can_be_bound(name: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / name)
    layout.create()
    try:
        assert layout.sockets != layout.run
        assert layout.sockets.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(f"{layout.supervisor_socket}.4194304")
    finally:
        layout.ended()
        assert not layout.sockets.exists()


def test_two_data_folders_never_share_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("deep/" * 30)
    assert Layout(deep / "a").sockets != Layout(deep / "b").sockets


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be used: Not a directory"):
        Layout(tmp_path / "file" / "data").create()


def test_data_is_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    layout.create()
    assert layout.data.stat().st_mode & 0o777 == 0o700


def test_the_default_lies_in_the_checkout_and_a_relative_one_where_the_caller_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert layout_of(None).data == ROOT / "data"
    assert layout_of("mine").data == (tmp_path / "mine").resolve()
