"""Operators' commands: ``celery -A worker inspect ...`` and ``control ...``; ``--list`` after either names them all.

Handlers run in Celery's main loop, so each answers at once: slow work is scheduled, given an operation's id, and seen
through ``inspect operations``. Arguments arrive as text and are checked here; a refusal is an answer with the fix,
never a traceback. Importing this package registers the commands.
"""

import worker.control.commands
import worker.control.inspection  # noqa: F401
