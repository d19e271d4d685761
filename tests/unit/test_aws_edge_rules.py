"""What the simulated provider refuses at the edge and in monitoring, as AWS does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.aws.edge_rules import FEW_TAGS
from sandbox.aws.provider import AwsProvider
from sandbox.rpc import Call, ProviderError
from settings.aws_limits import (
    RESOURCE_TAGS,
    RULE_GROUPS,
    RULE_NAMESPACES,
    RULES_FILE_BYTES,
    RULES_PER_GROUP,
)
from settings.tags import MOST_TAGS, OWN_TAGS
from tests.unit.harness import STACKS, platform


class Account:
    """The simulated provider in one region, called in the same way as by the engine."""

    def __init__(self, directory: Path) -> None:
        self.provider = AwsProvider(directory)
        self.default_tags: dict[str, str] = {}
        self.stack = "dev"

    def _call(self, kind: str, name: str, **parts: Any) -> Call:
        urn = f"urn:pulumi:{self.stack}::trading::aws:{kind}::{name}"
        config = {"region": "us-east-1", "defaultTags": json.dumps({"tags": self.default_tags})}
        return Call(config, urn, **parts)

    def create(self, kind: str, name: str, /, **inputs: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The id, the checked inputs and the outputs."""
        checked, failures = self.provider.check(self._call(kind, name, old_inputs={}, inputs=inputs))
        assert not failures
        identifier, outputs = self.provider.create(self._call(kind, name, inputs=checked))
        return identifier, checked, outputs

    def changed(
        self,
        kind: str,
        name: str,
        created: tuple[str, dict[str, Any], dict[str, Any]],
        /,
        **inputs: Any,
    ) -> set[str]:
        """The properties that differ from what the provider reads back."""
        identifier, old, outputs = created
        call = self._call(
            kind, name, id=identifier, old_inputs=old, inputs={**old, **inputs}, outputs=outputs
        )
        return set(self.provider.diff(call).changes)

    def delete(self, kind: str, name: str, created: tuple[str, dict[str, Any], dict[str, Any]], /) -> None:
        self.provider.delete(self._call(kind, name, id=created[0], inputs=created[1], outputs=created[2]))

    def update(
        self,
        kind: str,
        name: str,
        created: tuple[str, dict[str, Any], dict[str, Any]],
        /,
        **inputs: Any,
    ) -> dict[str, Any]:
        identifier, old, outputs = created
        new = {**old, **inputs}
        call = self._call(kind, name, id=identifier, old_inputs=old, inputs=new, outputs=outputs)
        return self.provider.update(call)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    found = Account(tmp_path)
    yield found
    found.provider.store.close()


NAMESPACE = "amp/ruleGroupNamespace:RuleGroupNamespace"


def rules(groups: int, each: int = 1, text: str = "") -> str:
    """A rules file."""
    rule = {"record": "r", "expr": f"vector(1){text}"}
    return json.dumps({"groups": [{"name": f"g{n}", "rules": [rule] * each} for n in range(groups)]})


def workspace(account: Account) -> str:
    return account.create("amp/workspace:Workspace", "workspace")[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rules(1, RULES_PER_GROUP + 1), "group g0 has 21 rules; a group can have 20"),
        (rules(RULE_GROUPS + 1), "101 rule groups; a workspace can have 100"),
        (rules(1, text=" " * RULES_FILE_BYTES), "bytes; a rules file can have 1000000"),
    ],
)
def test_rules_beyond_the_quotas_are_refused(account: Account, data: str, message: str) -> None:
    with pytest.raises(ProviderError, match=message):
        account.create(NAMESPACE, "alerts", name="alerts", workspaceId=workspace(account), data=data)


