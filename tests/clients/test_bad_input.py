"""Bad input: the program says what is wrong and what to do, sends nothing it should not, and deletes nothing.

In most tests a backup is due, and a run in which all is well deletes it; so if it still stands, it was spared. That no
key is shown is checked after every run (see `program.py`). Exit status 2: nothing was sent; 1: something was not done.
"""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest

from emulated import (
    BACKUP,
    KEY,
    OURS,
    SOURCE,
    Emulator,
    KeyRow,
    Rule,
    Standing,
    days_ago,
    everything_stands,
    fault,
    refusal,
)
from program import Ended, Lifeboat

OTHER_KEY = "tpuf_anotherANOTHERanotherANOTHERano"


def test_a_run_in_which_all_is_well_deletes_the_one_that_is_due(
    emulator: Emulator, lifeboat: Lifeboat, due: str
) -> None:
    ended = lifeboat.backup()

    assert ended.code == 0 and ended.deleted == [due]
    assert due not in emulator.names()


# The configuration.

MISTAKES: list[tuple[dict[str, Optional[str]], list[str]]] = [
    ({"TURBOPUFFER_API_KEY": None}, ["TURBOPUFFER_API_KEY", "is not set; set it to"]),
    ({"TURBOPUFFER_API_KEY": ""}, ["TURBOPUFFER_API_KEY", "is set and empty; unset it"]),
    ({"TURBOPUFFER_API_KEY": "tpuf_with blank"}, ["TURBOPUFFER_API_KEY", "copy the key again"]),
    ({"TURBOPUFFER_API_KEY_SECRET": "a/secret"}, ["TURBOPUFFER_API_KEY", "unset the one that is not meant"]),
    ({"SOURCE_PREFIX": ""}, ["SOURCE_PREFIX", "is not set; set it to", "`*` for all"]),
    ({"SOURCE_PREFIX": "acme-*"}, ["SOURCE_PREFIX", "`acme-*`", "`*` alone"]),
    ({"BACKUP_PREFIX": ""}, ["BACKUP_PREFIX", "is empty; use a prefix such as `backup-`"]),
    ({"BACKUP_REGION": SOURCE, "SOURCE_PREFIX": "*"}, ["the plan's own backups", "SOURCE_EXCLUDE"]),
    ({"BACKUP_REGION": SOURCE, "SOURCE_PREFIX": "backup-acme-"}, ["the plan's own backups", "SOURCE_EXCLUDE"]),
    ({"BACKUP_REGION": "US East"}, ["BACKUP_REGION", "`US East` is no region", "aws-us-east-1"]),
    ({"RETENTION_DAYS": "a week"}, ["RETENTION_DAYS", "`a week` is not a whole number"]),
    ({"RETENTION_DAYS": "-1"}, ["RETENTION_DAYS", "`-1` is not a whole number"]),
    ({"MIN_BACKUPS": "0"}, ["MIN_BACKUPS", "from 1 to", "write one, or unset it for 1"]),
    ({"RETENTION_DAY": "365"}, ["RETENTION_DAY", "did you mean RETENTION_DAYS?"]),
    ({"TURBOPUFFER_BASE_URL": "http://127.0.0.1:1"}, ["TURBOPUFFER_BASE_URL", "no {region} in it"]),
]


@pytest.mark.parametrize(("changes", "says"), MISTAKES, ids=[str(changes) for changes, _ in MISTAKES])
def test_a_mistake_in_the_configuration_is_named_and_nothing_is_sent(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, changes: dict[str, Optional[str]], says: list[str]
) -> None:
    for command in ("backup", "prune", "list", "check"):
        ended = lifeboat(command, **changes)
        assert ended.code == 2 and ended.stdout == ""
        assert [said for said in says if said not in ended.stderr] == []
    assert emulator.summary() == {}
    everything_stands(emulator, before)


