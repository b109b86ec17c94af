"""Restores of Zilliz Cloud with the real program, over HTTP; the service's own command line sees what came back."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import secrets_manager
from emulated import Emulator, fault
from program import Ended, Lifeboat, refuse_keys
from secrets_manager import SecretsManager
from zilliz import CLI, CLUSTER, FAR, GB, HOME, KEY, NEAR, PROJECT, Account, Cli

pytestmark = pytest.mark.skipif(not CLI.is_file(), reason="no zilliz-cli: pip install -r tests/requirements.txt")

PLAN = f"""
[plans.prod]
provider = "zilliz"
project = "{PROJECT}"
clusters = ["orders-*"]
start = "02:00"

[[plans.prod.targets]]
region = "{NEAR}"

[[plans.prod.targets]]
region = "{FAR}"
"""
SECRET = "lifeboat/orders-back"
NEW = ["restore", "--cluster", "orders-prod", "--new-cluster", "orders-back", "--cu-size", "2"]
FAST = {"queue_ms": 200, "overhead_ms": 200, "backup_bytes_per_second": 10**11, "copy_bytes_per_second": 10**11, "restore_bytes_per_second": 10**11}


@pytest.fixture
def vault() -> Iterator[SecretsManager]:
    with secrets_manager.running() as manager:
        yield manager


@pytest.fixture
def account(emulator: Emulator) -> Account:
    account = Account(emulator)
    account.settings(**FAST)
    return account


@pytest.fixture
def cli(account: Account, tmp_path: Path) -> Cli:
    return Cli(account, tmp_path)


@pytest.fixture
def backups(account: Account, cli: Cli) -> dict[str, str]:
    """A backup of the cluster that the service's own command line made, and its copies, by region."""
    cli.create(NEAR, FAR)
    account.wait(minutes=30)
    listed = cli.json("backup", "list", "--creation-method", "MANUAL", "--all")
    shown = [cli.backup("describe", "--backup-id", backup["backupId"]).data for backup in listed]
    return {backup["regionId"]: backup["backupId"] for backup in shown}


