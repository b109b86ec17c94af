"""The one-time password of a restored cluster in a real Secrets Manager API, written by the real program."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Iterator
from urllib.request import Request, urlopen

import pytest

import emulator as service
from emulator import TARGET, Emulator
from local_aws import REGION, Aws

KEY = "zilliz-key-of-the-aws-tests"
CLUSTER, HOME, FAR = "in01-4be01c77d20a9f3", "gcp-us-west1", "gcp-us-east4"
PLAN = f"""
[plans.prod]
provider = "zilliz"
clusters = ["{CLUSTER}"]
start = "02:00"
[[plans.prod.targets]]
region = "{FAR}"
"""


@pytest.fixture
def zilliz() -> Iterator[Emulator]:
    """A service with one cluster, and a backup of it."""
    with service.running() as emulator:
        emulator.settings(zilliz={"queue_ms": 100, "overhead_ms": 100})
        emulator._control("zilliz/projects", [{"id": "proj-1", "name": "shop", "regions": [HOME, FAR]}])
        emulator._control("zilliz/clusters", [{"id": CLUSTER, "name": "orders-prod", "project": "proj-1", "region": HOME}])
        body = json.dumps({"backupType": "CLUSTER"}).encode()
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        address = f"{emulator.url}/zilliz/v2/clusters/{CLUSTER}/backups/create"
        with urlopen(Request(address, body, headers), timeout=5) as answer:
            assert json.load(answer)["code"] == 0
        emulator._control("clock", {"advance_seconds": 600})
        yield emulator


def restore(account: Aws, zilliz: Emulator, home: Path, secret: str, name: str) -> dict[str, Any]:
    """Restores into a new cluster, and gives the report."""
    environment = {
        "LIFEBOAT_CONFIG": PLAN, "LIFEBOAT_LOG": "trace", "HOME": str(home),
        "ZILLIZ_API_KEY": KEY, "ZILLIZ_BASE_URL": f"{zilliz.url}/zilliz",
        "AWS_ENDPOINT_URL": account.url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [TARGET / "debug" / "lifeboat", "restore", "--new-cluster", name, "--cu-size", "1", "--password-secret", secret, "--yes", "--json"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended
    held = json.loads(account.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    assert held["password"] and held["password"] not in ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    assert held["cluster_id"] == report["jobs"]["shown"][0]["target"]
    return report


def test_a_secret_is_made_and_holds_the_password(account: Aws, zilliz: Emulator, tmp_path: Path) -> None:
    restore(account, zilliz, tmp_path, "lifeboat/restored/one", "orders-one")
    held = json.loads(account.client("secretsmanager").get_secret_value(SecretId="lifeboat/restored/one")["SecretString"])
    assert held.keys() == {"cluster_id", "username", "password"}


def test_what_a_secret_held_is_its_previous_version_afterwards(account: Aws, zilliz: Emulator, tmp_path: Path) -> None:
    manager = account.client("secretsmanager")
    arn = manager.create_secret(Name="lifeboat/restored/two", SecretString="of another day")["ARN"]
    restore(account, zilliz, tmp_path, arn, "orders-two")
    before = manager.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS")["SecretString"]
    assert before == "of another day"
