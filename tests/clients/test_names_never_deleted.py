"""Namespaces of a customer's own whose names look like backups are never deleted, sealed or not.

Each stands beside real, superseded backups that the same run does delete, under selectors that take in everything.
"""

from __future__ import annotations

from datetime import datetime

import pytest

import rows
from emulated import BACKUP, Emulator, days_ago
from program import Ended, Lifeboat

NAMES = (
    "backup-tenant-0012345678",
    "backup-docs-1_2_3_4_56",
    "backup-x--1234567890",
    "backup-a-9999999999",
    "backup-",
)
# Whatever one might take for the source of such a name has real backups, so that the name has newer sealed siblings.
SOURCES = ("tenant", "docs", "docs-1_2_3_4", "x", "x-", "a", "plain")


@pytest.fixture
def due(emulator: Emulator, lifeboat: Lifeboat) -> dict[str, str]:
    """By source: a sealed backup of thirty days ago, superseded twenty days ago."""
    lifeboat.environment.update(SOURCE_PREFIX="*", RETENTION_DAYS="1")
    due = {}
    for source in SOURCES:
        emulator.write(source)
        due[source] = emulator.make_backup(source, days_ago(30))
        emulator.make_backup(source, days_ago(20))
    return due


def make_own(emulator: Emulator, name: str, sealed: bool) -> datetime:
    """A customer's namespace beside the backups, made today."""
    emulator.write(name, BACKUP)
    own = emulator.backup(name)
    if sealed:
        own.update_metadata(read_only=True)
    return own.metadata().created_at


def still_stands(emulator: Emulator, name: str, created_at: datetime, sealed: bool) -> None:
    assert emulator.standing([name]) == {name: (created_at, sealed, 5)}
    assert [row["text"] for row in rows.read(emulator.backup(name))] == [
        f"row {number} of {name}" for number in range(5)
    ]


def deleted_only(ended: Ended, due: dict[str, str]) -> None:
    assert ended.code == 0
    assert ended.deleted == sorted(due.values())


@pytest.mark.parametrize("sealed", [False, True], ids=["unsealed", "sealed"])
@pytest.mark.parametrize("name", NAMES)
def test_a_backup_run_never_deletes(
    emulator: Emulator, lifeboat: Lifeboat, due: dict[str, str], name: str, sealed: bool
) -> None:
    created_at = make_own(emulator, name, sealed)

    ended = lifeboat.backup()

    deleted_only(ended, due)
    still_stands(emulator, name, created_at, sealed)
    assert not set(due.values()) & set(emulator.names())


@pytest.mark.parametrize("sealed", [False, True], ids=["unsealed", "sealed"])
@pytest.mark.parametrize("name", NAMES)
def test_pruning_never_deletes(
    emulator: Emulator, lifeboat: Lifeboat, due: dict[str, str], name: str, sealed: bool
) -> None:
    created_at = make_own(emulator, name, sealed)

    ended = lifeboat("prune", "--yes", "--json")

    deleted_only(ended, due)
    still_stands(emulator, name, created_at, sealed)


@pytest.mark.parametrize("name", NAMES)
def test_a_list_shows_it_as_no_backup_or_says_why_it_stays(emulator: Emulator, lifeboat: Lifeboat, name: str) -> None:
    lifeboat.environment["SOURCE_PREFIX"] = "*"
    make_own(emulator, name, sealed=True)

    report = lifeboat.list().report

    if name in report.get("strays", {}).get("shown", []):
        return
    (line,) = report["decisions"]["shown"]
    reasons = {keep["reason"] for keep in line["keep"]}
    assert line["backup"] == name and not line["due"]
    assert reasons & {"not_ours", "future_slot"}
