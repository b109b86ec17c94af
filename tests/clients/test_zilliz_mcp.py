"""The official MCP server of Zilliz Cloud, unmodified, takes the emulator for the service."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from emulated import Emulator
from zilliz import CLUSTER, HOME, KEY, MCP_SERVER, PROJECT, Account

mcp = pytest.importorskip("mcp", reason="no mcp: pip install -r tests/requirements.txt")

pytestmark = pytest.mark.skipif(not MCP_SERVER.is_file(), reason="no zilliz-mcp-server")


def ask(account: Account, home: Path, tool: str, **arguments: Any) -> Any:
    """One tool of the server, in a process of its own, as an assistant would call it."""
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "ZILLIZ_CLOUD_URI": account.url,
        "ZILLIZ_CLOUD_TOKEN": KEY,
    }

    async def call() -> Any:
        from mcp.client.stdio import stdio_client

        server = mcp.StdioServerParameters(command=str(MCP_SERVER), env=environment, cwd=str(home))
        with open(os.devnull, "w") as nowhere:
            async with stdio_client(server, errlog=nowhere) as (reader, writer):
                async with mcp.ClientSession(reader, writer) as session:
                    await session.initialize()
                    return await session.call_tool(tool, arguments)

    answer = asyncio.run(asyncio.wait_for(call(), timeout=60))
    assert not answer.isError, answer
    return json.loads(answer.content[0].text)


def test_projects_and_clusters_are_listed(emulator: Emulator, tmp_path: Path) -> None:
    account = Account(emulator)
    account.add_cluster("second")

    (project,) = ask(account, tmp_path, "list_projects")
    clusters = ask(account, tmp_path, "list_clusters", page_size=100)
    described = ask(account, tmp_path, "describe_cluster", cluster_id=CLUSTER)

    assert (project["project_id"], project["instance_count"]) == (PROJECT, 2)
    assert {cluster["cluster_name"] for cluster in clusters} == {"orders-prod", "second"}
    assert {cluster["project_id"] for cluster in clusters} == {PROJECT}
    assert (described["cluster_id"], described["region_id"], described["status"]) == (CLUSTER, HOME, "RUNNING")
