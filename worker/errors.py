"""What can go wrong in the worker, as one tree.

::

    WorkerError
     ├── EngineError            one engine, named by its model
     │    ├── LoadError         it could not be brought up
     │    └── EngineDied        it stopped while generating
     ├── PromptError            this prompt cannot be answered by this model
     │    └── ContextOverflow
     ├── ModelUnavailable       the pool refuses a lease: the model failed lately, or is not in the catalog
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


class PromptError(WorkerError):
    """This prompt cannot be answered by this model."""


class ContextOverflow(PromptError):  # noqa: N818
    """The prompt leaves no room for an answer. Sizes in tokens."""

    def __init__(self, prompt_tokens: int, limit: int) -> None:
        super().__init__(f"{prompt_tokens} prompt tokens do not fit a context of {limit}")
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class ModelUnavailable(WorkerError):  # noqa: N818
    """The pool refuses to wait for this model."""

    def __init__(self, model: str, why: str) -> None:
        super().__init__(f"{model} is unavailable: {why}")
        self.model = model
        self.why = why


class AdminError(WorkerError):
    """An operator's command cannot be carried out; the message says why and what would."""


class SettingsError(WorkerError):
    """The environment asks for something impossible; the message names the variable, the reason and the value."""
