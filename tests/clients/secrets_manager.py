"""Secrets Manager, as far as a restore writes to it: secrets with versions and their stages, and refusals on demand.

`tests/aws/test_restore_password.py` holds the same program against a local AWS, so that this can't invent a service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class SecretsManager:
    """What it holds and refuses."""

    url: str = ""
    # By name: what each stage holds.
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    # Operations, in their order.
    asked: list[str] = field(default_factory=list)
    # Operations that are not allowed.
    denied: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to take this for AWS."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def held(self, name: str) -> dict[str, str]:
        """The current version of a secret."""
        document: dict[str, str] = json.loads(self.secrets[name]["AWSCURRENT"])
        return document

    def answer(self, operation: str, asked: dict[str, Any]) -> tuple[int, dict[str, str]]:
        self.asked.append(operation)
        if operation in self.denied:
            return 400, {"__type": "AccessDeniedException", "Message": f"not authorized to perform {operation}"}
        name = asked.get("SecretId") or asked["Name"]
        if operation == "CreateSecret":
            self.secrets[name] = {"AWSCURRENT": asked["SecretString"]}
        elif operation == "PutSecretValue" and name in self.secrets:
            for stage in asked.get("VersionStages") or ["AWSCURRENT"]:
                self.secrets[name][stage] = asked["SecretString"]
        else:
            return 400, {"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."}
        return 200, {"ARN": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbC123", "Name": name}


@contextmanager
def running() -> Iterator[SecretsManager]:
    """An empty one, gone afterwards."""
    manager = SecretsManager()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = manager.answer(self.headers["x-amz-target"].split(".")[-1], body)
            told = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    manager.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield manager
    finally:
        server.shutdown()
        server.server_close()