def mistakes_named(ended: Ended) -> list[str]:
    assert ended.code == 2
    return [line.split(":")[0].strip() for line in ended.stderr.splitlines() if line.startswith("  ")]


def test_all_mistakes_in_the_configuration_are_named_at_once(emulator: Emulator, lifeboat: Lifeboat) -> None:
    mistakes = {
        "SOURCE_REGION": "US East",
        "BACKUP_REGION": None,
        "SOURCE_PREFIX": "acme *",
        "BACKUP_PREFIX": "",
        "RETENTION_DAYS": "a week",
        "RETENTION_DAY": "7",
        "MIN_BACKUPS": "none",
        "CONCURRENCY": "0",
        "COPIES": "many",
        "TURBOPUFFER_API_KEY": "tpuf_with blank",
    }

    named = mistakes_named(lifeboat.backup(**mistakes))

    assert sorted(named) == sorted(mistakes)
    assert emulator.summary() == {}


@pytest.mark.parametrize(
    ("changes", "hidden"),
    [
        ({"BACKUP_REGION": SOURCE, "SOURCE_PREFIX": "*", "RETENTION_DAYS": "a week"}, "SOURCE_PREFIX"),
        ({"BACKUP_REGION": None, "SOURCE_REGION": "EU", "TURBOPUFFER_BASE_URL": "ftp://x"}, "TURBOPUFFER_BASE_URL"),
        ({"SOURCE_PREFIX": "a cme", "SOURCE_EXCLUDE": "["}, "SOURCE_EXCLUDE"),
    ],
)
def test_one_mistake_does_not_hide_another(lifeboat: Lifeboat, changes: dict[str, Optional[str]], hidden: str) -> None:
    assert hidden in mistakes_named(lifeboat.backup(**changes))


# Events.

TOMORROW, LAST_WEEK = "(tomorrow)", "(eight days ago)"
EVENTS: list[tuple[Any, list[str]]] = [
    ("", ["is not JSON"]),
    ('{"action": "backup"', ["is not JSON", "line 1"]),
    ("{} {}", ["is not JSON", "trailing"]),
    ([], ["a list, not a JSON object; send {}"]),
    ({"actoin": "backup"}, ["`actoin` is not known; did you mean `action`?"]),
    ({"dryrun": True}, ["`dryrun` is not known; did you mean `dry_run`?"]),
    ({"dry_run": "yes"}, ["`dry_run`", "true or false, without quotes"]),
    ({"action": "bakcup"}, ["`bakcup` is not known; did you mean `backup`?"]),
    ({"plan": "nightly"}, ["`nightly` is not configured; did you mean `default`?"]),
    ({"scheduled_time": "tonight"}, ["tonight", "a time with its zone, such as"]),
    ({"scheduled_time": TOMORROW}, ["is in the future", "leave it out"]),
    ({"scheduled_time": LAST_WEEK}, ["more than seven days ago", "leave scheduled_time out"]),
    ({"detail-type": "Object Created", "source": "aws.s3"}, ["`Object Created` of `aws.s3`", "not a schedule"]),
]


@pytest.mark.parametrize(("event", "says"), EVENTS, ids=[json.dumps(event) for event, _ in EVENTS])
def test_an_event_that_makes_no_sense_is_refused_and_nothing_is_changed(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, event: Any, says: list[str]
) -> None:
    text = event if isinstance(event, str) else json.dumps(event)
    for word, moment in ((TOMORROW, days_ago(-1)), (LAST_WEEK, days_ago(8))):
        text = text.replace(word, moment.isoformat())

    ended = lifeboat.invoke(text)

    assert ended.code == 2 and ended.stdout == ""
    assert [said for said in says if said not in ended.stderr] == []
    # Which of two clocks is wrong is asked of the service before a slot is refused.
    asks_the_time = any(marker in json.dumps(event) for marker in (TOMORROW, LAST_WEEK))
    assert set(emulator.summary()) <= ({"list", "metadata"} if asks_the_time else set())
    everything_stands(emulator, before)


