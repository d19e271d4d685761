"""IAM and resource policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


def policy_document(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    """An IAM or resource policy with these statements."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [*statements]})


def deny_without_tls(action: str, resources: pulumi.Input[str] | list[pulumi.Input[str]]) -> dict[str, Any]:
    """A statement of a resource policy that denies requests without TLS."""
    return {
        "Sid": "OnlyTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resources,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def service_trust(service: str, condition: Mapping[str, Any] | None = None) -> pulumi.Output[str]:
    """Trust policy of a role that only the AWS service `service`, such as `lambda.amazonaws.com`, may
    assume."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if condition:
        statement["Condition"] = condition
    return policy_document(statement)
