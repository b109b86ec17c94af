"""The vector database: lifeboat-emulator as a process, seen through the official Python client."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator
from urllib.request import Request, urlopen

from turbopuffer import Turbopuffer
from turbopuffer.types import NamespaceMetadata

TARGET = Path(os.environ.get("LIFEBOAT_TARGET", Path(__file__).resolve().parents[2] / "target"))
SOURCE = "aws-us-east-1"
BACKUP = "aws-eu-west-1"
FIRST_KEY = "tpuf_firstFIRSTfirstFIRSTfirstFIRSTff"
SECOND_KEY = "tpuf_secondSECONDsecondSECONDsecondSE"


@contextmanager
def running() -> Iterator[Emulator]:
    """An empty service in every region, gone afterwards."""
    binary = TARGET / "debug" / "lifeboat-emulator"
    with subprocess.Popen([binary, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield Emulator(json.loads(process.stdout.readline())["listening"])
        finally:
            process.terminate()


@dataclass(frozen=True)
class Emulator:
    """The service."""

    url: str

    @property
    def base_url(self) -> str:
        return self.url + "/{region}"

    def client(self, region: str, key: str) -> Turbopuffer:
        return Turbopuffer(region=region, api_key=key, base_url=self.base_url, max_retries=0)

    def seed(self, key: str, *namespaces: str) -> None:
        """Writes a few rows into each of the namespaces of the source region."""
        client = self.client(SOURCE, key)
        for name in namespaces:
            rows = [{"id": i, "vector": [i, 1.0], "text": f"row {i} of {name}"} for i in range(1, 21)]
            client.namespace(name).write(upsert_rows=rows, distance_metric="cosine_distance")

    def backups(self, key: str) -> dict[str, NamespaceMetadata]:
        """What stands in the backup region."""
        client = self.client(BACKUP, key)
        return {found.id: client.namespace(found.id).metadata() for found in client.namespaces()}

    def keys(self, *accepted: str) -> None:
        """From now on only these keys are accepted."""
        permissions = ["read", "write", "list", "admin"]
        self._control("keys", [{"key": key, "organisation": "org-a", "permissions": permissions} for key in accepted])

    def seed_zilliz(self, what: str, *rows: dict[str, Any]) -> None:
        """Puts projects, clusters or keys into the account at Zilliz Cloud."""
        self._control(f"zilliz/{what}", list(rows))

    def known_to_zilliz(self, what: str) -> list[dict[str, Any]]:
        """What stands there."""
        found: list[dict[str, Any]] = self._control(f"zilliz/{what}")
        return found

    def faults(self, *rules: dict[str, Any]) -> None:
        """From now on this goes wrong, and nothing else."""
        self._control("faults", list(rules))

    def settings(self, **changed: Any) -> None:
        """From now on it works so."""
        self._control("settings", changed)

    def answers(self) -> set[int]:
        """The statuses it has answered with so far."""
        return {call["status"] for call in self._control("log")["calls"]}

    def _control(self, what: str, body: Any = None) -> Any:
        """Asks the emulator itself, or tells it something."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self.url}/_emulator/{what}", data, {"content-type": "application/json"}), timeout=5) as answer:
            return json.load(answer)
