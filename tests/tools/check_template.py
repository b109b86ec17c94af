"""Checks template.yaml: the linter on the expanded template, then what Lifeboat itself promises about it.

    python tests/tools/check_template.py            says what is wrong, and fails if anything is
    python tests/tools/check_template.py --accept   takes the present permissions as the reviewed ones

The reviewed permissions are tests/aws/permissions.json: whoever widens a policy has to show it in a diff.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Iterable, Iterator

from cfnlint.api import lint
from samtranslator.model.exceptions import InvalidDocumentException

from expand_template import TEMPLATE, expand, read
from schedule import fault

PERMISSIONS = TEMPLATE.parent / "tests" / "aws" / "permissions.json"
RESUME = {"action": "resume"}
INPUT = {"action": "backup", "plan": "${Plan}", "scheduled_time": "<aws.scheduler.scheduled-time>"}
DRILL = {**INPUT, "action": "drill"}
DEAD_LETTERS = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/turbopuffer-AbC123"
SECRET_OF_ZILLIZ = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/zilliz-AbC123"
# Values of the parameters that must be given, as people will give them.
EXAMPLES = {
    "SourceRegion": "aws-us-east-1",
    "SourcePrefix": "tenant-,docs-",
    "BackupRegion": "gcp-northamerica-northeast2",
    "Document": '[plans.nightly]\n[plans.nightly.source]\nregion = "aws-us-east-1"\nprefixes = ["*"]\n',
    "MoreSecretArns": SECRET,
    "ApiKeySecretArn": SECRET,
    "PasswordSecretPrefix": "lifeboat/restored/",
    "ZillizApiKeySecretArn": SECRET_OF_ZILLIZ,
    "ZillizBaseUrl": "https://api.cloud.zilliz.com",
}


def problems(template: dict[str, Any]) -> list[str]:
    """Everything that is wrong with a SAM template, one line each."""
    try:
        expanded = expand(template)
    except InvalidDocumentException as refused:
        return [f"refused by the SAM translator: {cause.message}" for cause in refused.causes]
    matches = lint(json.dumps(expanded, indent=2))
    found = [f"{match.rule.id}: {match.message}" for match in matches if match.rule.severity != "informational"]
    return found + list(_broken_promises(expanded))


def permissions(expanded: dict[str, Any]) -> dict[str, Any]:
    """Who may do what: each role, each policy that stands alone and each grant on a resource, by logical name."""
    granting = re.compile(r"AWS::IAM::.*|.*Policy|.*::Permission")
    return {
        name: {key: value for key, value in resource["Properties"].items() if key not in ("Description", "Tags")}
        for name, resource in sorted(expanded["Resources"].items())
        if granting.fullmatch(resource["Type"])
    }


def _sent(target: dict[str, Any]) -> Any:
    """The event that a schedule's target is sent, parameters in it left as they are written."""
    text = target.get("Input", "{}")
    return json.loads(text["Fn::Sub"] if isinstance(text, dict) else text)


def _is_a_parameters(value: Any) -> bool:
    """Whether a value is a parameter's, under a condition or not."""
    return "Ref" in value or all("Ref" in chosen for chosen in value.get("Fn::If", [{}])[1:])


def _chosen(items: Iterable[Any]) -> dict[str, str]:
    """What is there under a condition: each parameter, and the condition."""
    chosen = [item["Fn::If"] for item in items if "Fn::If" in item]
    named = [(value.get("Resource", value), condition) for condition, value, _ in chosen]
    return {named["Ref"]: condition for named, condition in named if "Ref" in named}


