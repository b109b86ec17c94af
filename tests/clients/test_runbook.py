"""Every command of docs/runbook.md, typed into a shell in the situation that its section describes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import secrets_manager
from emulated import BACKUP, KEY, OURS, SOURCE, Emulator, days_ago, fault
from program import DEADLINE_SECONDS, Ended, Lifeboat, refuse_keys
from zilliz import CLUSTER, FAR, NEAR, PROJECT, Account
from zilliz import KEY as ZILLIZ_KEY

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"
SOURCES = ROOT / "src"
NEW_KEY = "tpuf_newNEWnewNEWnewNEWnewNEWnewNEWne"
NAMES = {"acme-docs", "acme-users"}


def section(title: str) -> str:
    sections = re.split(r"^## ", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = [section for section in sections if section.startswith(title + "\n")]
    return section


def commands(title: str) -> str:
    """The `sh` block of a section, as it is printed."""
    (block,) = re.findall(r"^```sh\n(.*?)^```", section(title), flags=re.MULTILINE | re.DOTALL)
    assert block
    return block


@pytest.fixture
def fleet(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Iterator[Lifeboat]:
    """Two sources with sealed backups of three nights, and the function's journal."""
    for source in sorted(NAMES):
        with emulator.at(days_ago(5)):
            emulator.write(source)
        for day in (3, 2, 1):
            emulator.make_backup(source, days_ago(day))
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"
    lifeboat.environment["XDG_STATE_HOME"] = f"{tmp_path}/state"
    emulator.forget_log()
    yield lifeboat


