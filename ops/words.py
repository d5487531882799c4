"""The catalogues of `web/translations`: brought up to date with the sources, checked, and made into the page's files.

    python -m ops.words               # after a change of words: every catalogue gets what is new, loses what is gone
    python -m ops.words --new fr      # begin another language; translate the file, and it is offered
    python -m ops.words --check       # what is missing, unsure, stale, or has other placeholders than its message

Messages are the English words in templates (`_()`, `{% trans %}`), in Python, in `web/ui/src/strings.ts`, and the
titles of refusals. The build (`ops.assets`) writes what the page's script needs of each catalogue into a file.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("web") / "translations"
SCRIPT = Path("web/ui/src/strings.ts")
REFUSALS = (
    Path("worker/answer.py"),
    Path("web/records/service.py"),
    Path("web/errors.py"),
    Path("web/assets.py"),
)
"""Where the words lie that go with a code; of two for one code, the later file's."""
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}
_JINJA = {"trimmed": "true", "silent": "false"}
_PLURAL = re.compile(r"[n0-9\s()?:&|!=<>%+*/-]+")
_VOLATILE = tuple(
    f'"{name}:'.encode()
    for name in (
        "Project-Id-Version",
        "Report-Msgid-Bugs-To",
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Generated-By",
        "Last-Translator",
        "Language-Team",
    )
)
WIDTH = 118

Id = str | tuple[str, ...]


def template(root: Path = ROOT) -> Catalog:
    """Every message of the sources, with the files it is in."""
    found = Catalog(project="llm-arena", charset="utf-8", fuzzy=False)
    for file, message in _messages(root):
        found.add(message, locations=[(file.as_posix(), 0)])
    return found


def _messages(root: Path) -> Iterator[tuple[Path, Id]]:
    sources = [("jinja2.ext:babel_extract", f) for f in sorted(root.glob("web/templates/*.html"))]
    sources += [("python", f) for f in sorted(root.glob("web/*.py"))]
    sources += [("javascript", root / SCRIPT)]
    for method, file in sources:
        for _, message, _, _ in extract_from_file(method, file, KEYWORDS, options=_JINJA if "jinja" in method else {}):
            yield file.relative_to(root), message
    for file, message in _refusals(root):
        yield file, message


def refusals(root: Path = ROOT) -> dict[str, str]:
    """What is said with each code that a page may meet."""
    return {code: message for file in REFUSALS for code, message in said_with_codes((root / file).read_text())}


def _refusals(root: Path) -> Iterator[tuple[Path, str]]:
    for file in REFUSALS:
        for _, message in said_with_codes((root / file).read_text()):
            yield file, message


