"""The official Python client, unmodified, makes sources of every type and size and gets them back from our backups.

A backup holds every row and every bit of every vector, takes no writes, and left its source alone; it can be listed,
searched, branched and deleted like any namespace. An event that comes twice makes nothing twice.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from turbopuffer import BadRequestError, NotFoundError

import rows
from emulated import BACKUP, SOURCE, Emulator, days_ago
from program import Ended, Lifeboat


def name_of_backup(ended: Ended, source: str) -> str:
    assert ended.code == 0
    slot = days_ago(0).fromisoformat(ended.report["slot"].replace("Z", "+00:00"))
    return f"backup-{source}-{int(slot.timestamp()):010}"


@pytest.mark.parametrize(
    ("count", "ids"), [(1, "uint"), (1_000, "string"), (1_000, "uuid"), (50_000, "uint")], ids=lambda value: str(value)
)
def test_a_backup_holds_every_row_and_every_bit_of_its_source(
    emulator: Emulator, lifeboat: Lifeboat, count: int, ids: str
) -> None:
    made = [rows.make(number, ids) for number in range(count)]
    source = emulator.source("acme-docs")
    rows.write(source, made, ids)
    before = source.metadata()

    ended = lifeboat.backup()

    assert ended.report["copied"]["rows"] == count
    backup = emulator.backup(name_of_backup(ended, "acme-docs"))
    assert rows.exactly(rows.read(backup)) == rows.exactly(made)
    assert backup.metadata().schema_ == before.schema_
    # The source is as it was, by its rows and by its own account, and still takes writes; the backup takes none.
    assert rows.exactly(rows.read(source)) == rows.exactly(made)
    assert source.metadata() == before
    assert backup.metadata().read_only
    with pytest.raises(BadRequestError, match="read-only"):
        rows.write(backup, made[:1], ids)
    rows.write(source, made[:1], ids)


def test_vectors_written_as_numbers_come_back_from_a_backup_with_the_same_bits(
    emulator: Emulator, lifeboat: Lifeboat
) -> None:
    made = [rows.make(number) for number in range(200)]
    source = emulator.source("acme-docs")
    columns: Any = {name: [row.get(name) for row in made] for name in made[0]}
    source.write(upsert_columns=columns, schema={"id": "uint", **rows.SCHEMA}, distance_metric="euclidean_squared")

    backup = emulator.backup(name_of_backup(lifeboat.backup(), "acme-docs"))

    assert rows.exactly(rows.read(backup, "float")) == rows.exactly(made)
    assert rows.exactly(rows.read(backup, "base64")) == rows.exactly(made)


def test_searches_of_a_backup_find_what_searches_of_the_source_find(emulator: Emulator, lifeboat: Lifeboat) -> None:
    source = emulator.source("acme-docs")
    rows.write(source, [rows.make(number) for number in range(500)])
    backup = emulator.backup(name_of_backup(lifeboat.backup(), "acme-docs"))
    searches: list[dict[str, Any]] = [
        {"rank_by": ("id", "asc"), "filters": ("title", "Glob", "*grüner*")},
        {"rank_by": ("vector", "ANN", rows.make(7)["vector"])},
        {"rank_by": ("delta", "desc"), "filters": ("And", [("live", "Eq", True), ("code", "In", ["c1", "c2", "c4"])])},
    ]
    for search in searches:
        found = [
            [row.model_dump() for row in namespace.query(limit=20, include_attributes=["title"], **search).rows or []]
            for namespace in (source, backup)
        ]
        assert found[0] and found[0] == found[1], search


def test_a_backup_can_be_branched_copied_back_and_deleted(emulator: Emulator, lifeboat: Lifeboat) -> None:
    made = [rows.make(number) for number in range(100)]
    rows.write(emulator.source("acme-docs"), made)
    name = name_of_backup(lifeboat.backup(), "acme-docs")

    emulator.backup("branch").branch_from(source_namespace=name)
    emulator.source("acme-again").copy_from(source_namespace=name, source_region=BACKUP)
    emulator.backup(name).delete_all()

    assert emulator.names(BACKUP) == ["branch"]
    with pytest.raises(NotFoundError):
        emulator.backup(name).metadata()
    for survivor in (emulator.backup("branch"), emulator.source("acme-again")):
        assert rows.exactly(rows.read(survivor)) == rows.exactly(made)


@pytest.mark.parametrize("hint", ["never", "always"])
def test_the_client_copies_a_backup_back_however_the_service_answers(
    emulator: Emulator, lifeboat: Lifeboat, hint: str
) -> None:
    made = [rows.make(number) for number in range(100)]
    rows.write(emulator.source("acme-docs"), made)
    name = name_of_backup(lifeboat.backup(), "acme-docs")
    emulator.settings(async_hint=hint)

    copied = emulator.source("recovered").copy_from(source_namespace=name, source_region=BACKUP)

    assert copied.rows_affected == len(made)
    assert rows.exactly(rows.read(emulator.source("recovered"))) == rows.exactly(made)


def test_the_client_lists_every_backup_page_after_page(emulator: Emulator, lifeboat: Lifeboat) -> None:
    sources = [f"acme-{number:03}" for number in range(230)]
    for source in sources:
        emulator.write(source)

    ended = lifeboat.backup()

    listed: list[str] = [found.id for found in emulator.client(BACKUP).namespaces(prefix="backup-acme-")]
    assert emulator.count("list") >= 3
    assert listed == [name_of_backup(ended, source) for source in sources]


def test_a_second_event_for_the_same_slot_makes_nothing_new(emulator: Emulator, lifeboat: Lifeboat) -> None:
    for source in ("acme-docs", "acme-users"):
        rows.write(emulator.source(source), [rows.make(number) for number in range(10)])
    event = {"action": "backup", "scheduled_time": days_ago(0.01).isoformat()}

    first = lifeboat.invoke(event)
    assert first.code == 0 and first.report["jobs"]["sealed"] == 2
    standing, copies = emulator.standing(), emulator.count("start_copy")
    assert copies == 2
    second = lifeboat.invoke(event)

    assert second.code == 0 and second.report["jobs"]["already_sealed"] == 2
    assert emulator.count("start_copy") == copies
    assert emulator.standing() == standing
    assert emulator.names(SOURCE) == ["acme-docs", "acme-users"]


def test_events_for_the_same_slot_at_the_same_time_make_one_set(emulator: Emulator, lifeboat: Lifeboat) -> None:
    sources = [f"acme-{number}" for number in range(5)]
    for source in sources:
        emulator.write(source)
    event = {"action": "backup", "scheduled_time": days_ago(0.01).isoformat()}

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda _: lifeboat.invoke(event), range(3)))

    assert [end.code for end in ends] == [0, 0, 0]
    assert emulator.names() == sorted(name_of_backup(ends[0], source) for source in sources)
    assert emulator.summary()["start_copy"]["202"] == len(sources)
    assert all(sealed for _, sealed, _ in emulator.standing().values())


def test_an_empty_and_a_frozen_source_are_backed_up_and_sealed(emulator: Emulator, lifeboat: Lifeboat) -> None:
    emulator.source("acme-empty").write(create_namespace=True, schema={"id": "uint"})
    emulator.write("acme-frozen")
    emulator.source("acme-frozen").update_metadata(read_only=True)

    ended = lifeboat.backup()

    standing = emulator.standing()
    shown = {source: standing[name_of_backup(ended, source)][1:] for source in ("acme-empty", "acme-frozen")}
    assert shown == {"acme-empty": (True, 0), "acme-frozen": (True, 5)}
    assert emulator.source("acme-frozen").metadata().read_only


def test_a_second_event_leaves_the_sealed_backup_of_a_frozen_source_alone(
    emulator: Emulator, lifeboat: Lifeboat
) -> None:
    emulator.write("acme-frozen")
    emulator.source("acme-frozen").update_metadata(read_only=True)
    event = {"action": "backup", "scheduled_time": days_ago(0.01).isoformat()}
    assert lifeboat.invoke(event).code == 0
    emulator.forget_log()

    second = lifeboat.invoke(event)

    assert second.report["jobs"]["already_sealed"] == 1
    assert "patch_metadata" not in emulator.summary()
