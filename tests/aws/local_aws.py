"""A local AWS account (ministack) and the deployment of template.yaml into it."""

from __future__ import annotations

import json
import os
import platform
import re
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any, Iterator
from urllib.request import urlopen

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"  # the functions run on this machine


@contextmanager
def running(folder: Path) -> Iterator[Aws]:
    """An empty account on a port of this machine's loopback interface, gone afterwards. Its own log stays in `folder`."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    # Nothing else of this process's environment: the functions inherit it, and must get theirs from the template.
    environment = {
        "PATH": os.environ["PATH"],
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",  # the default is every interface
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.1",  # AWS waits a minute, then two
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen([Path(sys.executable).with_name("ministack")], env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(url, process), "ministack to answer")
        yield Aws(url)
    finally:
        process.terminate()
        process.wait(10)


@dataclass(frozen=True)
class Aws:
    """The account."""

    url: str

    def client(self, service: str) -> Any:
        # One attempt: a repeated invocation would be another run, and a refused one must be seen.
        once = Config(retries={"total_max_attempts": 1}, read_timeout=900)
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, config=once,
                            aws_access_key_id="test", aws_secret_access_key="test")

    def deploy(self, name: str, package: Path, **parameters: str) -> Stack:
        """Does what `sam deploy` does: uploads the package, points the template at it, and lets AWS expand it."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket="code")
        s3.upload_file(str(package), "code", "bootstrap.zip")
        template = (ROOT / "template.yaml").read_text(encoding="utf-8")
        assert template.count("CodeUri: .\n") == 1
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=name,
            TemplateBody=template.replace("CodeUri: .\n", "CodeUri: s3://code/bootstrap.zip\n"),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        outputs = formation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        stack = Stack(self, name, {output["OutputKey"]: output["OutputValue"] for output in outputs})
        # The local AWS forgets this one property of the template; AWS doesn't.
        (reserved,) = re.findall(r"ReservedConcurrentExecutions: (\d+)", template)
        self.client("lambda").put_function_concurrency(
            FunctionName=stack.function, ReservedConcurrentExecutions=int(reserved)
        )
        return stack


@dataclass(frozen=True)
class Answer:
    """What an invocation came to: the function's result, or its error."""

    body: Any
    failed: bool


@dataclass(frozen=True)
class Stack:
    """One deployed Lifeboat."""

    aws: Aws
    name: str
    outputs: dict[str, str]

    @property
    def function(self) -> str:
        return self.outputs["FunctionName"]

    def resource(self, logical: str) -> str:
        """The name that AWS gave to a resource of the template."""
        resources = self.aws.client("cloudformation").list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        (name,) = [resource["PhysicalResourceId"] for resource in resources if resource["LogicalResourceId"] == logical]
        return name

    def schedule(self, event: str) -> dict[str, Any]:
        """The schedule behind one of the function's events, as AWS has it."""
        name = self.resource(f"Backup{event}").split("/")[-1]
        return self.aws.client("scheduler").get_schedule(Name=name)

    def scheduled_event(self, instant: str) -> dict[str, Any]:
        """The event that EventBridge Scheduler sends at an instant. Local AWS keeps the placeholder, which Scheduler fills in."""
        text = self.schedule("Scheduled")["Target"]["Input"]
        assert text.count("<aws.scheduler.scheduled-time>") == 1
        return json.loads(text.replace("<aws.scheduler.scheduled-time>", instant))

    def invoke(self, event: dict[str, Any]) -> Answer:
        """Invokes the function and waits for what it says."""
        answer = self.aws.client("lambda").invoke(FunctionName=self.function, Payload=json.dumps(event))
        return Answer(json.loads(answer["Payload"].read()), "FunctionError" in answer)

    def send(self, event: dict[str, Any]) -> None:
        """Hands the event over as Scheduler does, without waiting."""
        self.aws.client("lambda").invoke(FunctionName=self.function, Payload=json.dumps(event), InvocationType="Event")

    def log(self) -> list[str]:
        """Every line logged so far."""
        pages = self.aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.outputs["LogGroup"])
        return [line for page in pages for event in page["events"] for line in event["message"].splitlines()]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Takes what is in the dead-letter queue out of it."""
        queue = self.aws.client("sqs").receive_message(QueueUrl=self.outputs["DeadLetterQueue"], MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in queue.get("Messages", [])]


def trust_store() -> str:
    """This machine's certificate bundle, which is not where Lambda has its own."""
    paths = ssl.get_default_verify_paths()
    usual = [paths.cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
    return next(path for path in usual if path and Path(path).is_file())


def eventually(look: Any, what: str, seconds: float = 20) -> Any:
    """The first true answer of `look`, for what happens soon but not at once."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds} s for {what}")


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "ministack ended; its log says why"
    try:
        return urlopen(f"{url}/_ministack/health", timeout=1).status == 200
    except OSError:
        return False
