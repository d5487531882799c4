"""Who left the catalog keeps a name, who was exchanged says so, and two packings of one model name each other."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient

from tests.web.helpers import MODELS
from tests.web.ratings.test_board import add_votes
from web.arena.catalogue import known, remember, variants, weights_of
from web.context import Arena
from web.records.service import Records
from worker.contract.catalog import Catalog, CatalogError, load_catalog

SWIFT, SAGE, BARD, _ = MODELS


def test_a_model_that_left_the_catalog_is_on_the_board_as_retired_under_its_name(
    arena: Arena, records: Records, client: FlaskClient
) -> None:
    add_votes(arena, (SWIFT, SAGE, "a", True), (SAGE, "stranger", "a", True))
    records.refresh_ratings()
    rows = {row["model"]: row for row in client.get("/api/leaderboard").get_json()["models"]}
    assert not rows[SWIFT]["retired"]
    assert (rows["stranger"]["retired"], rows["stranger"]["name"]) == (True, "stranger")
    left = Catalog(tuple(m for m in arena.catalog.entries if m.id != SWIFT))
    found = arena.db.read(lambda s: known(s, left, [SWIFT, SAGE]))
    name = next(m.name for m in arena.catalog.entries if m.id == SWIFT)
    assert (found[SWIFT].retired, found[SWIFT].name) == (True, name)
    assert not found[SAGE].retired


def test_other_weights_under_an_old_id_are_told_and_other_words_are_not(arena: Arena) -> None:
    first, *others = arena.catalog.entries
    renamed = msgspec.structs.replace(first, name="Another name", max_num_seqs=3)
    exchanged = msgspec.structs.replace(renamed, system_prompt="Be brief.")
    assert weights_of(first) == weights_of(renamed) != weights_of(exchanged)
    changed = []
    for spec in (first, renamed, exchanged):
        catalog = Catalog((spec, *others))
        arena.db.write(lambda s, c=catalog: remember(s, c))
        changed.append(arena.db.read(lambda s, c=catalog: known(s, c, [first.id]))[first.id].changed_at is not None)
    assert changed == [False, False, True]


CATALOG = """
[[models]]
id = "one-8b"
name = "One 8B"
maker = "One"
family = "one"
licence = "MIT"
parameters = "8B"
precision = "bf16"
path = "/models/one"
kv_bytes = "1MiB"

[[models]]
id = "two"
name = "Two"
maker = "Two"
family = "two"
licence = "MIT"
path = "/models/two"
kv_bytes = "1MiB"

[[models]]
id = "one-8b-awq"
name = "{name}"
maker = "One"
family = "one"
licence = "MIT"
parameters = "8B"
precision = "4-bit AWQ"
path = "{path}"
kv_bytes = "1MiB"
{more}
"""


def read(tmp_path: Path, name: str = "One 8B AWQ", path: str = "/models/awq", more: str = "") -> Catalog:
    file = tmp_path / "catalog.toml"
    file.write_text(CATALOG.format(name=name, path=path, more=more))
    return load_catalog(file)


def test_one_model_in_two_precisions_is_seen_as_such(arena: Arena, tmp_path: Path) -> None:
    catalog = read(tmp_path)
    found = variants(arena.db.read(lambda s: known(s, catalog, catalog.ids)))
    assert found == {"one-8b": ["one-8b-awq"], "two": [], "one-8b-awq": ["one-8b"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "ONE-8b"}, "already taken"),
        ({"path": "/models/one"}, "has the very weights of models[0]; say so: variant_of = 'one-8b'"),
        ({"more": 'variant_of = "nobody"'}, "no other entry has the id 'nobody'"),
        ({"more": 'variant_of = "one-8b-awq"'}, "no other entry has the id 'one-8b-awq'"),
    ],
)
def test_a_second_entry_of_one_model_is_refused_unless_it_says_so(
    change: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(CatalogError) as refused:
        read(tmp_path, **change)
    assert said in str(refused.value)


def test_a_declared_variant_competes_and_a_retired_one_does_not(tmp_path: Path) -> None:
    assert read(tmp_path, path="/models/one", more='variant_of = "one-8b"').ids == ("one-8b", "two", "one-8b-awq")
    retired = read(tmp_path, path="/models/one", more='retired = "May 2026: replaced by Two"')
    assert retired.ids == ("one-8b", "two")
    assert retired.get("one-8b-awq") is not None
    assert [m.id for m in retired.needed] == ["one-8b", "two"]
