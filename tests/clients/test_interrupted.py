"""Ctrl-C and questions: whoever interrupts is told how to go on, and nothing is deleted before somebody has agreed."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from emulated import SOURCE, Emulator, days_ago, fault
from program import Lifeboat


def interrupted(lifeboat: Lifeboat, emulator: Emulator, *arguments: str) -> tuple[int, str]:
    """Ends a command by Ctrl-C once it follows a copy; its exit status and what it said of it."""
    command = [str(lifeboat.binary), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=lifeboat.environment, text=True) as process:
        while emulator.count("poll") < 2:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


def test_an_interrupted_backup_says_how_to_go_on_and_is_carried_on(
    emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path
) -> None:
    emulator.write("acme-docs")
    emulator.settings(copy_overhead_ms=4_000)
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"

    code, said = interrupted(lifeboat, emulator, "backup")

    assert code == 1 and "interrupted" in said and "`lifeboat resume` carries on" in said
    (lease,) = (tmp_path / "journal/leases").iterdir()
    lease.unlink()  # it would run out after three minutes
    ended = lifeboat("resume", "--json")
    (report,) = ended.report["runs"]
    assert ended.code == 0 and report["jobs"]["sealed"] == 1 and emulator.count("start_copy") == 1


def test_an_interrupted_restore_says_the_command_that_goes_on_comparing_where_it_was(
    emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path
) -> None:
    with emulator.at(days_ago(2)):
        rows: Any = [{"id": number, "text": "x" * 100_000} for number in range(100)]  # ten pages
        emulator.source("acme-docs").write(upsert_rows=rows)
    emulator.make_backup("acme-docs", days_ago(1))
    lifeboat.environment["XDG_STATE_HOME"] = str(tmp_path)
    emulator.faults(fault(operation="query", latency_ms=300))
    emulator.forget_log()

    command = [str(lifeboat.binary), "restore", "acme-docs", "--verify", "full", "--yes", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=lifeboat.environment, text=True) as process:
        while emulator.count("query") < 14:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and json.loads(stdout)["stays_open"], stderr
    (again,) = re.findall(r"to carry on, give the same command again: (.*)$", stderr, flags=re.MULTILINE)

    program, *words = shlex.split(again)
    assert program == str(lifeboat.binary)
    ended = lifeboat(*words)
    assert ended.code == 0 and ended.report["counts"]["restored"] == 1, ended
    assert ended.report["rows_read"]["rows"] <= 160, "of two hundred, and it is told what was read now"
    assert emulator.count("start_copy") == 1


def test_where_nobody_can_be_asked_nothing_is_deleted_without_yes(
    emulator: Emulator, lifeboat: Lifeboat, due: str
) -> None:
    ended = lifeboat("prune")
    assert ended.code == 2 and "--yes" in ended.stderr and "--approve" in ended.stderr
    assert due in emulator.names()

    assert lifeboat("prune", "--yes", "--json").deleted == [due]


@pytest.mark.parametrize(("answer", "code"), [("prune", 0), ("y", 1), ("", 1)])
def test_on_a_terminal_pruning_shows_its_list_and_asks(
    emulator: Emulator, lifeboat: Lifeboat, due: str, answer: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    command = [str(lifeboat.binary), "prune"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=lifeboat.environment) as process:
        os.close(theirs)
        said = ""
        while "to do it:" not in said:
            assert select.select([ours], [], [], 60)[0], said
            said += os.read(ours, 65_536).decode()
        assert due in said.replace("\r\n", "") or "superseded" in said
        assert due in emulator.names()
        os.write(ours, f"{answer}\n".encode())
        assert process.wait(60) == code
        said = os.read(ours, 65_536).decode()
    os.close(ours)
    assert ("not agreed to; nothing was changed" in said) == (code == 1)
    assert (due in emulator.names()) == (code == 1)
    assert "acme-docs" in emulator.names(SOURCE)


@pytest.mark.parametrize(("command", "question"), [
    (["prune"], "to do it:"), (["discard", "DUE"], "to do it:"), (["restore", "acme-docs"], "[y/N]"),
])  # fmt: skip
def test_ctrl_c_at_a_question_is_a_no(
    emulator: Emulator, lifeboat: Lifeboat, due: str, tmp_path: Path, command: list[str], question: str
) -> None:
    lifeboat.environment["XDG_STATE_HOME"] = str(tmp_path)
    emulator.forget_log()
    ours, theirs = pty.openpty()
    arguments = [str(lifeboat.binary), *(due if word == "DUE" else word for word in command)]
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=lifeboat.environment) as process:
        os.close(theirs)
        try:
            said = ""
            while question not in said:
                assert select.select([ours], [], [], 60)[0], said
                said += os.read(ours, 65_536).decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 130
        finally:
            process.kill()
        assert "interrupted; nothing was changed" in os.read(ours, 65_536).decode()
    os.close(ours)
    assert emulator.count("delete") + emulator.count("patch_metadata") + emulator.count("start_copy") == 0


def test_a_restore_says_at_once_that_it_stops_and_a_second_ctrl_c_ends_it_at_once(
    emulator: Emulator, lifeboat: Lifeboat, due: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as journal:  # it takes every question and answers none
        lifeboat.environment |= {
            "LIFEBOAT_JOURNAL": "s3://journal/lifeboat", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "B", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{journal.getsockname()[1]}",
            "LIFEBOAT_LOG": "error",
        }  # fmt: skip
        command = [str(lifeboat.binary), "restore", "acme-docs", "--as", "{source}-back", "--yes"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=lifeboat.environment, text=True) as process:
            try:
                journal.accept()
                assert process.stderr and not select.select([process.stderr], [], [], 1)[0]
                process.send_signal(signal.SIGINT)
                assert select.select([process.stderr], [], [], 5)[0], "nothing is said"
                first = process.stderr.readline()
                assert "interrupted" in first and "once more ends it at once" in first
                process.send_signal(signal.SIGINT)
                _, rest = process.communicate(timeout=5)
            finally:
                process.kill()
    assert process.returncode == 130 and "ended at once" in rest
    assert f"give the same command again: {command[0]} restore acme-docs --as '{{source}}-back' --yes" in rest


@pytest.mark.parametrize(("command", "kind", "says"), [
    (["restore", "acme-docs", "--yes"], "Restore", "to carry on, give the same command again"),
    (["drill", "acme-docs"], "Drill", ""),
])  # fmt: skip
def test_after_a_kill_the_same_command_says_how_long_to_wait(
    emulator: Emulator, lifeboat: Lifeboat, due: str, tmp_path: Path, command: list[str], kind: str, says: str
) -> None:
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"
    emulator.settings(copy_overhead_ms=60_000, branch_ms=60_000)
    quiet = subprocess.DEVNULL
    arguments = [str(lifeboat.binary), *command]
    with subprocess.Popen(arguments, stdout=quiet, stderr=quiet, env=lifeboat.environment) as process:
        try:
            while emulator.count("poll") < 1:
                time.sleep(0.05)
        finally:
            process.kill()

    ended = lifeboat(*command)

    said = " ".join(ended.stdout.split())
    assert ended.code == 1 and f"{kind} is INCOMPLETE" in said and "FAILED" not in said, ended
    assert "or its process was killed: ask again after" in said and "`lifeboat resume`" in said
    assert says in ended.stderr
    assert emulator.count("start_copy") == 1
