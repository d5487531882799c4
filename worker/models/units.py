"""Sizes in memory as people write them in a catalog: binary units, so that what is printed can be pasted."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB")
MIB = 2**20


def exact(amount: int) -> str:
    """``402653184`` as ``384MiB``: what a catalog reads back as the very same number."""
    power = next(p for p in (3, 2, 1, 0) if amount % 1024**p == 0)
    return f"{amount // 1024**power}{_UNITS[power]}"


def spoken(amount: int) -> str:
    """``402653184`` as ``384 MiB``, ``5740000000`` as ``5.3 GiB``: for tables and sentences."""
    power = next((p for p in (3, 2, 1) if amount >= 1024**p), 0)
    value = amount / 1024**power
    return f"{value:.1f} {_UNITS[power]}" if value < 100 and value != int(value) else f"{value:.0f} {_UNITS[power]}"


def gib(amount: int) -> str:
    """``5740000000`` as ``5.35 GiB``: for sums that are to be followed."""
    return f"{amount / 2**30:.2f} GiB"


def mib(amount: int) -> str:
    """For two sums that :func:`gib` would not tell apart."""
    return f"{-(-amount // MIB)} MiB"


def round_down(amount: int) -> int:
    """To a size a person would write: a multiple of 64 MiB, of 1 MiB below that."""
    step = 64 * MIB if amount >= 256 * MIB else MIB
    return amount // step * step


def round_up(amount: int) -> int:
    """To whole MiB."""
    return -(-amount // MIB) * MIB
