"""The whole chain over real HTTP: schedule, packaged function, secret, vector database, log, dead letters.

template.yaml is deployed into a local AWS with the function packaged as `make package` does it, and started with the event
that its own schedule sends.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import ANY

import pytest
from botocore.exceptions import ClientError

from emulator import BACKUP, FIRST_KEY, SECOND_KEY, SOURCE, Emulator
from local_aws import ARCHITECTURE, Answer, Aws, Stack, eventually, trust_store

NOW = datetime.now(timezone.utc).replace(microsecond=0)


def instant(at: datetime = NOW) -> str:
    """As EventBridge Scheduler writes it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def name(source: str, at: datetime = NOW) -> str:
    """A backup's name."""
    return f"backup-{source}-{int(at.timestamp()):010}"


def logged(stack: Stack) -> list[dict[str, Any]]:
    """The function's own lines, without those that the platform writes around them."""
    platform = ("START RequestId", "END RequestId", "REPORT RequestId")
    return [json.loads(line) for line in stack.log() if line and not line.startswith(platform)]


def test_the_schedule_makes_sealed_backups(stack: Stack, emulator: Emulator) -> None:
    event = stack.scheduled_event(instant())
    assert event == {"action": "backup", "plan": "default", "scheduled_time": instant()}

    answer = stack.invoke(event)

    assert not answer.failed, answer.body
    report = answer.body
    assert report["outcome"] == "succeeded" and report["slot"] == instant() and report["sources"] == 2
    assert report["jobs"]["sealed"] == 2 and report["jobs"]["failed"] == 0
    backups = emulator.backups(FIRST_KEY)
    assert backups.keys() == {name("tenant-a"), name("tenant-b")}
    assert all(backup.read_only and backup.approx_row_count == 20 for backup in backups.values())

    lines = logged(stack)
    assert all({"level", "timestamp", "message"} <= line.keys() for line in lines)
    assert all(datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")).tzinfo for line in lines)
    assert all(line["span"]["run_id"] == report["run_id"] for line in lines[:-1])
    assert lines[-1]["report"] == report

    # The same event once more, as it may come at any time: nothing is done twice.
    again = stack.invoke(event)
    assert not again.failed and again.body["jobs"]["already_sealed"] == 2
    assert emulator.backups(FIRST_KEY).keys() == backups.keys()


def test_a_dry_run_changes_nothing(stack: Stack, emulator: Emulator) -> None:
    # The command of the stack's own output, less the AWS CLI around it.
    event = json.loads(stack.outputs["DryRun"].split("--payload '")[1].split("'")[0])

    answer = stack.invoke(event)

    assert not answer.failed and answer.body["dry_run"] and answer.body["sources"] == 2
    assert not emulator.backups(FIRST_KEY)


def test_what_was_backed_up_is_verified_tried_and_brought_back_by_events(stack: Stack, emulator: Emulator) -> None:
    assert not stack.invoke(stack.scheduled_event(instant())).failed

    verified = stack.invoke({"action": "verify", "level": "full"})
    assert not verified.failed, verified.body
    # Its sources were written a moment ago, so nobody can say what a difference would mean; but there is none.
    assert {(line["finding"], line["rows"]) for line in verified.body["verified"]["shown"]} == {("drifted", 20)}

    drilled = stack.invoke({"action": "drill", "share": "100%", "verify": "full"})
    assert not drilled.failed, drilled.body
    assert {line["state"] for line in drilled.body["drilled"]["shown"]} == {"proven"}
    assert all(line["scratch_gone"] for line in drilled.body["drilled"]["shown"])

    restored = stack.invoke({"action": "restore", "all": True})
    assert not restored.failed, restored.body
    lines = restored.body["restored"]["shown"]
    assert {(line["destination"], line["rows"]) for line in lines} == {("recovered-tenant-a", 20), ("recovered-tenant-b", 20)}

    # Another restore under the same names is the same one; of what somebody else made there, nothing is touched.
    refused = stack.invoke({"action": "restore", "all": True, "as": "{source}"})
    assert refused.failed and refused.body["errorType"] == "RestoreFailed" and "exists" in refused.body["errorMessage"]


def test_a_rotated_key_needs_no_new_deployment(stack: Stack, emulator: Emulator, secret: str, aws: Aws) -> None:
    first, second = NOW, NOW + timedelta(seconds=1)
    assert not stack.invoke(stack.scheduled_event(instant(first))).failed

    aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=SECOND_KEY)
    emulator.keys(SECOND_KEY)  # and the first is accepted no more
    answer = stack.invoke(stack.scheduled_event(instant(second)))

    assert not answer.failed, answer.body
    assert answer.body["jobs"]["sealed"] == 2
    assert name("tenant-a", second) in emulator.backups(SECOND_KEY)
    # Not by chance a new process, which would have read the new key to begin with.
    assert 401 in emulator.answers(), "the function still held the first key, which was refused"


