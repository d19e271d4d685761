"""What only an account can show has a check, or a design that needs none, or a command for people."""

from __future__ import annotations

import pytest

from tests.account.assumptions import COMMANDS, DEPLOYMENT, PAGE, assumptions, checks, page, rendered
from tests.account.test_preflight import elsewhere

UNCERTAIN = (
    *("path-override", "host-without-sni", "messages-are-encrypted", "publishers-name-the-account"),
    "global-lag-dimensions",
    *("controller-metrics", "throttled-requests-logged", "private-domain-takes-time", "pod-identity-delay"),
    *("network-policy-switch", "nodes-before-cluster", "idle-vpc-link", "strict-desync", "versions-on-offer"),
    *("database-on-offer", "autoscaler-chart", "replaced-vpc-link", "secrets-provider-committed"),
    "metrics-exist",
)
"""What the public sources about AWS leave open or contradict each other about."""

ABOUT_THE_ACCOUNT = {
    "who asks, and what the account lets them do": {
        *("identity", "permissions", "session-duration", "regions", "endpoint"),
    },
    "quotas, compared with what the stack needs beside what others use": {
        *("vpcs", "elastic-ips", "interface-endpoints", "security-group-rules", "load-balancer-targets"),
        *("lambda-concurrency", "alarms", "prometheus-rules", "roles", "log-policies"),
        *("on-demand-vcpus", "spot-vcpus"),
    },
    "names that somebody else may have": {
        *("cluster-name", "database-name", "log-groups", "login-domain", "host-names", "api-domains"),
        *("global-database-name", "cache-users", "key-aliases", "canary-name", "budget-name", "chat-name"),
    },
    "what `bootstrap` or an administrator prepares": {
        *("state-bucket", "state-key", "pipeline-roles", "api-logs-role", "permissions-boundary"),
        *("identity-provider", "service-roles", "disk-encryption", "cache-rules", "shield"),
        *("hosted-zone", "validation-record", "existing-endpoints"),
    },
}
"""Why a check of the preflight is about the account's state, and not about what is taken for granted about
AWS → its checks."""

ROWS = [row for rows in assumptions().values() for row in rows]


@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_sources_leave_open_has_a_check_or_needs_none(name: str) -> None:
    (row,) = [row for row in ROWS if row.name == name]
    assert bool(row.checks) != bool(row.design)


def test_names_are_unique() -> None:
    names = [row.name for row in ROWS]
    assert sorted(set(names)) == sorted(names)


def test_checks_of_the_rows_exist() -> None:
    known = {"preflight": {*checks("preflight"), *elsewhere()}, "verify": {*checks("verify")}}
    named = [
        (row.name, command, name) for row in ROWS for command in row.checks for name in row.checks[command]
    ]
    assert [item for item in named if item[2] not in known[item[1]]] == []
    assert {command for _, command, _ in named} == set(COMMANDS)


def test_every_check_of_a_deployed_stack_settles_an_assumption() -> None:
    settled = {name for row in ROWS for name in row.checks.get("verify", ())}
    assert sorted({*checks("verify")} - settled) == []


def test_every_check_of_an_account_settles_an_assumption_or_is_about_the_account() -> None:
    settled = {name for row in ROWS for name in row.checks.get("preflight", ())}
    listed = [name for names in ABOUT_THE_ACCOUNT.values() for name in names]
    assert sorted({*checks("preflight"), *elsewhere()}) == sorted([*settled, *listed])


def test_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run `make golden`"


def test_tables_of_what_is_asked_are_current() -> None:
    text = DEPLOYMENT.read_text()
    assert text == rendered(text), "run `make golden`"
