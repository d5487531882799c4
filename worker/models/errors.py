"""What can go wrong between a catalog and a model folder; each message is one line with its fix.

::

    ModelsError
     ├── SourceError      one source did not deliver; the next one is tried
     ├── ModelRefused     the weights are here but cannot be used
     ├── FetchError       no source of a model delivered a usable model
     ├── DiskTooSmall     known before anything is downloaded
     └── BudgetTooSmall   so is this
"""

from __future__ import annotations

from worker.errors import WorkerError


class ModelsError(WorkerError):
    """A model cannot be made ready on this machine."""


class SourceError(ModelsError):
    """``source`` did not deliver: ``cause`` says what happened, ``fix`` what a person can do."""

    def __init__(self, source: str, cause: str, fix: str) -> None:
        super().__init__(f"{source}: {cause}; {fix}")
        self.source = source
        self.cause = cause
        self.fix = fix


class ModelRefused(ModelsError):  # noqa: N818
    """The files arrived but are no model this arena can serve."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(f"{cause}; {fix}")
        self.cause = cause
        self.fix = fix


class FetchError(ModelsError):
    """A model cannot be had from any of its sources; the message names them all."""

    def __init__(self, model: str, reasons: list[str]) -> None:
        super().__init__(f"cannot fetch {model}: " + " | ".join(reasons))
        self.model = model
        self.reasons = reasons


class DiskTooSmall(ModelsError):  # noqa: N818
    """Sizes in bytes."""

    def __init__(self, directory: str, need: int, free: int) -> None:
        super().__init__(
            f"{directory} has {size_text(free)} free and {size_text(need)} are needed; "
            "free some space or choose another disk with --models-dir (or ARENA_MODELS_DIR)"
        )
        self.need = need
        self.free = free


class BudgetTooSmall(ModelsError):  # noqa: N818
    """Sizes in bytes."""

    def __init__(self, directory: str, budget: int, taken: int, need: int) -> None:
        super().__init__(
            f"models may take {size_text(budget)} of {directory}, {size_text(taken)} are taken and {size_text(need)} "
            "are needed; raise --budget (or ARENA_MODELS_BUDGET), or make room: python -m worker.models prune"
        )
        self.budget = budget
        self.taken = taken
        self.need = need


def size_text(size: int) -> str:
    """``1_500_000_000`` as ``1.5 GB``: the units disks are sold in."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:  # else it would be rounded to 1000
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
