"""Everything the web side may know of the worker: jobs, wire messages, the battle log, the catalog, residency.

Nothing here imports Celery, Flask, SQLAlchemy or vLLM. Redis clients are passed in.
"""
