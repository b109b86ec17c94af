"""A plan of Zilliz Cloud with the real program, over HTTP; the service's own command line sees what it applied."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulated import Emulator, fault
from program import Ended, Lifeboat
from zilliz import CLI, CLUSTER, FAR, GB, HOME, KEY, NEAR, PROJECT, Account, Cli

pytestmark = pytest.mark.skipif(not CLI.is_file(), reason="no zilliz-cli: pip install -r tests/requirements.txt")

PLAN = f"""
[plans.prod]
provider = "zilliz"
project = "{PROJECT}"
clusters = ["orders-*"]
time_zone = "Europe/Berlin"
weekdays = ["mon", "thu"]
start = "00:30"
retention_days = 7

[[plans.prod.targets]]
region = "{NEAR}"
retention_days = 30

[[plans.prod.targets]]
region = "{FAR}"
"""


class Keeper:
    """The program with that plan and a journal, on one account."""

    def __init__(self, lifeboat: Lifeboat, account: Account, home: Path) -> None:
        self.lifeboat = lifeboat
        lifeboat.environment = {
            "LIFEBOAT_CONFIG": PLAN,
            "LIFEBOAT_JOURNAL": (home / "journal").as_uri(),
            "ZILLIZ_API_KEY": KEY,
            "ZILLIZ_BASE_URL": account.url,
            "HOME": str(home),
        }

    def __call__(self, *arguments: str, **changes: str) -> Ended:
        return self.lifeboat(*arguments, **changes)

    def report(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        ended = self(*arguments, "--json")
        assert ended.code == code, ended
        return ended.report


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return Account(emulator)


@pytest.fixture
def cli(account: Account, tmp_path: Path) -> Cli:
    return Cli(account, tmp_path)


@pytest.fixture
def keeper(lifeboat: Lifeboat, account: Account, tmp_path: Path) -> Keeper:
    return Keeper(lifeboat, account, tmp_path)


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def states(report: dict[str, Any]) -> dict[str, str]:
    return {line["region"]: line["state"] for line in report["regions"]["shown"]}


def test_what_the_plan_says_is_what_the_services_own_command_line_sees(
    account: Account, cli: Cli, keeper: Keeper
) -> None:
    first = keeper.report("backup", code=1)
    assert (first["outcome"], first["stays_open"]) == ("incomplete", True)
    assert set(states(first).values()) == {"in_making"}

    policy = cli.backup("describe-policy").data
    assert policy["status"] == "ENABLED"
    # Half past midnight in Berlin is the evening before in UTC, in winter and in summer.
    assert policy["frequency"] == "3,7"
    assert policy["startTime"] in ("23:30-01:30", "22:30-00:30")
    assert policy["retentionDays"] == 7
    assert {copy["regionId"]: copy["retentionDays"] for copy in policy["crossRegionCopies"]} == {NEAR: 30, FAR: 7}

    account.wait(minutes=30)
    (carried_on,) = keeper.report("resume")["clusters"]
    assert states(carried_on) == {HOME: "protected", NEAR: "protected", FAR: "protected"}
    listed = cli.json("backup", "list", "--creation-method", "AUTO", "--all")
    assert {line["backup"] for line in carried_on["regions"]["shown"]} == {backup["backupId"] for backup in listed}
    (run,) = keeper.report("jobs")["runs"]
    assert [(job["region"], job["state"]) for job in run["jobs"]] == [(region, "protected") for region in (HOME, NEAR, FAR)]


def test_a_copy_that_an_official_client_dropped_is_put_back(account: Account, cli: Cli, keeper: Keeper) -> None:
    keeper("backup")
    account.wait(minutes=30)
    # Without a body, this version of the command line forgets the copies.
    on = ["--auto-backup", "true", "--frequency", "daily", "--start-time", "02:00", "--retention-days", "7"]
    cli.backup("update-policy", *on)
    assert cli.backup("describe-policy").data["crossRegionCopies"] == []

    shown = keeper("backup", "--dry-run")
    assert "crossRegionCopies.gcp-us-east4 is no copy instead of 30 days" in " ".join(shown.stdout.split())
    assert cli.backup("describe-policy").data["crossRegionCopies"] == []

    report = keeper.report("backup")
    (policy,) = report["policies"]["shown"]
    assert policy["state"] == "repaired"
    assert {drift["field"] for drift in policy["drift"]} == {
        "frequency", "startTime", f"crossRegionCopies.{NEAR}", f"crossRegionCopies.{FAR}",
    }
    assert {copy["regionId"] for copy in cli.backup("describe-policy").data["crossRegionCopies"]} == {NEAR, FAR}


def test_a_region_without_a_recent_backup_fails_the_run_and_says_so_to_a_person(
    account: Account, keeper: Keeper
) -> None:
    keeper("backup")
    account.wait(minutes=30)
    account.emulator.faults(fault("zilliz.copy", region=FAR, fail_operation=True))
    account.wait(days=5)

    ended = keeper("backup")

    assert ended.code == 1
    assert "Backup FAILED: plan `prod` on Zilliz Cloud" in ended.stdout
    rows = {row[1]: row[2] for row in (line.split() for line in ended.stdout.splitlines()) if row[:1] == ["orders-prod"] and row[1] in (HOME, NEAR, FAR)}
    assert rows[HOME] == rows[NEAR] == "protected"
    assert rows[FAR] in ("stale", "copy_missing")
    event = keeper.lifeboat.invoke({"action": "backup", "plan": "prod"})
    assert event.report["outcome"] == "failed"


def test_check_shows_the_plan_and_asks_the_account(account: Account, keeper: Keeper) -> None:
    shown = keeper("check")
    assert shown.code == 0
    assert "mon, thu, within two hours from 00:30 (Europe/Berlin)" in shown.stdout
    assert account.emulator.summary() == {}

    asked = keeper("check", "--online")
    assert asked.code == 0, asked
    assert "clusters selected: 1" in asked.stdout
    assert "its policy is not the plan's yet: status is DISABLED instead of ENABLED" in asked.stdout

    account.seed("projects", {"id": PROJECT, "name": "shop", "plan": "Standard", "regions": [HOME, NEAR]})
    account.add_cluster("orders-prod", id=CLUSTER)
    asked = keeper("check", "--online")
    assert asked.code == 1
    assert f"the target {FAR} is not bound to its project" in asked.stdout
    assert "its plan is Standard" in asked.stdout
    assert account.emulator.count("zilliz.set_policy") == 0


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"action": "verify", "plan": "prod"}, "plan `prod` is of Zilliz Cloud, where `verify` is not available"),
        ({"action": "prune", "plan": "prod"}, "plan `prod` is of Zilliz Cloud and has no `tiers`, so it deletes nothing and there is nothing to prune"),
        ({"action": "restore", "all": True}, "with a plan of Zilliz Cloud it is `cluster`"),
        ({"action": "backup", "plan": "prd"}, "did you mean `prod`?"),
        ({"action": "backup", "approve": "1f0c9a4be27d3356"}, "a plan of Zilliz Cloud without `tiers` deletes nothing"),
    ],
    ids=["verify", "prune", "restore", "plan", "approve"],
)
def test_what_means_nothing_for_clusters_is_refused(
    account: Account, keeper: Keeper, event: dict[str, Any], says: str
) -> None:
    ended = keeper.lifeboat.invoke(event)
    assert ended.code == 2
    assert says in ended.stderr
    assert account.emulator.summary() == {}


def test_impossible_documents_are_refused_before_any_request(account: Account, keeper: Keeper) -> None:
    wrong = PLAN.replace(NEAR, "az-eastus").replace("retention_days = 30", "retention_days = 31").replace("mon", "mo")
    ended = keeper("backup", LIFEBOAT_CONFIG=wrong)
    assert ended.code == 2
    for path in ("targets[0].region", "targets[0].retention_days", "weekdays[0]"):
        assert f"plans.prod.{path}: " in ended.stderr, ended
    assert account.emulator.summary() == {}


def test_a_lost_answer_and_a_busy_service_are_ridden_out(account: Account, cli: Cli, keeper: Keeper) -> None:
    account.emulator.faults(
        fault("zilliz.set_policy", status=503, commit="after", times=1),
        fault("zilliz.list_backups", status=429, times=2),
        fault("zilliz.list_clusters", truncate=True, times=1),
    )
    report = keeper.report("backup", code=1)
    assert report["outcome"] == "incomplete"
    assert report["retries"] == 4
    assert cli.json("backup", "list")["count"] == 1, json.dumps(report)


def test_a_months_price_is_told_where_it_is_known(account: Account, keeper: Keeper) -> None:
    keeper("backup")
    account.wait(minutes=30)

    told = keeper.report("estimate")

    (plan,) = told["clusters"]
    assert (plan["clusters"], plan["bytes"]) == (1, 7 * GB) and plan["backups"] in (8, 9)
    regions = {line["region"]: line for line in plan["regions"]}
    assert set(regions) == {HOME, NEAR, FAR} and regions[HOME]["sent_bytes"] == 0
    # Two cents for a GB sent within the continent, and two for each month that it is kept.
    assert regions[NEAR]["sending"]["least"] == plan["backups"] * 7 * 20_000 == regions[NEAR]["storing"]["most"]
    shown = keeper("estimate", "--plan", "prod").stdout
    assert "Plan `prod` on Zilliz Cloud: 1 cluster," in shown and "$" in shown
    dry_run = keeper.report("backup", "--dry-run")
    assert dry_run["estimate"] == plan and plan["total"]["least"] > 0
    assert "In all: $" in keeper("backup", "--dry-run").stdout


def test_before_the_first_backup_the_price_is_of_what_the_cluster_stores(account: Account, keeper: Keeper) -> None:
    shown = keeper("estimate", "--plan", "prod").stdout
    assert "1 cluster, 7.0 GB; " in shown and "In all: $" in shown, shown
    assert "in it by what it stores: orders-prod has no backup yet that tells its size" in shown
    account.add_cluster("orders-prod", id=CLUSTER, bytes=0)
    shown = keeper("estimate", "--plan", "prod").stdout
    assert "In all: unknown" in shown and "$" not in shown and "0 bytes" not in shown, shown
    (plan,) = keeper.report("estimate")["clusters"]
    assert (plan["total"], plan["bytes"], plan["seconds"]) == (None, None, None)


def test_a_dry_run_by_hand_shows_no_size_of_what_is_not_there(account: Account, keeper: Keeper) -> None:
    shown = keeper("backup", "--manual", "--dry-run").stdout
    planned = [line for line in shown.splitlines() if " planned " in line]
    assert len(planned) == 3 and not any("bytes" in line for line in planned), shown
    assert "In all, without what is made by hand: $" in shown
    assert "In all, without" not in keeper("backup", "--dry-run").stdout


def exactly_one_of_each(cli: Cli) -> None:
    """What the service's own command line lists of backups by hand: one in each region, all there, none to expire."""
    listed = cli.json("backup", "list", "--creation-method", "MANUAL", "--all")
    shown = [cli.backup("describe", "--backup-id", backup["backupId"]).data for backup in listed]
    assert sorted(backup["regionId"] for backup in shown) == sorted([HOME, NEAR, FAR])
    assert {(backup["status"], backup["expireTime"]) for backup in shown} == {("AVAILABLE", None)}


