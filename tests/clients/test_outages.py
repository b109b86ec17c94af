"""A service in trouble for good: the run ends with exit status 1, says what is wrong, and every backup stands.

A backup is due in every one of these stories. Patience takes half a minute each time, so the runs of all the tests that
were chosen wait together, each with a service of its own, while pytest collects their ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import pytest

import emulated
from emulated import BACKUP, SOURCE, Rule, Standing, fault
from program import DEADLINE_SECONDS, Ended, Lifeboat

HTML: Any = {"body": "<html><title>Bad Gateway</title></html>", "content_type": "text/html"}
# Every message ends in something that its reader can do.
ADVICE = re.compile(r"\b(check|give|set|lower|the next run)\b")


@dataclass(frozen=True)
class Outage:
    """What is wrong, and what must be said of it."""

    says: list[str]
    faults: list[Rule] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Optional[str]] = field(default_factory=dict)
    copies: int = 0


OUTAGES: dict[str, Outage] = {
    "source region unknown": Outage(
        [SOURCE, "gave no answer"], settings={"unknown_regions": [SOURCE]}
    ),
    "backup region unknown": Outage(
        [BACKUP, "gave no answer"], settings={"unknown_regions": [BACKUP]}
    ),
    "source region down": Outage(
        [SOURCE, "gave no answer"], [fault(region=SOURCE, reset="before")]
    ),
    "backup region down": Outage(
        [BACKUP, "gave no answer"], [fault(region=BACKUP, reset="before")]
    ),
    "nobody listens": Outage(
        [BACKUP, "can't be reached", "check the region's name, TURBOPUFFER_BASE_URL and the network"],
        changes={"TURBOPUFFER_BASE_URL_AWS_EU_WEST_1": "http://127.0.0.1:9"},
    ),
    "HTML with 502": Outage([SOURCE, BACKUP, "502", "Bad Gateway"], [fault(status=502, **HTML)]),
    "HTML with 200": Outage(
        [SOURCE, BACKUP, "can't be read", "check TURBOPUFFER_BASE_URL and any proxy"], [fault(status=200, **HTML)]
    ),
    "sources cut short": Outage(["listing `acme-*`", SOURCE, "can't be read"], [fault("list", SOURCE, truncate=True)]),
    "backups cut short": Outage(
        ["listing `backup-acme-*`", BACKUP, "can't be read"], [fault("list", BACKUP, truncate=True)]
    ),
    "half a page that says 200": Outage(
        [BACKUP, "can't be read"], [fault("list", BACKUP, status=200, body='{"namespaces": [{"id": "backup-acme-d')]
    ),
    "429 without end": Outage([BACKUP, "429", "lower CONCURRENCY"], [fault("list", BACKUP, status=429)]),
    "429 that asks for an hour": Outage(
        [BACKUP, "429", "lower CONCURRENCY"], [fault("list", BACKUP, status=429, retry_after=3600)]
    ),
    "evidence unreadable": Outage(
        ["its backups could not be read, so none was deleted"],
        # The run looks at its own copy first, and only then at what is due.
        [fault("metadata", BACKUP, after=1, status=200, **HTML)],
        copies=1,
    ),
    "deletions fail": Outage(["500", "the next run tries again"], [fault("delete", status=500)], copies=1),
}
# No outage: it passes, but only after as long a wait.
NEVER_HEARD = "a copy's start that was never heard"
STORIES = {**OUTAGES, NEVER_HEARD: Outage([], [fault("start_copy", reset="before", times=1)])}


@dataclass(frozen=True)
class End:
    """How a run ended, and what stood before and after it."""

    run: Ended
    before: Standing
    after: Standing
    asked: dict[str, dict[str, int]]

    def __str__(self) -> str:
        return f"{self.run}\n{self.asked}"


def suffer(binaries: Path, outage: Outage) -> End:
    with emulated.running(binaries / "lifeboat-emulator") as emulator:
        emulated.make_due(emulator)
        before = emulator.standing()
        emulator.forget_log()
        emulator.faults(*outage.faults)
        emulator.settings(**outage.settings)
        run = Lifeboat(binaries / "lifeboat", emulator).backup(**outage.changes)
        asked = emulator.summary()
        emulator.faults()
        emulator.settings(unknown_regions=[])
        return End(run, before, emulator.standing(), asked)


@pytest.fixture(scope="module")
def ends(binaries: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[End]]]:
    """The ends of all runs whose tests were chosen."""
    parameters = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = {given["outage"] for given in parameters if "outage" in given}
    # The official client makes its models when they are first used, and threads that race for that get half of one.
    with emulated.running(binaries / "lifeboat-emulator") as emulator:
        emulated.make_due(emulator)
        emulator.standing()
    with ThreadPoolExecutor(len(STORIES)) as pool:
        yield {name: pool.submit(suffer, binaries, STORIES[name]) for name in STORIES if name in chosen}


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage_is_told_and_every_backup_stands(ends: dict[str, Future[End]], outage: str) -> None:
    end = ends[outage].result(DEADLINE_SECONDS)

    assert end.run.code == 1, str(end)
    told = "".join(end.run.failures.values())
    assert [text for text in OUTAGES[outage].says if text not in told] == [], str(end)
    assert {name: end.after.get(name) for name in end.before} == end.before, str(end)
    assert len(end.after) == len(end.before) + OUTAGES[outage].copies, str(end)
    assert end.run.deleted == []


@pytest.mark.parametrize(
    "outage",
    list(OUTAGES),
)
def test_an_outage_is_told_with_what_to_do(ends: dict[str, Future[End]], outage: str) -> None:
    for messages in ends[outage].result(DEADLINE_SECONDS).run.failures.values():
        for message in messages.splitlines():
            assert ADVICE.search(message), message


@pytest.mark.parametrize("outage", [NEVER_HEARD])
def test_a_copy_whose_start_was_never_heard_is_started_once_more(ends: dict[str, Future[End]], outage: str) -> None:
    end = ends[outage].result(DEADLINE_SECONDS)

    assert end.run.code == 0 and end.run.report["jobs"]["sealed"] == 1, str(end)
    assert end.asked["start_copy"] == {"0": 1, "202": 1}
    assert len(end.run.deleted) == 1 and len(end.after) == len(end.before)