def test_rules_within_the_quotas_are_accepted(account: Account) -> None:
    data = rules(RULE_GROUPS // RULE_NAMESPACES, RULES_PER_GROUP)
    place = workspace(account)
    for number in range(RULE_NAMESPACES):
        account.create(NAMESPACE, f"n{number}", name=f"n{number}", workspaceId=place, data=data)
    with pytest.raises(ProviderError, match="would have 101 rule groups"):
        account.create(NAMESPACE, "more", name="more", workspaceId=place, data=rules(1))
    with pytest.raises(ProviderError, match="has 10 rule group namespaces already"):
        account.create(NAMESPACE, "more", name="more", workspaceId=place, data=rules(0))


def test_fields_of_a_log_delivery_are_not_changed_in_place(account: Account) -> None:
    kind = "cloudwatch/logDelivery:LogDelivery"
    source = account.create(
        "cloudwatch/logDeliverySource:LogDeliverySource",
        "s",
        resourceArn="arn:aws:cloudfront::aws:distribution/E",
        logType="ACCESS_LOGS",
    )
    destination = account.create(
        "cloudwatch/logDeliveryDestination:LogDeliveryDestination", "d", outputFormat="json"
    )
    delivery = account.create(
        kind,
        "d",
        deliverySourceName=source[0],
        deliveryDestinationArn=destination[2]["arn"],
        recordFields=["date"],
    )
    account.update(kind, "d", delivery, tags={"a": "b"})
    with pytest.raises(ProviderError, match="recordFields: ValidationException"):
        account.update(kind, "d", delivery, recordFields=["date", "time"])


@pytest.mark.parametrize(
    ("kind", "inputs", "most"),
    [
        ("route53/healthCheck:HealthCheck", {"type": "HTTPS", "fqdn": "a.example.com"}, 10),
        ("sns/topic:Topic", {}, 50),
    ],
)
def test_default_tags_count(account: Account, kind: str, inputs: dict[str, Any], most: int) -> None:
    account.default_tags = {f"default-{number}": "a" for number in range(most - 1)}
    account.create(kind, "it", **inputs, tags={"Name": "it"})
    with pytest.raises(ProviderError, match=f"{most + 1} tags .* AWS accepts {most}"):
        account.create(kind, "other", **inputs, tags={"Name": "it", "more": "a"})


@pytest.mark.parametrize("stack", STACKS)
def test_stack_file_with_the_most_tags_leaves_room_on_every_resource(stack: str) -> None:
    room = {
        resource.name: FEW_TAGS.get(resource.type, RESOURCE_TAGS)
        - len(OWN_TAGS)
        - MOST_TAGS
        - len(resource.inputs.get("tags", {}))
        for resource in platform(stack).resources
        if resource.type.startswith("aws:")
    }
    assert min(room.values()) == 0


def policy(resource: str) -> str:
    return json.dumps({"Statement": [{"Action": "execute-api:Invoke", "Resource": resource}]})


@pytest.mark.parametrize(
    ("kind", "name", "inputs", "settled", "never_settled"),
    [
        (
            "apigateway/domainName:DomainName",
            "policy",
            {"domainName": "a.example.com", "endpointConfiguration": {"types": "PRIVATE"}},
            policy("*"),
            policy("execute-api:/*"),
        ),
        (
            "costexplorer/anomalyMonitor:AnomalyMonitor",
            "monitorSpecification",
            {"name": "monitor", "monitorType": "CUSTOM"},
            json.dumps(dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or", "Tags"))),
            json.dumps({"Tags": {"Key": "platform", "Values": ["a"]}}),
        ),
        (
            "lambda/alias:Alias",
            "routingConfig",
            {"functionName": "f", "functionVersion": "1", "name": "live"},
            {"additionalVersionWeights": {"2": 0.1}},
            {"additionalVersionWeights": {}},
        ),
    ],
)
def test_form_that_the_provider_does_not_read_back_is_a_difference_in_every_preview(
    account: Account, kind: str, name: str, inputs: dict[str, Any], settled: Any, never_settled: Any
) -> None:
    account.provider.enforce = lambda change: None  # what the resource refers to does not exist
    created = account.create(kind, "it", **inputs, **{name: settled})
    assert account.changed(kind, "it", created) == set()
    other = (created[0], {**created[1], name: never_settled}, created[2])
    assert account.changed(kind, "it", other) == {name}


OPERATION: dict[str, Any] = {"responses": {"200": {"description": "An answer."}}}


def api(**document: Any) -> str:
    return json.dumps({"openapi": "3.0.1", "paths": {"/api": {"get": OPERATION}}, **document})


def answers(response: dict[str, Any]) -> dict[str, Any]:
    return {"/api": {"get": {"responses": {"500": response}}}}


def schemas(**models: Any) -> dict[str, Any]:
    return {"schemas": models}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            api(paths=answers({"$ref": "#/components/responses/Problem"})),
            "get /api: response 500 must not be",
        ),
        (
            api(paths=answers({"content": {"application/json": {"schema": {"type": "string"}}}})),
            "must have the schema of an object",
        ),
        (api(security=[{"token": []}]), "security: must be given for each operation"),
        (api(components={"securitySchemes": {"t": {"type": "http"}}}), "type 'http' must be 'apiKey'"),
        (api(components=schemas(**{"Order-V2": {}})), "Order-V2: a model's name"),
        (api(components=schemas(A={"properties": {"b": {"format": "int64"}}})), "format int64"),
        (api(components=schemas(A={"items": [{"oneOf": []}]})), "oneOf is not supported"),
        (api(paths={"/a{b}": {"get": OPERATION}}), "a segment can have"),
        (
            api(paths={"/a": {"get": {**OPERATION, "operationId": "x"}, "put": {"operationId": "x"}}}),
            "operationId x is given twice",
        ),
    ],
)
def test_document_that_api_gateway_does_not_import_is_refused(
    account: Account, document: str, message: str
) -> None:
    with pytest.raises(ProviderError, match=message):
        account.create("apigateway/restApi:RestApi", "api", name="api", body=document)


