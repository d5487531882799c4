"""``python -m ops.doctor [--root DIR] [--json]``. Exit status 0: in order; 1: warnings; 2: something must be fixed."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ops.doctor.checks import CHECKS, OF_WORKERS, Finding, Patient
from ops.doctor.running import of_workers

WEIGHT = {"ok": 0, "warn": 1, "fail": 2}


def examine(patient: Patient) -> list[Finding]:
    """Every check; one that cannot be made is a finding itself and stops no other."""
    found: list[Finding] = []
    for name, check in (OF_WORKERS if of_workers(patient) else CHECKS).items():
        try:
            found += [Finding(name, *said) for said in check(patient)]
        except Exception as error:  # noqa: BLE001 (whatever is broken here is what the doctor was called for)
            reason = f"could not be looked at: {type(error).__name__}: {error}".splitlines()[0][:200]
            found.append(Finding(name, "warn", reason, "run as root, on the host itself"))
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.doctor", description="Look a host over; say what to fix.")
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR", help="an installation below DIR")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(argv)
    found = examine(Patient(options.root.absolute()))
    if options.json:
        print(json.dumps([asdict(f) for f in found], indent=2))
    else:
        for one in found:
            print(f"{one.level:<4}  {one.name:<12} {one.what}")
            if one.fix:
                print(f"{'':<19}-> {one.fix}")
    return max((WEIGHT[f.level] for f in found), default=0)


if __name__ == "__main__":
    sys.exit(main())
