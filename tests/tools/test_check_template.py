"""Checks the checker: what passes as a template must really be one, so every planted mistake must be refused."""

from __future__ import annotations

import re
from typing import Any, Callable

import pytest

from check_template import problems
from expand_template import TEMPLATE, read
from schedule import fault

Mutation = Callable[[dict[str, Any]], None]


def change(*path: str, to: Any) -> Mutation:
    """A mutation that writes `to` at a path of the template."""

    def mutate(template: dict[str, Any]) -> None:
        *parents, last = path
        for key in parents:
            template = template[key]
        assert last in template, f"the template has no {path} any more: choose another mutation"
        template[last] = to

    return mutate


def misspell(*path: str, as_: str) -> Mutation:
    """A mutation that renames the last key of a path."""

    def mutate(template: dict[str, Any]) -> None:
        *parents, last = path
        for key in parents:
            template = template[key]
        template[as_] = template.pop(last)

    return mutate


def reads_a_key(template: dict[str, Any]) -> dict[str, Any]:
    """The statement that lets the function read turbopuffer's key."""
    statement = template["Resources"]["BackupRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    permission: dict[str, Any] = statement["Fn::If"][1]
    return permission


def ask_for_other_secrets(template: dict[str, Any]) -> None:
    reads_a_key(template)["Resource"] = "*"


def invent_an_action(template: dict[str, Any]) -> None:
    reads_a_key(template)["Action"] = "secretsmanager:GetSecretValues"


def forbid_the_key_of_zilliz(template: dict[str, Any]) -> None:
    template["Resources"]["BackupRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][1]["Fn::If"][0] = "HasTurbopuffer"


FUNCTION = ("Resources", "Backup", "Properties")
SCHEDULED = (*FUNCTION, "Events", "Scheduled", "Properties")
RESUMED = (*FUNCTION, "Events", "Resumed", "Properties")
DRILLED = ("Resources", "Drilled")
JOURNAL = ("Resources", "Journal", "Properties")

# Each with a word of the complaint that must be about it: a template that is refused for another reason proves nothing.
MISTAKES: dict[str, tuple[Mutation, str]] = {
    "more retries than Scheduler has": (change(*SCHEDULED, "RetryPolicy", "MaximumRetryAttempts", to=200), "185"),
    "an unknown window": (change(*SCHEDULED, "FlexibleTimeWindow", "Mode", to="NEVER"), "NEVER"),
    "a cron expression of four fields": (change(*SCHEDULED, "ScheduleExpression", to="cron(99 2 * *)"), "6 fields"),
    "a minute after the 59th": (change("Parameters", "Schedule", "Default", to="cron(99 2 * * ? *)"), "minute"),
    "a run longer than Lambda allows": (change(*FUNCTION, "Timeout", to=901), "900"),
    "an unknown runtime": (change(*FUNCTION, "Runtime", to="provided.al1999"), "provided.al1999"),
    "an unknown action": (invent_an_action, "getsecretvalues"),
    "an unknown log level": (change(*FUNCTION, "LoggingConfig", "SystemLogLevel", to="LOUD"), "LOUD"),
    "an attribute that doesn't exist": (
        change("Resources", "BackupRole", "Properties", "Policies", to=[{
            "PolicyName": "p",
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": {"Fn::GetAtt": ["DeadLetters", "Arm"]}},
            ]},
        }]),
        "Arm",
    ),
    "a property that doesn't exist": (misspell(*FUNCTION, "MemorySize", as_="MemorySise"), "MemorySise"),
    # And our own promises.
    "every secret of the account": (ask_for_other_secrets, "permissions"),
    "a key that it may not read": (forbid_the_key_of_zilliz, "may read it"),
    "an empty secret for whoever has no key": (
        change(*FUNCTION, "Environment", "Variables", "ZILLIZ_API_KEY_SECRET", to={"Ref": "ZillizApiKeySecretArn"}), "only if it was given one"
    ),
    "two runs at once": (change(*FUNCTION, "ReservedConcurrentExecutions", to=2), "one run at a time"),
    "an event without the planned instant": (change(*SCHEDULED, "Input", to="{}"), "planned instant"),
    "open runs that nobody carries on with": (change(*RESUMED, "Input", to="{}"), "carried on"),
    "a drill that nobody asked for": (change(*DRILLED, "Condition", to="HasDocument"), "if it is asked for"),
    "a drill of every stack": (change("Parameters", "DrillSchedule", "Default", to="rate(7 days)"), "somebody asks for it"),
    "a drill without its instant": (change(*DRILLED, "Properties", "Target", "Input", to='{"action":"drill"}'), "planned instant"),
    "passwords in every secret": (change("Parameters", "PasswordSecretPrefix", "Default", to="/"), "which may be"),
    "a journal for everybody to read": (change(*JOURNAL, "PublicAccessBlockConfiguration", to={}), "journal's bucket"),
    "a journal in another bucket": (change(*FUNCTION, "Environment", "Variables", "LIFEBOAT_JOURNAL", to="memory://"), "our bucket"),
    "a default that its own pattern refuses": (change("Parameters", "BackupPrefix", "Default", to=""), "BackupPrefix"),
}


def test_the_template_is_in_order() -> None:
    assert problems(read()) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_template_is_refused_with(mistake: str) -> None:
    template = read()
    mutate, word = MISTAKES[mistake]
    mutate(template)
    found = problems(template)
    assert any(word.lower() in problem.lower() for problem in found), found


@pytest.mark.parametrize("expression", [
    "rate(1 day)", "rate(12 hours)", "cron(30 4 * * ? *)", "cron(0/15 8-17 ? * MON-FRI *)", "cron(0 3 L * ? 2026-2030)",
    "cron(0 3 15W 1,JUL ? *)", "cron(0 3 ? * 6#3 *)", "cron(0 3 ? * FRIL *)",
])
def test_a_schedule_may_be(expression: str) -> None:
    assert fault(expression) is None
    assert re.fullmatch(read()["Parameters"]["Schedule"]["AllowedPattern"], expression)
    assert re.fullmatch(read()["Parameters"]["DrillSchedule"]["AllowedPattern"], expression)


@pytest.mark.parametrize("expression", [
    "", "daily", "rate(0 days)", "rate(1 week)", "rate(-1 days)", "cron(99 2 * *)", "cron(60 4 * * ? *)", "cron(0 24 * * ? *)",
    "cron(0 4 * * * *)", "cron(0 4 ? * ? *)", "cron(0 4 32 * ? *)", "cron(0 4 ? * MOON *)", "cron(0 4 ? * 2#6 *)",
    "cron(0 4 * 13 ? *)", "cron(30-10 4 * * ? *)", "cron(*/0 4 * * ? *)", "cron(0 4 * * ? 1969)", "cron(0  4 * * ? *)",
])
def test_a_schedule_may_not_be(expression: str) -> None:
    assert fault(expression)


def test_terraform_gives_the_function_what_the_template_gives_it() -> None:
    module = (TEMPLATE.parent / "infra" / "main.tf").read_text(encoding="utf-8")
    variables = read()["Resources"]["Backup"]["Properties"]["Environment"]["Variables"]
    assert set(re.findall(r"^ +([A-Z_]+) += ", module, re.MULTILINE)) == set(variables)
