"""Keys of Zilliz Cloud that are rotated, with the real program: nobody has to deploy or start anything again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulated import Emulator, fault
from program import Ended, Lifeboat
from rotating_secret import Secret, holding
from zilliz import FAR, NEAR, PROJECT, Account

OLD, NEW = "zilliz-key-of-yesterday-0001", "zilliz-key-of-today-0002"


def plan(name: str, clusters: str) -> str:
    return f"""
[plans.{name}]
provider = "zilliz"
project = "{PROJECT}"
clusters = ["{clusters}"]
start = "02:00"
[[plans.{name}.targets]]
region = "{NEAR}"
[[plans.{name}.targets]]
region = "{FAR}"
"""


class Keeper:
    """The program with a plan whose key is in a secret."""

    def __init__(self, lifeboat: Lifeboat, account: Account, home: Path) -> None:
        self.lifeboat = lifeboat
        self.environment = {
            "LIFEBOAT_CONFIG": plan("prod", "orders-*"),
            "LIFEBOAT_JOURNAL": (home / "journal").as_uri(),
            "ZILLIZ_API_KEY_SECRET": "zilliz/backup",
            "ZILLIZ_BASE_URL": account.url,
            "HOME": str(home),
        }

    def __call__(self, secret: Secret, *arguments: str, **changes: str) -> Ended:
        self.lifeboat.environment = {**self.environment, **secret.environment}
        ended = self.lifeboat(*arguments, **changes)
        assert OLD not in ended.said and NEW not in ended.said
        return ended


@pytest.fixture
def account(emulator: Emulator) -> Account:
    return Account(emulator)


@pytest.fixture
def keeper(lifeboat: Lifeboat, account: Account, tmp_path: Path) -> Keeper:
    return Keeper(lifeboat, account, tmp_path)


def accept(account: Account, key: str, role: str = "project_admin", **scope: Any) -> None:
    """From now on only this key is accepted."""
    account.seed("keys", {"key": key, "role": role, **scope})


def refusals(account: Account) -> int:
    return sum(answers.get("401", 0) for answers in account.emulator.summary().values())


def test_a_key_that_was_rotated_before_the_run_is_fetched_again_once(account: Account, keeper: Keeper) -> None:
    for number in range(12):  # which are asked for at once, and all meet the refusal
        account.add_cluster(f"orders-{number}")
    accept(account, NEW)
    with holding(OLD, NEW) as secret:
        ended = keeper(secret, "backup", "--json")

    assert ended.report["counts"]["policies_set"] == 13, ended
    assert secret.readings == 2 and refusals(account) >= 1


def test_a_key_that_is_rotated_during_the_run_is_fetched_again(account: Account, keeper: Keeper) -> None:
    account.emulator.faults(fault("zilliz.set_policy", revoke_key=True, times=1))
    with holding(OLD, NEW) as secret:
        ended = keeper(secret, "backup", "--json")

    assert ended.report["counts"]["policies_set"] == 1, ended
    assert (secret.readings, refusals(account)) == (2, 1)


def test_a_key_that_may_too_little_is_fetched_again_too(account: Account, keeper: Keeper) -> None:
    account.seed("keys", {"key": OLD, "role": "viewer"}, {"key": NEW, "role": "project_admin"})
    with holding(OLD, NEW) as secret:
        ended = keeper(secret, "backup", "--json")

    assert ended.report["counts"]["policies_set"] == 1, ended
    assert secret.readings == 2


@pytest.mark.parametrize("manual", [[], ["--manual"]], ids=["policies", "by hand"])
def test_a_wrong_key_is_fetched_twice_and_no_more(account: Account, keeper: Keeper, manual: list[str]) -> None:
    accept(account, NEW)
    with holding(OLD) as secret:
        ended = keeper(secret, "backup", "--json", *manual)

    assert ended.code == 1
    assert {failure["error"] for failure in ended.report["failures"]["shown"]} == {"unauthorized"}
    assert "check the secret" in ended.said
    assert secret.readings == 2 and refusals(account) <= 3


def test_a_key_that_is_revoked_for_good_is_not_asked_for_by_every_request(account: Account, keeper: Keeper) -> None:
    for number in range(12):
        account.add_cluster(f"orders-{number}")
    account.emulator.faults(fault("zilliz.describe_policy", revoke_key=True, times=1))
    with holding(OLD) as secret:
        ended = keeper(secret, "backup", "--json")

    assert ended.code == 1 and refusals(account) > 13
    assert secret.readings == 2, "once at first, and once after the first refusal"


def test_plans_with_one_secret_read_it_once_and_renew_it_once(account: Account, keeper: Keeper) -> None:
    account.add_cluster("users-prod")
    accept(account, NEW)
    both = plan("prod", "orders-*") + plan("users", "users-*")
    with holding(OLD, NEW) as secret:
        ended = keeper(secret, "check", "--online", LIFEBOAT_CONFIG=both)

    assert ended.code == 0, ended
    assert ended.stdout.count("clusters selected: 1") == 2
    assert secret.readings == 2
