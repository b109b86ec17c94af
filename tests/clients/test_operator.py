"""What an operator does by hand: plan, approve, back up for ever, look at jobs; with a journal that may be out of order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulated import BACKUP, SOURCE, Emulator, Standing, days_ago, fault
from program import Lifeboat

WEEKS = 3


@pytest.fixture
def cut(emulator: Emulator, lifeboat: Lifeboat) -> Iterator[Lifeboat]:
    """Weeks of nightly backups under a wide window, and then the policy is cut to one day."""
    lifeboat.environment["RETENTION_DAYS"] = "365"
    with emulator.at(days_ago(WEEKS * 7 + 1)):
        emulator.write("acme-docs")
    for day in range(WEEKS * 7, 0, -1):
        emulator.make_backup("acme-docs", days_ago(day))
    lifeboat.environment["RETENTION_DAYS"] = "1"
    yield lifeboat


def hash_of(lifeboat: Lifeboat) -> str:
    """What `lifeboat plan` says stands for all that is due."""
    ended = lifeboat("plan", "--json")
    assert ended.code == 0 and ended.report["dry_run"], str(ended)
    (target,) = ended.report["targets"]
    return target["deletion_plan"]


def test_a_policy_cut_by_mistake_deletes_nothing_until_its_list_is_approved(
    emulator: Emulator, cut: Lifeboat
) -> None:
    before = emulator.standing()
    approved = hash_of(cut)

    braked = cut("prune", "--yes", "--json")
    assert braked.code == 1 and "braked" in braked.failures[None] and approved in braked.failures[None]
    wrong = cut("prune", "--json", "--approve", "0123456789abcdef")
    assert wrong.code == 1 and "is not the hash of what is due now" in wrong.failures[None]
    assert emulator.standing() == before

    ended = cut("prune", "--json", "--approve", approved)
    assert ended.code == 0 and len(ended.deleted) == ended.report["pruning"]["due"] > 10
    assert len(emulator.standing()) == len(before) - len(ended.deleted)


def test_the_plan_is_a_table_that_says_why_and_how_to_go_on(cut: Lifeboat) -> None:
    ended = cut("plan")

    assert ended.code == 0 and "superseded" in ended.stdout and "among the 1 newest sealed" in ended.stdout
    assert f"lifeboat prune --plan default --approve {hash_of(cut)}" in ended.stdout
    assert "the brake" in ended.stdout


def test_a_backup_by_hand_stands_for_ever(emulator: Emulator, lifeboat: Lifeboat, due: str) -> None:
    ended = lifeboat.backup("--manual")

    assert ended.code == 0 and ended.report["jobs"]["sealed"] == 1 and ended.deleted == []
    (made,) = [name for name in emulator.names() if name.startswith("manual-backup-acme-docs-")]
    assert lifeboat("prune", "--yes", "--json").deleted == [due] and made in emulator.names()
    kept = [line["keep"] for line in lifeboat.list().report["decisions"]["shown"] if line["backup"] == made]
    assert {"reason": "manual"} in kept[0]


@pytest.mark.parametrize("arguments", [
    ["backup", "--manual", "--approve", "0123456789abcdef"], ["prune", "--dry-run", "--approve", "0123456789abcdef"],
    ["prune", "--manual"], ["resume", "--dry-run"],
])
def test_what_would_be_ignored_is_refused(lifeboat: Lifeboat, arguments: list[str]) -> None:
    ended = lifeboat(*arguments)

    assert ended.code == 2 and not ended.stdout


def test_resume_and_jobs_need_a_journal_and_say_so(lifeboat: Lifeboat) -> None:
    for command in ("resume", "jobs"):
        ended = lifeboat(command)
        assert ended.code == 2 and "set LIFEBOAT_JOURNAL" in ended.stderr


def test_the_journal_remembers_jobs_like_a_cloud_console(
    emulator: Emulator, lifeboat: Lifeboat, due: str, tmp_path: Path
) -> None:
    journal = f"file://{tmp_path}/journal"
    ended = lifeboat.backup(LIFEBOAT_JOURNAL=journal)
    assert ended.code == 0 and ended.deleted == [due]

    shown = lifeboat("jobs", LIFEBOAT_JOURNAL=journal)
    assert shown.code == 0 and "acme-docs" in shown.stdout and "sealed" in shown.stdout
    (run,) = json.loads(lifeboat("jobs", "--json", LIFEBOAT_JOURNAL=journal).stdout)["runs"]
    assert run["outcome"] == "succeeded" and run["deleted"] == 1
    assert [(job["source"], job["region"], job["state"]) for job in run["jobs"]] == [("acme-docs", BACKUP, "sealed")]
    nothing = lifeboat("resume", LIFEBOAT_JOURNAL=journal)
    assert nothing.code == 0 and nothing.stdout == "No run is open.\n"


def test_a_journal_that_cant_be_used_stops_deletion_and_not_copying(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a directory")

    ended = lifeboat.backup(LIFEBOAT_JOURNAL=f"file://{tmp_path}/file/journal")

    assert ended.code == 1 and ended.report["jobs"]["sealed"] == 1 and ended.deleted == []
    assert "journal" in ended.failures[None]
    assert before.items() <= emulator.standing().items()


@pytest.mark.parametrize("journal", ["", "ftp://host/x", "s3://", "journal", "memory://named"])
def test_a_journal_that_is_no_place_is_refused(emulator: Emulator, lifeboat: Lifeboat, journal: str) -> None:
    ended = lifeboat.backup(LIFEBOAT_JOURNAL=journal)

    assert ended.code == 2 and "LIFEBOAT_JOURNAL" in ended.stderr
    assert not emulator.summary()


def test_a_document_drives_two_plans(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> None:
    emulator.write("acme-docs")
    emulator.write("globex-docs")
    document = tmp_path / "lifeboat.toml"
    document.write_text(f"""