class Desk:
    """The program with the plan, a journal and Secrets Manager."""

    def __init__(self, lifeboat: Lifeboat, account: Account, vault: SecretsManager, home: Path) -> None:
        self.lifeboat, self.vault, self.account = lifeboat, vault, account
        self.journal = home / "journal"
        lifeboat.environment = {
            "LIFEBOAT_CONFIG": PLAN,
            "LIFEBOAT_JOURNAL": self.journal.as_uri(),
            "LIFEBOAT_LOG": "trace",
            "ZILLIZ_API_KEY": KEY,
            "ZILLIZ_BASE_URL": account.url,
            "HOME": str(home),
            **vault.environment,
        }

    def __call__(self, *arguments: str, **changes: str | None) -> Ended:
        ended = self.lifeboat(*arguments, **changes)
        self.refuse_passwords(ended.said)
        return ended

    def refuse_passwords(self, said: str) -> None:
        """No password that was kept may be shown, logged or remembered."""
        remembered = [path.read_text(encoding="utf-8") for path in self.journal.rglob("*") if path.is_file()]
        for name in self.vault.secrets:
            password = self.vault.held(name).get("password")
            assert not password or password not in said + "".join(remembered)

    def report(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        ended = self(*arguments, "--json")
        assert ended.code == code, ended
        return ended.report

    def begun(self) -> int:
        count = self.account.emulator.count
        return count("zilliz.restore_cluster") + count("zilliz.restore_collection")

    def clusters(self) -> dict[str, dict[str, Any]]:
        return {cluster["name"]: cluster for cluster in self.account.known("clusters")}


@pytest.fixture
def desk(lifeboat: Lifeboat, account: Account, vault: SecretsManager, tmp_path: Path) -> Desk:
    return Desk(lifeboat, account, vault, tmp_path)


def words(report: dict[str, Any]) -> list[str]:
    return [failure["error"] for failure in report["failures"]["shown"]]


def test_a_copy_in_another_region_becomes_a_cluster_there(
    account: Account, cli: Cli, desk: Desk, backups: dict[str, str], vault: SecretsManager
) -> None:
    ended = desk(*NEW, "--from", FAR, "--password-secret", SECRET, "--collection-status", "release", "--yes")

    assert ended.code == 0, ended
    assert "Restore succeeded: plan `prod` on Zilliz Cloud, into new cluster `orders-back` of 2 CU" in ended.stdout
    assert f"from backup {backups[FAR]} in {FAR}" in ended.stdout
    assert f"the password is in the secret {SECRET}" in ended.stdout
    assert "What did not come back by itself" in ended.stdout and "collection TTL" in ended.stdout
    # Nobody was asked, so it was said in the log, before anything was begun.
    said, ended_at = ended.stderr, ended.stderr.index("told of a restore")
    for word in ("collection TTL", "db_admin", "scaling"):
        (line,) = [line for line in said.splitlines() if "will not come back by itself" in line and word in line]
        assert said.index(line) < ended_at
    held = vault.held(SECRET)
    assert held.keys() == {"cluster_id", "username", "password"} and held["password"]
    (cluster,) = [found for found in cli.json("cluster", "list", "--all") if found["clusterName"] == "orders-back"]
    assert (cluster["clusterId"], cluster["regionId"], cluster["status"]) == (held["cluster_id"], FAR, "RUNNING")
    assert not any(collection["loaded"] for collection in desk.clusters()["orders-back"]["collections"])
    # It was shown that it can be written before anything was begun.
    assert vault.asked == ["PutSecretValue", "CreateSecret", "PutSecretValue", "PutSecretValue"]
    shown = " ".join(desk("jobs").stdout.split())
    assert "Restores:" in shown and held["cluster_id"] in shown and "restored" in shown
    # The same command once more does nothing more.
    again = desk.report(*NEW, "--from", FAR, "--password-secret", SECRET, "--collection-status", "release", "--yes")
    assert again["outcome"] == "succeeded" and desk.begun() == 1


def test_the_services_own_words_are_sent(account: Account, desk: Desk, backups: dict[str, str]) -> None:
    event = {
        "action": "restore", "backup": backups[HOME], "new_cluster": "orders-back", "cu_size": 8, "project": PROJECT,
        "version": "latest", "password_secret": SECRET,
    }
    ended = desk.lifeboat.invoke(event)
    assert ended.code == 0, ended
    report = ended.report
    assert report["chosen"]["backup"]["id"] == backups[HOME] and report["held"]
    assert report["password_went"] == {"state": "in_secret", "secret": SECRET}
    restored = desk.clusters()["orders-back"]
    assert (restored["cu_size"], restored["region"]) == (8, HOME)
    assert [collection["loaded"] for collection in restored["collections"]] == [True, False]


def test_collections_come_into_a_cluster_that_exists_under_other_names(
    account: Account, desk: Desk, backups: dict[str, str]
) -> None:
    account.add_cluster("users-prod", id="in01-users")
    into = ["restore", "--cluster", "orders-prod", "--into", "users-prod", "--yes"]

    ended = desk(*into, "--collection", "archive.old=back.older", "--collection", "orders", "--collection-status", "loaded")

    assert ended.code == 0, ended
    assert "2 restored" in ended.stdout and "in01-users/back.older" in ended.stdout
    shown = {(one["database"], one["name"], one["loaded"]) for one in desk.clusters()["users-prod"]["collections"]}
    assert shown == {("back", "older", True), ("", "orders", True)}
    assert account.emulator.count("zilliz.restore_collection") == 2
    refused = desk.report(*into, "--collection", "orders=again", "--collection", "archive.old=again", code=1)
    assert words(refused) == ["twice"] and desk.begun() == 2


def test_everything_in_the_way_is_told_at_once(account: Account, desk: Desk, backups: dict[str, str]) -> None:
    account.add_cluster("users-prod", id="in01-users")
    early = ["--at", "2020-01-01T00:00:00Z"]
    ended = desk("restore", "--cluster", "orders-prod", *early, "--new-cluster", "users_prod", "--cu-size", "2000", "--yes")
    assert ended.code == 1
    for said in ("no_backup", "the oldest is from", "bad_name", "cu_size", "1 to 1024", "no_password_place", "--show-password"):
        assert said in " ".join(ended.stdout.split()), (said, ended)
    event = {"action": "restore", "cluster": "orders-prod", "new_cluster": "users-prod", "version": "original", "project": PROJECT}
    ended = desk.lifeboat.invoke(event)
    assert (ended.code, words(ended.report)) == (1, ["cu_size", "name_taken", "version", "no_password_place"])
    ended = desk.lifeboat.invoke({"action": "restore", "backup": backups[FAR], "into": "users-prod", "collections": ["orders=a", "old=a"]})
    assert (ended.code, words(ended.report)) == (1, ["no_collection", "twice"])
    assert desk.begun() == 0 and not desk.vault.asked


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"all": True}, "`all` is for plans of turbopuffer; with a plan of Zilliz Cloud it is `cluster`"),
        ({"names": ["x"], "into": "y"}, "`names` is for plans of turbopuffer"),
        ({"new_cluster": "x", "cu_size": 1, "to": "aws-us-east-1"}, "which `from` says"),
        ({"new_cluster": "x", "into": "y"}, "`into`"),
        ({"cluster": "x"}, "needs `new_cluster` or `into`"),
        ({"new_cluster": "x", "show_password": True}, "is not known"),
    ],
    ids=["all", "names", "to", "both", "neither", "terminal"],
)
def test_fields_of_the_other_provider_and_nonsense_are_refused_by_name(
    account: Account, desk: Desk, event: dict[str, Any], says: str
) -> None:
    ended = desk.lifeboat.invoke({"action": "restore", **event})
    assert (ended.code, says in ended.stderr) == (2, True), ended
    assert account.emulator.summary() == {}


