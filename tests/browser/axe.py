"""What axe-core finds wrong with a page by the rules of WCAG 2.2 A and AA, said in one place for every page's tests."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.processes import ROOT

AXE = ROOT / "web" / "ui" / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: Page) -> list[str]:
    """One line per element: the rule, where it is, what would mend it. Empty for a page open to everybody."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("""() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] })
        .then((r) => r.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.failureSummary}`)))""")
    return list(found)