def test_a_check_says_before_the_first_night_whether_it_will_work(stack: Stack, emulator: Emulator) -> None:
    good = stack.invoke({"action": "check"})
    assert not good.failed, good.body
    assert good.body["findings"] and "bad" not in {found["verdict"] for found in good.body["findings"]}

    emulator.faults({"match": {"region": BACKUP}, "fault": {"status": 400}})
    bad = stack.invoke({"action": "check"})
    assert bad.failed and bad.body["errorType"] == "CheckFailed" and BACKUP in bad.body["errorMessage"]
    emulator.faults()
    assert not emulator.backups(FIRST_KEY)


def test_a_missing_secret_is_named(stack: Stack, emulator: Emulator, secret: str, aws: Aws) -> None:
    aws.client("secretsmanager").delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)

    answer = stack.invoke(stack.scheduled_event(instant()))

    assert answer.failed
    assert secret in answer.body["errorMessage"] and "Secrets Manager" in answer.body["errorMessage"]
    assert answer.body["errorType"].isidentifier()
    assert not emulator.backups(FIRST_KEY)


def test_a_run_that_fails_for_good_is_a_dead_letter(stack: Stack, emulator: Emulator) -> None:
    # Not a 503, which each of the three attempts would repeat for half a minute before it gave up.
    emulator.faults({"match": {"region": SOURCE}, "fault": {"status": 400}})
    event = stack.scheduled_event(instant())

    stack.send(event)

    (letter,) = eventually(stack.dead_letters, "a dead letter", seconds=120)
    assert letter["requestContext"]["condition"] == "RetriesExhausted"
    assert letter["responsePayload"]["errorType"].isidentifier()

    # The letter holds the event itself: sent again once the region is back, it does the work of its own slot.
    emulator.faults()
    answer = stack.invoke(letter["requestPayload"])
    assert not answer.failed and emulator.backups(FIRST_KEY).keys() == {name("tenant-a"), name("tenant-b")}


def test_one_failing_namespace_fails_the_run_and_not_the_others(stack: Stack, emulator: Emulator) -> None:
    emulator.faults({"match": {"region": BACKUP, "namespace_prefix": "backup-tenant-a"}, "fault": {"status": 400}})

    answer = stack.invoke(stack.scheduled_event(instant()))

    assert answer.failed and "tenant-a" in answer.body["errorMessage"]
    emulator.faults()
    assert name("tenant-b") in emulator.backups(FIRST_KEY)


def test_there_is_one_run_at_a_time(stack: Stack, emulator: Emulator, aws: Aws) -> None:
    client = aws.client("lambda")
    assert client.get_function_concurrency(FunctionName=stack.function)["ReservedConcurrentExecutions"] == 1

    emulator.faults({"match": {"operation": "list"}, "fault": {"latency_ms": 2000}})
    with ThreadPoolExecutor() as pool:
        first = pool.submit(stack.invoke, {"action": "list"})
        time.sleep(0.5)
        with pytest.raises(ClientError, match="TooManyRequestsException"):
            stack.invoke({"action": "list"})
        assert not first.result().failed


