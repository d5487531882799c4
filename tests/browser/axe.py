"""What axe-core finds wrong with a page by the rules of WCAG 2.2 A and AA, said in one place for every page's tests."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Page

from tests.processes import ROOT

AXE = ROOT / "web" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """(without) => axe.run({
        rules: Object.fromEntries(without.map((rule) => [rule, { enabled: false }])),
        runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"],
        resultTypes: ["violations"],
    }).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`)))"""


def violations(page: Page, without: Sequence[str] = ()) -> list[str]:
    """One line per element: the rule, where it is, what would mend it. Empty for a page open to everybody.

    ``without``: rules that are not asked.
    """
    page.evaluate(AXE.read_text())
    return list(page.evaluate(RUN, list(without)))
