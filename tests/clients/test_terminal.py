"""The terminal itself: examples in `--help` that can be typed as they stand, completions, colours, and the line of progress."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
from datetime import datetime
from pathlib import Path
from typing import Optional

import pytest

from emulated import SOURCE, Emulator, days_ago, fault
from program import Lifeboat

# What a terminal is told that is no text.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def typed(lifeboat: Lifeboat, *arguments: str, columns: int = 160, **changes: Optional[str]) -> tuple[int, str]:
    """Runs a command on a terminal of this width; its exit status, and everything that it showed there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {**lifeboat.environment, "TERM": "xterm-256color", **changes}
    given = {name: value for name, value in environment.items() if value is not None}
    command = [str(lifeboat.binary), *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=given) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux says so when the other end is closed.
                break
            if not part:
                break
            shown += part
        code = process.wait(60)
    os.close(ours)
    return code, shown.decode()


def shell(lifeboat: Lifeboat, line: str, home: Path, program: str = "bash") -> subprocess.CompletedProcess[str]:
    """Has a shell read a line, in an environment that configures nothing."""
    path = f"{lifeboat.binary.parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(home)}
    return subprocess.run([program, "-c", line], env=environment, cwd=home, capture_output=True, text=True, timeout=120)


def commands(lifeboat: Lifeboat) -> list[str]:
    listed = lifeboat("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    found = re.findall(r"^  (\w+)", listed, flags=re.MULTILINE)
    return [command for command in found if command != "help"]


def test_every_command_shows_an_example_that_can_be_typed_as_it_stands(lifeboat: Lifeboat, tmp_path: Path) -> None:
    found = commands(lifeboat)
    assert len(found) >= 15 and {"backup", "restore", "verify", "drill", "list", "jobs", "plan", "estimate"} < set(found)
    (tmp_path / ".local/share/bash-completion/completions").mkdir(parents=True)
    for command in found:
        told = lifeboat(command, "--help")
        assert told.code == 0 and "Example" in told.stdout, told
        shown = told.stdout.split("Example", 1)[1].replace("\\\n", " ")
        examples = re.findall(r"^  (.*\blifeboat .*)$", shown, flags=re.MULTILINE)
        assert any(f"lifeboat {command}" in example for example in examples), told
        for example in examples:
            # What reads the report is not everywhere installed, and is not ours.
            ended = shell(lifeboat, example.split(" | jq")[0], tmp_path)
            # Without a configuration nothing can be done, and that is said of what was understood.
            assert ended.returncode in (0, 2) and "Usage:" not in ended.stderr, f"{example}\n{ended.stderr}"
            assert ended.returncode == 0 or ended.stderr.startswith("lifeboat: "), f"{example}\n{ended.stderr}"


def test_help_is_broken_between_words(lifeboat: Lifeboat) -> None:
    for command in ([], *([command] for command in commands(lifeboat))):
        code, shown = typed(lifeboat, *command, "--help", columns=90)
        lines = [line for line in ESCAPE.sub("", shown).splitlines() if not line.startswith("Usage:")]
        assert code == 0 and lines and all(len(line) <= 90 for line in lines), shown


@pytest.mark.parametrize(("begun", "completed"), [
    ("dri", "drill"), ("rest", "restore"), ("restore --verif", "--verify"), ("verify --le", "--level"),
])
def test_bash_completes_commands_and_options(lifeboat: Lifeboat, tmp_path: Path, begun: str, completed: str) -> None:
    words = ["lifeboat", *begun.split()]
    completes = (
        f"source <(lifeboat completions bash); COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        f"_lifeboat lifeboat {words[-1]} {words[-2]}; echo ${{COMPREPLY[@]}}"
    )
    ended = shell(lifeboat, completes, tmp_path)
    assert ended.stdout.split() == [completed] and not ended.stderr, ended


@pytest.mark.parametrize(("name", "begins", "has"), [
    ("bash", "_lifeboat()", "complete -F _lifeboat"), ("zsh", "#compdef lifeboat", "'drill:"), ("fish", "", "complete -c lifeboat"),
])
def test_completions_are_what_the_shell_reads(lifeboat: Lifeboat, tmp_path: Path, name: str, begins: str, has: str) -> None:
    ended = lifeboat("completions", name)
    assert ended.code == 0 and ended.stdout.startswith(begins) and has in ended.stdout and not ended.stderr
    assert all(command in ended.stdout for command in commands(lifeboat))
    if shutil.which(name):
        script = tmp_path / "script"
        script.write_text(ended.stdout, encoding="utf-8")
        read = subprocess.run([name, "-n", str(script)], capture_output=True, text=True, timeout=60)
        assert read.returncode == 0 and not read.stderr, read


def test_until_it_is_known_how_much_there_is_to_do_no_bar_is_shown(emulator: Emulator, lifeboat: Lifeboat) -> None:
    emulator.write("acme-docs")
    emulator.make_backup("acme-docs", days_ago(1))
    emulator.faults(fault(operation="list", latency_ms=1_000))
    code, shown = typed(lifeboat, "list")
    assert code == 0 and "looking what there is, 0s" in shown and "0/0" not in shown, shown
    assert "looking at backups [" in shown and "pruning" not in shown, "a list deletes nothing"


def table(shown: str) -> list[str]:
    """The lines below the headline, without what moves the cursor."""
    return ESCAPE.sub("", shown).split("List succeeded")[1].splitlines()[1:]


def test_tables_have_colours_on_a_terminal_alone(emulator: Emulator, lifeboat: Lifeboat) -> None:
    emulator.write("acme-docs")
    emulator.make_backup("acme-docs", days_ago(1))
    emulator.make_backup("acme-docs", days_ago(0.5), sealed=False)

    code, shown = typed(lifeboat, "list")
    assert code == 0 and re.search(r"\x1b\[[0-9;]*m *yes", shown) and re.search(r"\x1b\[[0-9;]*m *no", shown), shown
    plain = table(COLOUR.sub("", shown))

    for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, shown = typed(lifeboat, "list", **changes)
        assert code == 0 and not COLOUR.search(shown), shown
        assert table(shown) == plain
    assert "\x1b" not in lifeboat("list").said
    assert "\x1b" not in lifeboat("list", "--json").said


def test_while_a_copy_goes_on_the_services_own_words_are_shown(emulator: Emulator, lifeboat: Lifeboat) -> None:
    emulator.write("acme-docs")
    emulator.settings(copy_overhead_ms=3_000)

    code, shown = typed(lifeboat, "backup")

    assert code == 0 and re.search(r"copying \[[^]]*\] 0/1, .*, acme-docs: \d+%", ESCAPE.sub("", shown)), shown
    code, shown = typed(lifeboat, "restore", "acme-docs", "--yes")
    assert code == 0 and re.search(r"restoring \[[^]]*\] 0/1, .*, acme-docs: \d+%", ESCAPE.sub("", shown)), shown
    assert "recovered-acme-docs" in emulator.names(SOURCE)


def test_no_bar_or_table_is_wider_than_the_terminal_and_no_word_is_broken_while_there_is_room(
    emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path
) -> None:
    name = "acme-" + "n" * 30
    emulator.write(name)
    emulator.settings(copy_overhead_ms=2_000)
    lifeboat.environment["LIFEBOAT_JOURNAL"] = f"file://{tmp_path}/journal"

    code, shown = typed(lifeboat, "backup", columns=80)
    bars = [ESCAPE.sub("", line) for line in re.split(r"\x1b\[2K|[\r\n]+", shown) if "copying [" in line]
    assert code == 0 and bars and all(len(bar) <= 80 for bar in bars), shown
    for command, columns in (("list", 132), ("jobs", 132), ("list", 80), ("jobs", 80)):
        code, shown = typed(lifeboat, command, columns=columns)
        lines = ESCAPE.sub("", shown).split(" plan " if command == "jobs" else " target ")[-1].splitlines()[1:]
        assert code == 0 and len(lines) > 1 and all(len(line) <= columns for line in lines), shown
        assert any(re.search(r" \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in lines), shown
        assert columns == 80 or any(name in line and "aws-eu-west-1" in line for line in lines), shown
    # What is under way for two seconds took two seconds.
    took = lifeboat("jobs", "--json").report["runs"][0]["jobs"][0]
    assert seconds_between(took["started_at"], took["ended_at"]) >= 2


def test_tables_show_the_whole_names_that_other_commands_want(emulator: Emulator, lifeboat: Lifeboat) -> None:
    emulator.write("acme-docs")
    older, newer = (emulator.make_backup("acme-docs", days_ago(days)) for days in (0.5, 0.2))
    for command in ("list", "plan"):
        code, shown = typed(lifeboat, command, columns=100)
        words = ESCAPE.sub("", shown).split()
        assert code == 0 and {older, newer} <= set(words), shown
    assert lifeboat("verify", older, newer).code == 0 and lifeboat("discard", older, "--yes").code == 0


def seconds_between(one: str, other: str) -> float:
    first, second = (datetime.fromisoformat(text[:19]) for text in (one, other))
    return (second - first).total_seconds()
