"""``./ops/up --production``: a host that serves the public, or the same again as its upgrade. Standard library only.

One sequence of named steps (:mod:`ops.install.steps`), each of which looks first and changes only what is not yet so.
With ``--root DIR`` everything lies, and refers to each other, below DIR; nothing outside is touched or started.
"""
