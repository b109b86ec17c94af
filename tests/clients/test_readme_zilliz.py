"""docs/zilliz.md: its document is taken as it is printed, and every command and event does what it is shown for."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import secrets_manager
from emulated import Emulator
from program import Ended, Lifeboat
from zilliz import CLUSTER, HOME, KEY, Account

CHAPTER = (Path(__file__).resolve().parents[2] / "docs" / "zilliz.md").read_text(encoding="utf-8")
PROSE = " ".join(re.sub(r"^```.*?^```$", "", CHAPTER, flags=re.MULTILINE | re.DOTALL).split())
NO_HASH = "0123456789abcdef"


def blocks(kind: str) -> list[str]:
    """The code blocks of a kind, as they are printed."""
    return [body for name, body in re.findall(r"^```(\w*)\n(.*?)^```$", CHAPTER, flags=re.MULTILINE | re.DOTALL) if name == kind]


def commands() -> list[str]:
    """Every command line: of the shell blocks, before an output, and in the text."""
    typed = [line for block in blocks("sh") for line in block.splitlines()]
    answered = [line[2:] for block in blocks("") for line in block.splitlines() if line.startswith("$ ")]
    told = re.findall(r"`(lifeboat [^`]+)`", PROSE)
    return [line.split("|")[0] for line in typed + answered + told]


def events() -> list[dict[str, Any]]:
    """Every event in the text."""
    shown = re.findall(r'`(\{"action"[^`]+\})`', PROSE)
    return [json.loads(event.replace("…", NO_HASH)) for event in shown]


@pytest.fixture
def user(emulator: Emulator, lifeboat: Lifeboat, tmp_path: Path) -> Iterator[Lifeboat]:
    """Somebody with the chapter's own document, whose clusters are protected."""
    account = Account(emulator)
    account.settings(
        queue_ms=200, overhead_ms=200, backup_bytes_per_second=10**11, copy_bytes_per_second=10**11, restore_bytes_per_second=10**11
    )
    account.add_cluster("users-prod", id="in01-users")
    document = "\n".join(blocks("toml")).replace("s3://my-bucket/lifeboat", (tmp_path / "journal").as_uri())
    with secrets_manager.running() as vault:
        lifeboat.environment = {
            "LIFEBOAT_CONFIG": document,
            "ZILLIZ_API_KEY": KEY,
            "ZILLIZ_BASE_URL": account.url,
            "HOME": str(tmp_path),
            **vault.environment,
        }
        lifeboat("backup")
        until = time.monotonic() + 60
        while lifeboat("resume", "--json").report.get("clusters"):
            assert time.monotonic() < until, lifeboat.last
            time.sleep(0.5)
        yield lifeboat


def is_good(ended: Ended, hashed: bool) -> bool:
    """With a hash of nothing that is due, a command is understood, and deletes nothing."""
    return (ended.code == 1 and "not_approved" in ended.stdout) if hashed else ended.code == 0


def test_every_command_of_the_chapter_does_what_it_is_shown_for(user: Lifeboat, emulator: Emulator) -> None:
    shown = commands()
    for verb in ("backup --plan prod", "backup --manual", "list", "restore", "resume", "plan", "prune", "estimate", "check --online", "jobs"):
        assert any(command.startswith(f"lifeboat {verb}") for command in shown), f"the chapter shows no `{verb}`"
    for command in shown:
        words = shlex.split(command.replace("HASH", NO_HASH), comments=True)
        assert words[0] == "lifeboat", command
        if words[1] == "restore" and "--yes" not in words:
            words.append("--dry-run")  # nobody can be asked here
        ended = user(*words[1:])
        assert is_good(ended, "HASH" in command), f"{command}\n{ended}"
    assert emulator.count("zilliz.restore_collection") == 2 and emulator.count("zilliz.delete_backup") == 0


def test_every_event_of_the_chapter_means_something(user: Lifeboat, emulator: Emulator) -> None:
    told = events()
    assert {event["action"] for event in told} >= {"backup", "list", "prune", "restore"}
    for event in told:
        hashed = "approve" in event
        dry = {} if hashed or event["action"] == "list" else {"dry_run": True}
        ended = user.invoke({**event, **dry})
        assert is_good(ended, hashed), f"{event}\n{ended}"
    assert emulator.count("zilliz.delete_backup") == 0


def test_the_chapters_document_sets_the_policy_that_it_describes(user: Lifeboat) -> None:
    shown = user("check").stdout
    for line in ("mon, thu, within two hours from 02:00 (Europe/Berlin)", CLUSTER, "weekly = 8, monthly = 12, yearly = 7"):
        assert line in shown, shown
    (run, *_) = user("jobs", "--json").report["runs"]
    assert {job["state"] for job in run["jobs"] if job["region"] == HOME} <= {"protected", "available"}, run
