"""How Terraform's provider reads some properties back: in another form than a program may write them in.

A program that writes another form has a difference in every preview, which the sandbox shows as well. Each
entry names the provider's source, which is read as of 2026.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.values import UNKNOWN, is_dict

Outputs = Mapping[str, Any]


def _all_keys(specification: Any, _: Outputs) -> Any:
    """`internal/service/ce/anomaly_monitor.go`: an expression is marshalled with all of its fields."""
    expression = json.loads(specification)
    fields = ("And", "CostCategories", "Dimensions", "Not", "Or", "Tags")
    full = {name: expression.get(name) for name in fields}
    if is_dict(full["Tags"]):
        full["Tags"] = {name: full["Tags"].get(name) for name in ("Key", "MatchOptions", "Values")}
    return json.dumps(full)


def _whole_arns(policy: Any, outputs: Outputs) -> Any:
    """`internal/service/apigateway/domain_name.go`: API Gateway replaces `execute-api:` with the ARN."""
    arn = str(outputs.get("arn", "")).replace(":apigateway:", ":execute-api:")
    return str(policy).replace('"execute-api:/*"', f'"{arn}/*"')


def _weights(configuration: Any, _: Outputs) -> Any:
    """`internal/service/lambda/alias.go`: an alias without weights has no routing configuration."""
    return configuration if is_dict(configuration) and configuration.get("additionalVersionWeights") else None


_FORMS: Mapping[str, Mapping[str, Callable[[Any, Outputs], Any]]] = {
    "aws:apigateway/domainName:DomainName": {"policy": _whole_arns},
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": {"monitorSpecification": _all_keys},
    "aws:lambda/alias:Alias": {"routingConfig": _weights},
}


def differing(token: str, inputs: Mapping[str, Any], outputs: Outputs) -> list[str]:
    """The properties whose inputs have another form than the provider reads back."""
    found: list[str] = []
    for name, form in _FORMS.get(token, {}).items():
        value = inputs.get(name)
        if value is None or value == UNKNOWN:
            continue
        if _parsed(form(value, outputs)) != _parsed(value):
            found.append(name)
    return found


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