def test_document_with_a_property_of_an_unsupported_name_is_imported(account: Account) -> None:
    document = api(components=schemas(A={"properties": {"example": {"type": "string"}}}))
    account.create("apigateway/restApi:RestApi", "api", name="api", body=document)


def test_tags_of_a_cloudfront_function_do_not_change_alone(account: Account) -> None:
    kind = "cloudfront/function:Function"
    function = account.create(kind, "router", name="router", runtime="cloudfront-js-2.0", code="c")
    account.default_tags = {"owner": "a"}
    with pytest.raises(ProviderError, match="nothing but the tags has changed"):
        account.update(kind, "router", function)
    account.update(kind, "router", function, comment="tags 2")


def test_host_is_an_alias_of_one_distribution(account: Account) -> None:
    inputs = {
        "aliases": ["a.example.com"],
        "enabled": True,
        "origins": [],
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "defaultCacheBehavior": {
            "allowedMethods": ["GET"],
            "cachedMethods": ["GET"],
            "targetOriginId": "o",
            "viewerProtocolPolicy": "https-only",
        },
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
    }
    account.create("cloudfront/distribution:Distribution", "first", **inputs)
    with pytest.raises(ProviderError, match=r"CNAMEAlreadyExists: a\.example\.com is an alias of first"):
        account.create("cloudfront/distribution:Distribution", "second", **inputs)


def test_role_for_the_logs_of_all_apis_is_overwritten_and_not_deleted_while_another_stack_needs_it(
    account: Account,
) -> None:
    account.provider.enforce = lambda change: None  # what the resources refer to does not exist
    kind = "apigateway/account:Account"
    first = account.create(kind, "api")
    account.stack = "prod"
    account.create(kind, "api")
    account.create("apigateway/stage:Stage", "api", restApi="a", deployment="d", stageName="live")
    account.stack = "dev"
    with pytest.raises(ProviderError, match="api of the stack prod needs it too"):
        account.delete(kind, "api", first)
