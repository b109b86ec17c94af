"""Tiers beyond thirty days with the real program, over HTTP; the service's own command line sees what stands."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from emulated import Emulator, fault
from program import Lifeboat
from test_zilliz_plan import PLAN, Keeper, wait_for
from zilliz import CLI, CLUSTER, FAR, GB, HOME, NEAR, Account, Cli

pytestmark = pytest.mark.skipif(not CLI.is_file(), reason="no zilliz-cli: pip install -r tests/requirements.txt")

TIERS = "\n[plans.prod.tiers]\ndaily = 1\n"


class Nights:
    """The program with one tier a day. Slots of the last days stand for nights, so that no clock need be moved."""

    def __init__(self, lifeboat: Lifeboat, account: Account, home: Path) -> None:
        self.keeper = Keeper(lifeboat, account, home)
        lifeboat.environment["LIFEBOAT_CONFIG"] = PLAN.replace("Europe/Berlin", "UTC") + TIERS
        self.now = datetime.now(timezone.utc).replace(microsecond=0)

    def event(self, days_ago: int, **more: Any) -> dict[str, Any]:
        slot = self.now - timedelta(days=days_ago)
        return {"action": "backup", "plan": "prod", "scheduled_time": slot.isoformat(), **more}

    def night(self, days_ago: int, **more: Any) -> dict[str, Any]:
        return self.keeper.lifeboat.invoke(self.event(days_ago, **more)).report

    def resume(self) -> dict[str, Any]:
        """Ticks until nothing is open, and the last report."""
        until = time.monotonic() + 60
        while True:
            (carried_on,) = self.keeper.lifeboat("resume", "--json").report["clusters"]
            if not carried_on["stays_open"]:
                return carried_on
            assert time.monotonic() < until, carried_on
            time.sleep(0.5)


@pytest.fixture
def account(emulator: Emulator) -> Account:
    account = Account(emulator)
    account.settings(queue_ms=200, overhead_ms=200, backup_bytes_per_second=10**11, copy_bytes_per_second=10**11)
    return account


@pytest.fixture
def cli(account: Account, tmp_path: Path) -> Cli:
    return Cli(account, tmp_path)


@pytest.fixture
def nights(lifeboat: Lifeboat, account: Account, tmp_path: Path) -> Nights:
    return Nights(lifeboat, account, tmp_path)


def by_hand(cli: Cli) -> dict[str, str]:
    """What the service's own command line lists of backups by hand: regions by id."""
    listed = cli.json("backup", "list", "--creation-method", "MANUAL", "--all")
    shown = [cli.backup("describe", "--backup-id", backup["backupId"]).data for backup in listed]
    return {backup["backupId"]: backup["regionId"] for backup in shown}


def test_one_a_night_stands_in_every_region_and_a_backup_of_the_command_line_is_left_alone(
    account: Account, cli: Cli, nights: Nights
) -> None:
    first = nights.night(3)
    assert first["tiers"]["made"] == first["tiers"]["owned"] == 3, first
    # The policy was switched on just now, and its own first backup was being made.
    assert nights.resume()["outcome"] == "succeeded"
    before = by_hand(cli)
    assert sorted(before.values()) == sorted([HOME, NEAR, FAR])
    cli.create(NEAR, FAR)
    wait_for(lambda: len([backup for backup in account.known("backups") if backup["status"] == "AVAILABLE"]) == 9)
    theirs = by_hand(cli).keys() - before.keys()
    assert len(theirs) == 3

    dry = nights.keeper.lifeboat.invoke(nights.event(2, dry_run=True)).report
    fates = sorted((line["region"], line["fate"]) for line in dry["tiers"]["lines"]["shown"])
    assert fates == sorted((region, fate) for region in (HOME, NEAR, FAR) for fate in ("due", "kept"))
    assert by_hand(cli).keys() == before.keys() | theirs

    for days_ago in (2, 1):
        report = nights.night(days_ago)
        tiers = report["tiers"]
        assert (report["outcome"], tiers["deleted"], tiers["owned"]) == ("succeeded", 3, 3), report

    after = by_hand(cli)
    assert theirs < after.keys() and not before.keys() & after.keys()
    assert sorted(after[backup] for backup in after.keys() - theirs) == sorted([HOME, NEAR, FAR])
    assert account.emulator.count("zilliz.create_backup") == 4
    again = nights.night(1)
    assert (again["outcome"], again["tiers"]["deleted"]) == ("succeeded", 0)
    assert account.emulator.count("zilliz.create_backup") == 4

    shown = nights.keeper("backup", "--dry-run")
    assert shown.code == 0
    assert "Tiers: 3 of the plan's own, 3 due" in shown.stdout
    assert "no rule keeps it" in shown.stdout and "(to be made)" in shown.stdout
    (newest, *_) = nights.keeper.report("jobs")["runs"]
    tiers = {job["backup"] for job in newest["jobs"] if job["progress"] == "a tier"}
    assert tiers == after.keys() - theirs


