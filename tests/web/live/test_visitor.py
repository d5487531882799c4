from __future__ import annotations

import pytest

from web.live.visitor import Caps, Visitor


def test_a_session_has_so_many_wherever_it_comes_from() -> None:
    caps = Caps(per_session=2, per_address=100)
    assert [caps.enter(Visitor("me", f"192.0.2.{n}")) for n in range(3)] == [None, None, "session"]
    assert caps.enter(Visitor("you", "192.0.2.1")) is None


def test_an_address_has_so_many_whoever_it_is() -> None:
    caps = Caps(per_session=100, per_address=2)
    visitors = [Visitor(None, "192.0.2.1"), Visitor("me", "192.0.2.1"), Visitor("you", "192.0.2.1")]
    assert [caps.enter(v) for v in visitors] == [None, None, "address"]


def test_who_leaves_makes_room_and_nothing_is_kept_of_them() -> None:
    caps = Caps(per_session=1, per_address=1)
    me = Visitor("me", "192.0.2.1")
    for _ in range(3):
        assert caps.enter(me) is None
        assert caps.enter(me) == "session"
        caps.leave(me)
    assert not caps._held


def test_a_refusal_counts_nothing() -> None:
    caps = Caps(per_session=5, per_address=1)
    caps.enter(Visitor("me", "192.0.2.1"))
    for _ in range(10):
        assert caps.enter(Visitor("me", "192.0.2.1")) == "address"
    assert caps.enter(Visitor("me", "192.0.2.2")) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_a_household_is_one_address(one: str, other: str, same: bool) -> None:
    caps = Caps(per_session=5, per_address=1)
    caps.enter(Visitor(None, one))
    assert (caps.enter(Visitor(None, other)) == "address") is same
