"""Every generated attack is refused before a resource is created, and every secure variant passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.rules.secrets import CONFIGURATION, STACK
from tests.policy.configurations import ATTACKS, SECURE, Configuration, findings
from tests.policy.test_rules import judge, resource
from tests.unit.harness import ROOT, config_of

KINDS = tuple(dict.fromkeys(it.kind for it in ATTACKS))


def shown(it: Configuration) -> str:
    return f"{it.type}: {it.label}"


@pytest.mark.parametrize("kind", KINDS)
def test_every_attack_is_refused(kind: str) -> None:
    assert [shown(it) for it in ATTACKS if it.kind == kind and not findings(it)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_secure_variant_is_refused(kind: str) -> None:
    refused = {shown(it): findings(it) for it in SECURE if it.kind == kind}
    assert {label: problems for label, problems in refused.items() if problems} == {}


@pytest.mark.parametrize("path", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_no_committed_stack_file_seems_to_have_secrets(path: Path) -> None:
    assert list(judge("stack-shows-no-secrets", [resource(STACK, {CONFIGURATION: config_of(path)})])) == []


def test_there_are_hundreds_of_attacks_of_every_kind() -> None:
    assert len(ATTACKS) > 600
    assert all(sum(it.kind == kind for it in ATTACKS) >= 15 for kind in KINDS)