def test_an_id_that_holds_nothing_is_found_beforehand_and_deletes_nothing(account: Account, cli: Cli, nights: Nights) -> None:
    nights.night(1)
    nights.resume()
    before = by_hand(cli)
    (in_far,) = (backup for backup, region in before.items() if region == FAR)
    config = nights.keeper.lifeboat.environment["LIFEBOAT_CONFIG"]

    def held(hold: str) -> None:
        nights.keeper.lifeboat.environment["LIFEBOAT_CONFIG"] = f"{config}hold = [\"{hold}\"]\n"

    held(in_far)
    asked = nights.keeper("check", "--online")
    assert asked.code == 0 and "`hold` names" not in asked.stdout, asked
    held(in_far[:-1])
    asked = nights.keeper("check", "--online")
    assert asked.code == 1, asked
    (finding,) = (line.strip() for line in asked.stdout.splitlines() if "`hold` names" in line)
    assert finding.startswith("FAIL  prod, tiers: ") and finding.endswith(f"`{in_far}`")

    dry = nights.keeper("backup", "--dry-run")
    assert dry.code == 1 and "hold_unknown" in dry.stdout, dry
    report = nights.night(0)
    if report["stays_open"]:
        report = nights.resume()
    assert "hold_unknown" in {failure["error"] for failure in report["failures"]["shown"]}, report
    assert before.keys() < by_hand(cli).keys() and len(by_hand(cli)) == 6
    assert account.emulator.count("zilliz.delete_backup") == 0


def test_a_person_reads_what_is_due_and_approves_it_region_by_region(
    account: Account, cli: Cli, nights: Nights
) -> None:
    config = nights.keeper.lifeboat.environment["LIFEBOAT_CONFIG"]
    with_more = config.replace("daily = 1", "daily = 4")
    nights.keeper.lifeboat.environment["LIFEBOAT_CONFIG"] = with_more
    for days_ago in (2, 1, 0):
        if nights.night(days_ago)["stays_open"]:
            nights.resume()
    before = by_hand(cli)
    assert len(before) == 9
    nights.keeper.lifeboat.environment["LIFEBOAT_CONFIG"] = config
    policies = account.emulator.count("zilliz.set_policy")

    shown = nights.keeper("plan", "--plan", "prod")
    assert shown.code == 0 and "Dry run of pruning succeeded: plan `prod` on Zilliz Cloud" in shown.stdout, shown
    assert "`lifeboat prune --plan prod --approve HASH` deletes exactly the list with that hash" in shown.stdout
    due = {line["region"]: line for line in nights.keeper.report("plan")["tiers"]["regions"]}
    assert {region: (line["due"], line["backups"]) for region, line in due.items()} == dict.fromkeys((HOME, NEAR, FAR), (2, 3))
    assert f"{FAR}: 2 of 3 tiers due; hash {due[FAR]['hash']}" in shown.stdout

    wrong = nights.keeper("prune", "--plan", "prod", "--approve", "0123456789abcdef")
    assert wrong.code == 1 and "not_approved" in wrong.stdout, wrong
    assert by_hand(cli) == before

    approved = nights.keeper("prune", "--plan", "prod", "--approve", due[FAR]["hash"])

    assert approved.code == 0 and "Prune succeeded: plan `prod`" in approved.stdout, approved
    left = by_hand(cli)
    assert sorted(before[backup] for backup in before.keys() - left.keys()) == [FAR, FAR]
    rest = nights.keeper.lifeboat.invoke({"action": "prune", "plan": "prod", "approve": due[NEAR]["hash"]})
    assert rest.report["tiers"]["deleted"] == 2, rest
    assert nights.keeper.report("prune", "--yes")["tiers"]["deleted"] == 2
    assert sorted(by_hand(cli).values()) == sorted([HOME, NEAR, FAR])
    assert account.emulator.count("zilliz.create_backup") == 3
    assert account.emulator.count("zilliz.set_policy") == policies, "pruning sets no policy"


