"""A Zilliz Cloud account in the emulator, and the official command line, unmodified, as its owner uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from emulated import Emulator

KEY = "zilliz-clients-key-0001"
PROJECT = "proj-5d11c0aa94e27b60f3c9de"
CLUSTER = "in01-4be01c77d20a9f3"
HOME, NEAR, FAR = "gcp-us-west1", "gcp-us-east4", "gcp-europe-west3"
GB = 1_000_000_000

SCRIPTS = Path(sys.executable).parent
CLI = SCRIPTS / "zilliz"
MCP_SERVER = SCRIPTS / "zilliz-mcp-server"

# `job describe` is written by hand and asks the real service whatever base_url says.
JOB_COMMANDS = Path(__file__).with_name("zilliz_job.py")


class Account:
    """A project that is bound to three regions, with one dedicated cluster of two collections."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.settings(queue_ms=60_000)  # so that nothing starts between two commands on a slow machine
        self.url = emulator.url + "/zilliz"
        self.seed("projects", {"id": PROJECT, "name": "shop", "plan": "BusinessCritical", "regions": [HOME, NEAR, FAR]})
        collections = [
            {"name": "orders", "bytes": 4 * GB, "loaded": True},
            {"database": "archive", "name": "old", "bytes": 3 * GB},
        ]
        self.add_cluster("orders-prod", id=CLUSTER, collections=collections)

    def seed(self, what: str, *rows: dict[str, Any]) -> None:
        self.emulator.control("POST", f"zilliz/{what}", list(rows))

    def add_cluster(self, name: str, **fields: Any) -> None:
        self.seed("clusters", {"name": name, "project": PROJECT, "region": HOME, **fields})

    def drop(self, cluster: str) -> None:
        """Somebody drops a cluster, which takes its automatic backups along."""
        drop = Request(f"{self.url}/v2/clusters/{cluster}/drop", method="DELETE", headers={"authorization": f"Bearer {KEY}"})
        with urlopen(drop, timeout=5) as answer:
            assert json.load(answer)["code"] == 0

    def known(self, what: str) -> list[dict[str, Any]]:
        """What the emulator knows beyond what the service tells."""
        rows: list[dict[str, Any]] = self.emulator.control("GET", f"zilliz/{what}")
        return rows

    def settings(self, **changes: Any) -> None:
        self.emulator.settings(zilliz=changes)

    def wait(self, *, minutes: float = 0, days: float = 0) -> None:
        """That much time passes at the service, and none here."""
        self.emulator.control("POST", "clock", {"advance_seconds": minutes * 60 + days * 86_400})


@dataclass(frozen=True)
class Said:
    """What one command came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        assert self.code == 0, self.stderr
        return json.loads(self.stdout)


class Cli:
    """`zilliz`, with a home of its own."""

    def __init__(self, account: Account, home: Path) -> None:
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "ZILLIZ_CONFIG_DIR": str(home / "zilliz"),
            "ZILLIZ_API_KEY": KEY,
            "ZILLIZ_ENDPOINT": account.url,
        }
        assert self("configure", "set", "base_url", account.url).code == 0

    def __call__(self, *arguments: str, key: str = KEY) -> Said:
        """One command, as it is installed."""
        return self._run([str(CLI), *arguments], key)

    def json(self, *arguments: str) -> Any:
        """What a command that must succeed prints."""
        return self(*arguments, "--output", "json").data

    def job(self, job_id: str, *arguments: str) -> Said:
        command = [sys.executable, str(JOB_COMMANDS), "job", "describe", "--job-id", job_id, "--output", "json"]
        return self._run([*command, *arguments], KEY)

    def backup(self, verb: str, *arguments: str) -> Said:
        """A backup command about the one cluster."""
        return self("backup", verb, "--cluster-id", CLUSTER, *arguments, "--output", "json")

    def create(self, *regions: str) -> dict[str, str]:
        """A manual backup of the whole cluster with copies in these regions."""
        copies = json.dumps({"crossRegionCopies": [{"regionId": region} for region in regions]})
        begun: dict[str, str] = self.backup("create", "--backup-type", "CLUSTER", "--body", copies).data
        return begun

    def _run(self, command: list[str], key: str) -> Said:
        environment = {**self.environment, "ZILLIZ_API_KEY": key}
        ended = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)
