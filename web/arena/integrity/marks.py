"""What is kept of where a vote came from and what was asked: keyed hashes, of no use without the arena's key.

A place is a group of addresses that one person commonly has many of: a /24 of IPv4, a /64 of IPv6. No address is
stored, and the records worker forgets places after ``ARENA_INTEGRITY_DAYS``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import unicodedata

_IPV4, _IPV6 = 24, 64


def place(address: str, key: str) -> str | None:
    """16 hex digits for the group an address is in; None for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    network = ipaddress.ip_network((ip, _IPV4 if ip.version == 4 else _IPV6), strict=False)
    return _digest(str(network), key, b"arena-place")


def prompt_mark(prompt: str, key: str) -> str:
    """16 hex digits that are the same for prompts which differ only in case, spacing and punctuation at the ends."""
    plain = " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())
    return _digest(plain.strip(" .,;:!?\"'"), key, b"arena-prompt")


def _digest(text: str, key: str, person: bytes) -> str:
    secret = hashlib.blake2b(key.encode(), digest_size=32).digest()
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=8, person=person).hexdigest()
