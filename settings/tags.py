"""Settings of the tags of every resource."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from settings.aws_limits import (
    OBJECT_TAGS,
    RESERVED_TAG_PREFIX,
    ROUTE53_TAGS,
    TAG_KEY_LENGTH,
    TAG_SIGNS,
    TAG_VALUE_LENGTH,
)
from settings.model import refused

FEW_TAGS: Mapping[str, int] = {
    "aws:route53/healthCheck:HealthCheck": ROUTE53_TAGS,
    "aws:route53/zone:Zone": ROUTE53_TAGS,
    "aws:s3/bucketObject:BucketObject": OBJECT_TAGS,
    "aws:s3/bucketObjectv2:BucketObjectv2": OBJECT_TAGS,
}
"""Pulumi's type → the most tags, for types that accept fewer than most."""

REQUIRED_TAGS = ("owner", "cost-center")
OWN_TAGS = ("environment", "platform")
"""Tags that the program sets itself."""

HEALTH_CHECK_TAGS = (*OWN_TAGS, "Name")
"""Tags that the program sets on health checks, which have no other name in the console."""

MOST_TAGS, _WHERE, _BESIDES = min(
    (OBJECT_TAGS - len(OWN_TAGS), "an S3 object", OWN_TAGS),
    (ROUTE53_TAGS - len(HEALTH_CHECK_TAGS), "a Route 53 health check", HEALTH_CHECK_TAGS),
)
"""Number of tags that every resource accepts, the resource that accepts the fewest, and its other tags."""


def missing_tags(tags: Mapping[str, str], required: Sequence[str] = REQUIRED_TAGS) -> list[str]:
    """The required tags that have no value. Policies apply the same check to every provider."""
    return [tag for tag in required if not tags.get(tag)]


def _strange(text: str) -> list[str]:
    return [sign for sign in text if unicodedata.category(sign)[0] not in "LZN" and sign not in TAG_SIGNS]


def _problems(tags: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The tags that AWS rejects ("Tag naming limits and requirements", AWS Tagging Best Practices)."""
    missing = missing_tags(tags)
    if missing:
        yield (), f"must contain {', '.join(missing)}: every resource needs {', '.join(REQUIRED_TAGS)}"
    if len(tags) > MOST_TAGS:
        yield (
            (),
            f"has {len(tags)} tags, but {_WHERE} accepts only {MOST_TAGS} besides {', '.join(_BESIDES)}: "
            "remove some",
        )
    seen: dict[str, str] = {}
    for key, value in tags.items():
        if key.lower() in OWN_TAGS:
            yield (key,), "is a tag that the platform sets: choose another key"
        elif (other := seen.setdefault(key.lower(), key)) != key:
            yield (key,), f"differs from {other} only in case, which IAM rejects: choose another key"
        for what, text, most in (("key", key, TAG_KEY_LENGTH), ("value", value, TAG_VALUE_LENGTH)):
            if text.lower().startswith(RESERVED_TAG_PREFIX):
                yield (
                    (key,),
                    f"the {what} begins with {RESERVED_TAG_PREFIX}, which is reserved for AWS: choose "
                    f"another {what}",
                )
            elif strange := _strange(text):
                yield (
                    (key,),
                    f"the {what} contains {strange[0]!r}: only letters, digits, spaces and {TAG_SIGNS} are "
                    "accepted",
                )
            elif len(text) > most or not key:
                yield (key,), f"the {what} has {len(text)} characters: 1 to {most} are accepted"


def _tags(tags: dict[str, str]) -> dict[str, str]:
    problems = [("value_error", text, where, tags) for where, text in _problems(tags)]
    if problems:
        raise refused("tags", problems)
    return tags


Tags = Annotated[
    dict[str, str], Field(json_schema_extra={"required": list(REQUIRED_TAGS)}), AfterValidator(_tags)
]
