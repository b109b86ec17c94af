"""What the tests of the whole chain stand on: a local AWS, a vector database, and Lifeboat deployed between them."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import Iterator

import pytest

import emulator as service
import local_aws
from emulator import FIRST_KEY, SECOND_KEY, TARGET, Emulator
from local_aws import ARCHITECTURE, Aws, Stack


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function as a zip file for Lambda: the one in `LIFEBOAT_PACKAGE`, or the tests' own build, zipped."""
    if sys.platform != "linux":
        pytest.skip("the package is a Linux program, so the local AWS can't run it on this system")
    if given := os.environ.get("LIFEBOAT_PACKAGE"):
        return Path(given)
    package = tmp_path_factory.mktemp("package") / "bootstrap.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.write(TARGET / "debug" / "bootstrap", "bootstrap")
    return package


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """A local AWS with nothing in it."""
    with local_aws.running(tmp_path_factory.mktemp("aws")) as aws:
        yield aws


@pytest.fixture(scope="session")
def aws(package: Path, account: Aws) -> Aws:
    """The same, where the package can be run."""
    return account


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A service that knows one key, with three namespaces in the source region."""
    with service.running() as emulator:
        emulator.keys(FIRST_KEY)
        emulator.seed(FIRST_KEY, "tenant-a", "tenant-b", "scratch-c")
        yield emulator


@pytest.fixture
def secret(aws: Aws, request: pytest.FixtureRequest) -> str:
    """The ARN of a secret that holds the key."""
    return aws.client("secretsmanager").create_secret(Name=f"lifeboat/{request.node.name}", SecretString=FIRST_KEY)["ARN"]


@pytest.fixture
def stack(aws: Aws, emulator: Emulator, secret: str, package: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Lifeboat, deployed anew for each test; whatever the test did, no key may be in its log."""
    stack = aws.deploy(
        request.node.name.removeprefix("test_").replace("_", "-"),
        package,
        SourceRegion=service.SOURCE,
        SourcePrefix="*",
        SourceExclude="scratch-*",
        BackupRegion=service.BACKUP,
        ApiKeySecretArn=secret,
        BaseUrl=emulator.base_url,
        Architecture=ARCHITECTURE,
        TrustStore=local_aws.trust_store(),
    )
    yield stack
    log = "\n".join(stack.log())
    assert FIRST_KEY not in log and SECOND_KEY not in log
