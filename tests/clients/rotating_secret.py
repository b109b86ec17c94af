"""Secrets Manager as far as the program asks it: one secret, whose value may be another each time it is read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Secret:
    """A secret that was given these values, one after the other: each reading takes the next, and the last one stays."""

    def __init__(self, url: str, values: tuple[str, ...]) -> None:
        self.values = values
        self.readings = 0
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def read(self) -> str:
        self.readings += 1
        return self.values[min(self.readings, len(self.values)) - 1]


@contextmanager
def holding(*values: str) -> Iterator[Secret]:
    """A Secrets Manager on this machine that holds such a secret."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps({"Name": asked["SecretId"], "SecretString": secret.read()}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        secret = Secret(f"http://127.0.0.1:{server.server_address[1]}", values)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield secret
        finally:
            server.shutdown()
