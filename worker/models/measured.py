"""What engines were measured to hold and to take, kept beside the models in ``measured.json``.

A measurement counts only for the same weights set up the same way on the same kind of device: anything else that
matters is in its fingerprint. Losing the file costs nothing but the next few estimates.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from worker.contract.catalog import ModelSpec
from worker.memory import Bytes
from worker.models.sources import content_of
from worker.models.store import own_path, sources_of

log = logging.getLogger(__name__)

FILE = "measured.json"
_NEWEST = 0.3
"""Weight of the newest duration in its running average."""
_KEPT = 8
"""Set-ups remembered per model; the oldest goes."""


class Measurement(msgspec.Struct, frozen=True):
    """One engine in one set-up. Seconds are running averages; None: not measured yet."""

    resident: Bytes | None = None
    l1: Bytes | None = None
    l2: Bytes | None = None
    load_s: float | None = None
    unload_s: float | None = None
    sleep_s: float | None = None
    wake_s: float | None = None


class _File(msgspec.Struct):
    models: dict[str, dict[str, Measurement]] = {}


class Measured:
    """The measurements of one kind of ``device`` (``cpu``, or a GPU's name) in one models directory."""

    def __init__(self, file: Path, device: str, found: dict[str, dict[str, Measurement]]) -> None:
        self._file = file
        self._device = device
        self._found = found

    @classmethod
    def load(cls, models_dir: Path, device: str = "cpu") -> Measured:
        """Never raises: a file that is absent, damaged or of another form holds nothing."""
        file = models_dir / FILE
        return cls(file, device, _read(file))

    def get(self, spec: ModelSpec, kv_bytes: int, adapters: Sequence[str] = ()) -> Measurement | None:
        """What this engine was measured to take when it was last set up like this."""
        return self._found.get(spec.id, {}).get(self._fingerprint(spec, kv_bytes, adapters))

    def put(
        self,
        spec: ModelSpec,
        kv_bytes: int,
        adapters: Sequence[str] = (),
        *,
        resident: Bytes | None = None,
        l1: Bytes | None = None,
        l2: Bytes | None = None,
        load_s: float | None = None,
        unload_s: float | None = None,
        sleep_s: float | None = None,
        wake_s: float | None = None,
    ) -> Measurement:
        """Remember what was measured: bytes replace the last ones, seconds are averaged. Writes a few kilobytes.

        A file that cannot be written is logged; the measurement still holds in this process.
        """
        print_ = self._fingerprint(spec, kv_bytes, adapters)
        before = self.get(spec, kv_bytes, adapters) or Measurement()
        now = Measurement(
            resident or before.resident,
            l1 or before.l1,
            l2 or before.l2,
            _average(before.load_s, load_s),
            _average(before.unload_s, unload_s),
            _average(before.sleep_s, sleep_s),
            _average(before.wake_s, wake_s),
        )
        theirs = _read(self._file)  # another worker may have written meanwhile
        self._found = {m: {**theirs.get(m, {}), **self._found.get(m, {})} for m in {**theirs, **self._found}}
        others = {k: v for k, v in self._found.get(spec.id, {}).items() if k != print_}
        self._found[spec.id] = dict([*others.items(), (print_, now)][-_KEPT:])
        self._write()
        return now

    def _fingerprint(self, spec: ModelSpec, kv_bytes: int, adapters: Sequence[str]) -> str:
        matters: list[Any] = [
            own_path(spec) or sorted({content_of(s) for s in sources_of(spec)}),
            [spec.format, spec.dtype, spec.quantization, spec.tensor_parallel],
            [kv_bytes, spec.max_model_len, spec.max_num_seqs],
            sorted(adapters),
            self._device,
        ]
        return hashlib.sha256(json.dumps(matters).encode()).hexdigest()[:16]

    def _write(self) -> None:
        scratch = self._file.with_name(f".{FILE}-{os.getpid()}")
        try:
            scratch.write_bytes(msgspec.json.format(msgspec.json.encode(_File(self._found)), indent=1))
            scratch.replace(self._file)  # readers see the old file or the new one, never half of one
        except OSError as error:
            log.warning("%s cannot be written (%s); measured sizes last until the worker ends", self._file, error)


def _read(file: Path) -> dict[str, dict[str, Measurement]]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_File).models
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError):
        log.warning("%s is damaged; its measurements are taken anew", file)
        return {}


def _average(before: float | None, now: float | None) -> float | None:
    if now is None or before is None:
        return before if now is None else now
    return before + _NEWEST * (now - before)
