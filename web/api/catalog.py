"""``/api/models``: who takes part. The same for everybody at any time, so it tells nothing of any battle."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from web.api.schemas import ModelOut, ModelsOut
from web.context import arena

bp = APIBlueprint("catalog", __name__, url_prefix="/api", tag="Models")


@bp.get("/models")
@bp.output(ModelsOut)
def models() -> dict[str, Any]:
    """The contenders with their makers and licences."""
    return {"models": [{f: getattr(spec, f) for f in ModelOut.model_fields} for spec in arena().catalog.models]}
