"""The function itself, `bootstrap`, against a runtime API of Lambda's that delivers what it is told to."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from emulated import Emulator
from zilliz import FAR, GB, HOME, KEY, NEAR, PROJECT, Account

PLAN = f"""
[plans.prod]
provider = "zilliz"
project = "{PROJECT}"
clusters = ["*"]
start = "02:00"
[[plans.prod.targets]]
region = "{NEAR}"
[[plans.prod.targets]]
region = "{FAR}"
"""
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:lifeboat"
SECONDS = 60


class Runtime:
    """Lambda's side: events wait here with their request ids, and answers come back."""

    def __init__(self) -> None:
        events: queue.Queue[tuple[str, Any]] = queue.Queue()
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.events, self.answers = events, answers

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                request_id, event = events.get()
                body = json.dumps(event).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 900_000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", ARN)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def deliver(self, request_id: str, event: dict[str, Any]) -> dict[str, Any]:
        """One delivery of an event, and what the function answers."""
        self.events.put((request_id, event))
        return self.answers.get(timeout=SECONDS)


@pytest.fixture
def account(emulator: Emulator) -> Account:
    account = Account(emulator)
    account.seed("keys", {"key": KEY, "role": "project_admin"})
    account.settings(queue_ms=100, overhead_ms=100, backup_bytes_per_second=700 * GB, copy_bytes_per_second=700 * GB)
    return account


@pytest.fixture
def function(binaries: Path, account: Account, tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime()
    host, port = runtime.server.server_address[:2]
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"{host!s}:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": "lifeboat",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "LIFEBOAT_CONFIG": PLAN,
        "LIFEBOAT_JOURNAL": (tmp_path / "journal").as_uri(),
        "ZILLIZ_API_KEY": KEY,
        "ZILLIZ_BASE_URL": account.url,
        "PATH": os.environ["PATH"],
    }
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([str(binaries / "bootstrap")], env=environment, stdout=log, stderr=log)
        yield runtime
        process.kill()
        process.wait()
    runtime.server.shutdown()
    assert KEY not in (tmp_path / "log").read_text()


def test_an_event_that_lambda_delivers_again_is_the_same_backup(function: Runtime, account: Account) -> None:
    by_hand = {"action": "backup", "manual": True}

    def made() -> list[str]:
        made = [backup for backup in account.known("backups") if backup["method"] == "MANUAL"]
        return sorted(backup["region"] for backup in made)

    first = function.deliver("8f5e-1", by_hand)
    assert first["outcome"] == "succeeded", first
    time.sleep(1.1)  # slots are whole seconds
    again = function.deliver("8f5e-1", by_hand)

    assert made() == sorted([HOME, NEAR, FAR]), again
    assert (again["slot"], again["outcome"]) == (first["slot"], "succeeded")
    function.deliver("8f5e-2", by_hand)
    assert len(made()) == 6, "another event is another backup"
