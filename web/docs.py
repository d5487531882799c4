"""``/docs``: the OpenAPI document as a page. Rendered here, so that it needs no script and nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any, cast

from apiflask import APIFlask
from flask import Blueprint, Response, current_app, render_template, request
from markupsafe import Markup, escape

from web.openapi.reading import read_groups

bp = Blueprint("docs", __name__)
_CODE = re.compile(r"`([^`]+)`")


@bp.get("/docs")
def docs() -> Response:
    """Every endpoint, with its fields, examples, refusals and a curl line."""
    spec = cast(dict[str, Any], cast(APIFlask, current_app).spec)
    page = render_template(
        "docs.html",
        info=spec["info"],
        groups=read_groups(spec, request.host_url.rstrip("/")),
        problems=spec["x-problems"],
        security=spec["components"]["securitySchemes"],
        headers=spec["components"]["headers"],
    )
    return Response(page, headers={"Cache-Control": "no-cache"})


@bp.app_template_filter("worded")
def worded(text: str) -> Markup:
    """Text with its ``code`` in backticks as markup; everything else is escaped."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


@bp.app_template_filter("slashed")
def slashed(path: str) -> Markup:
    """A path that may be broken after its slashes."""
    return Markup(str(escape(path)).replace("/", "/<wbr>"))  # noqa: S704 - escaped before


@bp.app_template_filter("paragraphs")
def paragraphs(text: str) -> list[str]:
    """Text at its blank lines."""
    return [p for p in text.strip().split("\n\n") if p.strip()]