def test_every_backup_is_listed_with_how_it_came_to_be(account: Account, cli: Cli, nights: Nights) -> None:
    nights.night(0)
    nights.resume()
    made = nights.keeper.report("backup", "--manual")
    mine = {job["backup"] for job in made["jobs"]["shown"]}
    tiers = by_hand(cli).keys() - mine
    cli.create(NEAR, FAR)
    wait_for(lambda: len([backup for backup in account.known("backups") if backup["status"] == "AVAILABLE"]) == 12)

    listed = nights.keeper.report("list")

    lines = {line["backup"]: line for line in listed["backups"]["shown"]}
    theirs = {backup["backupId"]: backup for backup in cli.json("backup", "list", "--all")}
    assert lines.keys() == theirs.keys() and len(lines) == 12
    methods: dict[str, list[str]] = {}
    for backup, line in lines.items():
        methods.setdefault(line["method"], []).append(line["region"])
        shown = theirs[backup]
        assert (line["cluster"], line["name"], line["backup_name"]) == (CLUSTER, "orders-prod", shown["backupName"])
        assert (line["bytes"], line["created_at"]) == (shown["size"], shown["createTime"])
        assert line.get("expires_at") == shown["expireTime"] and line["state"] == "available"
        assert line["region"] == cli.backup("describe", "--backup-id", backup).data["regionId"]
    assert {method: sorted(regions) for method, regions in methods.items()} == dict.fromkeys(
        ("automatic", "manual", "tier", "other"), sorted([HOME, NEAR, FAR])
    )
    assert {line["backup"] for line in lines.values() if line["method"] == "manual"} == mine
    assert {line["backup"] for line in lines.values() if line["method"] == "tier"} == tiers
    assert nights.keeper.lifeboat.invoke({"action": "list", "plan": "prod"}).report["backups"] == listed["backups"]
    shown_to_a_person = nights.keeper("list", "--plan", "prod")
    text = " ".join(shown_to_a_person.stdout.split())
    assert "List succeeded: plan `prod` on Zilliz Cloud 12 backups of 1 cluster, 84.0 GB" in text, shown_to_a_person
    assert "3 automatic, 3 made by hand, 3 tiers, 3 somebody else's" in text and "never" in text
    assert all(backup in text for backup in lines)


def test_an_estimate_counts_the_tiers(nights: Nights) -> None:
    nights.night(0)
    nights.resume()
    (plan,) = nights.keeper.report("estimate")["clusters"]
    for region in plan["regions"]:
        tiers = region["tiers"]
        # One stands, and each night makes one and deletes the one before.
        assert (tiers["standing"], tiers["made"], tiers["deleted"]) == (1, 29, 29), region
        assert tiers["sent_bytes"] == (0 if region["region"] == HOME else 29 * 7 * GB)
    shown = nights.keeper("estimate", "--plan", "prod").stdout
    assert f"of that, tiers in {FAR}: 1 stand, 29 will be made and 29 deleted; 203.0 GB sent" in shown, shown
    # Tonight's slot is another instant by then, and the night is the same.
    assert nights.keeper.report("backup", "--dry-run")["estimate"]["regions"] == plan["regions"]


def test_killed_during_a_delete_nothing_else_goes_and_nothing_is_told_twice(
    account: Account, cli: Cli, nights: Nights
) -> None:
    nights.night(2)
    nights.resume()
    account.emulator.faults(fault("zilliz.delete_backup", latency_ms=20_000, times=1))
    lifeboat = nights.keeper.lifeboat
    environment = {name: value for name, value in lifeboat.environment.items() if value is not None}
    process = subprocess.Popen(
        [str(lifeboat.binary), "invoke", "-"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin
    process.stdin.write(json.dumps(nights.event(1)).encode())
    process.stdin.close()
    wait_for(lambda: account.emulator.summary().get("zilliz.delete_backup"))
    process.kill()
    process.wait(timeout=10)
    account.emulator.faults()
    (lease,) = Path(environment["HOME"], "journal", "clusters", "leases").iterdir()
    lease.unlink()

    carried_on = nights.resume()

    assert (carried_on["outcome"], carried_on["tiers"]["deleted"]) == ("succeeded", 3), carried_on
    assert sorted(by_hand(cli).values()) == sorted([HOME, NEAR, FAR])
    assert account.emulator.count("zilliz.create_backup") == 2


def test_tiers_that_could_not_be_told_from_others_are_refused(account: Account, nights: Nights) -> None:
    ended = nights.keeper.lifeboat("backup", LIFEBOAT_JOURNAL=None)
    assert ended.code == 2
    assert "plans.prod.tiers: needs a journal" in ended.stderr
    config = nights.keeper.lifeboat.environment["LIFEBOAT_CONFIG"]
    ended = nights.keeper("backup", LIFEBOAT_CONFIG=config.replace("daily = 1", "daily = 0"))
    assert ended.code == 2
    assert "plans.prod.tiers.daily: is the number `0`" in ended.stderr
    assert account.emulator.summary() == {}
