"""What an installation is: where everything of it lies, whose it is, and the few ways in which it is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.setup.console import SetupError, note

WEB, RECORDS, WORKER, REDIS, NGINX = "arena-web", "arena-records", "arena-worker", "arena-redis", "arena-nginx"
SHARED = "arena"
"""The group of all of them: it may use the store's socket."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line said; see :mod:`ops.install.command` for what each means."""

    root: Path
    domain: str
    catalog: Path
    database: str
    postgres: str
    venv: Path | None
    email: str
    bind: str
    proxies: str
    private: str
    http_port: int
    https_port: int
    private_port: int
    gpus: int
    fetch: bool
    store_bind: str
    store_from: str
    worker_only: bool
    broker: Path | None


@dataclass(slots=True)
class Host:
    """Paths are those below ``options.root``. ``changed`` collects the files that were written, for the restarts."""

    options: Options
    changed: set[Path] = field(default_factory=set)

    @property
    def real(self) -> bool:
        """Whether this is the machine itself and not a folder that stands for one."""
        return self.options.root == Path("/")

    def at(self, path: str) -> Path:
        """Where ``/path`` lies."""
        return self.options.root / path.lstrip("/")

    @property
    def opt(self) -> Path:
        """Releases, the link to the one that runs, and their common environment."""
        return self.at("/opt/llm-arena")

    @property
    def current(self) -> Path:
        """A link to the release that runs; changed in one step."""
        return self.opt / "current"

    @property
    def venv(self) -> Path:
        """The releases' virtual environment."""
        return self.options.venv or self.opt / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def models(self) -> Path:
        """The models' weights: the folder for the large, if need be encrypted, volume."""
        return self.at("/opt/models")

    @property
    def etc(self) -> Path:
        return self.at("/etc/llm-arena")

    @property
    def var(self) -> Path:
        return self.at("/var/lib/llm-arena")

    @property
    def run(self) -> Path:
        return self.at("/run/llm-arena")

    @property
    def socket(self) -> Path:
        """The store listens here and nowhere else."""
        return self.run / "redis.sock"

    @property
    def units(self) -> Path:
        return self.at("/etc/systemd/system")

    @property
    def catalog(self) -> Path:
        """The catalog in use: a copy that belongs to the operator, so that no upgrade takes away what was changed."""
        return self.etc / "catalog.toml"

    def ids(self, user: str) -> tuple[int, int]:
        """The numbers of a user and its group, from this root's own list. Raises SetupError when it is not there."""
        try:
            for line in self.at("/etc/passwd").read_text().splitlines():
                name, _, uid, gid, *_ = line.split(":")
                if name == user:
                    return int(uid), int(gid)
        except OSError:
            pass
        raise SetupError(f"There is no user {user}", "Run ./ops/up --production as root, from its beginning")

    def gid(self, group: str) -> int:
        """The number of a group."""
        for line in self.at("/etc/group").read_text().splitlines():
            name, _, gid, *_ = line.split(":")
            if name == group:
                return int(gid)
        raise SetupError(f"There is no group {group}", "Run ./ops/up --production as root, from its beginning")

    def folder(self, path: Path, mode: int, user: str = "", group: str = "") -> None:
        """Make a folder with that mode and owner; what is in it stays."""
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        self._own(path, user, group)

    def write(self, path: Path, text: str, mode: int = 0o644, user: str = "", group: str = "") -> bool:
        """Put a file there, whole and with its mode from the first moment; whether that changed anything."""
        fresh = not path.exists() or path.read_text() != text
        if fresh:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            draft.write_text(text)
            draft.replace(path)
            self.changed.add(path)
        path.chmod(mode)
        self._own(path, user, group)
        return fresh

    def _own(self, path: Path, user: str, group: str) -> None:
        uid = self.ids(user)[0] if user else 0
        gid = self.gid(group) if group else (self.ids(user)[1] if user else 0)
        os.chown(path, uid, gid)

    def command(self, words: Sequence[object], what: str, fix: str, **more: object) -> str:
        """Run a program to its end; what it printed. Raises SetupError with the end of that."""
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise SetupError(f"{what}: failed (exit status {done.returncode})\n{said}", fix)
        return str(done.stdout)

    def as_user(self, user: str, words: Sequence[object], environment: Mapping[str, str], what: str, fix: str) -> str:
        """A program of the arena as the user that it runs as later, in the release that runs."""
        uid, gid = self.ids(user)
        kept = {"PATH": f"{self.venv / 'bin'}:{os.defpath}", "LANG": "C.UTF-8", "HOME": str(self.var / "worker")}
        groups = [self.gid(SHARED)]
        return self.command(words, what, fix, cwd=self.current, env={**kept, **environment},
                            user=uid, group=gid, extra_groups=groups)  # fmt: skip

    def remember(self) -> None:
        """Take up what an installation that was interrupted had changed: it has not been started anew yet."""
        if self.pending.exists():
            self.changed |= {Path(line) for line in self.pending.read_text().splitlines()}

    def keep_in_mind(self) -> None:
        """For :meth:`remember`."""
        if self.var.exists():
            self.pending.write_text("".join(f"{path}\n" for path in sorted(self.changed)))

    def forget(self) -> None:
        """All that was changed is in use."""
        self.installed.touch()
        self.pending.unlink(missing_ok=True)

    @property
    def installed(self) -> Path:
        """There once an installation came to its end: what comes then is an upgrade."""
        return self.var / "installed"

    @property
    def pending(self) -> Path:
        return self.var / "pending"

    def systemctl(self, *words: str) -> str:
        """Nothing where the root is only a folder."""
        if not self.real:
            return ""
        fix = "Look at: journalctl -u 'arena-*' -u vllm-arena"
        return self.command(["systemctl", *words], f"systemctl {words[0]}", fix)

    def active(self, unit: str) -> bool:
        """Whether a unit runs."""
        asked = ["systemctl", "is-active", "--quiet", unit]
        return self.real and subprocess.run(asked, check=False).returncode == 0


def require(program: str, package: str) -> str:
    """The path of a program. Raises SetupError naming the package that has it."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise SetupError(f"There is no {program} here", f"apt-get install {package}")
    return found


def told(text: str, changed: bool) -> None:
    """One line on what a step found or did."""
    note(f"{'changed' if changed else 'as it was'}: {text}")
