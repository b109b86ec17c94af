"""Ctrl-C and questions: whoever interrupts is told how to go on, and nothing is deleted before somebody has agreed."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from emulated import SOURCE, Emulator
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
    os.close(ours)
    assert (due in emulator.names()) == (code == 1)
    assert "acme-docs" in emulator.names(SOURCE)