[plans.acme]
[plans.acme.source]
region = "{SOURCE}"
prefixes = ["acme-"]
[[plans.acme.targets]]
region = "{BACKUP}"
[plans.globex]
[plans.globex.source]
region = "{SOURCE}"
prefixes = ["globex-"]
[[plans.globex.targets]]
region = "{BACKUP}"
retention = {{ days = 7, monthly = 12 }}
""")
    instead = {name: None for name in ("SOURCE_REGION", "BACKUP_REGION", "SOURCE_PREFIX", "RETENTION_DAYS")}
    instead["LIFEBOAT_CONFIG"] = str(document)

    unnamed = lifeboat.backup(**instead)
    assert unnamed.code == 2 and "acme, globex" in unnamed.stderr
    ended = lifeboat.backup("--plan", "globex", **instead)
    assert ended.code == 0 and ended.report["plan"] == "globex" and ended.report["sources"] == 1
    assert [name[:-11] for name in emulator.names()] == ["backup-globex-docs"]
    misspelt = lifeboat.backup("--plan", "glowbex", **instead)
    assert misspelt.code == 2 and "did you mean `globex`" in misspelt.stderr


@pytest.mark.parametrize("door", [("check", "--online", "--json"), ("invoke", "CHECK.json", "--json")])
def test_a_check_asks_every_region_from_every_door(
    emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path, door: tuple[str, ...]
) -> None:
    event = tmp_path / "check.json"
    event.write_text('{"action": "check"}', encoding="utf-8")
    arguments = [str(event) if word == "CHECK.json" else word for word in door]
    emulator.write("acme-docs")
    emulator.forget_log()

    good = lifeboat(*arguments)
    assert good.code == 0 and {found["verdict"] for found in good.report["findings"]} <= {"good", "note"}
    assert any("selected" in found["message"] for found in good.report["findings"])

    emulator.faults(fault(region=BACKUP, status=503))
    bad = lifeboat(*arguments)
    (found,) = [found for found in bad.report["findings"] if found["verdict"] == "bad"]
    assert bad.code == 1 and BACKUP in found["about"]
    assert "write" not in emulator.summary() and "start_copy" not in emulator.summary()


@pytest.mark.parametrize("door", [("check", "--online", "--json"), ("invoke", "CHECK.json", "--json")])
def test_a_check_looks_at_the_journal_from_every_door(
    emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path, door: tuple[str, ...]
) -> None:
    event = tmp_path / "check.json"
    event.write_text('{"action": "check"}', encoding="utf-8")
    arguments = [str(event) if word == "CHECK.json" else word for word in door]
    emulator.write("acme-docs")
    journal, plain = tmp_path / "journal", tmp_path / "plain"
    plain.write_text("somebody's", encoding="utf-8")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"}

    new = lifeboat(*arguments, LIFEBOAT_JOURNAL=f"file://{journal}")
    assert new.code == 0 and not journal.exists(), new
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{journal}"
    assert lifeboat.backup().code == 0
    good = lifeboat(*arguments)
    (found, _) = [found for found in good.report["findings"] if found["about"] == f"journal file://{journal}"]
    assert good.code == 0 and found["verdict"] == "good", good

    lease = journal / "leases" / "default.json"
    lease.write_text("not JSON", encoding="utf-8")
    for says, changes in (
        (str(lease), {}),
        (str(plain), {"LIFEBOAT_JOURNAL": f"file://{plain}"}),
        ("s3://no-such-bucket/x", {"LIFEBOAT_JOURNAL": "s3://no-such-bucket/x?region=eu-west-1", **nowhere}),
    ):
        ended = lifeboat(*arguments, **changes)
        (found,) = [found for found in ended.report["findings"] if found["verdict"] == "bad"]
        assert ended.code == 1 and "journal" in found["about"] and says in found["message"], ended
    assert lease.read_text(encoding="utf-8") == "not JSON"
