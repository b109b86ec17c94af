"""What the journal knows and `jobs` and `resume` must not hide: what is under way, what failed as a whole, what can't be read."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulated import BACKUP, SOURCE, Emulator, days_ago, fault, refusal
from program import Lifeboat

NAMES = ["acme-a", "acme-b", "acme-c"]


@pytest.fixture
def kept(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Lifeboat:
    """Three sources with a sealed backup each, and a journal."""
    for name in NAMES:
        with emulator.at(days_ago(2)):
            emulator.write(name)
        emulator.make_backup(name, days_ago(1))
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"
    lifeboat.environment["XDG_STATE_HOME"] = f"{tmp_path}/state"
    emulator.forget_log()
    return lifeboat


@contextmanager
def under_way(emulator: Emulator, lifeboat: Lifeboat, copies: int, *arguments: str) -> Iterator[None]:
    """A command in the middle of this many copies; afterwards it is killed."""
    emulator.settings(copy_overhead_ms=600_000, branch_ms=600_000)
    command = [str(lifeboat.binary), *arguments]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=lifeboat.environment, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            deadline = time.monotonic() + 60
            while emulator.count("poll") < copies:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.1)
            yield
        finally:
            process.kill()


def states(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(job["source"], job["state"]) for job in run["jobs"]]


def test_jobs_shows_copies_that_are_under_way_and_those_that_a_kill_left(emulator: Emulator, kept: Lifeboat) -> None:
    def look() -> None:
        shown = kept("jobs")
        assert shown.code == 0 and "remembers no job" not in shown.stdout
        assert shown.stdout.count("copying") == 3 and all(name in shown.stdout for name in NAMES), shown
        (run,) = kept("jobs", "--json").report["runs"]
        assert run["outcome"] == "open" and run["run_id"].startswith("terminal-") and "closed_at" not in run
        assert states(run) == [(name, "copying") for name in NAMES]
        for job in run["jobs"]:
            assert job["region"] == BACKUP and job["backup"].startswith(f"backup-{job['source']}-")
            assert job["started_at"] and job["ended_at"] is None

    with under_way(emulator, kept, 3, "backup"):
        look()
    look()


@pytest.mark.parametrize(("kind", "command", "region"), [
    ("restores", ["restore", "--all", "--to", "gcp-us-central1", "--yes"], "gcp-us-central1"),
    ("drills", ["drill", *NAMES], SOURCE),
])  # fmt: skip
def test_jobs_shows_restores_and_drills_that_are_under_way(
    emulator: Emulator, kept: Lifeboat, kind: str, command: list[str], region: str
) -> None:
    with under_way(emulator, kept, 3, *command):
        (record,) = kept("jobs", "--json").report[kind]
        assert states(record) == [(name, "copying") for name in NAMES]
        assert {job["region"] for job in record["jobs"]} == {region} and "closed_at" not in record
        assert all(job["backup"].startswith(f"backup-{job['source']}-") for job in record["jobs"])
        assert kept("jobs").stdout.count("copying") == 3


def test_a_night_that_failed_before_its_first_job_is_a_line_of_jobs(emulator: Emulator, kept: Lifeboat) -> None:
    good, bad = (days_ago(days) for days in (0.5, 0.3))
    assert kept("backup", "--scheduled-time", good.isoformat()).code == 0
    emulator.faults(fault(operation="list", region=SOURCE, **refusal(403, "this key may not list")))
    assert kept("backup", "--scheduled-time", bad.isoformat()).code == 1
    emulator.faults()

    (night, before) = kept("jobs", "--json").report["runs"]
    assert (night["outcome"], night["jobs"]) == ("failed", []) and "may not list" in night["reason"]
    assert before["outcome"] == "succeeded" and "reason" not in before
    first = kept("jobs").stdout.splitlines()[2]
    assert f"{bad:%Y-%m-%dT%H:%M:%SZ}" in first and " failed " in first and "may not list" in first

    # What an older Lifeboat wrote has no reason, and is read all the same.
    (record,) = Path(kept.environment["LIFEBOAT_JOURNAL"].removeprefix("file://")).glob(f"history/default/{int(bad.timestamp())}.json")
    written = json.loads(record.read_text(encoding="utf-8"))
    del written["reason"]
    record.write_text(json.dumps(written), encoding="utf-8")
    assert "no job is known" in kept("jobs").stdout.splitlines()[2]


def test_what_can_not_be_read_of_the_journal_is_told_and_is_not_all_is_well(kept: Lifeboat, tmp_path: Path) -> None:
    assert kept("backup").code == 0
    for folder in ("open/runs", "history"):
        junk = tmp_path / "journal" / folder / "default" / "1795400000.json"
        junk.parent.mkdir(parents=True, exist_ok=True)
        junk.write_text("{", encoding="utf-8")

    ended = kept("resume", LIFEBOAT_LOG="info")
    assert ended.code == 1 and "No run is open" not in ended.stdout
    assert "open/runs/default/1795400000.json" in ended.stdout and "can't be read" in ended.stdout
    (warned,) = [line for line in ended.stderr.splitlines() if "WARN" in line]
    assert "open/runs/default/1795400000.json" in warned
    told = kept("resume", "--json")
    assert told.code == 1 and len(told.report["ignored"]) == 1

    shown = kept("jobs")
    assert shown.code == 0 and "acme-a" in shown.stdout
    for folder in ("open/runs", "history"):
        assert f"{folder}/default/1795400000.json" in shown.stdout and "can't be read" in shown.stdout
    assert len(kept("jobs", "--json").report["ignored"]) == 2


def test_resume_without_a_journal_looks_through_this_machines_memory_and_says_so(emulator: Emulator, kept: Lifeboat) -> None:
    del kept.environment["LIFEBOAT_JOURNAL"]
    for arguments in ([], ["--json"]):
        nothing = kept("resume", *arguments)
        assert nothing.code == 2 and not nothing.stdout, nothing
        assert "runs of backups can't be looked for" in nothing.stderr and "set LIFEBOAT_JOURNAL" in nothing.stderr

    with under_way(emulator, kept, 1, "restore", "acme-a", "--yes"):
        pass
    for lease in Path(kept.environment["XDG_STATE_HOME"]).rglob("leases/*"):
        lease.unlink()  # it would run out after three minutes
    ended = kept("resume")
    assert ended.code == 1 and "Restore is INCOMPLETE" in ended.stdout
    assert "Runs of backups can't be looked for" in ended.stdout


def test_a_plan_that_is_not_configured_is_not_carried_on_with_in_silence(kept: Lifeboat) -> None:
    ended = kept("resume", "--plan", "defualt")
    assert ended.code == 2 and "did you mean `default`" in ended.stderr, ended
