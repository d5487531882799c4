"""The browser's types of the wire protocol are those of the Python source."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from ops import protocol
from worker.contract import events


def test_the_generated_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert protocol.main(["--check"]) == 0, capsys.readouterr().err


def test_every_message_has_its_interface_with_its_tag() -> None:
    text = protocol.generate()
    for union in (events.StoredEvent, events.SocketMessage, events.ClientMessage):
        for message in get_args(union):
            assert f'export interface {message.__name__} {{\n  type: "{message.__struct_config__.tag}";' in text


def test_a_field_left_out_on_the_wire_is_optional_and_one_always_sent_is_not() -> None:
    text = protocol.generate()
    assert "  eta_s?: number | null;" in text
    assert "  completion_tokens: number | null;" in text


def test_an_unknown_kind_of_type_is_refused() -> None:
    class Odd(msgspec.Struct):
        when: dict[str, int]

    with pytest.raises(TypeError, match="no TypeScript"):
        protocol._struct(Odd)


def test_an_outdated_file_is_reported_and_rewritten(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "protocol.gen.ts"
    target.write_text("old")
    monkeypatch.setattr(protocol, "TARGET", target)
    assert protocol.main(["--check"]) == 1
    assert "python -m ops.protocol" in capsys.readouterr().err
    assert protocol.main([]) == 0
    assert target.read_text() == protocol.generate()
