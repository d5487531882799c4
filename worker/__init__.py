"""The GPU worker: holds vLLM engines, runs paired battles and streams their tokens.

``celery -A worker worker`` finds its app in :mod:`worker.celery`. Other processes may import
:mod:`worker.contract` and nothing else of this package.
"""