def said_with_codes(source: str) -> Iterator[tuple[str, str]]:
    """``(code, words)`` of every class that fixes ``code`` and ``title``, every ``Failure(code, words)``, of tables."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for value in node.values:
                pair = (
                    [e.value for e in value.elts if isinstance(e, ast.Constant)] if isinstance(value, ast.Tuple) else []
                )
                if len(pair) == 2 and all(isinstance(e, str) for e in pair):
                    yield str(pair[0]), str(pair[1])
        elif isinstance(node, ast.ClassDef):
            fixed = _constants(node)
            if "title" in fixed and "code" in fixed:
                yield fixed["code"], fixed["title"]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure":
            words = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if len(words) >= 2 and isinstance(words[1], str):
                yield str(words[0]), words[1]


def _constants(node: ast.ClassDef) -> dict[str, str]:
    """Strings assigned in a class, alone or as a tuple."""
    found: dict[str, str] = {}
    for line in node.body:
        if not isinstance(line, ast.Assign):
            continue
        target, value = line.targets[0], line.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, constant in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                found[name.id] = constant.value
    return found


def catalogues(root: Path = ROOT) -> dict[str, Path]:
    """Files by language."""
    return {f.parent.parent.name: f for f in sorted((root / FOLDER).glob("*/LC_MESSAGES/messages.po"))}


def read(file: Path) -> Catalog:
    """A catalogue as it is on disk."""
    with file.open("rb") as source:
        return read_po(source, locale=file.parent.parent.name)


def update(file: Path, found: Catalog) -> None:
    """Put what is new into a catalogue, drop what is gone; changed messages keep their words and are marked unsure."""
    catalogue = read(file) if file.exists() else Catalog(locale=file.parent.parent.name, project="llm-arena")
    catalogue.update(found)
    catalogue.obsolete.clear()
    catalogue.fuzzy = False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_written(catalogue))


def _written(catalogue: Catalog) -> bytes:
    """Without dates and programs, which would change the file when no word did."""
    catalogue.header_comment = "# Messages of the arena's pages. See ops/words.py."
    target = io.BytesIO()
    write_po(target, catalogue, width=WIDTH, include_lineno=False, ignore_obsolete=True)
    lines = [line for line in target.getvalue().splitlines() if not line.startswith(_VOLATILE)]
    return b"\n".join(lines) + b"\n"


def problems(file: Path, found: Catalog) -> list[str]:
    """What keeps a catalogue from being complete, a line each."""
    catalogue = read(file)
    wanted = {_key(m) for m in found if m.id}
    stored = {_key(m): m for m in catalogue if m.id}
    lines = [f"not in the catalogue: {key}" for key in sorted(wanted - stored.keys())]
    lines += [f"not in the sources any more: {key}" for key in sorted(stored.keys() - wanted)]
    for key, message in stored.items():
        words = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if not all(words):
            lines.append(f"not translated: {key}")
        elif message.fuzzy:
            lines.append(f"unsure: {key}")
        else:
            lines += [f"placeholders differ: {key}" for text in words if _places(str(text)) != _places(key)]
    return lines


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[-1]


def _places(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


# ── for the page's script ────────────────────────────────────────────────────────────────────────────────────────


def script_words(file: Path, root: Path = ROOT) -> str:
    """A script that leaves one language's words where ``web/ui/src/words.ts`` looks for them."""
    catalogue = read(file)
    messages: dict[str, object] = {}
    for _, message, _, _ in extract_from_file("javascript", root / SCRIPT, KEYWORDS):
        known = catalogue.get(message[0] if isinstance(message, tuple) else message)
        if known is not None and not known.fuzzy and known.string and all(known.string):
            messages[known.id if isinstance(known.id, str) else known.id[0]] = known.string
    found = {code: catalogue.get(words) for code, words in refusals(root).items()}
    told = {code: known.string for code, known in found.items() if known is not None and known.string}
    plural = catalogue.plural_expr
    if not _PLURAL.fullmatch(plural):
        raise ValueError(f"{file}: this is no plural rule: {plural}")
    body = json.dumps({"messages": messages, "problems": told}, ensure_ascii=False, separators=(",", ":"))
    return f"globalThis.arenaWords=Object.assign({body},{{plural:n=>({plural})}});\n"


def write_scripts(target: Path, root: Path = ROOT) -> dict[str, str]:
    """One file per language into ``target``; by plain name (``words-de.js``) the hashed one, as the manifest has it."""
    names: dict[str, str] = {}
    for language, file in catalogues(root).items():
        content = script_words(file, root)
        plain = f"words-{language.replace('_', '-')}.js"
        digest = hashlib.sha256(content.encode()).hexdigest()[:8].upper()
        names[plain] = plain.replace(".js", f"-{digest}.js")
        (target / names[plain]).write_text(content)
    return names


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.words", description="Keep the catalogues of words complete.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when one is not complete")
    parser.add_argument("--new", metavar="LANGUAGE", help="begin a catalogue, such as fr or pt_BR")
    args = parser.parse_args(argv)
    found = template()
    files = catalogues()
    if args.new:
        files[args.new] = ROOT / FOLDER / args.new / "LC_MESSAGES" / "messages.po"
    if not args.check:
        for file in files.values():
            update(file, found)
    wrong = {language: problems(file, found) for language, file in files.items()}
    for language, lines in wrong.items():
        for line in lines:
            print(f"{language}: {line}")
        print(f"{language}: {len(found)} messages, {f'{len(lines)} to do' if lines else 'complete'}")
    return 1 if args.check and any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