def test_an_event_that_says_two_things_is_refused(emulator: Emulator, lifeboat: Lifeboat, before: Standing) -> None:
    ended = lifeboat.invoke('{"dry_run": true, "dry_run": false}')

    assert ended.code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bakcup"], "a similar subcommand exists: 'backup'"),
        (["backup", "--dryrun"], "--dry-run"),
        (["backup", "--scheduled-time", "tonight"], "invalid value 'tonight'"),
        (["invoke"], "<EVENT>"),
        (["invoke", "no-such-file.json"], "`no-such-file.json` can't be read"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_and_nothing_is_sent(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, arguments: list[str], says: str
) -> None:
    ended = lifeboat(*arguments)

    assert ended.code == 2 and ended.stdout == "" and says in ended.stderr
    assert emulator.summary() == {}
    everything_stands(emulator, before)


def test_a_command_with_a_wrong_value_names_the_option_and_what_to_write(emulator: Emulator, lifeboat: Lifeboat) -> None:
    for arguments, says in (
        (["restore", "acme-docs", "--at", "2026-11-21"], ["--at", "whole day", '"2026-11-21T23:59:59Z"']),
        (["restore", "acme-docs", "--at", "yesterday"], ["--at", "with its zone", '"2026-11-21T02:00:00Z"']),
        (["backup", "--scheduled-time", "2026-11-21"], ["--scheduled-time", "whole day"]),
        (["restore", "acme-docs", "--verify", "a bit"], ["`--verify` is", "sample:N or full"]),
        (["restore", "a b"], ["NAME is", "each once"]),
        (["restore", "acme-docs", "--to-encryption-key", " "], ["`--to-encryption-key` is", "`default`"]),
        (["drill", "--share", "5"], ["`--share` is", '"5%"']),
        (["drill", "--pick", "oldest", "--seed", "7"], ["`--seed` is for sources that are picked at random"]),
    ):
        ended = lifeboat(*arguments)
        assert ended.code == 2 and not ended.stdout and "event" not in ended.stderr, ended
        assert [said for said in says if said not in ended.stderr] == [], ended
    event = lifeboat.invoke({"action": "restore", "names": ["acme-docs"], "at": "2026-11-21"})
    assert event.code == 2 and "`at` is" in event.stderr and "whole day" in event.stderr
    assert emulator.summary() == {}


# Keys.


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((OTHER_KEY, OURS, ("admin",)), ["unauthorized", SOURCE, "401", "check the secret"]),
        ((KEY, OURS, ("read", "list")), ["forbidden", BACKUP, "403", "give it list, read and write permission"]),
        ((KEY, OURS, ("read", "write")), ["forbidden", SOURCE, "403", "give it list, read and write permission"]),
        ((KEY, OURS, ("write", "list")), ["forbidden", SOURCE, "403", "give it list, read and write permission"]),
    ],
    ids=["wrong", "read-only", "may-not-list", "may-not-read"],
)
def test_a_key_that_is_refused_is_told_and_every_backup_stands(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing, row: KeyRow, says: list[str]
) -> None:
    emulator.keys(row)

    ended = lifeboat.backup()

    assert ended.code == 1
    told = " ".join(ended.failures.values())
    assert [said for said in says if said not in told] == []
    assert "delete" not in emulator.summary()
    everything_stands(emulator, before)


def test_a_key_of_another_organisation_finds_nothing_and_says_so(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing
) -> None:
    emulator.keys((KEY, "somebody-else", ("admin",)))

    ended = lifeboat.backup()

    assert ended.code == 1 and "nothing of it is protected" in ended.failures[None]
    assert "the key's organisation" in ended.failures[None]
    everything_stands(emulator, before)


