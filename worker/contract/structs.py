"""Making wire types known to msgspec before there are threads.

msgspec learns a type's fields when it first meets it, and while it asks Python about them another thread may see the
half-made answer: two threads that meet a type first at the same moment end the process with a segmentation fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec


def know_all() -> None:
    """Every type that has been imported; to be called once, from a process's main thread, before it starts others."""
    for kind in _below(msgspec.Struct):
        with contextlib.suppress(TypeError, ValueError, NameError):  # bases that are never on the wire by themselves
            msgspec.json.Decoder(kind)


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    below: list[type[Any]] = kind.__subclasses__()
    for each in below:
        yield each
        yield from _below(each)