def _broken_promises(expanded: dict[str, Any]) -> Iterator[str]:
    """Our own rules, which a linter can't know."""

    def only(kind: str) -> dict[str, Any]:
        """The properties of the one resource of a kind; of none if there isn't exactly one, so that every promise breaks."""
        all_of_it = [r.get("Properties", {}) for r in expanded["Resources"].values() if r["Type"] == kind]
        return all_of_it[0] if len(all_of_it) == 1 else {}

    def schedule_of(event: dict[str, str]) -> dict[str, Any]:
        """The properties of the one schedule that sends an event; of none if there isn't exactly one."""
        schedules = [r["Properties"] for r in expanded["Resources"].values() if r["Type"] == "AWS::Scheduler::Schedule"]
        sending = [schedule for schedule in schedules if _sent(schedule["Target"]) == event]
        return sending[0] if len(sending) == 1 else {}

    function, bucket = only("AWS::Lambda::Function"), only("AWS::S3::Bucket")
    schedule, resume, drill = schedule_of(INPUT), schedule_of(RESUME), schedule_of(DRILL)
    conditions = {name: resource.get("Condition") for name, resource in expanded["Resources"].items()}
    failures, target = only("AWS::Lambda::EventInvokeConfig"), schedule.get("Target", {})
    variables = function.get("Environment", {}).get("Variables", {})
    parameters = expanded.get("Parameters", {})
    keys = {name: value for name, value in variables.items() if name.endswith("_API_KEY_SECRET")}
    role = expanded["Resources"].get("BackupRole", {}).get("Properties", {})
    readable = _chosen(role["Policies"][0]["PolicyDocument"]["Statement"]) if role else {}
    promises = [
        ("one run at a time", function.get("ReservedConcurrentExecutions") == 1),
        ("the function's log goes to our group", function.get("LoggingConfig", {}).get("LogGroup") == {"Ref": "Logs"}),
        ("the log expires", "RetentionInDays" in only("AWS::Logs::LogGroup")),
        ("an event that fails twice more goes to the dead letters", failures.get("MaximumRetryAttempts") == 2
         and failures.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination") == DEAD_LETTERS),
        ("an event that can't be delivered goes to the dead letters",
         target.get("DeadLetterConfig", {}).get("Arn") == DEAD_LETTERS),
        ("one schedule, in a time zone", schedule.get("ScheduleExpressionTimezone") == {"Ref": "ScheduleTimezone"}),
        ("the schedule sends the planned instant", _sent(target) == INPUT),
        ("open runs are carried on with every five minutes", resume.get("ScheduleExpression") == "rate(5 minutes)"),
        ("a drill is sent its planned instant, at its own times, in the same zone, if it is asked for",
         drill.get("ScheduleExpression") == {"Ref": "DrillSchedule"} and conditions.get("Drilled") == "HasDrills"
         and drill.get("ScheduleExpressionTimezone") == {"Ref": "ScheduleTimezone"}),
        ("a drill that can't be delivered goes to the dead letters",
         drill.get("Target", {}).get("DeadLetterConfig", {}).get("Arn") == DEAD_LETTERS),
        ("nothing is drilled unless somebody asks for it", parameters["DrillSchedule"]["Default"] == ""),
        ("no secret is written unless somebody says which may be", parameters["PasswordSecretPrefix"]["Default"] == ""),
        ("the journal is in our bucket", variables.pop("LIFEBOAT_JOURNAL", None) == {"Fn::Sub": "s3://${Journal}/lifeboat"}),
        ("a stack of either service names its key, and may read it, only if it was given one",
         _chosen(keys.values()) == {"ApiKeySecretArn": "HasTurbopuffer", "ZillizApiKeySecretArn": "HasZilliz"}
         and _chosen(keys.values()).items() <= readable.items()),
        ("nobody else sees the journal's bucket", len(bucket.get("PublicAccessBlockConfiguration", {})) == 4
         and all(bucket["PublicAccessBlockConfiguration"].values())),
        ("no environment value is written into the function but by a parameter",
         all(_is_a_parameters(value) for value in variables.values())),
    ]
    yield from (f"broken promise: {promise}" for promise, kept in promises if not kept)

    expression = schedule.get("ScheduleExpression", "")
    if expression == {"Ref": "Schedule"}:
        expression = parameters["Schedule"]["Default"]
    if wrong := fault(str(expression)):
        yield f"the schedule {expression}: {wrong}"
    for name, parameter in parameters.items():
        if "Description" not in parameter:
            yield f"parameter {name} has no description"
        if not {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys():
            yield f"parameter {name} takes anything"
        values = {str(parameter.get("Default", EXAMPLES.get(name, ""))), EXAMPLES.get(name, str(parameter.get("Default", "")))}
        if not all(re.fullmatch(parameter.get("AllowedPattern", ".*"), value) for value in values):
            yield f"parameter {name} refuses its own default or example"
    if permissions(expanded) != json.loads(PERMISSIONS.read_text(encoding="utf-8")):
        yield f"the permissions differ from {PERMISSIONS.name}; --accept takes them, for review"


if __name__ == "__main__":
    if "--accept" in sys.argv:
        PERMISSIONS.write_text(json.dumps(permissions(expand(read())), indent=2) + "\n", encoding="utf-8")
    found = problems(read())
    print("\n".join(found) or "template.yaml: in order")
    sys.exit(bool(found))
