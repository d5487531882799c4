"""What stands behind ``/v1``: who may ask, what may be asked, the chats under way, and OpenAI's forms of all of it.

A chat is a job in the same queue as battles and runs on the same engines, and has nothing else to do with them: nothing
here reads or writes the database's battles, and no chat is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from flask import Flask

    from web.openai.calls import Calls
    from web.settings import WebSettings

PREFIX = "/v1/"
_EXTENSION = "arena_calls"


def init_app(app: Flask, settings: WebSettings) -> None:
    """Register who may come in, before anything looks at a request's key, and the form of refusals."""
    from web.openai import door, refusals

    door.init_app(app, settings)
    refusals.init_app(app)


def begin(app: Flask) -> None:
    """Give the app its line to the chats' logs, once the live side is there. Connects to nothing yet."""
    from web.openai.calls import Calls

    app.extensions[_EXTENSION] = Calls(app.extensions["arena"], app.extensions["arena_live"])


def current_calls() -> Calls:
    """The current app's."""
    return cast("Calls", current_app.extensions[_EXTENSION])
