"""Whether a text seems to hold somebody's data: stated patterns, so that anybody can say why a text is flagged.

``mail``: an address; ``phone``: 9 to 14 digits behind a ``+`` or ``00``, or ten in three groups; ``card``: 13 to 19
digits that pass Luhn's check (ISO/IEC 7812); ``iban``: ISO 13616's form and its check modulo 97; ``address``: an IPv4
address outside the ranges that are nobody's; ``ssn``: a United States social security number. Names and places are not
looked for: a flag that is absent promises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_MAIL = re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_PHONE = re.compile(
    r"(?<![\w.])(?<!\d )(?:\+|00)[1-9](?:[ ()./-]{0,2}\d){8,13}(?![\w])"
    r"|(?<![\w.])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w])"
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_NOBODYS = ("0.", "10.", "127.", "192.168.", "192.0.2.", "198.51.100.", "203.0.113.", "255.")


def kinds(texts: Iterable[str]) -> list[str]:
    """What is found in any of ``texts``, in the order of names. Linear in their length."""
    found: set[str] = set()
    for text in texts:
        found |= {name for name, search in _SEARCHES.items() if name not in found and search(text)}
    return sorted(found)


def _any(pattern: re.Pattern[str], valid: Callable[[str], bool] = bool) -> Callable[[str], bool]:
    return lambda text: any(valid(hit.group()) for hit in pattern.finditer(text))


def _luhn(number: str) -> bool:
    digits = [int(c) for c in reversed(number) if c.isdigit()]
    total = sum(d if n % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for n, d in enumerate(digits))
    return total % 10 == 0 and len(set(digits)) > 1


def _iban(number: str) -> bool:
    plain = number.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _public(address: str) -> bool:
    return all(int(part) < 256 for part in address.split(".")) and not address.startswith(_NOBODYS)


_SEARCHES: dict[str, Callable[[str], bool]] = {
    "mail": _any(_MAIL),
    "phone": _any(_PHONE),
    "card": _any(_CARD, _luhn),
    "iban": _any(_IBAN, _iban),
    "address": _any(_IPV4, _public),
    "ssn": _any(_SSN),
}
