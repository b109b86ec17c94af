"""README.md: what it shows of the program is what the program prints, and what its tables say is what it does."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from emulated import KEY, OURS, SOURCE, Emulator, days_ago
from program import Lifeboat

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
OTHER_KEY = "tpuf_backupsBACKUPSbackupsBACKUPSbacku"


def chapter(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def shown(text: str) -> list[tuple[str, list[str]]]:
    """Every command before an output, and the lines that are shown of it."""
    (block,) = re.findall(r"^```\n(\$ .*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    commands = [part.splitlines() for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(command, [line for line in lines if line.strip(" …")]) for command, *lines in commands]


def alike(line: str) -> str:
    """Without what differs from run to run: instants, also in the names of backups, and how wide a column is."""
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", line)
    return " ".join(re.sub(r"-\d{10}\b", "-SLOT", line).split())


def table(text: str, first: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table whose first title is this."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return header, rows


def test_the_demo_prints_what_is_shown(lifeboat: Lifeboat) -> None:
    ((command, lines),) = shown(README.split("\n## ")[0])
    assert command == "make demo"
    printed = {alike(line) for line in lifeboat("demo").stdout.splitlines()}
    assert lines and all(alike(line) in printed for line in lines)


def test_the_first_commands_print_what_is_shown(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> None:
    chance = random.Random(7)
    for source, rows in (("acme-docs", 500), ("acme-orders", 120)):
        with emulator.at(days_ago(9)):
            vectors: Any = [{"id": n, "vector": [chance.random() for _ in range(16)], "title": f"row {n}"} for n in range(rows)]
            emulator.source(source).write(upsert_rows=vectors, distance_metric="cosine_distance")
    # What the chapter exports, and nothing else but where the service is.
    exports = re.findall(r"^export (\w+)=(\S*)", chapter("On your data"), flags=re.MULTILINE)
    values = {name: value.replace("$HOME", str(tmp_path)).replace("tpuf_…", KEY) for name, value in exports}
    lifeboat.environment = {**values, "HOME": str(tmp_path), "TURBOPUFFER_BASE_URL": emulator.base_url}

    commands = shown(chapter("On your data"))
    assert [shlex.split(command)[1] for command, _ in commands] == ["check", "backup", "backup", "list", "restore"]
    for command, lines in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "lifeboat"
        if words[0] == "restore":
            words.append("--yes")  # nobody can be asked here
        ended = lifeboat(*words)
        printed = {alike(line) for line in ended.stdout.splitlines()}
        assert ended.code == 0 and lines
        for line in lines:
            assert alike(line) in printed, f"{command}: {line}\n{ended}"
    assert "recovered-acme-docs" in emulator.names(SOURCE)


# What an action needs beside the field in question, and a value for each field.
NEEDED: dict[str, dict[str, Any]] = {
    "seal": {"names": ["backup-acme-docs-1763690400"], "yes": True},
    "discard": {"names": ["backup-acme-docs-1763690400"], "yes": True},
    "restore": {"names": ["acme-docs"]},
}
VALUES: dict[str, Any] = {
    "plan": "default", "scheduled_time": "2026-11-21T02:00:00Z", "dry_run": True, "manual": True, "approve": "0123456789abcdef",
    "names": ["acme-docs"], "prefix": "acme-", "all": True, "newest": True, "target": "aws-eu-west-1", "level": "count", "yes": True,
    "at": "2026-11-20T00:00:00Z", "as": "back-{source}", "to_api_key_secret": "other", "to": "aws-us-east-1", "verify": "full",
    "to_encryption_key": "default", "pick": "random", "count": 2, "share": "5%", "seed": 7,
}  # fmt: skip


def test_every_action_takes_the_fields_that_the_table_says_and_no_others(lifeboat: Lifeboat) -> None:
    (_, *actions), rows = table(README, "field")
    said = {(field, action): cell == "✓" for names, *cells in rows for field in re.findall(r"`(\w+)`", names) for action, cell in zip(actions, cells)}
    assert {field for field, _ in said} == set(VALUES) and len(actions) == 12
    lifeboat.environment = {}
    for (field, action), takes in said.items():
        needed = dict(NEEDED.get(action, {}))
        if action == "restore" and field in ("prefix", "all"):
            needed = {}  # one of these says which
        ended = lifeboat.invoke({"action": action, **needed, field: VALUES[field]})
        # Without a configuration nothing is done, and that is told; a field that is not taken is told before.
        assert ended.code == 2
        assert ("SOURCE_REGION: " in ended.stderr) == takes, f"{action}, {field}: {ended.stderr}"


@pytest.fixture
def two_organisations(emulator: Emulator, lifeboat: Lifeboat) -> Lifeboat:
    emulator.write("acme-docs")
    lifeboat.environment["BACKUP_API_KEY"] = OTHER_KEY
    return lifeboat


def rights(cell: str) -> tuple[str, ...]:
    return tuple(cell.split(", "))


def test_keys_may_do_what_the_table_of_two_organisations_says(emulator: Emulator, two_organisations: Lifeboat) -> None:
    lifeboat = two_organisations
    _, rows = table(README, "a key of")
    _, sources, backups = rows
    for column, commands in (
        (1, (["check", "--online"], ["backup"], ["prune", "--yes"], ["list"], ["drill"])),
        (2, (["restore", "acme-docs", "--yes"],)),
    ):
        of_backups = backups[1] if backups[column] == "the same" else backups[column]
        emulator.keys((KEY, OURS, rights(sources[column])), (OTHER_KEY, "backups", rights(of_backups)))
        for command in commands:
            ended = lifeboat(*command)
            assert ended.code == 0, f"{command}: {ended}"
    emulator.keys()


def test_the_set_up_commands_come_first() -> None:
    (block, *_) = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    assert [line.split("#")[0].split() for line in block.splitlines()] == [["make", "demo"], ["make", "test"]]
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{goal}:", makefile, flags=re.MULTILINE) for goal in ("demo", "test"))
