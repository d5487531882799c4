"""What can go wrong in the worker, as one tree.

::

    WorkerError
     ├── EngineError            one engine, named by its model
     │    ├── LoadError         it could not be brought up
     │    ├── EngineDied        it stopped while generating
     │    └── EngineRefused     it is well and would not answer this one request
     ├── PromptError            this prompt cannot be answered by this model
     │    └── ContextOverflow
     ├── Refused                the pool refuses a lease
     │    ├── ModelUnavailable  the model failed lately, is not in the catalog, or nothing may make room for it
     │    ├── Overloaded        the bound on waiting could not be kept
     │    └── NotTogether       these engines cannot be in memory at once: lease them one after the other
     ├── AdminError             an operator's command that cannot be carried out
     └── SettingsError          the environment asks for something impossible

Messages are for operators and may name models; what a person sees before the vote is a ``Failure`` made in battle.py.
"""

from __future__ import annotations


class WorkerError(Exception):
    """Something in the worker went wrong."""


class EngineError(WorkerError):
    """An engine is at fault."""

    def __init__(self, model: str, why: str) -> None:
        super().__init__(f"{model}: {why}")
        self.model = model
        self.why = why


class LoadError(EngineError):
    """The engine could not be brought up."""


class EngineDied(EngineError):  # noqa: N818
    """The engine stopped while it had requests."""


class EngineRefused(EngineError):  # noqa: N818
    """The engine is well but would not answer this request: too many at once, a fault of its own. Others may go on."""


class PromptError(WorkerError):
    """This prompt cannot be answered by this model."""


class ContextOverflow(PromptError):  # noqa: N818
    """The prompt leaves no room for an answer. Sizes in tokens."""

    def __init__(self, prompt_tokens: int, limit: int) -> None:
        super().__init__(f"{prompt_tokens} prompt tokens do not fit a context of {limit}")
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class Refused(WorkerError):  # noqa: N818
    """The pool grants no lease, now or later, for this request."""


class ModelUnavailable(Refused):
    """The pool refuses to wait for this model."""

    def __init__(self, model: str, why: str) -> None:
        super().__init__(f"{model} is unavailable: {why}")
        self.model = model
        self.why = why


class Overloaded(Refused):
    """Waiting could not be kept within its bound. ``retry_after_s``: when it is expected to be possible."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"the bound on waiting cannot be kept; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class NotTogether(Refused):
    """These models fit one at a time only; whoever wants both leases one, then the other."""

    def __init__(self, models: frozenset[str]) -> None:
        super().__init__(f"{' and '.join(sorted(models))} do not fit together")
        self.models = models


class AdminError(WorkerError):
    """An operator's command cannot be carried out; the message says why and what would."""


class SettingsError(WorkerError):
    """The environment asks for something impossible; the message names the variable, the reason and the value."""
