"""The program: the real `lifeboat` binary, run as a user runs it, in an environment that holds nothing else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

from emulated import BACKUP, KEY, SOURCE, Emulator

DEADLINE_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """A run of the program."""

    code: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """What `--json` printed."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    @property
    def said(self) -> str:
        """Everything a user could read."""
        return self.stdout + self.stderr

    @property
    def failures(self) -> dict[Optional[str], str]:
        """By source (none for the run itself): the words and messages of all that failed."""
        told: dict[Optional[str], str] = {}
        for failure in self.report["failures"]["shown"]:
            source = failure["source"]
            told[source] = told.get(source, "") + f"{failure['error']}: {failure['message']}\n"
        return told

    @property
    def deleted(self) -> list[str]:
        return sorted(self.report["deleted"]["shown"])

    def __str__(self) -> str:
        return f"exit status {self.code}\n{self.stdout}{self.stderr}"


class Lifeboat:
    """The program, configured for one emulator."""

    def __init__(self, binary: Path, emulator: Emulator) -> None:
        self.binary = binary
        self.last: Optional[Ended] = None
        self.environment = {
            "SOURCE_REGION": SOURCE,
            "BACKUP_REGION": BACKUP,
            "SOURCE_PREFIX": "acme-",
            "RETENTION_DAYS": "1",
            "TURBOPUFFER_API_KEY": KEY,
            "TURBOPUFFER_BASE_URL": emulator.base_url,
        }

    def __call__(self, *arguments: str, **changes: Optional[str]) -> Ended:
        """Runs it to its end. `changes` sets environment variables; `None` takes one away."""
        return self.run(arguments, changes)

    def run(self, arguments: Sequence[str], changes: Mapping[str, Optional[str]], stdin: str = "") -> Ended:
        """Runs it to its end. No run may show a key."""
        environment = {**self.environment, **changes}
        given = {name: value for name, value in environment.items() if value is not None}
        process = subprocess.run(
            [str(self.binary), *arguments],
            input=stdin,
            env=given,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        self.last = Ended(process.returncode, process.stdout, process.stderr)
        refuse_keys(self.last, given)
        return self.last

    def backup(self, *arguments: str, **changes: Optional[str]) -> Ended:
        return self.run(["backup", "--json", *arguments], changes)

    def list(self, **changes: Optional[str]) -> Ended:
        return self.run(["list", "--json"], changes)

    def invoke(self, event: Any, **changes: Optional[str]) -> Ended:
        """Hands an event to the program: text as it is, anything else as JSON."""
        text = event if isinstance(event, str) else json.dumps(event)
        return self.run(["invoke", "--json", "-"], changes, stdin=text)


def refuse_keys(ended: Ended, environment: Mapping[str, str]) -> None:
    """No key may ever be shown."""
    for name, value in environment.items():
        if name.endswith("API_KEY") and value:
            assert value not in ended.said, f"{name} was shown"