def test_a_backup_by_hand_is_made_and_followed_into_every_region(account: Account, cli: Cli, keeper: Keeper) -> None:
    account.settings(queue_ms=500, overhead_ms=500, backup_bytes_per_second=10**11, copy_bytes_per_second=10**10)

    ended = keeper("backup", "--manual", "--plan", "prod")

    assert ended.code == 0, ended
    assert "Manual backup succeeded: plan `prod` on Zilliz Cloud" in ended.stdout
    exactly_one_of_each(cli)
    assert cli.backup("describe-policy").data["status"] == "DISABLED", "a backup by hand sets no policy"
    shown = " ".join(keeper("jobs").stdout.split())
    assert shown.index(HOME) < shown.index(NEAR) < shown.index(FAR)


def test_a_killed_program_carries_on_and_makes_one_of_each(account: Account, cli: Cli, keeper: Keeper) -> None:
    event = {"action": "backup", "manual": True, "plan": "prod"}
    # The answer comes late: killed before it, nothing but the intent in the journal tells of the backup.
    account.emulator.faults(fault("zilliz.create_backup", latency_ms=5_000, times=1))
    environment = {name: value for name, value in keeper.lifeboat.environment.items() if value is not None}
    process = subprocess.Popen(
        [str(keeper.lifeboat.binary), "invoke", "-"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin
    process.stdin.write(json.dumps(event).encode())
    process.stdin.close()
    wait_for(lambda: account.known("backups"))
    process.kill()
    process.wait(timeout=10)

    # The dead one's lease ends at a time of this machine's clock, so it is taken away as an operator would.
    (lease,) = Path(environment["HOME"], "journal", "clusters", "leases").iterdir()
    lease.unlink()
    account.wait(minutes=10)
    (carried_on,) = keeper.report("resume")["clusters"]

    assert [(job["region"], job["state"]) for job in carried_on["jobs"]["shown"]] == [
        (region, "available") for region in (HOME, NEAR, FAR)
    ]
    assert account.emulator.count("zilliz.create_backup") == 1
    exactly_one_of_each(cli)


def test_a_lost_answer_makes_no_second_backup(account: Account, cli: Cli, keeper: Keeper) -> None:
    account.settings(queue_ms=500, overhead_ms=500, backup_bytes_per_second=10**11, copy_bytes_per_second=10**10)
    account.emulator.faults(fault("zilliz.create_backup", reset="after", times=1))

    report = keeper.report("backup", "--manual")

    assert report["counts"]["made"] == 3
    assert account.emulator.count("zilliz.create_backup") == 1
    exactly_one_of_each(cli)


def test_some_collections_of_one_cluster_are_backed_up(account: Account, cli: Cli, keeper: Keeper) -> None:
    account.settings(queue_ms=500, overhead_ms=500, backup_bytes_per_second=10**11, copy_bytes_per_second=10**10)

    report = keeper.report("backup", "--manual", "--cluster", "orders-prod", "--collection", "archive.old")

    original = report["jobs"]["shown"][0]["backup"]
    shown = cli.backup("describe", "--backup-id", original).data
    assert shown["backupType"] == "COLLECTION"
    assert [database["dbName"] for database in shown["dbCollections"]] == ["archive"]
    refused = keeper("backup", "--manual", "--collection", "archive.")
    assert refused.code == 2
    assert "collections" in refused.stderr


def test_a_copy_that_fails_is_named_with_its_reason(account: Account, keeper: Keeper) -> None:
    account.settings(
        queue_ms=500, overhead_ms=500, backup_bytes_per_second=10**11, copy_bytes_per_second=10**10, jobs_can_be_listed=True
    )
    account.emulator.faults(fault("zilliz.copy", region=FAR, fail_operation=True, reason="quota exceeded"))

    ended = keeper("backup", "--manual")

    assert ended.code == 1
    assert FAR in ended.stdout
    assert "quota exceeded" in " ".join(ended.stdout.split())
