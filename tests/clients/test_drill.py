"""Drills with the real program: backups that come back, what the report says of it, and that nothing is left of it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import rows
from emulated import BACKUP, KEY, OURS, SOURCE, Emulator, days_ago, fault
from program import Lifeboat

ELSEWHERE = "gcp-us-central1"
OTHER_KEY = "tpuf_otherOTHERotherOTHERotherOTHERx"
NAMES = ("acme-docs", "acme-users")


@pytest.fixture
def kept(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Iterator[Lifeboat]:
    """Two sources, one of them with rows of every type, sealed backups of three nights, and a journal."""
    with emulator.at(days_ago(5)):
        rows.write(emulator.source("acme-docs"), [rows.make(number) for number in range(50)])
        emulator.write("acme-users")
    for source in NAMES:
        for day in (3, 2, 1):
            emulator.make_backup(source, days_ago(day))
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"
    emulator.forget_log()
    yield lifeboat


def scratches(emulator: Emulator) -> list[str]:
    names = [name for region in (SOURCE, BACKUP, ELSEWHERE) for name in emulator.names(region)]
    return [name for name in names if name.startswith("lifeboat-drill-")]


def test_a_drill_shows_that_backups_come_back_to_the_last_bit_and_leaves_nothing(
    emulator: Emulator, kept: Lifeboat
) -> None:
    sources, backups = emulator.names(SOURCE), emulator.standing()

    ended = kept("drill", "--share", "100%", "--json")

    assert ended.code == 0, str(ended)
    report = ended.report
    assert report["outcome"] == "succeeded" and report["counts"]["proven"] == 2 and report["rows"] == 55
    assert report["verify"] == "full" and report["held"] and report["seed"] > 0
    for line in report["drilled"]["shown"]:
        assert line["state"] == "proven" and line["scratch_gone"] and len(line["digest"]) == 64
        assert 0 <= line["copy_seconds"] <= line["recovery_seconds"] < 60
        assert 86_000 < line["recovery_point_seconds"] < 87_000
    assert emulator.names(SOURCE) == sources and emulator.standing() == backups
    assert emulator.count("start_copy") == 2 and emulator.count("delete") == 2 and not emulator.count("patch_metadata")


def test_a_drill_says_in_words_what_it_showed_and_the_journal_keeps_it(emulator: Emulator, kept: Lifeboat) -> None:
    ended = kept("drill", "acme-docs")

    assert ended.code == 0 and ended.stdout.startswith("Drill succeeded: plan `default`")
    assert "1 came back whole" in ended.stdout and "proven" in ended.stdout and "24.0 h old" in ended.stdout
    jobs = kept("jobs")
    assert jobs.code == 0 and "Drills:" in jobs.stdout and "50 rows came back whole" in " ".join(jobs.stdout.split())
    (drill,) = kept("jobs", "--json").report["drills"]
    assert drill["outcome"] == "succeeded" and drill["jobs"][0]["state"] == "proven"


def test_the_seed_that_is_reported_draws_the_same_again(emulator: Emulator, kept: Lifeboat) -> None:
    for number in range(10):
        emulator.write(f"acme-{number:02}")
        emulator.make_backup(f"acme-{number:02}", days_ago(1))

    def drawn(*arguments: str) -> list[str]:
        report = kept("drill", "--count", "3", "--dry-run", "--json", *arguments).report
        return [line["source"] for line in report["drilled"]["shown"]]

    first = kept("drill", "--count", "3", "--json").report
    same = drawn("--seed", str(first["seed"]))
    assert sorted(same) == sorted(line["source"] for line in first["drilled"]["shown"])
    assert any(sorted(drawn("--seed", str(seed))) != sorted(same) for seed in range(5))


def test_a_copy_that_differs_fails_the_drill_and_is_named(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.faults(fault(operation="start_copy", corrupt_copy="flip_vector_bit", times=1))

    ended = kept("drill", "acme-docs", "--json")

    assert ended.code == 1 and ended.report["outcome"] == "failed" and ended.report["counts"]["differ"] == 1
    said = ended.failures["acme-docs"]
    assert "did not come back as it is" in said and "vector" in said
    assert "a sealed backup did not come back as it is" in ended.stderr and not scratches(emulator)


@pytest.mark.parametrize("arguments, says", [
    (["--pick", "newest"], "random or oldest"), (["--share", "5"], "5%"), (["--share", "0%"], "5%"),
    (["--count", "0"], "at least 1"), (["--count", "2", "--share", "5%"], "cannot be used with"),
    (["acme-docs", "--count", "2"], "cannot be used with"), (["--pick", "oldest", "--seed", "1"], "`--seed`"),
    (["--verify", "metadata"], "count, sample"), (["--to", "Mars!"], "a region"), (["--plan", "weekly"], "weekly"),
    (["--target", "moon"], "no target `moon`"),
])
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    emulator: Emulator, kept: Lifeboat, arguments: list[str], says: str
) -> None:
    ended = kept("drill", *arguments)

    assert ended.code == 2 and says in ended.stderr and not ended.stdout and not emulator.summary()


def test_killed_with_a_journal_it_is_finished_by_resume(emulator: Emulator, kept: Lifeboat, tmp_path: Path) -> None:
    killed_while_it_copies(emulator, kept, tmp_path)

    ended = kept("resume", "--json")

    (report,) = ended.report["drills"]
    assert ended.code == 0 and report["counts"]["proven"] == 1 and report["drilled"]["shown"][0]["carried_on"]
    assert not scratches(emulator) and emulator.count("start_copy") == 1
    assert kept("resume").stdout == "No run is open.\n"


def test_killed_with_a_journal_its_scratch_is_deleted_by_the_next_drill(
    emulator: Emulator, kept: Lifeboat, tmp_path: Path
) -> None:
    killed_while_it_copies(emulator, kept, tmp_path)
    time.sleep(4)
    (left,) = scratches(emulator)

    ended = kept("drill", "acme-users", "--json")

    assert ended.code == 0 and ended.report["swept"]["shown"] == [left] and not scratches(emulator)


def killed_while_it_copies(emulator: Emulator, kept: Lifeboat, tmp_path: Path) -> None:
    """A drill that died a moment ago, and whose lease has run out."""
    emulator.settings(copy_overhead_ms=3_000)
    command = [str(kept.binary), "drill", "acme-docs"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=kept.environment) as process:
        while emulator.count("poll") < 1:
            time.sleep(0.05)
        process.kill()
    (lease,) = (tmp_path / "journal/drills/leases").iterdir()
    lease.unlink()  # it would run out after three minutes


def test_interrupted_it_says_how_its_scratch_goes(emulator: Emulator, kept: Lifeboat) -> None:
    emulator.settings(copy_overhead_ms=6_000)
    command = [str(kept.binary), "drill", "acme-docs", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=kept.environment, text=True) as process:
        while emulator.count("poll") < 2:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and json.loads(stdout)["stays_open"] and "`lifeboat resume`" in stderr

    time.sleep(6)
    ended = kept("resume", "--json")

    assert ended.code == 0 and ended.report["drills"][0]["counts"]["proven"] == 1 and not scratches(emulator)


def test_a_scratch_that_stands_is_no_source_of_a_plan_that_takes_everything(emulator: Emulator, kept: Lifeboat) -> None:
    scratch = kept("drill", "acme-docs", "--dry-run", "--json").report["drilled"]["shown"][0]["scratch"]
    emulator.write(scratch)

    ended = kept.backup(SOURCE_PREFIX="*")

    assert ended.code == 0 and ended.report["sources"] == 2, str(ended)
    assert not [name for name in emulator.names() if "lifeboat-drill" in name]
    assert scratch in emulator.names(SOURCE), "and somebody's own, which can be written, is not deleted"


def test_a_backup_organisation_is_drilled_in_its_own_region_and_with_its_own_key(
    emulator: Emulator, kept: Lifeboat
) -> None:
    theirs = {"BACKUP_API_KEY": OTHER_KEY}
    emulator.keys((KEY, OURS, ("read", "list")), (OTHER_KEY, "backups", ("admin",)))
    assert kept.backup(**theirs).code == 0
    before = emulator.names(SOURCE)
    emulator.keys((OTHER_KEY, "backups", ("admin",)))

    ended = kept("drill", "--json", **theirs)

    assert ended.code == 0 and ended.report["to_region"] == BACKUP and ended.report["counts"]["proven"] == 1, str(ended)
    emulator.keys()
    assert emulator.names(SOURCE) == before and not scratches(emulator)


def test_another_region_can_be_drilled_into(emulator: Emulator, kept: Lifeboat) -> None:
    ended = kept("drill", "--pick", "oldest", "--to", ELSEWHERE, "--verify", "sample:20", "--json")

    assert ended.code == 0 and ended.report["to_region"] == ELSEWHERE and ended.report["pick"] == "oldest"
    assert emulator.names(ELSEWHERE) == []


def test_an_event_drills_as_the_terminal_does_and_the_same_event_again_does_nothing(
    emulator: Emulator, kept: Lifeboat
) -> None:
    event = {"action": "drill", "names": ["acme-users"], "scheduled_time": days_ago(0).isoformat()}
    for _ in range(2):
        ended = kept.invoke(event)
        assert ended.code == 0 and ended.report["counts"]["proven"] == 1, str(ended)
    assert emulator.count("start_copy") == 1
    refused = kept.invoke({"action": "drill", "keep": True})
    assert refused.code == 2 and "did you mean" in refused.stderr


def test_without_a_journal_this_machine_remembers(emulator: Emulator, kept: Lifeboat, tmp_path: Path) -> None:
    ended = kept("drill", "--json", LIFEBOAT_JOURNAL=None, XDG_STATE_HOME=str(tmp_path / "state"))

    assert ended.code == 0 and not ended.report["held"] and not scratches(emulator)
    assert "on this machine alone" in " ".join(ended.report["warnings"]["shown"])
    assert (tmp_path / "state/lifeboat/drills").is_dir()
