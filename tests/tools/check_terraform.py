"""Checks infra/ with Terraform: format, validity, and its own tests against a provider that only pretends.

    python tests/tools/check_terraform.py

Terraform and its AWS provider come from no package registry, so where one is missing this says so and passes. The provider
is taken from the folder TF_PLUGIN_DIR if that is set (the layout of `terraform providers mirror`), else downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def terraform(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one command in infra/."""
    environment = {
        **os.environ,
        "TF_DATA_DIR": str(ROOT / "target" / "terraform"),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }
    if not Path(environment.get("TF_CLI_CONFIG_FILE", "")).is_file():
        environment.pop("TF_CLI_CONFIG_FILE", None)  # Terraform stops at one that is named and doesn't exist
    command = ["terraform", *arguments, "-no-color"]
    return subprocess.run(command, cwd=ROOT / "infra", env=environment, capture_output=True, text=True)


def main() -> int:
    if not shutil.which("terraform"):
        print("skipped: no terraform")
        return 0
    mirror = os.environ.get("TF_PLUGIN_DIR")
    init = ("init", "-backend=false", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else []))
    for step in [("fmt", "-check", "-recursive", "-diff"), init, ("validate",), ("test",)]:
        result = terraform(*step)
        if step is init and "Failed to query available provider packages" in result.stderr:
            print("skipped: no AWS provider for terraform; TF_PLUGIN_DIR can name a folder that has it")
            return 0
        if result.returncode:
            print(f"terraform {step[0]} failed", result.stdout, result.stderr, sep="\n")
            return 1
    print("infra/: in order")
    return 0


if __name__ == "__main__":
    sys.exit(main())
