"""The contention bench as a picture: P95 wait over utilisation, as an SVG that reads on light and dark pages."""

from __future__ import annotations

from collections.abc import Callable
from math import log10
from statistics import median

from ops.bench.simulation import Outcome, World

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 100, 28, 48
AT = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
SEEDS = 5
LEAST_S, MOST_S = 1.0, 10_000.0
CONTENDERS = {"ours": ("ours", "#2f81f7"), "overtaking": ("overtaking", "#bf8700"), "LRU": ("LRU, FIFO", "#e5534b")}
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}line{stroke:#57606a;stroke-opacity:.25}"
    "polyline{fill:none;stroke-width:2.5}.bound{stroke-opacity:1;stroke-dasharray:5 4}"
    "@media(prefers-color-scheme:dark){text{fill:#9da7b3}line{stroke:#9da7b3}}"
)


def drawn(world: World, battles: int, find: Callable[[World, int, int, float, str], list[Outcome]]) -> str:
    """The SVG. ``find``: outcomes of a world, battles, seeds, a utilisation and a contender."""
    from ops.bench.contention import quantile

    parts = _axes()
    for name, (label, colour) in CONTENDERS.items():
        found = [find(world, battles, SEEDS, u, name) for u in AT]
        waits = [median(quantile(o.waits, 0.95) for o in outcomes) for outcomes in found]
        points = " ".join(f"{_x(u):.1f},{_y(w):.1f}" for u, w in zip(AT, waits, strict=True))
        parts.append(f'<polyline points="{points}" stroke="{colour}"/>')
        parts.append(_text(WIDTH - RIGHT + 8, _y(waits[-1]) + 4, label, f'style="fill:{colour}"'))
        if name == "ours":
            bound = found[0][0].bound_s
            parts.append(_line(_y(bound), 'class="bound"'))
            parts.append(_text(_x(0.3), _y(bound) - 6, f"no wait of ours is longer: {bound:.0f} s"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="P95 wait over utilisation, in seconds">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def _x(utilisation: float) -> float:
    return LEFT + utilisation * (WIDTH - LEFT - RIGHT)


def _y(wait_s: float) -> float:
    share = log10(max(wait_s, LEAST_S) / LEAST_S) / log10(MOST_S / LEAST_S)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes() -> list[str]:
    parts = [_text(LEFT - 8, TOP - 12, "P95 wait", 'text-anchor="middle"')]
    for wait, label in ((1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h")):
        parts += [_line(_y(wait)), _text(LEFT - 8, _y(wait) + 4, label, 'text-anchor="end"')]
    for tenth in range(0, 11, 2):
        parts.append(_text(_x(tenth / 10), HEIGHT - BOTTOM + 20, f"{tenth / 10:g}", 'text-anchor="middle"'))
    parts.append(
        _text(_x(0.5), HEIGHT - 8, "utilisation of the pair in memory, switching not counted", 'text-anchor="middle"')
    )
    return parts


def _line(y: float, more: str = "") -> str:
    return f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" {more}/>'


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{text}</text>'
