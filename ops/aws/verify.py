"""Whether the arena works, asked as it will be used: /health from outside, /v1/models and a chat from inside."""

from __future__ import annotations

import json
import shlex
import socket
from typing import Any

from ops.aws.remote import Remote
from ops.install.health import problem
from ops.setup.console import SetupError, note

INSIDE = "http://127.0.0.1:8000"
CHAT_LIMIT_S = 540
"""A model that is not in memory is loaded first, from a cold disk."""


def verify(remote: Remote, public: str, domain: str) -> None:
    """Return when all three answered. Raises SetupError saying which did not, and where to look."""
    if public:
        said = problem(f"https://{public}/health", domain)
        if said is not None:
            raise SetupError(f"https://{public}/health (as {domain}): {said}",
                             "Port 443 open? python -m ops.aws status; on the host: python -m ops.doctor")  # fmt: skip
        note(f"https://{domain}/health: healthy")
    listed = models(remote)
    note(f"/v1/models: {', '.join(listed)}")
    answer = chat(remote, listed[0])
    note(f"chat with {listed[0]}: {answer} tokens")
    if public and not _leads_here(public, domain):
        kind = "CNAME" if public[-1].isalpha() else "A"
        note(f"{domain} does not lead here yet: set its DNS record, {kind} {public}")
        if kind == "A":
            note("the certificate follows within 12 hours; at once, on the host: systemctl start arena-certificate")


def models(remote: Remote) -> list[str]:
    """What can be asked. Raises SetupError for none."""
    found = [m["id"] for m in _ask(remote, "/v1/models").get("data", [])]
    if not found:
        raise SetupError("/v1/models names no model", "Its catalog: /etc/llm-arena/catalog.toml on the host")
    return found


def loaded(remote: Remote) -> list[str]:
    """Those in memory now."""
    return list(_ask(remote, "/health").get("loaded_models", []))


def chat(remote: Remote, model: str) -> int:
    """Tokens of an answer. Raises SetupError where there is none."""
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16}
    answer = _ask(remote, "/v1/chat/completions", body)
    try:
        if not answer["choices"][0]["message"]["content"]:
            raise KeyError
        return int(answer["usage"]["completion_tokens"])
    except (KeyError, IndexError, TypeError):
        said = answer.get("error", {}).get("message") or answer.get("detail") or "the answer is empty"
        raise SetupError(f"{model} did not answer: {said}", "On the host: journalctl -u vllm-arena -e") from None


def _ask(remote: Remote, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    words = ["curl", "-sS", "--noproxy", "*", "--max-time", str(CHAT_LIMIT_S), INSIDE + path]
    if body is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    said = remote.run(shlex.join(words))
    try:
        return dict(json.loads(said))
    except ValueError:
        raise SetupError(
            f"{path} answered what is no JSON", "On the host: journalctl -u arena-nginx -u arena-web -e"
        ) from None


def _leads_here(public: str, domain: str) -> bool:
    """Whether the public name is that of this address; a name that does not exist yet is not."""
    try:
        here = {a[4][0] for a in socket.getaddrinfo(public, 443)}
        return bool(here & {a[4][0] for a in socket.getaddrinfo(domain, 443)})
    except OSError:
        return False
