"""The journal in a bucket: the Rust tests of `src/journal` that need S3, given one."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from botocore.exceptions import ClientError

from emulator import TARGET
from local_aws import REGION, ROOT, Aws


@pytest.fixture
def bucket(account: Aws) -> str:
    """A bucket as somebody may have left it: with a folder made in the console, which is an empty object."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="journal")
    s3.put_object(Bucket="journal", Key="a/prefix/open/")
    return "journal"


def test_the_local_aws_has_conditional_writes(account: Aws, bucket: str) -> None:
    """Without them the tests below would prove nothing."""
    s3 = account.client("s3")
    first = s3.put_object(Bucket=bucket, Key="conditional", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="conditional", Body=b"2", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="conditional", Body=b"2", IfMatch=first)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="conditional", Body=b"3", IfMatch=first)


def test_the_journal_works_in_a_bucket(account: Aws, bucket: str) -> None:
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(TARGET),
        "LIFEBOAT_TEST_S3": account.url,
        "AWS_ENDPOINT_URL": account.url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    # The whole workspace, as it was built before: alone, the crate would be built again with other features.
    command = ["cargo", "test", "--workspace", "--lib", "journal::tests::s3"]
    tests = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"test result: ok\. 3 passed", tests.stdout), tests.stdout
    left = account.client("s3").list_objects_v2(Bucket=bucket, Prefix="a/prefix/")["Contents"]
    plans = {f"a/prefix/leases/race-{round}.json" for round in range(10)} | {"a/prefix/leases/nightly.json"}
    assert {object["Key"] for object in left} == plans | {"a/prefix/open/", "a/prefix/history/nightly/1795226400.json"}