def test_a_restore_of_clusters_is_not_for_a_plan_of_turbopuffer(lifeboat: Lifeboat) -> None:
    ended = lifeboat("restore", "--into", "x", "--yes")
    assert ended.code == 2 and "`into` is for plans of Zilliz Cloud; with a plan of turbopuffer it is `to`" in ended.stderr


def test_a_dry_run_shows_it_all_and_begins_nothing(desk: Desk, backups: dict[str, str]) -> None:
    ended = desk(*NEW, "--password-secret", SECRET, "--dry-run")
    assert ended.code == 0, ended
    for said in ("Dry run of a restore succeeded", backups[HOME], "What will not come back by itself", "db_admin", f"will be written to the secret {SECRET}"):
        assert said in ended.stdout, (said, ended)
    assert desk.begun() == 0 and not desk.vault.asked and not (desk.journal / "clusters" / "restores").exists()
    nobody = desk(*NEW, "--password-secret", SECRET)
    assert nobody.code == 2 and "nobody can be asked here" in nobody.stderr


@pytest.mark.parametrize("denied", ["PutSecretValue", "CreateSecret"])
def test_nothing_is_begun_when_the_secret_can_not_be_written(desk: Desk, backups: dict[str, str], denied: str) -> None:
    desk.vault.denied.add(denied)
    ended = desk(*NEW, "--password-secret", SECRET, "--yes")
    assert ended.code == 1 and f"secretsmanager:{denied}" in " ".join(ended.stdout.split()), ended
    assert desk.begun() == 0
    missing = desk(*NEW, "--password-secret", f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{SECRET}-AbC123", "--yes")
    assert missing.code == 1 and desk.begun() == 0


def test_a_secret_that_holds_something_keeps_it_as_long_as_nothing_is_restored(desk: Desk, backups: dict[str, str]) -> None:
    desk.vault.secrets[SECRET] = {"AWSCURRENT": '{"password": "of-another-day"}'}
    desk.account.emulator.faults(fault("zilliz.restore_cluster", status=400))
    assert desk(*NEW, "--password-secret", SECRET, "--yes").code == 1
    assert desk.vault.held(SECRET) == {"password": "of-another-day"}
    key = desk(*NEW, "--password-secret", "zilliz/key", "--yes", ZILLIZ_API_KEY_SECRET="zilliz/key", ZILLIZ_API_KEY="")
    assert key.code != 0 and "zilliz/key" not in desk.vault.secrets


def test_a_lost_answer_makes_no_second_cluster_and_its_password_is_said_to_be_lost(
    account: Account, desk: Desk, backups: dict[str, str]
) -> None:
    account.emulator.faults(fault("zilliz.restore_cluster", truncate=True, times=1))
    ended = desk(*NEW, "--password-secret", SECRET, "--yes")
    assert ended.code == 0, ended
    assert "the password is LOST" in ended.stdout and "reset db_admin's password" in ended.stdout
    assert '"password"' not in ended.said, "half of an answer was shown"
    assert desk.begun() == 1 and desk.clusters()["orders-back"]["status"] == "RUNNING"


def test_a_killed_program_is_carried_on_with(account: Account, desk: Desk, backups: dict[str, str]) -> None:
    account.settings(restore_bytes_per_second=1_000_000)  # two hours
    environment = {**desk.lifeboat.environment}
    process = subprocess.Popen(
        [str(desk.lifeboat.binary), *NEW, "--password-secret", SECRET, "--yes"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    until = time.monotonic() + 20
    while not (SECRET in desk.vault.secrets and desk.vault.held(SECRET).get("password") and list(desk.journal.rglob("*.jsonl"))):
        assert time.monotonic() < until, "the password never came"
        time.sleep(0.05)
    time.sleep(0.5)
    process.kill()
    assert process.stdout
    desk.refuse_passwords(process.stdout.read())
    process.wait(timeout=10)
    # The dead one's lease ends at a time of this machine's clock, so it is taken away as an operator would.
    (lease,) = Path(desk.journal, "clusters", "restores", "leases").iterdir()
    lease.unlink()

    shown = " ".join(desk("jobs").stdout.split())
    assert "Restores:" in shown and "incomplete" in shown, shown
    account.wait(minutes=30)
    (open_still,) = desk.report("resume", code=1)["cluster_restores"]
    assert open_still["stays_open"] and "%" in open_still["jobs"]["shown"][0]["progress"]
    assert "%" in desk("jobs").stdout
    account.wait(minutes=120)
    (carried_on,) = desk.report("resume")["cluster_restores"]

    assert carried_on["outcome"] == "succeeded"
    assert carried_on["password_went"] == {"state": "in_secret", "secret": SECRET}
    assert desk.begun() == 1 and desk.clusters()["orders-back"]["status"] == "RUNNING"
    assert desk.vault.held(SECRET)["cluster_id"] == desk.clusters()["orders-back"]["id"]


def test_interrupted_it_says_how_to_carry_on_and_begins_nothing_twice(account: Account, desk: Desk, backups: dict[str, str]) -> None:
    account.settings(restore_bytes_per_second=1_000_000)
    command = [*NEW, "--password-secret", SECRET, "--yes"]
    pipe = subprocess.PIPE
    with subprocess.Popen([str(desk.lifeboat.binary), *command], stdout=pipe, stderr=pipe, env=desk.lifeboat.environment, text=True) as process:
        until = time.monotonic() + 20
        while account.emulator.count("zilliz.describe_job") < 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and "is INCOMPLETE" in stdout and f"the password is in the secret {SECRET}" in stdout
    assert "give the same command again" in stderr
    desk.refuse_passwords(stdout + stderr)
    account.wait(minutes=150)
    assert desk(*command).code == 0 and desk.begun() == 1


def test_without_a_journal_this_machine_remembers_and_says_what_it_cant(
    account: Account, desk: Desk, backups: dict[str, str], tmp_path: Path
) -> None:
    changes = {"LIFEBOAT_JOURNAL": None, "XDG_STATE_HOME": str(tmp_path / "state")}
    for _ in range(2):
        ended = desk(*NEW, "--password-secret", SECRET, "--yes", **changes)
        assert ended.code == 0, ended
    assert desk.begun() == 1 and f"its password went into the secret {SECRET}" in " ".join(ended.stdout.split())
    assert (tmp_path / "state/lifeboat/clusters/restores").is_dir() and not desk.journal.exists()


def test_a_job_that_fails_gives_its_reason(account: Account, desk: Desk, backups: dict[str, str]) -> None:
    account.emulator.faults(fault("zilliz.restore_cluster", fail_operation=True, reason="no capacity here"))
    ended = desk(*NEW, "--password-secret", SECRET, "--yes")
    assert ended.code == 1 and "no capacity here" in " ".join(ended.stdout.split()), ended


def on_a_terminal(desk: Desk, *arguments: str, answer: str) -> tuple[int, str]:
    """Runs it at a terminal of its own, types the answer when it asks, and gives what stood on the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(desk.lifeboat.binary), *arguments],
        env={**desk.lifeboat.environment, "TERM": "dumb", "COLUMNS": "200"}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )
    os.close(theirs)
    seen, asked, until = "", False, time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([ours], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            seen += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # nobody holds the other end any more
            break
        if not asked and "[y/N]" in seen:
            os.write(ours, (answer + "\n").encode())
            asked = True
    os.close(ours)
    ended = Ended(process.wait(timeout=10), seen, "")
    refuse_keys(ended, desk.lifeboat.environment)
    return ended.code, seen


def test_a_terminal_shows_the_password_once_at_the_end_and_nothing_remembers_it(desk: Desk, backups: dict[str, str]) -> None:
    code, seen = on_a_terminal(desk, *NEW, "--show-password", answer="y")
    assert code == 0, seen
    told = re.findall(r"Shown once, and kept nowhere: cluster (\S+), user db_admin, password (\S+)", seen)
    assert len(told) == 1, seen
    (cluster, password), = told
    assert cluster == desk.clusters()["orders-back"]["id"] and seen.count(password) == 1
    assert seen.rstrip().endswith(password), "at the end"
    assert seen.index("What will not come back by itself") < seen.index("[y/N]") < seen.index("What did not come back by itself")
    remembered = "".join(path.read_text(encoding="utf-8") for path in desk.journal.rglob("*") if path.is_file())
    assert "restored" in remembered and password not in remembered
    assert not desk.vault.asked

    code, seen = on_a_terminal(desk, *(word.replace("orders-back", "orders-two") for word in NEW), "--show-password", answer="n")
    assert code == 1 and "orders-two" not in desk.clusters()


def test_no_password_is_shown_where_it_may_be_kept(desk: Desk, backups: dict[str, str]) -> None:
    piped = desk(*NEW, "--show-password", "--yes")
    assert piped.code == 2 and "--show-password needs a terminal" in piped.stderr
    for beside in (["--json"], ["--password-secret", SECRET]):
        refused = desk(*NEW, "--show-password", "--yes", *beside)
        assert refused.code == 2 and "cannot be used with" in refused.stderr
    assert desk.begun() == 0


def test_help_shows_it(lifeboat: Lifeboat) -> None:
    shown = lifeboat("restore", "--help").stdout
    assert "Examples for plans of Zilliz Cloud:" in shown and "--password-secret lifeboat/orders-back" in shown
