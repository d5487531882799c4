"""Download from the Hugging Face hub, in a process of its own: ``python -m worker.models.hub REQUEST``.

REQUEST is JSON (see :func:`main`); the last line of the output is ``{}`` or ``{"cause", "fix"}``. A process of its own
because the hub's client reads its environment at import, and so that an interrupted download stops with its caller.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

_REACHABLE_S = 10


def main(request: dict[str, Any]) -> dict[str, str]:
    """Put ``file``, or the files that match the globs ``files``, of ``repo`` at ``revision`` below ``into``.

    ``token_env`` names the variable with the account's token, if any. Returns ``{}`` or why not.
    """
    token = os.environ.get(request["token_env"]) if request["token_env"] else None
    into = Path(request["into"])
    try:
        hub = importlib.import_module("huggingface_hub")  # only where vLLM is installed

        _probe()
        where = {"repo_id": request["repo"], "revision": request["revision"], "token": token or None}
        if request["file"]:
            hub.hf_hub_download(filename=request["file"], local_dir=into, **where)
        else:
            link(Path(hub.snapshot_download(allow_patterns=list(request["files"]), **where)), into)
    except Exception as error:  # noqa: BLE001 (every failure becomes words for the person who fetches)
        return explained(error, request)
    return {}


def _probe() -> None:
    """Fail at once without a way to the hub: its client would retry for half a minute before the next source's turn."""
    utils = importlib.import_module("huggingface_hub.utils")
    constants = importlib.import_module("huggingface_hub.constants")
    utils.get_session().head(constants.ENDPOINT, timeout=_REACHABLE_S)


def link(snapshot: Path, into: Path) -> None:
    """The snapshot's files as hard links (copies on another disk), so that they outlive the hub's cache."""
    for file in snapshot.rglob("*"):
        if file.is_dir():
            continue
        target = into / file.relative_to(snapshot)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), target)
        except OSError:
            shutil.copyfile(file.resolve(), target)


def explained(error: Exception, request: dict[str, Any]) -> dict[str, str]:
    """``{"cause", "fix"}`` of what the hub's client raised; by class name, so that it need not be importable here."""
    page = f"https://huggingface.co/{request['repo']}"
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ModuleNotFoundError" in names:
        return {"cause": str(error), "fix": "pip install huggingface_hub"}
    if "GatedRepoError" in names:
        variable = request["token_env"] or "HF_TOKEN"
        return {
            "cause": "the repository is gated and this account has no access",
            "fix": f"accept the terms at {page}, then set {variable} to a token of that account",
        }
    if "RepositoryNotFoundError" in names:
        return {"cause": "no such repository, or a private one", "fix": f"check {page} and the catalog's `repo`"}
    if "RevisionNotFoundError" in names:
        return {"cause": f"no revision {request['revision']}", "fix": f"pick one of {page}/commits/main"}
    if names & {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "TransportError"}:
        why = f" ({error})" if "TransportError" in names else ""
        fix = "check the network (and that HF_HUB_OFFLINE is not set)"
        return {"cause": f"the hub cannot be reached{why}".splitlines()[0][:300], "fix": fix}
    if "EntryNotFoundError" in names:
        return {"cause": f"no file {request['file']!r} there", "fix": f"check {page}/tree/{request['revision']}"}
    return {"cause": f"{type(error).__name__}: {error}".splitlines()[0][:300], "fix": f"check {page} and fetch again"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
