"""Download from the Hugging Face hub, in a process of its own: ``python -m worker.models.hub REQUEST``.

REQUEST is JSON (see :func:`main`); the last line of the output is ``{}`` or ``{"cause", "fix"}``. A process of its own
because the hub's client reads its environment at import, and so that an interrupted download stops with its caller. The
client tells what there is, and by which digest; the files themselves are :mod:`worker.models.ranged`'s, which goes on
where it was.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from worker.models.ranged import Mismatch, Published, bring, download

_REACHABLE_S = 10
_AT_ONCE = 4
"""Files at a time: one connection is often slower than the line."""


class EntryNotFoundError(Exception):
    """The repository has no such file; called as the hub's client calls it."""


def main(request: dict[str, Any]) -> dict[str, str]:
    """Put ``file``, or the files that match the globs ``files``, of ``repo`` at ``revision`` below ``into``.

    Each is compared with the digest that the hub publishes for it. What has arrived stays below ``kept``, a folder on
    the disk of ``into``, and the next request goes on from there. ``token_env`` names the variable with the account's
    token, if any. Returns ``{}`` or why not.
    """
    token = os.environ.get(request["token_env"]) if request["token_env"] else None
    try:
        hub = importlib.import_module("huggingface_hub")  # only where vLLM is installed

        _probe()
        commit = hub.HfApi().model_info(request["repo"], revision=request["revision"], token=token or None).sha
        wanted = dict(_published(hub, request, commit, token or None))
        kept = Path(request["kept"]) / request["repo"].replace("/", "--") / commit

        def get(name: str) -> None:
            url = hub.hf_hub_url(request["repo"], name, revision=commit)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            try:
                bring(kept / name, wanted[name], lambda part: download(url, part, wanted[name].size, headers))
            except Mismatch as wrong:
                raise Mismatch(f"{name}: {wrong}") from None

        with ThreadPoolExecutor(_AT_ONCE) as files:
            for done in [files.submit(get, name) for name in wanted]:
                done.result()
        link(kept, into=Path(request["into"]), names=wanted)
    except Exception as error:  # noqa: BLE001 (every failure becomes words for the person who fetches)
        return explained(error, request)
    return {}


def _published(hub: Any, request: dict[str, Any], commit: str, token: str | None) -> Iterator[tuple[str, Published]]:
    """The wanted files: large ones by their SHA-256, others by what git calls them."""
    there = {
        entry.path: entry
        for entry in hub.HfApi().list_repo_tree(request["repo"], recursive=True, revision=commit, token=token)
        if hasattr(entry, "size")  # folders have none
    }
    if request["file"]:
        names = [request["file"]]
    else:
        names = list(hub.utils.filter_repo_objects(there, allow_patterns=list(request["files"])))
    if not names or not set(names) <= set(there):
        raise EntryNotFoundError(request["repo"])
    for name in names:
        entry = there[name]
        large = entry.lfs
        kind, digest = ("sha256", large.sha256) if large else ("blob", entry.blob_id)
        yield name, Published(entry.size, kind, digest)


def _probe() -> None:
    """Fail at once without a way to the hub: its client would retry for half a minute before the next source's turn."""
    utils = importlib.import_module("huggingface_hub.utils")
    constants = importlib.import_module("huggingface_hub.constants")
    utils.get_session().head(constants.ENDPOINT, timeout=_REACHABLE_S)


def link(kept: Path, into: Path, names: Iterable[str]) -> None:
    """The files as hard links (copies where a disk has none), so that what is kept takes no room of its own."""
    for name in names:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(kept / name, target)
        except OSError:
            shutil.copyfile(kept / name, target)


def explained(error: Exception, request: dict[str, Any]) -> dict[str, str]:
    """``{"cause", "fix"}`` of what the hub's client raised; by class name, so that it need not be importable here."""
    page = f"https://huggingface.co/{request['repo']}"
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ModuleNotFoundError" in names:
        return {"cause": str(error), "fix": "pip install huggingface_hub"}
    if "GatedRepoError" in names or getattr(error, "code", None) in (401, 403):
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
    if "Mismatch" in names:
        fix = "the download is damaged or the publisher's fault; try again, and do not trust it if it repeats"
        return {"cause": str(error), "fix": fix}
    if ("URLError" in names and "HTTPError" not in names) or isinstance(error, ConnectionError | TimeoutError):
        return {"cause": f"the download was cut off ({error})"[:300], "fix": "fetch again: it goes on where it was"}
    if "EntryNotFoundError" in names:
        what = (
            f"no file {request['file']!r} there"
            if request["file"]
            else f"no file of {', '.join(request['files'])} there"
        )
        return {"cause": what, "fix": f"check {page}/tree/{request['revision']}"}
    return {"cause": f"{type(error).__name__}: {error}".splitlines()[0][:300], "fix": f"check {page} and fetch again"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))) + "\n")
