"""A stack for Zilliz Cloud alone: no key of turbopuffer's, and the same schedules, journal and log."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Iterator

import pytest

from emulator import FIRST_KEY, SECOND_KEY, Emulator
from local_aws import ARCHITECTURE, Aws, Stack, eventually, trust_store

NOW = datetime.now(timezone.utc).replace(microsecond=0)
PROJECT = "proj-5d11c0aa94e27b60f3c9de"
CLUSTER = "in01-4be01c77d20a9f3"
HOME, NEAR, FAR = "gcp-us-west1", "gcp-us-east4", "gcp-europe-west3"
PLAN = f"""
[plans.prod]
provider = "zilliz"
clusters = ["{CLUSTER}"]
start = "02:00"
[[plans.prod.targets]]
region = "{NEAR}"
[[plans.prod.targets]]
region = "{FAR}"
"""


@pytest.fixture
def zilliz(emulator: Emulator) -> Emulator:
    """A project with one cluster, whose backups take no time, and one key."""
    quick = 10**12
    emulator.settings(zilliz={
        "queue_ms": 100, "overhead_ms": 100, "backup_bytes_per_second": quick, "copy_bytes_per_second": quick,
    })
    emulator.seed_zilliz("projects", {"id": PROJECT, "name": "shop", "plan": "BusinessCritical", "regions": [HOME, NEAR, FAR]})
    emulator.seed_zilliz("clusters", {"id": CLUSTER, "name": "orders-prod", "project": PROJECT, "region": HOME, "bytes": 7 * 10**9})
    emulator.seed_zilliz("keys", {"key": FIRST_KEY, "role": "project_admin"})
    return emulator


@pytest.fixture
def stack(aws: Aws, zilliz: Emulator, secret: str, package: Path) -> Iterator[Stack]:
    stack = aws.deploy(
        "clusters-alone", package, Document=PLAN, Plan="prod", ZillizApiKeySecretArn=secret,
        ZillizBaseUrl=zilliz.url + "/zilliz", Architecture=ARCHITECTURE, TrustStore=trust_store(),
    )
    yield stack
    log = "\n".join(stack.log())
    assert FIRST_KEY not in log and SECOND_KEY not in log


def instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_schedule_sets_the_policy_and_the_key_may_be_rotated(
    stack: Stack, zilliz: Emulator, secret: str, aws: Aws
) -> None:
    event = stack.scheduled_event(instant(NOW))
    assert event == {"action": "backup", "plan": "prod", "scheduled_time": instant(NOW)}

    answer = stack.invoke(event)

    assert not answer.failed, answer.body
    report = answer.body
    assert (report["provider"], report["outcome"], report["stays_open"]) == ("zilliz", "incomplete", True)
    assert report["counts"]["policies_set"] == 1
    (cluster,) = zilliz.known_to_zilliz("clusters")
    policy: dict[str, Any] = cluster["policy"]
    assert policy["start_time"] == "02:00-04:00"
    assert {target["region"]: target["retention_days"] for target in policy["targets"]} == {NEAR: 7, FAR: 7}
    variables = aws.client("lambda").get_function_configuration(FunctionName=stack.function)["Environment"]["Variables"]
    assert {name for name in variables if name.endswith("_SECRET")} == {"ZILLIZ_API_KEY_SECRET"}

    # The five-minute schedule looks until the first backups stand everywhere; then nothing is open any more.
    def closed() -> Any:
        (run,) = stack.invoke({"action": "resume"}).body["clusters"]
        return None if run["stays_open"] else run

    finished = eventually(closed, "the first backups", seconds=60)
    assert {line["region"]: line["state"] for line in finished["regions"]["shown"]} == dict.fromkeys((HOME, NEAR, FAR), "protected")

    aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=SECOND_KEY)
    zilliz.seed_zilliz("keys", {"key": SECOND_KEY, "role": "project_admin"})  # and the first is accepted no more
    again = stack.invoke(stack.scheduled_event(instant(NOW + timedelta(seconds=1))))

    assert not again.failed and again.body["counts"]["protected"] == 3, again.body
    assert 401 in zilliz.answers(), "the function still held the first key, which was refused"
