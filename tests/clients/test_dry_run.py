"""A dry run changes nothing and shows, backup by backup, what the same run would delete and why the others stay."""

from __future__ import annotations

import pytest

import vendor_backup
from emulated import BACKUP, SOURCE, Emulator, Standing, days_ago
from program import Ended, Lifeboat

READING = {"list", "metadata", "query", "schema"}


def shown_as_due(ended: Ended) -> list[str]:
    assert ended.code == 0
    return sorted(line["backup"] for line in ended.report["decisions"]["shown"] if line["due"])


@pytest.mark.parametrize("command", ["backup", "prune"])
def test_a_dry_run_changes_nothing_and_shows_every_backup_with_its_reasons(
    emulator: Emulator, lifeboat: Lifeboat, due: str, before: Standing, command: str
) -> None:
    ended = lifeboat(command, "--dry-run", "--json")

    assert shown_as_due(ended) == [due]
    lines = ended.report["decisions"]["shown"]
    planned = [line for line in lines if line.get("keep") == [{"reason": "planned"}]] if command == "backup" else []
    assert sorted(line["backup"] for line in lines if line not in planned) == sorted(before)
    assert [line["source"] for line in planned] == (["acme-docs"] if command == "backup" else [])
    assert all(line.get("keep") or line.get("superseded") for line in lines)
    assert set(emulator.summary()) <= READING
    assert emulator.standing() == before and emulator.names(SOURCE) == ["acme-docs"]


def test_a_run_deletes_what_the_dry_run_showed(lifeboat: Lifeboat, due: str) -> None:
    shown = shown_as_due(lifeboat.backup("--dry-run"))

    assert lifeboat.backup().deleted == shown == [due]


def test_a_run_with_a_floor_deletes_what_the_dry_run_showed(lifeboat: Lifeboat, due: str) -> None:
    shown = shown_as_due(lifeboat.backup("--dry-run", MIN_BACKUPS="2"))

    assert lifeboat.backup(MIN_BACKUPS="2").deleted == shown


def test_a_run_after_the_vendors_script_deletes_what_the_dry_run_showed(
    emulator: Emulator, lifeboat: Lifeboat, due: str
) -> None:
    noon = days_ago(0.5)
    with emulator.at(noon):
        vendor_backup.back_up(
            emulator.client(SOURCE), emulator.client(BACKUP), "acme-", "backup-", int(noon.timestamp())
        )

    shown = shown_as_due(lifeboat.backup("--dry-run"))

    assert lifeboat.backup().deleted == shown
