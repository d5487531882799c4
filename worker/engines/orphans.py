"""Preloaded into the forkserver: makes every process forked from it leave when the worker has gone.

Unlike any other module, importing this one does something; it is imported nowhere else.
"""

import os

from worker.engines.forkserver import OWNER, leave_with

if OWNER in os.environ:
    os.register_at_fork(after_in_child=lambda: leave_with(int(os.environ[OWNER])))
