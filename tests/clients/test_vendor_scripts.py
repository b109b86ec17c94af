"""Lifeboat and scripts in the way of the vendor's page live side by side: each reads the other's backups.

Lifeboat never deletes what such a script made, however old; and where the script deletes a customer's own namespace,
stops at the first failure, or lets the last good copy go, Lifeboat does not.
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import rows
import vendor_backup
from emulated import BACKUP, KEY, SOURCE, Emulator, days_ago
from program import Lifeboat

HERE = Path(__file__).parent
SOURCES = {"tenant-a": 40, "tenant-b": 3}
OWN_NAMESPACE = "backup-tenant-0012345678"


@pytest.fixture(autouse=True)
def sources(emulator: Emulator, lifeboat: Lifeboat) -> None:
    lifeboat.environment["SOURCE_PREFIX"] = "tenant-"
    for name, count in SOURCES.items():
        rows.write(emulator.source(name), [rows.make(number) for number in range(count)])


def run_vendors(script: str, emulator: Emulator, days: int = 7, succeeds: bool = True) -> None:
    """Runs one of the scripts as its users do, in a second of its own: names are of whole seconds, and both use the same."""
    time.sleep(1 - time.time() % 1)
    environment = {
        "TURBOPUFFER_API_KEY": KEY,
        "TURBOPUFFER_BASE_URL": emulator.base_url,
        "SOURCE_REGION": SOURCE,
        "BACKUP_REGION": BACKUP,
        "SOURCE_PREFIX": "tenant-",
        "BACKUP_PREFIX": "backup-",
        "RETENTION_DAYS": str(days),
    }
    command = [sys.executable, str(HERE / f"{script}.py")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (process.returncode == 0) is succeeds, process.stderr


def vendors_history(emulator: Emulator, *days: float) -> list[str]:
    """Backups that the vendor's script made so many days ago."""
    before = emulator.names()
    source, target = emulator.client(SOURCE), emulator.client(BACKUP)
    for slot in map(days_ago, days):
        with emulator.at(slot):
            vendor_backup.back_up(source, target, "tenant-", "backup-", int(slot.timestamp()))
    return sorted(set(emulator.names()) - set(before))


def recovered(emulator: Emulator) -> dict[str, int]:
    """What stands under `recovered-`, each as equal to its source as it should be."""
    found = {}
    for name in emulator.names(SOURCE):
        if name.startswith("recovered-"):
            original = name[len("recovered-") :]
            copy, made = rows.read(emulator.source(name)), rows.read(emulator.source(original))
            assert rows.exactly(copy) == rows.exactly(made)
            found[original] = len(copy)
    return found


def lines(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["backup"]: line for line in report["decisions"]["shown"]}


def test_the_vendors_scripts_back_up_and_recover_on_the_emulator(emulator: Emulator) -> None:
    (old, _) = vendors_history(emulator, 30)
    run_vendors("vendor_backup", emulator)
    assert old not in emulator.names() and len(emulator.names()) == len(SOURCES)

    run_vendors("vendor_recover", emulator)

    assert recovered(emulator) == SOURCES


def test_the_vendors_recovery_reads_lifeboats_backups(emulator: Emulator, lifeboat: Lifeboat) -> None:
    vendors_history(emulator, 2)
    ended = lifeboat.backup()
    assert ended.code == 0

    run_vendors("vendor_recover", emulator)

    assert recovered(emulator) == SOURCES
    # A copy inherits the seal, so what such a script recovers takes writes only after this.
    thawed = emulator.source("recovered-tenant-a")
    assert thawed.metadata().read_only
    thawed.update_metadata(read_only=False)
    rows.write(thawed, [rows.make(1_000)])


