"""The official TypeScript client, unmodified, makes sources of every type and gets them back from our backups.

The rows are made here and travel through `npm_sdk.mjs`; integers stay below 2^53, all that a JavaScript number holds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import rows
from emulated import BACKUP, KEY, SOURCE, Emulator
from program import Lifeboat

SCRIPT = Path(__file__).with_name("npm_sdk.mjs")
PACKAGE = SCRIPT.parents[1] / "node_modules" / "@turbopuffer" / "turbopuffer" / "package.json"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="no node, so the TypeScript client can't be tested"),
    pytest.mark.skipif(not PACKAGE.is_file(), reason="no @turbopuffer/turbopuffer: npm ci --prefix tests"),
]


class Npm:
    """The TypeScript client, in a process of its own."""

    def __init__(self, emulator: Emulator) -> None:
        self.environment = {"TURBOPUFFER_API_KEY": KEY, "TURBOPUFFER_BASE_URL": emulator.base_url}

    def __call__(self, *steps: dict[str, Any]) -> list[Any]:
        """Takes the steps one after the other. A step that is refused finds the error."""
        process = subprocess.run(
            [str(NODE), str(SCRIPT)],
            input=json.dumps(steps),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert process.returncode == 0, process.stderr
        found: list[Any] = json.loads(process.stdout)
        return found


def step(what: str, region: str, name: str = "", **params: Any) -> dict[str, Any]:
    return {"step": what, "region": region, "name": name or None, "params": params}


def write(region: str, name: str, made: list[rows.Row], ids: str = "uint") -> dict[str, Any]:
    # Vectors go as base64, because JavaScript writes -0.0 as 0.
    sent = [{**row, "vector": rows.packed(row["vector"])} for row in made]
    schema = {"id": ids, **rows.SCHEMA}
    return step("write", region, name, upsert_rows=sent, schema=schema, distance_metric="euclidean_squared")


@pytest.fixture
def npm(emulator: Emulator) -> Npm:
    return Npm(emulator)


def make(count: int, ids: str = "uint") -> list[rows.Row]:
    return [rows.make(number, ids, integer_bits=52) for number in range(count)]


def the_backup(emulator: Emulator) -> str:
    (name,) = emulator.names(BACKUP)
    return name


def test_the_client_is_the_pinned_one() -> None:
    assert json.loads(PACKAGE.read_text())["version"] == "2.8.0"


@pytest.mark.parametrize(("count", "ids"), [(1, "uint"), (1_500, "string")])
def test_a_backup_holds_every_row_and_every_bit_of_its_source(
    emulator: Emulator, lifeboat: Lifeboat, npm: Npm, count: int, ids: str
) -> None:
    made = make(count, ids)
    look = step("metadata", SOURCE, "acme-docs")
    written, before = npm(write(SOURCE, "acme-docs", made, ids), look)
    assert written["rows_affected"] == count

    ended = lifeboat.backup()

    assert ended.code == 0 and ended.report["copied"]["rows"] == count
    backup = the_backup(emulator)
    listed, copy, shown, refused, source, after = npm(
        step("list", BACKUP),
        step("read", BACKUP, backup),
        step("metadata", BACKUP, backup),
        write(BACKUP, backup, made[:1], ids),
        step("read", SOURCE, "acme-docs"),
        look,
    )
    assert listed == [backup]
    assert rows.exactly(copy) == rows.exactly(made)
    assert shown["read_only"] is True and shown["schema"] == before["schema"]
    assert refused["status"] == 400 and "read-only" in refused["message"]
    assert rows.exactly(source) == rows.exactly(made) and after == before


def test_a_backup_can_be_branched_copied_back_and_deleted(emulator: Emulator, lifeboat: Lifeboat, npm: Npm) -> None:
    made = make(50)
    npm(write(SOURCE, "acme-docs", made))
    assert lifeboat.backup().code == 0
    backup = the_backup(emulator)

    *_, gone, listed, branch, recovered = npm(
        step("branch", BACKUP, "branch", source_namespace=backup),
        step("copy", SOURCE, "recovered", source_namespace=backup, source_region=BACKUP),
        step("delete", BACKUP, backup),
        step("metadata", BACKUP, backup),
        step("list", BACKUP),
        step("read", BACKUP, "branch"),
        step("read", SOURCE, "recovered"),
    )

    assert gone["status"] == 404 and listed == ["branch"]
    assert rows.exactly(branch) == rows.exactly(recovered) == rows.exactly(made)


def test_both_clients_read_the_same_rows_from_one_backup(emulator: Emulator, lifeboat: Lifeboat, npm: Npm) -> None:
    npm(write(SOURCE, "acme-docs", make(300)))
    assert lifeboat.backup().code == 0
    backup = the_backup(emulator)

    by_python = rows.read(emulator.backup(backup))
    (by_npm,) = npm(step("read", BACKUP, backup))

    assert len(by_python) == 300 and rows.exactly(by_python) == rows.exactly(by_npm)


def test_an_event_that_comes_twice_makes_nothing_twice(emulator: Emulator, lifeboat: Lifeboat, npm: Npm) -> None:
    npm(write(SOURCE, "acme-docs", make(5)))
    first = lifeboat.backup()
    again = lifeboat.backup("--scheduled-time", first.report["slot"])

    assert (first.code, again.code) == (0, 0)
    assert again.report["jobs"]["already_sealed"] == 1
    assert emulator.count("start_copy") == 1
    assert npm(step("list", BACKUP)) == [[the_backup(emulator)]]
