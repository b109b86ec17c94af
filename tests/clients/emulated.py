"""The service: `lifeboat-emulator` as a process of its own, seen through the official Python client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from http.client import HTTPConnection
from pathlib import Path
from select import select
from typing import Any, Optional
from urllib.parse import urlsplit

from turbopuffer import NotFoundError, Turbopuffer
from turbopuffer.lib.namespace import Namespace

SOURCE = "aws-us-east-1"
BACKUP = "aws-eu-west-1"
KEY = "tpuf_clientsCLIENTSclientsCLIENTScli"

# The organisation that everything belongs to while any key is accepted.
OURS = "default"

Rule = dict[str, Any]
KeyRow = tuple[str, str, tuple[str, ...]]
Standing = dict[str, tuple[datetime, bool, int]]


@contextmanager
def running(binary: Path) -> Iterator[Emulator]:
    """An empty service in every region, gone afterwards."""
    with subprocess.Popen([str(binary), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and select([process.stdout], [], [], 10)[0], "the emulator does not say where it is"
            emulator = Emulator(json.loads(process.stdout.readline())["listening"])
            emulator.settings(copy_overhead_ms=5, branch_ms=5)
            yield emulator
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


@lru_cache(maxsize=None)
def first_client() -> Turbopuffer:
    """Reading the system's certificates takes longer than most tests, so all clients share the first one's."""
    return Turbopuffer(region=SOURCE, api_key=KEY, base_url="http://127.0.0.1:9/{region}")


class Emulator:
    """One running service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = url + "/{region}"

    def client(self, region: str) -> Turbopuffer:
        """The official client, as anybody would make it."""
        return first_client().with_options(region=region, api_key=KEY, base_url=self.base_url)

    def source(self, name: str) -> Namespace:
        return self.client(SOURCE).namespace(name)

    def backup(self, name: str) -> Namespace:
        return self.client(BACKUP).namespace(name)

    def names(self, region: str = BACKUP) -> list[str]:
        return sorted(found.id for found in self.client(region).namespaces(page_size=1000))

    def standing(self, names: Optional[Iterable[str]] = None) -> Standing:
        """Of these, or of everything in the backup region: when created, whether sealed, how many rows."""
        standing: Standing = {}
        for name in self.names() if names is None else names:
            try:
                shown = self.backup(name).metadata()
            except NotFoundError:
                continue
            standing[name] = (shown.created_at, bool(shown.read_only), shown.approx_row_count)
        return standing

    def write(self, name: str, region: str = SOURCE) -> None:
        """A small namespace."""
        rows: Any = [{"id": number, "text": f"row {number} of {name}"} for number in range(5)]
        self.client(region).namespace(name).write(upsert_rows=rows)

    def make_backup(self, source: str, slot: datetime, *, prefix: str = "backup-", sealed: bool = True) -> str:
        """A backup as Lifeboat made it at `slot`."""
        name = f"{prefix}{source}-{int(slot.timestamp()):010}"
        with self.at(slot):
            backup = self.backup(name)
            backup.copy_from(source_namespace=source, source_region=SOURCE)
            if sealed:
                backup.update_metadata(read_only=True)
        return name

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """What is done inside is done at this moment; afterwards the clock is right again."""
        self.control("POST", "clock", {"now": moment.isoformat()})
        try:
            yield
        finally:
            self.control("POST", "clock", {"now": datetime.now(timezone.utc).isoformat()})

    def faults(self, *rules: Rule) -> None:
        """From now on this goes wrong, and nothing else."""
        self.control("POST", "faults", list(rules))

    def keys(self, *table: KeyRow) -> None:
        """From now on only these keys are accepted: each with its organisation and what it may do. None: any."""
        rows = [{"key": key, "organisation": whose, "permissions": list(may)} for key, whose, may in table]
        self.control("POST", "keys", rows)

    def settings(self, **changes: Any) -> None:
        self.control("POST", "settings", changes)

    def summary(self) -> dict[str, dict[str, int]]:
        """How often each operation was asked for, by status; 0 is a closed connection."""
        operations: dict[str, dict[str, int]] = self.control("GET", "log?summary=1")["operations"]
        return operations

    def count(self, operation: str) -> int:
        return sum(self.summary().get(operation, {}).values())

    def forget_log(self) -> None:
        self.control("DELETE", "log")

    def control(self, method: str, what: str, body: Any = None) -> Any:
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.request(method, f"/_emulator/{what}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        assert answer.status == 200, f"{method} {what}: {answer.status} {text}"
        return json.loads(text)


def make_due(emulator: Emulator) -> str:
    """The source `acme-docs` and two backups of it. The older one, which is returned, is due after one day."""
    emulator.write("acme-docs")
    due, _ = (emulator.make_backup("acme-docs", days_ago(days)) for days in (30, 20))
    return due


def everything_stands(emulator: Emulator, before: Standing) -> None:
    """When all is well with the service again, nothing that stood before is gone or changed."""
    emulator.faults()
    emulator.keys()
    emulator.settings(unknown_regions=[], clock_skew_seconds=0)
    assert emulator.standing(before) == before


def fault(
    operation: Optional[str] = None,
    region: Optional[str] = None,
    source: Optional[str] = None,
    namespace_prefix: Optional[str] = None,
    times: Optional[int] = None,
    after: int = 0,
    **what: Any,
) -> Rule:
    """What goes wrong with the requests of this kind, how often, and after how many."""
    given = dict(operation=operation, region=region, source=source, namespace_prefix=namespace_prefix)
    matching = {name: value for name, value in given.items() if value}
    return {"match": matching, "fault": what, "after": after, **({} if times is None else {"times": times})}


def refusal(status: int, message: str) -> dict[str, Any]:
    """A fault in the service's own words."""
    return {"status": status, "body": json.dumps({"status": "error", "error": message})}


def days_ago(days: float) -> datetime:
    """That moment, in whole seconds as slots are."""
    return (datetime.now(timezone.utc) - timedelta(days=days)).replace(microsecond=0)
