"""A bad service: what passes is waited for, what was lost is found, and what is in doubt deletes nothing.

In every test a backup is due. Where the run may not be sure of everything that it needs to know, it still stands.
"""

from __future__ import annotations

from typing import Any

import pytest

from emulated import BACKUP, SOURCE, Emulator, Rule, Standing, days_ago, everything_stands, fault, refusal
from program import Lifeboat

HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


# Jobs.


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (fault("start_copy", source="acme-docs", **refusal(400, "not today")), "not today"),
        (fault("start_copy", source="acme-docs", fail_operation=True), "the service gave the copy up"),
        (fault("start_copy", source="acme-docs", corrupt_copy="drop_rows"), "the copy has 4 rows"),
        (
            fault("patch_metadata", namespace_prefix="backup-acme-docs", **refusal(400, "no seals today")),
            "no seals today",
        ),
    ],
    ids=["refused", "given-up", "rows-missing", "not-sealed"],
)
def test_a_source_whose_job_fails_keeps_every_backup_and_the_others_go_on(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, what: Rule, says: str
) -> None:
    emulator.write("acme-users")
    emulator.faults(what)

    ended = lifeboat.backup()

    assert ended.code == 1 and list(ended.failures) == ["acme-docs"]
    assert says in ended.failures["acme-docs"]
    assert (ended.report["jobs"]["sealed"], ended.report["jobs"]["failed"]) == (1, 1)
    assert "delete" not in emulator.summary()
    everything_stands(emulator, before)


# Listings.

LOOPS: Any = {"loop_cursor": True}
REPEATS: Any = {"repeat_page": True}


def test_a_listing_of_backups_that_loops_or_repeats_stops_deletion_and_not_copying(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing
) -> None:
    write_many(emulator, BACKUP, "backup-acme-docs-filler-")
    for broken, slot in ((LOOPS, days_ago(0.01)), (REPEATS, days_ago(0))):
        emulator.faults(fault("list", BACKUP, **broken))

        ended = lifeboat.backup("--scheduled-time", slot.isoformat())

        assert ended.code == 1 and ended.report["jobs"]["sealed"] == 1
        assert "twice" in ended.failures[None] and BACKUP in ended.failures[None]
        assert "the next run lists again" in ended.failures[None]
    assert "delete" not in emulator.summary()
    everything_stands(emulator, before)


def test_a_listing_of_sources_that_loops_or_repeats_stops_everything(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing
) -> None:
    write_many(emulator, SOURCE, "acme-filler-")
    for broken in (LOOPS, REPEATS):
        emulator.faults(fault("list", SOURCE, **broken))

        ended = lifeboat.backup()

        assert ended.code == 1 and "twice" in ended.failures[None] and SOURCE in ended.failures[None]
    assert not {"delete", "start_copy"} & set(emulator.summary())
    everything_stands(emulator, before)


def write_many(emulator: Emulator, region: str, prefix: str) -> None:
    """More names than fit on a page."""
    client = emulator.client(region)
    for number in range(1_005):
        client.namespace(f"{prefix}{number}").write(upsert_rows=[{"id": 1}])


# A service in trouble for a moment.


@pytest.mark.parametrize(
    "what",
    [
        [fault(status=429, times=4)],
        [fault(status=429, retry_after=1, times=5)],
        [fault(status=429, retry_after_ms=20, times=5)],
        [fault("start_copy", status=429, times=1), fault("delete", status=503, times=2)],
        [fault("list", status=502, body=HTML, content_type="text/html", times=2)],
        [fault("list", truncate=True, times=2)],
        [fault("poll", lose_token=True, times=1)],
    ],
    ids=["429", "429-retry-after", "429-retry-after-ms", "copy-and-delete", "html", "truncated", "lost-token"],
)
def test_what_passes_by_itself_is_waited_for(
    emulator: Emulator, lifeboat: Lifeboat, due: str, what: list[Rule]
) -> None:
    emulator.faults(*what)

    ended = lifeboat.backup()

    assert ended.code == 0 and ended.report["jobs"]["sealed"] == 1 and ended.deleted == [due]
    assert emulator.summary()["start_copy"]["202"] == 1


@pytest.mark.parametrize(
    "lost",
    [{"reset": "after"}, {"status": 500, "commit": "after"}, {"truncate": True}],
    ids=["reset", "500", "truncated"],
)
def test_a_copy_whose_answer_was_lost_is_found_and_not_made_twice(
    emulator: Emulator, lifeboat: Lifeboat, due: str, lost: dict[str, Any]
) -> None:
    emulator.faults(fault("start_copy", times=1, **lost))

    ended = lifeboat.backup()

    assert ended.code == 0 and ended.report["jobs"]["sealed"] == 1 and ended.deleted == [due]
    assert ended.report["jobs"]["adopted"] == 1
    assert emulator.count("start_copy") == 1


@pytest.mark.parametrize("skew", [600, -600])
def test_clocks_ten_minutes_apart_stop_deletion_and_not_copying(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, skew: int
) -> None:
    emulator.settings(clock_skew_seconds=skew)

    ended = lifeboat.backup()

    assert ended.code == 1 and ended.report["jobs"]["sealed"] == 1
    assert abs(ended.report["clock_difference_seconds"] + skew) <= 2
    assert "more than five minutes, so deletion stopped (after 0 backups); set the clock right" in ended.failures[None]
    assert "delete" not in emulator.summary()
    everything_stands(emulator, before)


def test_a_deletion_that_was_only_claimed_is_told(emulator: Emulator, lifeboat: Lifeboat, before: Standing) -> None:
    emulator.faults(fault("delete", delete_lies=True))

    ended = lifeboat.backup()

    assert ended.code == 1 and "still shows the backup" in ended.failures["acme-docs"]
    assert ended.deleted == [] and ended.report["pruning"]["failed"] == 1
    everything_stands(emulator, before)
