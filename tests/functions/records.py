"""The table of order intake's records, in moto's DynamoDB."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

from typing import Any

TABLE = "orders-idempotency"

MOTO = {
    **dict.fromkeys(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"), "testing"
    ),
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""Environment variables with which a client can't reach a real account."""


def create_table(client: Any) -> None:
    """Creates the table in the client's region."""
    client.create_table(
        TableName=TABLE,
        KeySchema=[
            {"AttributeName": "account_id", "KeyType": "HASH"},
            {"AttributeName": "client_order_id", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "account_id", "AttributeType": "S"},
            {"AttributeName": "client_order_id", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
