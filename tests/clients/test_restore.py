"""Getting data back with the real program: as a user does it on the worst day, and everything that may be in the way."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulated import KEY, OURS, SOURCE, Emulator, days_ago, fault
from program import Ended, Lifeboat

ELSEWHERE = "gcp-us-central1"
OTHER_KEY = "tpuf_otherOTHERotherOTHERotherOTHERx"
THEIRS = "another"


@pytest.fixture
def kept(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Iterator[Lifeboat]:
    """Two sources with sealed backups of three nights, and a journal that the function would share."""
    for source in ("acme-docs", "acme-users"):
        with emulator.at(days_ago(5)):
            emulator.write(source)
        for day in (3, 2, 1):
            emulator.make_backup(source, days_ago(day))
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"
    emulator.forget_log()
    yield lifeboat


def restored(ended: Ended) -> dict[str, str]:
    """Sources, and what they are restored as."""
    lines = ended.report["restored"]["shown"]
    return {line["source"]: line["destination"] for line in lines if line["state"] == "restored"}


def writes(emulator: Emulator) -> int:
    """Requests that changed something, or could have."""
    changing = ("start_copy", "copy", "write", "delete", "patch_metadata")
    return sum(emulator.count(operation) for operation in changing)


def test_all_that_was_lost_comes_back_under_its_own_name_and_can_be_written(
    emulator: Emulator, kept: Lifeboat
) -> None:
    for source in ("acme-docs", "acme-users"):
        emulator.source(source).delete_all()
    backups = emulator.standing()

    ended = kept("restore", "--all", "--as", "{source}", "--yes", "--json")

    assert ended.code == 0 and restored(ended) == {name: name for name in ("acme-docs", "acme-users")}
    assert ended.report["held"] and ended.report["rows"] == 10
    emulator.write("acme-docs")
    assert emulator.standing() == backups


def test_one_namespace_comes_back_beside_the_live_one_as_a_table_shows(emulator: Emulator, kept: Lifeboat) -> None:
    ended = kept("restore", "acme-docs", "--yes")

    assert ended.code == 0 and ended.stdout.startswith("Restore succeeded: plan `default`")
    assert "recovered-acme-docs" in ended.stdout and "1 restored" in ended.stdout
    assert "recovered-acme-docs" in emulator.names(SOURCE)
    again = kept("restore", "acme-docs", "--yes", "--json")
    assert again.code == 0 and emulator.count("start_copy") == 1


def test_a_point_in_time_is_met_by_each_source_for_itself(emulator: Emulator, kept: Lifeboat) -> None:
    with emulator.at(days_ago(0.5)):
        emulator.write("acme-late")
    late = emulator.make_backup("acme-late", days_ago(0.25))
    moment = days_ago(4)
    wanted = emulator.make_backup("acme-docs", moment)
    time_wanted = moment.isoformat()

    ended = kept("restore", "acme-docs", "acme-late", "--at", time_wanted, "--yes", "--json")

    assert ended.code == 1 and list(restored(ended)) == ["acme-docs"]
    (line,) = ended.report["restored"]["shown"]
    assert line["backup"] == wanted
    assert "no_backup" in ended.failures["acme-late"] and late[-10:] not in ended.stdout


def test_every_conflict_is_listed_and_nothing_is_started(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.write("recovered-acme-docs")
    emulator.write("recovered-acme-users")
    before = writes(emulator)

    ended = kept("restore", "--prefix", "acme-", "--yes", "--json")

    assert ended.code == 1 and set(ended.failures) == {"acme-docs", "acme-users"}
    assert "nothing was started" in ended.failures["acme-docs"] and not restored(ended)
    assert writes(emulator) == before


@pytest.mark.parametrize("arguments, says", [
    ([], "required"), (["--all", "--prefix", "a"], "cannot be used with"), (["acme-docs", "--all"], "cannot be used with"),
    (["--all", "--as", "a b"], "letters, digits"), (["--all", "--as", "{source}{source}"], "once"),
    (["--all", "--at", "yesterday"], "--at"), (["--all", "--verify", "somewhat"], "metadata, count"),
    (["--all", "--to", "Mars!"], "a region"), (["--all", "--plan", "weekly"], "weekly"),
    (["--all", "--target", "moon"], "no target `moon`"), (["acme docs"], "names"),
])
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    emulator: Emulator, kept: Lifeboat, arguments: list[str], says: str
) -> None:
    ended = kept("restore", *arguments, "--yes")

    assert ended.code == 2 and says in ended.stderr and not ended.stdout
    assert not emulator.summary()


def test_where_nobody_can_be_asked_a_yes_is_needed(emulator: Emulator, kept: Lifeboat) -> None:
    ended = kept("restore", "--all")

    assert ended.code == 2 and "--yes" in ended.stderr and not emulator.summary()
    looked = kept("restore", "--all", "--dry-run", "--json")
    assert looked.code == 0 and looked.report["counts"]["planned"] == 2 and writes(emulator) == 0


@pytest.mark.parametrize("answer, code", [("y", 0), ("n", 1), ("", 1)])
def test_at_a_terminal_it_shows_what_it_would_do_and_asks(
    emulator: Emulator, kept: Lifeboat, answer: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    command = [str(kept.binary), "restore", "acme-docs"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=kept.environment) as process:
        os.close(theirs)
        said = ""
        deadline = time.monotonic() + 60
        while "[y/N]" not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                said += os.read(ours, 65536).decode()
        assert "About to be restored: plan `default`" in said and "Dry run" not in said
        assert "recovered-acme-docs" in said and "Restore 1 namespace into" in said
        os.write(ours, f"{answer}\n".encode())
        assert process.wait(60) == code
    os.close(ours)
    assert ("recovered-acme-docs" in emulator.names(SOURCE)) == (code == 0)


def test_it_comes_back_under_another_encryption_key(emulator: Emulator, kept: Lifeboat) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/0f7c1a2e-5b1d-4a53-9c7e-3f6a1d2b4c5d"
    keyed = kept("restore", "acme-docs", "--to-encryption-key", key, "--as", "keyed-{source}", "--yes", "--json")
    inherited = kept("restore", "acme-docs", "--yes", "--json")

    assert keyed.code == 0 == inherited.code
    assert key in str(emulator.source("keyed-acme-docs").metadata().encryption)
    assert key not in str(emulator.source("recovered-acme-docs").metadata().encryption)


def test_interrupted_it_says_how_to_carry_on_and_copies_nothing_twice(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.settings(copy_overhead_ms=8_000)
    command = [str(kept.binary), "restore", "--all", "--as", "{source}-back", "--yes", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=kept.environment, text=True) as process:
        while emulator.count("poll") < 2:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and json.loads(stdout)["stays_open"]
    assert "give the same command again" in stderr and "'{source}-back'" in stderr

    ended = kept("restore", "--all", "--as", "{source}-back", "--yes", "--json")

    assert ended.code == 0 and len(restored(ended)) == 2 and emulator.count("start_copy") == 2


def test_killed_it_is_carried_on_by_resume(emulator: Emulator, kept: Lifeboat, tmp_path: Path) -> None:
    emulator.settings(copy_overhead_ms=3_000)
    command = [str(kept.binary), "restore", "acme-docs", "--yes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=kept.environment) as process:
        while emulator.count("poll") < 1:
            time.sleep(0.05)
        process.kill()
    (lease,) = (tmp_path / "journal/restores/leases").iterdir()
    lease.unlink()  # it would run out after three minutes

    ended = kept("resume", "--json")

    (report,) = ended.report["restores"]
    assert ended.code == 0 and report["counts"]["restored"] == 1 and emulator.count("start_copy") == 1
    assert kept("resume").stdout == "No run is open.\n"


def test_one_that_cant_be_carried_on_is_told_with_what_to_do_and_waits(emulator: Emulator, kept: Lifeboat, tmp_path: Path) -> None:
    emulator.settings(copy_overhead_ms=3_000)
    command = [str(kept.binary), "restore", "acme-docs", "--yes"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=kept.environment) as process:
        while emulator.count("poll") < 1:
            time.sleep(0.05)
        process.kill()
    (lease,) = (tmp_path / "journal/restores/leases").iterdir()
    lease.unlink()

    elsewhere = kept("resume", BACKUP_REGION="gcp-us-central1")

    assert elsewhere.code == 1
    for part in ("gcp-us-central1", "aws-eu-west-1", "put the plan's regions back"):
        assert part in elsewhere.stdout + elsewhere.stderr
    assert kept("resume").code == 0 and emulator.count("start_copy") == 1


def test_without_a_journal_this_machine_remembers_and_says_what_it_cant(
    emulator: Emulator, kept: Lifeboat, tmp_path: Path
) -> None:
    ended = kept("restore", "--all", "--yes", "--json", LIFEBOAT_JOURNAL=None, XDG_STATE_HOME=str(tmp_path / "state"))

    assert ended.code == 0 and not ended.report["held"]
    assert "on this machine alone" in " ".join(ended.report["warnings"]["shown"])
    assert (tmp_path / "state/lifeboat/restores").is_dir() and not (tmp_path / "journal").exists()


def test_with_the_sources_region_down_it_restores_elsewhere(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.faults(fault(region=SOURCE, status=503))

    ended = kept("restore", "--all", "--to", ELSEWHERE, "--as", "{source}", "--yes", "--json")

    assert ended.code == 0 and ended.report["to_region"] == ELSEWHERE
    assert emulator.names(ELSEWHERE) == ["acme-docs", "acme-users"]


def test_another_organisation_is_shown_the_backups_key(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.keys((KEY, OURS, ("admin",)), (OTHER_KEY, THEIRS, ("admin",)))

    ended = kept("restore", "acme-docs", "--yes", "--json", RESTORE_API_KEY=OTHER_KEY)

    assert ended.code == 0 and restored(ended), str(ended)
    assert "recovered-acme-docs" not in emulator.names(SOURCE)
    theirs = emulator.client(SOURCE).with_options(api_key=OTHER_KEY)
    assert [found.id for found in theirs.namespaces()] == ["recovered-acme-docs"]


def test_a_copy_that_differs_is_told_and_left_read_only(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.faults(fault(operation="start_copy", corrupt_copy="drop_rows", times=1))

    ended = kept("restore", "acme-docs", "--yes", "--json")

    assert ended.code == 1 and "not trustworthy" in ended.failures["acme-docs"]
    assert emulator.source("recovered-acme-docs").metadata().read_only


def test_an_event_restores_as_the_terminal_does(emulator: Emulator, kept: Lifeboat) -> None:
    ended = kept.invoke({"action": "restore", "names": ["acme-docs"], "as": "event-{source}"})

    assert ended.code == 0 and restored(ended) == {"acme-docs": "event-acme-docs"}
    refused = kept.invoke({"action": "restore"})
    assert refused.code == 2 and "exactly one of `names`, `prefix` and `all`" in refused.stderr


def test_the_list_of_jobs_shows_restores_by_the_names_of_their_reports(emulator: Emulator, kept: Lifeboat) -> None:
    name = kept("restore", "acme-docs", "--yes", "--json").report["restore"]

    (restore,) = kept("jobs", "--json").report["restores"]

    assert restore["plan"] == name and restore["outcome"] == "succeeded"
    assert [(job["source"], job["state"]) for job in restore["jobs"]] == [("acme-docs", "restored")]
    shown = kept("jobs").stdout
    assert "Restores:" in shown and "restored as recovered-acme-docs" in shown


def test_the_list_of_jobs_says_why_a_restore_was_refused(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.write("recovered-acme-docs")
    assert kept("restore", "acme-docs", "--yes").code == 1

    (restore,) = kept("jobs", "--json").report["restores"]

    assert "acme-docs" in restore["reason"] and "recovered-acme-docs" in restore["reason"]


def test_what_comparing_every_row_cost_is_said(emulator: Emulator, kept: Lifeboat) -> None:
    ended = kept("restore", "acme-docs", "--verify", "full", "--yes", "--json")

    assert ended.code == 0 and ended.report["rows_read"]["rows"] == 2 * ended.report["rows"]
    again = kept("restore", "acme-users", "--verify", "full", "--yes")
    assert "requests and is billed with" in again.stdout
    assert "rows_read" not in kept("restore", "acme-docs", "--as", "by-count-{source}", "--yes", "--json").report