def typed(lifeboat: Lifeboat, title: str, **variables: str) -> Ended:
    """What a person sees who types the section's commands; each must succeed."""
    environment = {**lifeboat.environment, **variables, "PATH": f"{lifeboat.binary.parent}:{os.environ['PATH']}"}
    process = subprocess.run(
        ["sh", "-eu", "-c", commands(title)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * DEADLINE_SECONDS,
    )
    lifeboat.last = Ended(process.returncode, process.stdout, process.stderr)
    refuse_keys(lifeboat.last, environment)
    assert process.returncode == 0
    return lifeboat.last


def test_every_section_has_commands_and_a_test() -> None:
    titles = re.findall(r"^## (.*)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    tested = set(re.findall(r'typed\((?:fleet|keeper), "(.*?)"', Path(__file__).read_text(encoding="utf-8")))
    assert set(titles) == tested and all(commands(title) for title in titles)


def test_a_namespace_was_deleted(emulator: Emulator, fleet: Lifeboat) -> None:
    emulator.source("acme-docs").delete_all()
    seen = typed(fleet, "A namespace was deleted")
    assert "Restore succeeded" in seen.stdout
    assert "acme-docs" in emulator.names(SOURCE)
    emulator.write("acme-docs")


def asked_of_the_log(query: str, log: str, backup: str) -> list[dict[str, Any]]:
    """What the runbook's query finds of a backup in a log of JSON lines, in its order."""
    messages = json.loads(re.findall(r"message in (\[.*?\])", query, flags=re.DOTALL)[0])
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if line["message"] in messages and line.get("backup") == backup]


def field(line: dict[str, Any], name: str) -> Any:
    for part in name.split("."):
        line = line[part]
    return line


def test_a_backup_is_missing(emulator: Emulator, fleet: Lifeboat) -> None:
    missing, by_hand, *_ = sorted(name for name in emulator.names(BACKUP) if name.startswith("backup-acme-docs-"))
    fleet.environment["LIFEBOAT_LOG_FORMAT"] = "json"
    pruned, discarded = fleet("prune", "--yes"), fleet("discard", by_hand, "--yes")
    assert missing in pruned.stdout + pruned.stderr and discarded.code == 0
    assert {missing, by_hand}.isdisjoint(emulator.names(BACKUP))

    seen = typed(fleet, "A backup is missing: did Lifeboat delete it?", MISSING=missing)
    assert "not_found" in seen.stdout and "Dry run of pruning succeeded" in seen.stdout

    (query,) = re.findall(r"^```\n(fields .*?)^```", section("A backup is missing: did Lifeboat delete it?"), flags=re.MULTILINE | re.DOTALL)
    (deleted,) = asked_of_the_log(query, pruned.stderr, missing)
    assert deleted["message"] == "backup deleted" and deleted["superseded_by"] == by_hand
    (gone,) = asked_of_the_log(query, discarded.stderr, by_hand)
    assert gone["message"] == "discarded by hand"
    # What is shown of it is there, and every line that is looked for is one that the program writes.
    shown = query.splitlines()[0].removeprefix("fields @timestamp, ").split(", ")
    assert all(field(deleted, name) for name in shown if name not in ("detail", "error"))
    said = "".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.rs"))
    for message in json.loads(re.findall(r"message in (\[.*?\])", query, flags=re.DOTALL)[0]):
        assert f'"{message}"' in said, message


def test_a_bad_job_damaged_rows(emulator: Emulator, fleet: Lifeboat) -> None:
    emulator.write("acme-docs")
    seen = typed(fleet, "A bad job damaged rows", WHEN=days_ago(1.5).strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert "1 restored" in seen.stdout
    assert "recovered-acme-docs" in emulator.names(SOURCE)
    slots = sorted(int(name[-10:]) for name in emulator.names(BACKUP) if name.startswith("backup-acme-docs-"))
    day_before = f"{datetime.fromtimestamp(slots[1], UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert seen.stdout.count(day_before) == 2  # what would be taken, and what was


def test_the_region_is_gone(emulator: Emulator, fleet: Lifeboat) -> None:
    emulator.faults(fault(region=SOURCE, status=503))
    seen = typed(fleet, "The region is gone")
    assert "Restore succeeded" in seen.stdout and "which sources live could not be seen" in seen.stdout
    assert set(emulator.names("gcp-us-central1")) == NAMES
    emulator.faults()

    # The nights go on from there.
    fleet.environment["SOURCE_REGION"] = "gcp-us-central1"
    assert "Dry run of a backup succeeded" in fleet("backup", "--dry-run").stdout
    night = fleet("backup", "--json")
    assert night.code == 0 and night.report["jobs"]["sealed"] == len(NAMES)


def test_a_source_without_a_backup_is_named_and_the_others_come_back(emulator: Emulator, fleet: Lifeboat) -> None:
    assert fleet("backup").code == 0
    for backup in [name for name in emulator.names(BACKUP) if name.startswith("backup-acme-docs-")]:
        emulator.backup(backup).update_metadata(read_only=False)
        emulator.backup(backup).delete_all()
    ended = fleet("restore", "--all", "--to", "gcp-us-central1", "--as", "{source}", "--yes")
    assert ended.code == 1 and "acme-docs" in ended.stdout and "no_backup" in ended.stdout
    assert emulator.names("gcp-us-central1") == ["acme-users"]


def test_the_key_leaked(emulator: Emulator, fleet: Lifeboat) -> None:
    # A night that the journal remembers; then somebody takes the same rows from a source and from its sealed backup.
    assert fleet("backup").code == 0
    tampered = max(name for name in emulator.names(BACKUP) if name.startswith("backup-acme-docs-"))
    backup, source = emulator.backup(tampered), emulator.source("acme-docs")
    backup.update_metadata(read_only=False)
    for side in (backup, source):
        side.write(deletes=[0])
    backup.update_metadata(read_only=True)
    # And of the other one only the newest is deleted.
    deleted = max(name for name in emulator.names(BACKUP) if name.startswith("backup-acme-users-"))
    emulator.backup(deleted).update_metadata(read_only=False)
    emulator.backup(deleted).delete_all()

    emulator.keys((NEW_KEY, OURS, ("list", "read", "write")))  # and the old one is refused
    assert fleet("list").code == 1
    seen = typed(fleet, "The key leaked", TURBOPUFFER_API_KEY=NEW_KEY)
    assert KEY not in seen.said
    online = seen.stdout.partition("SLOT")[0]
    assert "the key lists" in online and "the key reads" in online and "bad  " not in online
    assert f"`{deleted}`" in seen.stdout and "older ones are restored" in seen.stdout
    assert "damaged" in seen.stdout and "changed_since_sealed" in seen.stdout
    emulator.keys()

    found = fleet("verify", "--all", "--json")
    damaged = [line for line in found.report["verified"]["shown"] if line["finding"] == "damaged"]
    assert found.code == 1 and [line["backup"] for line in damaged] == [tampered]
    assert "as the journal says" in damaged[0]["message"]
    restored = fleet("restore", "acme-docs", "--yes", "--json")
    assert restored.code == 1 and "not trustworthy" in restored.failures["acme-docs"]
    assert emulator.source("recovered-acme-docs").metadata().read_only
    # And from before the leak it comes back whole.
    slot = datetime.fromtimestamp(int(tampered[-10:]) - 1, UTC)
    whole = fleet("restore", "acme-docs", "--at", f"{slot:%Y-%m-%dT%H:%M:%SZ}", "--as", "whole-{source}", "--yes")
    assert whole.code == 0, whole


def test_the_functions_own_region_is_down(emulator: Emulator, fleet: Lifeboat) -> None:
    # Its bucket is out of reach, and whoever asks for it would wait in vain.
    stood = set(emulator.names(BACKUP))
    seen = typed(fleet, "The function's own region is down", LIFEBOAT_JOURNAL="s3://out-of-reach/lifeboat")
    assert "Backup succeeded" in seen.stdout and "Restore succeeded" in seen.stdout
    assert "recovered-acme-docs" in emulator.names(SOURCE)
    assert stood < set(emulator.names(BACKUP)), "it deleted something"


def test_a_zilliz_region_is_gone(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> None:
    account, keeper = Account(emulator), lifeboat
    account.settings(queue_ms=200, overhead_ms=200, restore_bytes_per_second=10**11)
    # The plan that it had, and what it left behind.
    plan = f'provider = "zilliz"\nproject = "{PROJECT}"\nclusters = ["*"]\nstart = "02:00"\n'
    targets = "".join(f'[[plans.prod.targets]]\nregion = "{region}"\n' for region in (NEAR, FAR))
    with secrets_manager.running() as vault:
        keeper.environment = {
            "LIFEBOAT_CONFIG": f"[plans.prod]\n{plan}{targets}",
            "LIFEBOAT_JOURNAL": f"file://{tmp_path}/journal",
            "ZILLIZ_API_KEY": ZILLIZ_KEY,
            "ZILLIZ_BASE_URL": account.url,
            "HOME": str(tmp_path),
            **vault.environment,
        }
        account.settings(backup_bytes_per_second=10**11, copy_bytes_per_second=10**11)
        assert keeper("backup", "--manual").code == 0
        account.drop(CLUSTER)
        seen = typed(keeper, "A Zilliz region is gone", CLUSTER="orders-prod", REGION=NEAR)
        held = vault.held("lifeboat/restored/orders-back")
    assert "Restore succeeded" in seen.stdout and "collection TTL" in seen.stdout
    assert held["cluster_id"] in seen.stdout and held["password"] not in seen.said
    (back,) = [cluster for cluster in account.known("clusters") if cluster["name"] == "orders-back"]
    assert (back["id"], back["region"], back["status"]) == (held["cluster_id"], NEAR, "RUNNING")
