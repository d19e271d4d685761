"""Whom the statements of a policy document admit: only us, or strangers too.

Strangers are all principals outside the accounts, the organization and the partners in `policy/ours.yaml`. A
condition counts only if every caller that satisfies it is ours, so a condition on what a stranger can choose,
such as TLS or a user agent, counts as none.

Sources (IAM User Guide, September 2026): "AWS JSON policy elements: Principal", "IAM JSON policy elements:
Condition operators" (a key that is missing makes a condition false, but a negated or ...IfExists condition
true), "Single-valued vs. multivalued context keys" (ForAllValues is true without a key) and "AWS global
condition context keys". Amazon S3's definition of a public policy has nearly the same keys (S3 User Guide,
"The meaning of public").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from policy.documents.parse import Document, Principal, Statement
from policy.documents.patterns import WILDCARD, covers
from policy.ours import OURS, Ours

_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\w+):.+")
SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?|[a-z0-9-]+\.aws\.internal")
"""Names of AWS services as principals."""
_OIDC_PROVIDER = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):oidc-provider/(.+)")
_SAML_PROVIDER = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):saml-provider/.+")
_OWN_ACCOUNT = "${aws:ResourceAccount}"

_ACCOUNT_KEYS = frozenset(
    {
        *("aws:principalaccount", "aws:sourceaccount", "aws:sourceowner", "kms:calleraccount"),
        "s3:dataaccesspointaccount",
    }
)
_ORGANIZATION_KEYS = frozenset(
    {"aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths"}
)
_ARN_KEYS = frozenset({"aws:principalarn", "aws:sourcearn", "s3:dataaccesspointarn"})
_NETWORK_KEYS = frozenset({"aws:sourcevpc", "aws:sourcevpce"})
_RESOURCE_KEYS = frozenset({"aws:resourceaccount", "s3:resourceaccount"})
_RESOURCE_ORGANIZATION_KEYS = frozenset({"aws:resourceorgid", "aws:resourceorgpaths"})

_POSITIVE = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"}
)
_NEGATIVE = frozenset(
    {
        *("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike"),
        "NotIpAddress",
    }
)


def strangers(document: Document, ours: Ours = OURS) -> Iterator[str]:
    """Says which statements admit strangers, and what would be accepted."""
    for statement in document.allowed:
        if _only_ours(statement.condition, ours) or _denied_to_strangers(statement, document, ours):
            continue
        what = f"allows {', '.join(statement.actions or ('all actions but some',))} to"
        if statement.not_principals:
            yield f"{what} everyone but some (NotPrincipal): name the principals"
        for principal in dict.fromkeys(statement.principals):
            if reason := _stranger(principal, statement, ours):
                yield f"{what} {reason}"


def networks(document: Document) -> set[str]:
    """The VPCs and endpoints that the conditions of a document name."""
    return {
        value
        for statement in document.statements
        for keys in statement.condition.values()
        for key, values in keys.items()
        if key in _NETWORK_KEYS
        for value in values
    }


def is_public(document: Document, ours: Ours = OURS) -> bool:
    """Whether a document admits everyone."""
    return any(
        (statement.not_principals or any(WILDCARD.search(who.value) for who in statement.principals))
        and not _only_ours(statement.condition, ours)
        and not _denied_to_strangers(statement, document, ours)
        for statement in document.allowed
    )


def is_ours(principal: str, ours: Ours = OURS) -> bool:
    """Whether an account or ARN of a principal is one of ours, or a partner."""
    if principal in ours.accounts:
        return True
    found = _PRINCIPAL.fullmatch(principal)
    if found is None or WILDCARD.search(principal):
        return False
    return found[1] in ours.accounts or any(covers(partner, principal) for partner in ours.partners)


def _stranger(principal: Principal, statement: Statement, ours: Ours) -> str | None:
    value = principal.value
    if WILDCARD.search(value):
        return f"everyone ({value}): name principals, or add a condition that only your accounts satisfy"
    if principal.kind == "AWS":
        if is_ours(value, ours):
            return None
        return f"{value}, which is in none of the accounts in policy/ours.yaml: remove it, or add it there"
    if principal.kind == "Service":
        if not SERVICE.fullmatch(value):
            return f"{value}, which is no AWS service: name one, such as lambda.amazonaws.com"
        if _acts_for_us(statement, ours):
            return None
        return f"{value} on behalf of any account: add a condition such as aws:SourceAccount"
    if principal.kind == "Federated":
        return _foreign_identity(value, statement, ours)
    return f"the {principal.kind} {value}, whose account is not visible: name the ARN of a principal"


def _acts_for_us(statement: Statement, ours: Ours) -> bool:
    """Whether a service gets something only on behalf of our accounts.

    A role needs no condition, because a service assumes only roles that somebody has passed to it within the
    account (IAM User Guide, "Grant a user permissions to pass a role to an AWS service").
    """
    if statement.actions and all(action.startswith("sts:") for action in statement.actions):
        return True
    # The ARNs of all other resources contain an account anyway: that of the resource.
    folders = [text for text in statement.resources if text.startswith("arn:aws:s3:::")]
    if folders and len(folders) == len(statement.resources):
        return all(_names_account(text, ours) for text in folders)
    return any(
        bool(values) and all(_names_account(value, ours) for value in values)
        for operator, keys in statement.condition.items()
        if operator in _POSITIVE
        for key, values in keys.items()
        if key.startswith("kms:encryptioncontext:")
    )


def _names_account(text: str, ours: Ours) -> bool:
    """Whether a text contains one of our accounts before any wildcard, such as an ARN or a folder of logs."""
    literal = WILDCARD.split(text)[0]
    return any(re.search(rf"[:/]{account}[:/]", literal) for account in ours.accounts)


def _foreign_identity(provider: str, statement: Statement, ours: Ours) -> str | None:
    saml = _SAML_PROVIDER.fullmatch(provider)
    if saml and saml[1] in ours.accounts and _given(statement.condition, "saml:aud"):
        return None
    oidc = _OIDC_PROVIDER.fullmatch(provider)
    issuer = oidc[2] if oidc else provider
    if oidc is None or oidc[1] not in ours.accounts or issuer not in ours.identity_providers:
        return f"users of {provider}, which is not in identityProviders in policy/ours.yaml: add it there"
    subjects = ours.identity_providers[issuer]
    values = _given(statement.condition, f"{issuer.lower()}:sub")
    if values and all(any(covers(subject, value) for subject in subjects) for value in values):
        return None
    return f"any user of {issuer}: add a condition on {issuer}:sub for one of {', '.join(subjects)}"


def _given(condition: Mapping[str, Mapping[str, tuple[str, ...]]], key: str) -> tuple[str, ...]:
    """The values that a condition requires of a key."""
    for operator in ("StringEquals", "StringLike"):
        if values := condition.get(operator, {}).get(key):
            return values
    return ()


def _only_ours(condition: Mapping[str, Mapping[str, tuple[str, ...]]], ours: Ours) -> bool:
    """Whether every caller that satisfies a condition is ours. All keys of a condition must match."""
    return any(
        _all_ours(key, values, ours)
        for operator, keys in condition.items()
        if operator.removeprefix("ForAnyValue:") in _POSITIVE
        for key, values in keys.items()
    )


def _denied_to_strangers(statement: Statement, document: Document, ours: Ours) -> bool:
    """Whether another statement denies strangers all that this one allows."""
    return any(
        _denies_strangers(other, ours)
        and all(any(covers(one, action) for one in other.actions) for action in statement.actions)
        and not statement.not_actions
        and all(any(covers(one, text) for one in other.resources) for text in statement.resources)
        and not statement.not_resources
        for other in document.statements
        if not other.allows
    )


def _denies_strangers(deny: Statement, ours: Ours) -> bool:
    if deny.not_principals:
        return not deny.condition and all(
            who.kind == "AWS" and is_ours(who.value, ours) for who in deny.not_principals
        )
    if Principal("AWS", "*") not in deny.principals or len(deny.condition) != 1:
        return False
    ((operator, keys),) = deny.condition.items()
    # A statement with several keys denies only requests that match all of them.
    if operator.removesuffix("IfExists") not in _NEGATIVE or len(keys) != 1:
        return False
    ((key, values),) = keys.items()
    return _all_ours(key, values, ours)


def _all_ours(key: str, values: tuple[str, ...], ours: Ours) -> bool:
    """Whether all values of a condition's key identify callers of ours."""
    accepted: Callable[[str], bool]
    if key in _ACCOUNT_KEYS:
        accepted = _is_account(ours)
    elif key in _ORGANIZATION_KEYS:
        accepted = _is_organization(ours)
    elif key in _ARN_KEYS:
        accepted = _is_arn(ours)
    elif key == "aws:sourceip":
        accepted = ours.has_network
    elif key in _NETWORK_KEYS:
        accepted = _is_network_id
    else:
        return False
    return bool(values) and all(map(accepted, values))


def reaches_only_ours(condition: Mapping[str, Mapping[str, tuple[str, ...]]], ours: Ours = OURS) -> bool:
    """Whether a condition limits the resources, and not the callers, to ours."""
    return any(
        bool(values)
        and (
            (key in _RESOURCE_KEYS and all(map(_is_account(ours), values)))
            or (key in _RESOURCE_ORGANIZATION_KEYS and all(map(_is_organization(ours), values)))
        )
        for operator, keys in condition.items()
        if operator in _POSITIVE
        for key, values in keys.items()
    )


def _is_account(ours: Ours) -> Callable[[str], bool]:
    return lambda value: value in ours.accounts or value == _OWN_ACCOUNT


def _is_organization(ours: Ours) -> Callable[[str], bool]:
    return lambda value: ours.organization is not None and value.split("/")[0] == ours.organization


def _is_arn(ours: Ours) -> Callable[[str], bool]:
    def accepted(value: str) -> bool:
        parts = value.split(":", 5)
        return len(parts) == 6 and parts[4] in ours.accounts

    return accepted


def _is_network_id(value: str) -> bool:
    return re.fullmatch(r"vpce?-[0-9a-f]+", value) is not None
