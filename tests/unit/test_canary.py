"""The canary that tests the path of an order: its permissions, secret, logs and alarms."""

import json
import re
from typing import Any

from functions.order_canary.order_canary import DEADLINE_SECONDS, Target
from tests.unit.harness import ROOT, Graph, Registered, platform, stack_values

TOKENS = {
    "canary": "aws:synthetics/canary:Canary",
    "logs": "aws:cloudwatch/logGroup:LogGroup",
    "role": "aws:iam/role:Role",
    "permissions": "aws:iam/rolePolicy:RolePolicy",
    "bucket": "aws:s3/bucket:Bucket",
    "secret": "aws:secretsmanager/secret:Secret",
    "version": "aws:secretsmanager/secretVersion:SecretVersion",
}


def of(kind: str, graph: Graph | None = None) -> Registered:
    (found,) = [r for r in (graph or platform("full")).of(TOKENS[kind]) if r.name.startswith("order-canary")]
    return found


def statements() -> dict[str, dict[str, Any]]:
    return {s["Sid"]: s for s in json.loads(of("permissions").inputs["policy"])["Statement"]}


def key() -> str:
    return platform("full").named("foundation-us-east-1-key", "aws:kms/key:Key").outputs["arn"]


def test_stack_without_the_setting_has_no_canary() -> None:
    for stack in ("small",):
        assert platform(stack).of(TOKENS["canary"]) == []


def test_one_canary_walks_for_all_regions() -> None:
    graph = platform("full")
    assert len(stack_values("full")["trading:regions"]) == 2
    assert len(graph.of(TOKENS["canary"])) == 1
    assert of("canary", graph).provider == "aws-us-east-1"


def test_script_is_told_everything_that_it_reads() -> None:
    environment = of("canary").inputs["runConfig"]["environmentVariables"]
    fields = {name.upper() for name in Target.__dataclass_fields__}
    assert environment.keys() == fields | {"CLIENT_SECRET_ARN"}
    assert environment["APP_URL"] == "https://trade.example.com"
    assert environment["TOKEN_URL"].endswith(".amazoncognito.com/oauth2/token")
    machine = platform("full").named("identity-machine")
    assert environment["CLIENT_ID"] == machine.id
    assert environment["SCOPE"] == "trading/orders"
    assert (environment["ACCOUNT_ID"], environment["SYMBOL"]) == ("canary", "ZVZZT")


def test_clients_secret_is_in_secrets_manager_alone() -> None:
    assert of("version").inputs["secretString"] == "[secret]"
    secret = platform("full").named("identity-machine").outputs["clientSecret"]
    assert of("version").outputs["secretString"] == secret
    assert secret not in json.dumps(of("canary").outputs)
    assert of("secret").inputs["kmsKeyId"] == key()


def test_code_is_where_synthetics_looks_for_python() -> None:
    canary, code = of("canary"), platform("full").named("order-canary-us-east-1-code")
    assert list(code.inputs["source"]["assets"]) == ["python/order_canary.py"]
    assert canary.inputs["handler"] == "order_canary.handler"
    assert canary.inputs["runtimeVersion"].startswith("syn-python-selenium-")
    assert (canary.inputs["s3Bucket"], canary.inputs["s3Key"]) == (of("bucket").id, code.inputs["key"])
    assert re.fullmatch("code/[0-9a-f]{16}.zip", code.inputs["key"])


def test_run_is_named_slow_before_it_is_killed_and_killed_before_the_next() -> None:
    canary = of("canary").inputs
    assert canary["schedule"]["expression"] == "rate(1 minute)"
    assert DEADLINE_SECONDS < canary["runConfig"]["timeoutInSeconds"] < 60


def test_canary_runs_and_leaves_no_function_behind() -> None:
    assert of("canary").inputs["startCanary"] is True
    assert of("canary").inputs["deleteLambda"] is True


def test_first_run_finds_its_permissions_and_the_secrets_value() -> None:
    first = {"order-canary-us-east-1-permissions", "order-canary-us-east-1-client-secret"}
    assert first == {of("permissions").name, of("version").name}
    assert first <= of("canary").depends_on


def test_functions_log_group_is_ours_because_the_role_can_make_none() -> None:
    function = of("canary").outputs["engineArn"].split(":")[6]
    assert of("logs").inputs["name"] == f"/aws/lambda/{function}"
    assert of("logs").inputs["kmsKeyId"] == key()
    assert of("logs").inputs["retentionInDays"] == 365
    assert "CreateLogGroup" not in of("permissions").inputs["policy"]
    assert function.startswith(statements()["OwnLogs"]["Resource"].rsplit("/", 1)[1].rstrip("*"))


def test_role_reads_one_secret_and_writes_its_own_artifacts_and_metrics() -> None:
    allowed = statements()
    assert allowed["ClientSecret"]["Resource"] == of("secret").outputs["arn"]
    bucket = of("bucket").outputs["arn"]
    assert allowed["OwnArtifacts"]["Resource"] == f"{bucket}/runs/*"
    assert of("canary").inputs["artifactS3Location"] == f"s3://{of('bucket').id}/runs"
    assert allowed["OwnMetrics"]["Condition"] == {
        "StringEquals": {"cloudwatch:namespace": "CloudWatchSynthetics"}
    }
    anywhere = {sid for sid, statement in allowed.items() if statement["Resource"] == "*"}
    assert anywhere == {"NamesOfBucketsKnowNoResource", "OwnMetrics"}


def test_artifacts_are_encrypted_with_our_key_and_forgotten() -> None:
    graph = platform("full")
    encryption = graph.named(
        "order-canary-us-east-1",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    ).inputs["rules"][0]["applyServerSideEncryptionByDefault"]
    assert encryption == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key()}
    assert of("canary").inputs["artifactConfig"]["s3Encryption"] == {
        "encryptionMode": "SSE_KMS",
        "kmsKeyArn": key(),
    }
    rule = graph.named(
        "order-canary-us-east-1", "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    ).inputs["rules"][0]
    assert (rule["filter"]["prefix"], rule["expiration"]["days"]) == ("runs/", 31)


def test_two_failures_or_no_runs_mean_that_customers_cannot_trade() -> None:
    graph = platform("full")
    alarm = graph.named("monitoring-us-east-1-order-canary")
    assert alarm.inputs["dimensions"] == {"CanaryName": of("canary").inputs["name"]}
    assert (alarm.inputs["metricName"], alarm.inputs["threshold"]) == ("SuccessPercent", 100)
    assert alarm.inputs["comparisonOperator"] == "LessThanThreshold"
    assert (alarm.inputs["evaluationPeriods"], alarm.inputs["treatMissingData"]) == (2, "breaching")
    impact = graph.named("monitoring-us-east-1-customer-impact").inputs["alarmRule"]
    assert f'ALARM("{alarm.inputs["name"]}")' in impact


def test_runbook_says_why_the_canary_does_not_trade() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.split("### order-canary\n")[1].split("\n### ")[0]
    for word in ("accountId", "symbol", "0.01"):
        assert word in section