def test_a_key_that_is_revoked_half_way_through_deletes_nothing(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing
) -> None:
    emulator.faults(fault("start_copy", revoke_key=True))

    ended = lifeboat.backup()

    assert ended.code == 1 and "401" in ended.failures["acme-docs"]
    assert "delete" not in emulator.summary()
    everything_stands(emulator, before)


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("LIFEBOAT_LOG", "LIFEBOAT_LOG: `verbose` is no level; use error, warn, info, debug or trace"),
        ("LIFEBOAT_LOG_FORMAT", "LIFEBOAT_LOG_FORMAT: `verbose` is no format; use json or text"),
    ],
)
def test_logs_that_nobody_would_see_are_refused(
    emulator: Emulator, lifeboat: Lifeboat, variable: str, says: str
) -> None:
    ended = lifeboat("backup", **{variable: "verbose"})

    assert ended.code == 2 and says in ended.stderr
    assert emulator.summary() == {}


@pytest.mark.parametrize("level", ["info", "trace"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_key_is_shown_however_much_is_logged(
    emulator: Emulator, lifeboat: Lifeboat, due: str, level: str, form: str
) -> None:
    emulator.keys((KEY, OURS, ("read", "list")), (OTHER_KEY, "backups-only", ("admin",)))

    ended = lifeboat.backup(BACKUP_API_KEY=OTHER_KEY, LIFEBOAT_LOG=level, LIFEBOAT_LOG_FORMAT=form)

    assert ended.code == 0 and ended.report["jobs"]["sealed"] == 1


@pytest.mark.parametrize(
    "echo",
    [
        fault("list", **refusal(401, f"invalid API key {KEY}")),
        fault("list", status=403, content_type="text/html", body=f"<html>Authorization: Bearer {KEY}</html>"),
        fault("start_copy", **refusal(400, f"source_api_key {KEY} is not valid")),
    ],
    ids=["service", "proxy", "copy"],
)
def test_no_key_is_shown_when_the_service_repeats_it(
    emulator: Emulator, lifeboat: Lifeboat, due: str, echo: Rule
) -> None:
    emulator.faults(echo)

    assert lifeboat.backup().code == 1


def test_a_reader_without_json_is_told_the_same(emulator: Emulator, lifeboat: Lifeboat, before: Standing) -> None:
    emulator.keys((OTHER_KEY, OURS, ("admin",)))

    ended = lifeboat("backup")

    assert ended.code == 1 and "Backup FAILED" in ended.stdout
    assert "nothing was deleted" in ended.stdout and "check the secret" in ended.stdout
    everything_stands(emulator, before)


# Sources.


def test_a_selector_that_selects_nothing_is_told_and_every_backup_stands(
    emulator: Emulator, lifeboat: Lifeboat, before: Standing
) -> None:
    for changes in ({"SOURCE_PREFIX": "amce-"}, {"SOURCE_EXCLUDE": "acme-*"}):
        ended = lifeboat.backup(**changes)
        assert ended.code == 1 and "nothing of it is protected; check SOURCE_PREFIX" in ended.failures[None]
    everything_stands(emulator, before)


def test_a_selector_that_selects_nothing_is_not_told_as_a_failed_listing(lifeboat: Lifeboat, before: Standing) -> None:
    assert "could not be listed" not in lifeboat.backup(SOURCE_PREFIX="amce-").said


def test_a_source_whose_backup_would_have_too_long_a_name_fails_alone(
    emulator: Emulator, lifeboat: Lifeboat, due: str
) -> None:
    fits, too_long = "acme-".ljust(110, "x"), "acme-".ljust(120, "y")
    emulator.write(fits)
    emulator.write(too_long)

    ended = lifeboat.backup()

    assert ended.code == 1 and list(ended.failures) == [too_long]
    assert "138 bytes, over the limit of 128" in ended.failures[too_long]
    assert "shorten the backup prefix or rename the source" in ended.failures[too_long]
    assert ended.report["jobs"]["sealed"] == 2 and ended.deleted == [due]
    assert f"backup-{fits}" in {name[:-11] for name in emulator.names()}
