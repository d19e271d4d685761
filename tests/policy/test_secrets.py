"""What AWS names at random is no secret, whatever the random part is."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable

import pytest

from policy.rules.secrets import secret_in

COUNT = 2000
LOWER = string.ascii_lowercase + string.digits
MIXED = string.ascii_letters + string.digits
HEX = "0123456789abcdef"

Pick = Callable[[str, int], str]

FORMS: dict[str, Callable[[Pick, str], str]] = {
    # Secrets Manager appends six random characters ("GetSecretValue", Secrets Manager API Reference).
    "secret": lambda pick, region: (
        f"arn:aws:secretsmanager:{region}:123456789012:secret:trading/orders-{pick(MIXED, 6)}"
    ),
    "secret of a database": lambda pick, region: (
        f"arn:aws:secretsmanager:{region}:123456789012:secret:rds!cluster-"
        f"{uuid.UUID(pick(HEX, 32))}-{pick(MIXED, 6)}"
    ),
    # The region, an underscore and nine characters ("CreateUserPool", Cognito API Reference).
    "user pool": lambda pick, region: f"{region}_{pick(MIXED, 9)}",
    "issuer": lambda pick, region: f"https://cognito-idp.{region}.amazonaws.com/{region}_{pick(MIXED, 9)}",
    "client of a user pool": lambda pick, _: pick(LOWER, 26),
    "database's proxy": lambda pick, region: (
        f"orders-{pick(HEX, 7)}.proxy-{pick(LOWER, 12)}.{region}.rds.amazonaws.com"
    ),
    "brokers": lambda pick, region: f"b-1.trading.{pick(LOWER, 6)}.c2.kafka.{region}.amazonaws.com:9098",
    "cache": lambda pick, region: f"master.trading-orders.{pick(LOWER, 6)}.use1.cache.amazonaws.com:6379",
    "queue": lambda pick, region: f"https://sqs.{region}.amazonaws.com/123456789012/orders-{pick(HEX, 7)}",
    "key": lambda pick, region: f"arn:aws:kms:{region}:123456789012:key/{uuid.UUID(pick(HEX, 32))}",
    "workspace": lambda pick, region: (
        f"https://aps-workspaces.{region}.amazonaws.com/workspaces/ws-{uuid.UUID(pick(HEX, 32))}/"
    ),
    "distribution": lambda pick, _: f"d{pick(LOWER, 13)}.cloudfront.net",
    "image": lambda pick, region: (
        f"123456789012.dkr.ecr.{region}.amazonaws.com/orders@sha256:{pick(HEX, 64)}"
    ),
}
"""What it is → a value with random parts, as environment variables and outputs have them."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-2"])
def test_what_aws_names_at_random_is_no_secret(form: str, region: str) -> None:
    source = random.Random(f"{form} {region}")

    def pick(alphabet: str, length: int) -> str:
        return "".join(source.choices(alphabet, k=length))

    values = [FORMS[form](pick, region) for _ in range(COUNT)]
    assert [value for value in values if secret_in(value, "environment.variables.VALUE")] == []


@pytest.mark.parametrize("beside", ["arn:aws:secretsmanager:us-east-1:123456789012:secret:", "us-east-1_"])
def test_secret_beside_an_identifier_is_found(beside: str) -> None:
    secret = "q7Xb" + "2LmZ9vRt4KpW8sNc3Hd6"
    assert secret_in(f"{beside}orders-AbCdE1 {secret}", "environment.variables.VALUE")
    assert secret_in(f"us-east-1_{secret}", "environment.variables.VALUE")
