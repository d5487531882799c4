# ruff: noqa: N999 - the name gunicorn knows
"""gunicorn for the web process: one gevent process holds thousands of sockets.

Run from the checkout: ``gunicorn -c ops/gunicorn.conf.py "web:create_app()"``.
"""

import os
import signal

bind = [address.strip() for address in os.environ.get("ARENA_BIND", "127.0.0.1:5000").split(",") if address.strip()]
worker_class = "gevent"
workers = int(os.environ.get("ARENA_WEB_WORKERS", "1"))
worker_connections = int(os.environ.get("ARENA_MAX_SOCKETS", "10000")) + 1000
control_socket_disable = True
graceful_timeout = 8
timeout = 60
keepalive = 15
limit_request_line = 4094
limit_request_fields = 50
accesslog = None
errorlog = "-"
loglevel = os.environ.get("ARENA_LOG_LEVEL", "info")


def post_worker_init(worker):
    """On SIGTERM tell every socket to come back, instead of letting gunicorn wait for them to leave."""
    import gevent

    leave = signal.getsignal(signal.SIGTERM)

    def stop(signum, frame):
        gevent.spawn(worker.wsgi.extensions["arena_live"].shutdown)
        leave(signum, frame)

    signal.signal(signal.SIGTERM, stop)
