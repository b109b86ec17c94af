"""Expands template.yaml from SAM to plain CloudFormation, offline, as AWS does at deployment.

    python tests/tools/expand_template.py > expanded.json

Most linters look through a SAM template and see little; the expanded one is what AWS is really given.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"


class NoManagedPolicies:
    """Stands in for the translator's look-up of AWS's own policies, of which the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The SAM template as it is written."""
    return yaml_parse(path.read_text(encoding="utf-8"))


def expand(template: dict[str, Any]) -> dict[str, Any]:
    """The CloudFormation template that `template` stands for. Raises what the translator raises."""
    document = copy.deepcopy(template)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://code/bootstrap.zip"  # in place of the package that is uploaded
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # only the partition depends on it
    return json.loads(json.dumps(transform(document, {}, NoManagedPolicies()), default=str))


if __name__ == "__main__":
    json.dump(expand(read()), sys.stdout, indent=2)
    print()
