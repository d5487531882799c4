"""From a plain name (``arena.js``) to the hashed file the last build made of it.

The manifest is written by ``python -m ops.assets``. It is read again when it changes, so a rebuild needs no restart.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Response, request, url_for

from web.errors import ArenaError

STATIC = Path(__file__).parent / "static"
IMMUTABLE = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


class AssetsMissing(ArenaError):  # noqa: N818
    """The pages have not been built in this checkout."""

    status, code, title = 503, "assets_missing", "The pages have not been built"

    def __init__(self) -> None:
        super().__init__("Run `python -m ops.assets` in the checkout, then reload this page.")


@dataclass
class Assets:
    """One folder of built files."""

    folder: Path = STATIC
    _seen: float = -1.0
    _manifest: dict[str, Any] = field(default_factory=dict)

    def exist(self) -> bool:
        """Whether there is a build to serve."""
        return (self.folder / "manifest.json").is_file()

    def url(self, name: str) -> str:
        """The address of ``name``. Raises AssetsMissing."""
        files: dict[str, str] = self._load()["files"]
        if name not in files:
            raise AssetsMissing()
        return url_for("static", filename=files[name])

    def preloads(self, name: str) -> list[str]:
        """Addresses of the scripts that ``name`` imports at once. Raises AssetsMissing."""
        chunks: dict[str, list[str]] = self._load()["preload"]
        return [url_for("static", filename=chunk) for chunk in chunks.get(name, [])]

    def _load(self) -> dict[str, Any]:
        manifest = self.folder / "manifest.json"
        try:
            changed = manifest.stat().st_mtime
            if changed != self._seen:
                self._manifest = json.loads(manifest.read_text())
                self._seen = changed
        except (OSError, ValueError):
            raise AssetsMissing() from None
        return self._manifest


def finish_static(response: Response, folder: Path) -> Response:
    """Cache a built file for good (its name changes with its content), and send its compressed twin when asked for."""
    name = (request.view_args or {}).get("filename", "")
    if response.status_code != 200 or not name:
        return response
    response.headers["Cache-Control"] = IMMUTABLE
    kind = _TYPES.get(Path(name).suffix)
    twin = folder / f"{name}.gz"
    if kind is None or not twin.is_file():
        return response
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Content-Type"] = kind
    if request.accept_encodings["gzip"] and "Range" not in request.headers:
        original = response.response
        response.direct_passthrough = False
        response.set_data(twin.read_bytes())
        getattr(original, "close", lambda: None)()
        response.headers["Content-Encoding"] = "gzip"
        response.headers.pop("ETag", None)
    return response