def test_a_copy_that_outlasts_its_invocation_is_finished_by_the_resume_schedule(
    stack: Stack, emulator: Emulator, aws: Aws
) -> None:
    tick = json.loads(stack.schedule("Resumed")["Target"]["Input"])
    assert tick == {"action": "resume"}
    aws.client("lambda").update_function_configuration(FunctionName=stack.function, Timeout=16)
    emulator.settings(copy_overhead_ms=20_000)

    answer = stack.invoke(stack.scheduled_event(instant()))

    # No error, which would be sent again and end among the dead letters: the journal has it.
    assert not answer.failed, answer.body
    assert answer.body["outcome"] == "incomplete" and answer.body["stays_open"]
    finished = eventually(lambda: _finished(stack.invoke(tick)), "the copies to be sealed", seconds=60)
    assert finished["outcome"] == "succeeded" and finished["jobs"]["sealed"] == 2 and finished["jobs"]["adopted"] == 0
    assert all(backup.read_only for backup in emulator.backups(FIRST_KEY).values())
    assert stack.invoke(tick).body == {"action": "resume", "run_id": ANY, "open_runs": 0, "runs": [], "open_restores": 0, "open_drills": 0}

    # And the journal remembers them, like a cloud console's list of jobs.
    (run,) = stack.invoke({"action": "jobs"}).body["runs"]
    assert {(job["source"], job["state"]) for job in run["jobs"]} == {("tenant-a", "sealed"), ("tenant-b", "sealed")}


def _finished(answer: Answer) -> dict[str, Any] | None:
    """The report of the one run that was carried on with, once it is closed."""
    assert not answer.failed, answer.body
    (report,) = answer.body["runs"]
    return None if report["stays_open"] else report


def test_a_document_with_two_targets_is_deployed(aws: Aws, emulator: Emulator, secret: str, package: Any) -> None:
    document = f"""
[plans.nightly]
[plans.nightly.source]
region = "{SOURCE}"
prefixes = ["tenant-"]
[[plans.nightly.targets]]
region = "{BACKUP}"
[[plans.nightly.targets]]
name = "here"
region = "{SOURCE}"
retention = {{ days = 30 }}
"""
    stack = aws.deploy(
        "with-a-document", package, Document=document, Plan="nightly", MoreSecretArns=secret, ApiKeySecretArn=secret,
        BaseUrl=emulator.base_url, Architecture=ARCHITECTURE, TrustStore=trust_store(),
    )
    event = stack.scheduled_event(instant())
    assert event == {"action": "backup", "plan": "nightly", "scheduled_time": instant()}

    answer = stack.invoke(event)

    assert not answer.failed, answer.body
    assert [target["target"] for target in answer.body["targets"]] == [BACKUP, "here"]
    assert all(target["jobs"]["sealed"] == 2 for target in answer.body["targets"])
    dry_run = json.loads(stack.outputs["DryRun"].split("--payload '")[1].split("'")[0])
    assert stack.invoke(dry_run).body["dry_run"]


@pytest.mark.parametrize(("parameter", "mistake"), [
    ("SourceRegion", "us east"), ("BackupPrefix", ""), ("SourcePrefix", "a b"), ("Document", "[plan.nightly]"), ("Schedule", "cron(30 4 * *)"),
    ("ApiKeySecretArn", "lifeboat/turbopuffer"), ("BaseUrl", "http://turbopuffer.example/{region}"),
])
def test_a_mistake_is_refused_at_deployment(aws: Aws, package: Any, parameter: str, mistake: str) -> None:
    right = {
        "SourceRegion": SOURCE, "SourcePrefix": "*", "BackupRegion": BACKUP, "Architecture": ARCHITECTURE,
        "TrustStore": trust_store(),
        "ApiKeySecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:lifeboat-AbC123",
    }
    with pytest.raises(ClientError, match=parameter):
        aws.deploy("mistaken", package, **{**right, parameter: mistake})
