"""The official command line of Zilliz Cloud, unmodified, takes the emulator for the service.

All nine backup commands, jobs, clusters, projects and regions: with what they print when all is well, what they say
when they are refused, and what their own retries do.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulated import Emulator, fault
from zilliz import CLI, CLUSTER, FAR, GB, HOME, KEY, NEAR, PROJECT, Account, Cli

pytestmark = pytest.mark.skipif(not CLI.is_file(), reason="no zilliz-cli: pip install -r tests/requirements.txt")


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return Account(emulator)


@pytest.fixture
def cli(account: Account, tmp_path: Path) -> Cli:
    return Cli(account, tmp_path)


def test_clouds_regions_projects_and_clusters_are_told(account: Account, cli: Cli) -> None:
    assert {cloud["cloudId"] for cloud in cli.json("cluster", "providers")} == {"aws", "gcp", "azure"}
    regions = {region["regionId"] for region in cli.json("cluster", "regions", "--cloud-id", "gcp")}
    assert {HOME, NEAR, FAR} < regions
    assert len(cli.json("cluster", "regions")) > len(regions)

    (project,) = cli.json("project", "list")
    assert project == cli.json("project", "describe", "--project-id", PROJECT)
    assert (project["plan"], project["instanceCount"]) == ("BusinessCritical", 1)
    assert set(project["regionIds"]) == {HOME, NEAR, FAR}

    cluster = cli.json("cluster", "describe", "--cluster-id", CLUSTER)
    assert (cluster["status"], cluster["deploymentOption"], cluster["storageSize"]) == ("RUNNING", "Dedicated", 7 * GB)


def test_every_cluster_is_listed_though_it_takes_three_pages(account: Account, cli: Cli) -> None:
    more = [{"name": f"tenant-{number}", "project": PROJECT, "region": HOME} for number in range(250)]
    account.seed("clusters", *more)

    listed = cli.json("cluster", "list", "--all")

    assert len({cluster["clusterId"] for cluster in listed}) == 251
    assert account.emulator.count("zilliz.list_clusters") == 3


def test_a_backup_is_followed_to_its_copies(account: Account, cli: Cli) -> None:
    begun = cli.create(NEAR, FAR)
    assert begun["backupName"] == "orders-prod_backup1"
    assert cli.job(begun["jobId"]).data["status"] == "PENDING"
    (listed,) = cli.json("backup", "list")["backups"]
    assert (listed["status"], listed["backupId"]) == ("CREATING", begun["backupId"])

    account.wait(minutes=10)

    job = cli.job(begun["jobId"]).data
    assert (job["type"], job["status"], job["progress"], job["reason"]) == ("BACKUP", "SUCCESSFUL", "100", "")
    backups = cli.json("backup", "list", "--cluster-id", CLUSTER, "--all")
    shown = [cli.backup("describe", "--backup-id", backup["backupId"]).data for backup in backups]
    assert {backup["regionId"] for backup in shown} == {HOME, NEAR, FAR}
    assert {backup["status"] for backup in shown} == {"AVAILABLE"}
    assert {backup["size"] for backup in shown} == {7 * GB}
    for copy in [job for job in account.known("jobs") if job["region"] != HOME]:
        assert cli.job(copy["id"]).data["status"] == "SUCCESSFUL"


def test_waiting_for_a_job_ends_with_it(account: Account, cli: Cli) -> None:
    account.settings(queue_ms=500, overhead_ms=500, backup_bytes_per_second=100 * GB)

    waited = cli.job(cli.create()["jobId"], "--wait", "--interval", "1")

    assert waited.data["status"] == "SUCCESSFUL"


def test_a_failed_job_says_why_and_ends_the_command_with_an_error(account: Account, cli: Cli) -> None:
    account.emulator.faults(fault("zilliz.create_backup", fail_operation=True, reason="disk full"))
    begun = cli.create(NEAR)
    account.wait(minutes=10)

    said = cli.job(begun["jobId"])

    assert said.code == 1
    assert json.loads(said.stdout)["reason"] == "disk full"
    assert cli.json("backup", "list", "--all") == []


def test_some_collections_can_be_backed_up(account: Account, cli: Cli) -> None:
    one = cli.backup("create", "--backup-type", "COLLECTION", "--database", "archive", "--collection", "old").data
    account.wait(minutes=10)

    shown = cli.backup("describe", "--backup-id", one["backupId"]).data

    assert (shown["backupType"], shown["size"]) == ("COLLECTION", 3 * GB)
    (database,) = shown["dbCollections"]
    assert database["dbName"] == "archive"
    assert [collection["collectionName"] for collection in database["collections"]] == ["old"]
    assert cli.json("backup", "list", "--backup-type", "COLLECTION")["count"] == 1
    assert cli.json("backup", "list", "--backup-type", "CLUSTER")["count"] == 0
    refused = cli.backup("create", "--backup-type", "COLLECTION", "--collection", "none")
    assert refused.code == 1
    assert "96038" in refused.stderr and "none" in refused.stderr


def test_a_policy_backs_up_every_day_and_every_page_of_it_is_listed(account: Account, cli: Cli) -> None:
    targets = [NEAR, FAR, "gcp-us-central1", "gcp-asia-southeast1"]
    account.seed("projects", {"id": PROJECT, "name": "shop", "regions": [HOME, *targets]})
    copies = json.dumps({"crossRegionCopies": [{"regionId": region, "retentionDays": 30} for region in targets]})
    on = ["--auto-backup", "true", "--frequency", "daily", "--start-time", "02:00", "--retention-days", "7"]

    assert cli.backup("update-policy", *on, "--body", copies).data == {"clusterId": CLUSTER, "status": "ENABLED"}

    policy = cli.backup("describe-policy").data
    assert (policy["frequency"], policy["startTime"]) == ("1,2,3,4,5,6,7", "02:00-04:00")
    assert policy["retentionDays"] == 7
    assert [copy["region"] for copy in policy["crossRegionCopies"]] == [region[4:] for region in targets]
    account.wait(minutes=10)
    assert cli.json("backup", "list", "--creation-method", "AUTO")["count"] == 1 + len(targets), "at once on enabling"
    account.wait(days=40)
    listed = cli.json("backup", "list", "--all")
    assert len({backup["backupId"] for backup in listed}) == len(listed)
    # Seven originals, and thirty copies in each region; a run more or less, as the time of day has it.
    regions = [backup["region"] for backup in account.known("backups") if backup["status"] != "DELETED"]
    assert len(regions) == len(listed)
    assert 6 <= regions.count(HOME) <= 8
    assert all(29 <= regions.count(region) <= 31 for region in targets)
    assert all(backup["expireTime"] for backup in listed)


def test_switching_a_policy_off_stops_it_and_setting_it_without_a_body_forgets_its_copies(
    account: Account, cli: Cli
) -> None:
    copies = json.dumps({"crossRegionCopies": [{"regionId": NEAR, "retentionDays": 5}]})
    on = ["--auto-backup", "true", "--frequency", "mon,fri", "--start-time", "23:00", "--retention-days", "7"]
    cli.backup("update-policy", *on, "--body", copies)
    assert cli.backup("update-policy", *on).code == 0
    policy = cli.backup("describe-policy").data
    assert (policy["frequency"], policy["startTime"]) == ("1,5", "23:00-01:00")
    assert policy["crossRegionCopies"] == []

    assert cli.backup("update-policy", "--auto-backup", "false").data["status"] == "DISABLED"

    policy = cli.backup("describe-policy").data
    assert (policy["status"], policy["frequency"], policy["startTime"]) == ("DISABLED", None, None)
    assert policy["retentionDays"] == 0
    account.wait(days=30)
    assert cli.json("backup", "list", "--all") == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(["--retention-days", "31"], "96034"), (["--start-time", "02:00-06:00"], "96033")],
    ids=["retention", "window"],
)
def test_a_policy_outside_its_bounds_is_refused(account: Account, cli: Cli, wrong: list[str], code: str) -> None:
    good = ["--auto-backup", "true", "--frequency", "daily", "--start-time", "02:00", "--retention-days", "7"]

    said = cli.backup("update-policy", *good, *wrong)

    assert said.code == 1
    assert code in said.stderr
    assert cli.backup("describe-policy").data["status"] == "DISABLED"


def test_a_deleted_backup_is_gone_and_its_copy_is_not(account: Account, cli: Cli) -> None:
    begun = cli.create(NEAR)
    account.wait(minutes=10)

    deleted = cli.backup("delete", "--backup-id", begun["backupId"], "-y").data

    assert deleted == {"backupId": begun["backupId"], "backupName": begun["backupName"]}
    assert cli.backup("describe", "--backup-id", begun["backupId"]).code == 1
    (left,) = cli.json("backup", "list", "--all")
    assert cli.backup("describe", "--backup-id", left["backupId"]).data["regionId"] == NEAR


def test_a_backup_is_exported(account: Account, cli: Cli) -> None:
    begun = cli.create()
    account.wait(minutes=10)

    where = ["--integration-id", "integ-1", "--directory", "backups"]
    exported = cli.backup("export", "--backup-id", begun["backupId"], *where).data

    account.wait(minutes=10)
    assert cli.job(exported["jobId"]).data["status"] == "SUCCESSFUL"


def test_a_copy_is_restored_to_a_new_cluster_in_its_own_region(account: Account, cli: Cli) -> None:
    cli.create(FAR)
    account.wait(minutes=10)
    (copy,) = [backup["id"] for backup in account.known("backups") if backup["region"] == FAR]
    restore = ["restore-cluster", "--backup-id", copy, "--project-id", PROJECT, "--name", "again", "--cu-size", "2"]
    # This version knows only words that the documented service refuses.
    refused = cli.backup(*restore, "--collection-status", "LOADED")
    assert refused.code == 1
    assert "96031" in refused.stderr

    account.settings(old_collection_status=True)
    begun = cli.backup(*restore, "--collection-status", "LOADED").data

    assert cli.json("cluster", "describe", "--cluster-id", begun["clusterId"])["status"] == "CREATING"
    account.wait(minutes=10)
    job = cli.job(begun["jobId"]).data
    assert (job["type"], job["status"]) == ("RESTORE", "SUCCESSFUL")
    cluster = cli.json("cluster", "describe", "--cluster-id", begun["clusterId"])
    assert (cluster["status"], cluster["regionId"], cluster["storageSize"]) == ("RUNNING", FAR, 7 * GB)


def test_collections_are_restored_into_a_cluster_that_exists(account: Account, cli: Cli) -> None:
    account.add_cluster("into", id="in01-into")
    begun = cli.create()
    account.wait(minutes=10)
    into = ["restore-collection", "--backup-id", begun["backupId"], "--dest-cluster-id", "in01-into"]
    wanted = [{"collectionName": "orders", "destCollectionName": "orders", "destCollectionStatus": "LOADED"}]
    body = json.dumps({"dbCollections": [{"dbName": "default", "destDbName": "default", "collections": wanted}]})

    job = cli.backup(*into, "--body", body).data["jobId"]

    account.wait(minutes=10)
    assert cli.job(job).data["status"] == "SUCCESSFUL"
    assert cli.json("cluster", "describe", "--cluster-id", "in01-into")["storageSize"] == 4 * GB
    again = cli.backup(*into, "--body", body)
    assert again.code == 1
    assert "96039" in again.stderr


def test_a_cluster_that_is_dropped_leaves_its_manual_backups(account: Account, cli: Cli) -> None:
    begun = cli.create()
    account.wait(minutes=10)

    cli.json("cluster", "delete", "--cluster-id", CLUSTER, "-y")

    assert "96018" in cli("cluster", "describe", "--cluster-id", CLUSTER, "-o", "json").stderr
    assert cli.backup("describe", "--backup-id", begun["backupId"]).data["status"] == "AVAILABLE"


def test_keys_are_told_apart(account: Account, cli: Cli) -> None:
    viewer = "zilliz-viewer-key-0001"
    account.seed("keys", {"key": KEY, "role": "project_admin"}, {"key": viewer, "role": "viewer"})
    assert cli("configure", "set", "api_key", KEY).code == 0
    wrong = cli("configure", "set", "api_key", "zilliz-wrong-key-0001")
    assert wrong.code == 1
    assert "Invalid API key" in wrong.stderr
    refused = cli("project", "list", key="zilliz-wrong-key-0001")
    assert (refused.code, "21119" in refused.stderr) == (1, True)

    create = ["backup", "create", "--cluster-id", CLUSTER, "--backup-type", "CLUSTER"]
    assert "96015" in cli(*create, key=viewer).stderr
    assert cli("cluster", "list", key=viewer).code == 0
    assert cli(*create).code == 0


def test_a_create_whose_answer_is_lost_is_sent_again_and_makes_one_backup(account: Account, cli: Cli) -> None:
    account.emulator.faults(fault("zilliz.create_backup", status=503, commit="after", times=1))

    said = cli.backup("create", "--backup-type", "CLUSTER")

    assert account.emulator.summary()["zilliz.create_backup"] == {"503": 1, "200": 1}
    assert said.code == 1
    assert "already pending or running" in said.stderr
    assert cli.json("backup", "list")["count"] == 1


def test_over_the_rate_limit_the_client_says_so(account: Account, cli: Cli) -> None:
    account.emulator.faults(fault("zilliz.list_backups", status=429))

    said = cli("backup", "list", "-o", "json")

    assert said.code == 1
    assert "rate limit" in said.stderr.lower()
    assert account.emulator.count("zilliz.list_backups") == 1


def test_a_backup_that_vanishes_between_list_and_describe_is_an_error_and_not_a_crash(
    account: Account, cli: Cli
) -> None:
    cli.create()
    account.wait(minutes=10)
    (listed,) = cli.json("backup", "list", "--all")
    account.emulator.faults(fault("zilliz.describe_backup", vanish=True))

    said = cli.backup("describe", "--backup-id", listed["backupId"])

    assert said.code == 1
    assert "Backup not found" in said.stderr
    assert cli.json("backup", "list", "--all") == []