def test_lifeboat_lists_the_vendors_backups_as_unsealed_with_their_source_and_slot(
    emulator: Emulator, lifeboat: Lifeboat
) -> None:
    days = (400, 30, 3)
    made = vendors_history(emulator, *days)

    ended = lifeboat.list()

    assert ended.code == 0
    listed = lines(ended.report)
    assert sorted(listed) == made
    for name, line in listed.items():
        assert line["source"] == name[len("backup-") : -11]
        assert datetime.fromisoformat(line["slot"].replace("Z", "+00:00")).timestamp() == int(name[-10:])
        assert line["sealed"] is False and line["due"] is False
        assert {"reason": "unsealed"} in line["keep"]


def test_lifeboat_deletes_its_own_superseded_backups_and_never_the_vendors(
    emulator: Emulator, lifeboat: Lifeboat
) -> None:
    vendors = vendors_history(emulator, 400, 31, 21, 11, 1.5)
    own = {days: emulator.make_backup("tenant-a", days_ago(days)) for days in (30, 20, 10)}

    ended = lifeboat.backup(RETENTION_DAYS="1")

    assert ended.code == 0
    assert ended.deleted == sorted([own[30], own[20]])
    assert set(vendors) | {own[10]} <= set(emulator.names())
    assert lifeboat.list().report["pruning"]["unsealed"] == len(vendors)
    for name in vendors:
        source = name[len("backup-") : -11]
        assert rows.exactly(rows.read(emulator.backup(name))) == rows.exactly(rows.read(emulator.source(source)))


def test_the_vendors_script_deletes_a_customers_own_namespace(emulator: Emulator) -> None:
    emulator.write(OWN_NAMESPACE, BACKUP)

    run_vendors("vendor_backup", emulator)

    assert OWN_NAMESPACE not in emulator.names()


@pytest.mark.parametrize("prefix", ["tenant-", "tenant", "*"])
def test_lifeboat_does_not(emulator: Emulator, lifeboat: Lifeboat, prefix: str) -> None:
    emulator.write(OWN_NAMESPACE, BACKUP)
    due = [emulator.make_backup("tenant-a", days_ago(days)) for days in (30, 20)][0]

    ended = lifeboat.backup(SOURCE_PREFIX=prefix)

    assert ended.code == 0 and ended.deleted == [due]
    assert len(rows.read(emulator.backup(OWN_NAMESPACE))) == 5


def test_one_failing_copy_ends_the_vendors_run_and_only_its_own_job_of_lifeboats(
    emulator: Emulator, lifeboat: Lifeboat
) -> None:
    refused = {"status": 400, "body": '{"status": "error", "error": "this copy is refused"}'}
    emulator.faults({"match": {"source": "tenant-a"}, "fault": refused})

    run_vendors("vendor_backup", emulator, succeeds=False)
    assert emulator.names() == []
    ended = lifeboat.backup()

    assert ended.code == 1 and "this copy is refused" in ended.failures["tenant-a"]
    assert [name[:-11] for name in emulator.names()] == ["backup-tenant-b"]


def test_a_lost_sources_last_good_copy_ages_out_at_the_vendors_and_stays_with_lifeboat(
    emulator: Emulator, lifeboat: Lifeboat
) -> None:
    by_lifeboat = [emulator.make_backup("tenant-b", days_ago(days)) for days in (30, 20)]
    by_vendor = [name for name in vendors_history(emulator, 40) if "tenant-b" in name]
    emulator.source("tenant-b").delete_all()

    ended = lifeboat.backup()
    assert ended.code == 0 and ended.deleted == []
    assert {*by_lifeboat, *by_vendor} <= set(emulator.names())
    run_vendors("vendor_backup", emulator)

    assert [name for name in emulator.names() if "tenant-b" in name] == []


def test_whoever_asks_about_all_backups_counts_every_unsealed_one(emulator: Emulator, lifeboat: Lifeboat) -> None:
    made = vendors_history(emulator, 3, 0.5)

    assert lifeboat.backup("--dry-run").report["pruning"]["unsealed"] == len(made)
    assert "unsealed" not in lifeboat.backup().report["pruning"], "a run asks only what it must know"
