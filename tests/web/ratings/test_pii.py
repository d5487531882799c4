from __future__ import annotations

import time

import pytest

from web.ratings.pii import kinds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to Ada.Lovelace+x@mail.example.co.uk please", ["mail"]),
        ("call +49 170 123 45 67 tonight", ["phone"]),
        ("call (555) 123-4567", ["phone"]),
        ("my card is 4111 1111 1111 1111, ok?", ["card"]),
        ("IBAN DE89 3704 0044 0532 0130 00", ["iban"]),
        ("the server 8.8.4.4 is down", ["address"]),
        ("ssn 123-45-6789", ["ssn"]),
        ("mail a@b.de or ring +1 212 555 01 99", ["mail", "phone"]),
        ("my card is 4111 1111 1111 1112", []),
        ("IBAN DE88 3704 0044 0532 0130 00", []),
        ("what is 12345678 * 87654321, on 2026-05-17 at 10:30:00?", []),
        ("ping 127.0.0.1, version 1.2.3.4.5, 999.1.1.1", []),
        ("pi is 3.14159265358979323846", []),
        ("@dataclass in a decorator x@y", []),
        ("0000 0000 0000 0000", []),
    ],
)
def test_what_is_somebodys_is_found_and_what_only_looks_so_is_not(text: str, found: list[str]) -> None:
    assert kinds([text]) == found


@pytest.mark.parametrize("piece", ["a.", "1 ", "1-", "a@", "+1 ", "DE89 ", "1.1.", "(555) "])
def test_no_text_holds_it_up(piece: str) -> None:
    begin = time.process_time()
    kinds([piece * 1000])
    once = time.process_time() - begin
    kinds([piece * 8000])
    assert time.process_time() - begin < 1 + 100 * once, "linear, or nearly so"
