# ruff: noqa: N999 - the name gunicorn knows
"""gunicorn for the web process: one gevent process holds thousands of sockets.

Run from the checkout: ``gunicorn -c ops/gunicorn.conf.py "web:create_app()"``.
"""

import os
import resource
import shutil
import signal
import tempfile
from pathlib import Path

bind = [address.strip() for address in os.environ.get("ARENA_BIND", "127.0.0.1:5000").split(",") if address.strip()]


def _private():
    """The private listener, unless ARENA_BIND has it already. What is wrong with settings the log's set-up tells."""
    from web.production import Misconfigured, load

    try:
        settings = load()
    except Misconfigured:
        return []
    port = settings.private_listener
    if port is None or any(address.endswith(f":{port}") for address in bind):
        return []
    host = settings.private_host
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


bind += _private()
_LISTENS_FOR = "ARENA_SYSTEMD_LISTENS_FOR"
"""Kept, for gunicorn forgets what systemd said: on SIGHUP it would listen where systemd does, fail, and end."""
if os.environ.get("LISTEN_FDS") and os.environ.get("LISTEN_PID") == str(os.getpid()):
    os.environ[_LISTENS_FOR] = str(os.getpid())
if os.environ.get(_LISTENS_FOR) == str(os.getpid()):
    bind = []  # systemd listens for us, so that nobody is refused while we are started anew
worker_class = "web.gunicorn_worker.Worker"  # gevent, and no patience with those who are slow on purpose
workers = int(os.environ.get("ARENA_WEB_WORKERS", "1"))
worker_connections = int(os.environ.get("ARENA_MAX_SOCKETS", "10000")) + 1000
control_socket_disable = True
graceful_timeout = 8
timeout = 60
keepalive = int(os.environ.get("ARENA_HEAD_TIMEOUT_S", "15"))  # also how long a request's head may take
limit_request_line = 4094
limit_request_fields = 50
limit_request_field_size = 8190
forwarded_allow_ips = ""
secure_scheme_headers = {}  # whether a client came over TLS is decided by ARENA_TRUSTED_PROXIES, see web.security
accesslog = None  # the app writes its own, without queries and addresses
errorlog = "-"
logger_class = "web.serving.Logger"
loglevel = os.environ.get("ARENA_LOG_LEVEL", "info")

_MADE = "arena-metrics-"
if workers > 1:  # prometheus_client looks for it when it is imported, which nothing has done yet
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix=_MADE))


def _metrics_dir():
    given = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(given) if given else None


def on_starting(server):
    """What an earlier server counted is over."""
    if (folder := _metrics_dir()) is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.db"):
            left.unlink()


def child_exit(server, worker):
    """What a process held is held no longer; what it counted stays counted."""
    if _metrics_dir() is not None:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    """A folder of our own goes with us."""
    if (folder := _metrics_dir()) is not None and folder.name.startswith(_MADE):
        shutil.rmtree(folder, ignore_errors=True)


def post_fork(server, worker):
    """A socket is an open file, and many systems begin with 1,024 of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def post_worker_init(worker):
    """On SIGTERM tell every socket to come back and close idle connections, instead of waiting for them to leave."""
    import gevent

    live = getattr(worker.wsgi, "extensions", {}).get("arena_live")
    leave = signal.getsignal(signal.SIGTERM)

    def stop(signum, frame):
        leave(signum, frame)
        gevent.spawn(worker.hang_up)
        if live is not None:
            gevent.spawn(live.shutdown)

    signal.signal(signal.SIGTERM, stop)


def worker_exit(server, worker):
    """Sockets are no requests, so gunicorn does not wait for them: give the last ones time to hear the goodbye."""
    live = getattr(getattr(worker, "wsgi", None), "extensions", {}).get("arena_live")
    if live is not None:
        live.wait_empty(2.0)
