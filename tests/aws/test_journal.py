"""The journal in a bucket: the Rust tests of `src/journal` that need S3, given one."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from botocore.exceptions import ClientError

from emulator import TARGET
from local_aws import REGION, ROOT, Aws


@pytest.fixture
def bucket(account: Aws) -> Iterator[str]:
    """A bucket as somebody may have left it: with a folder made in the console, which is an empty object."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="journal")
    s3.put_object(Bucket="journal", Key="a/prefix/open/")
    yield "journal"
    for item in s3.list_objects_v2(Bucket="journal")["Contents"]:
        s3.delete_object(Bucket="journal", Key=item["Key"])
    s3.delete_bucket(Bucket="journal")


def rust_tests(having: str, **variables: str) -> None:
    """Runs the tests with AWS's variables set to these and no others, and no profile or machine to find more in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"CARGO_TARGET_DIR": str(TARGET), "LIFEBOAT_TEST_S3": having, "AWS_EC2_METADATA_DISABLED": "true",
                    "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, **variables}
    # The whole workspace, as it was built before: alone, the crate would be built again with other features.
    command = ["cargo", "test", "--workspace", "--lib", "journal::tests::s3"]
    tests = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert tests.returncode == 0, tests.stdout
    assert re.search(r"test result: ok\. 4 passed", tests.stdout), tests.stdout


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def test_the_local_aws_has_conditional_writes(account: Aws, bucket: str) -> None:
    """Without them the next test would prove nothing."""
    s3 = account.client("s3")
    first = s3.put_object(Bucket=bucket, Key="conditional", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="conditional", Body=b"2", IfNoneMatch="*")
    s3.put_object(Bucket=bucket, Key="conditional", Body=b"2", IfMatch=first)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="conditional", Body=b"3", IfMatch=first)


def test_the_journal_works_in_a_bucket(account: Aws, bucket: str) -> None:
    rust_tests("everything", AWS_ENDPOINT_URL_S3=account.url, AWS_REGION=REGION, **KEYS)
    left = account.client("s3").list_objects_v2(Bucket=bucket, Prefix="a/prefix/")["Contents"]
    leases = {f"a/prefix/leases/{plan}.json" for plan in ["nightly", *(f"race-{round}" for round in range(10))]}
    assert {item["Key"] for item in left} == leases | {"a/prefix/open/", "a/prefix/history/nightly/1795226400.json"}


def test_a_profile_serves_as_well_as_variables(account: Aws, bucket: str, tmp_path: Path) -> None:
    profile = tmp_path / "config"
    profile.write_text(f"[profile backups]\nregion = {REGION}\nendpoint_url = {account.url}\n"
                       "aws_access_key_id = test\naws_secret_access_key = test\n", encoding="utf-8")
    rust_tests("everything", AWS_PROFILE="backups", AWS_CONFIG_FILE=str(profile))


@pytest.mark.parametrize("missing", ["no credentials", "no region", "no answer"])
def test_what_is_missing_is_said(account: Aws, missing: str) -> None:
    having = {"AWS_ENDPOINT_URL": account.url, "AWS_REGION": REGION, **KEYS}
    if missing == "no credentials":
        having = {name: value for name, value in having.items() if name not in KEYS}
    elif missing == "no region":
        del having["AWS_REGION"]
    else:
        having["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"  # nobody listens on the discard port
    rust_tests(missing, **having)
