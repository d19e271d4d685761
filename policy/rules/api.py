"""Rules about the API: API Gateway, Lambda and the user pool."""

from __future__ import annotations

from collections.abc import Iterator

from policy.documents.admission import SERVICE, is_ours
from policy.documents.patterns import WILDCARD
from policy.ours import OURS
from policy.rule import Resource, Stack, listed, must_be, must_be_at_least, must_be_set, rule, stack_rule
from policy.rules.access import must_be_our_key
from settings.aws_limits import LAMBDA_RUNTIMES, LEAST_ZONES

REST_API = "aws:apigateway/restApi:RestApi"
STAGE = "aws:apigateway/stage:Stage"
METHOD_SETTINGS = "aws:apigateway/methodSettings:MethodSettings"
DOMAIN_NAME = "aws:apigateway/domainName:DomainName"
FUNCTION = "aws:lambda/function:Function"
PERMISSION = "aws:lambda/permission:Permission"
USER_POOL_CLIENT = "aws:cognito/userPoolClient:UserPoolClient"
USER_POOL = "aws:cognito/userPool:UserPool"

PASSWORD_FLOWS = (
    *("ADMIN_NO_SRP_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"),
    *("ALLOW_USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH"),
)
"""Flows that send the password itself (Cognito Developer Guide, "Authentication flows")."""


@stack_rule("Every method of an API writes execution logs", STAGE, controls=["APIGateway.1"])
def api_stage_is_logged(stage: Resource, stack: Stack) -> Iterator[str]:
    settings = stack.companions(stage, METHOD_SETTINGS)
    if not any(item.get("methodPath") == "*/*" for item in settings):
        yield "has no MethodSettings for */*: add them"


@rule("Method settings write execution logs", METHOD_SETTINGS, controls=["APIGateway.1"])
def method_settings_write_logs(settings: Resource) -> Iterator[str]:
    yield from must_be(settings, "settings.loggingLevel", "ERROR", "INFO")


@rule("An API's stage is traced", STAGE, controls=["APIGateway.3"])
def api_stage_is_traced(stage: Resource) -> Iterator[str]:
    yield from must_be(stage, "xrayTracingEnabled", True)


@rule("An API's stage writes an access log", STAGE)
def api_stage_has_access_log(stage: Resource) -> Iterator[str]:
    yield from must_be_set(stage, "accessLogSettings.destinationArn", "name a log group")


@rule(
    "An API's cache is encrypted, and the contents of requests are not logged",
    METHOD_SETTINGS,
    controls=["APIGateway.5"],
)
def api_keeps_data_to_itself(settings: Resource) -> Iterator[str]:
    if settings.get("settings.cachingEnabled"):
        yield from must_be(settings, "settings.cacheDataEncrypted", True)
    yield from must_be(settings, "settings.dataTraceEnabled", False, unset=True)


@rule("An API is private", REST_API, DOMAIN_NAME)
def api_is_private(api: Resource) -> Iterator[str]:
    yield from must_be(api, "endpointConfiguration.types", "PRIVATE")


@rule("An API's domain name uses TLS 1.2 or newer", DOMAIN_NAME)
def api_domain_uses_modern_tls(domain: Resource) -> Iterator[str]:
    policy = str(domain.get("securityPolicy") or "")
    if policy != "TLS_1_2" and not policy.startswith(("SecurityPolicy_TLS12", "SecurityPolicy_TLS13")):
        yield f"securityPolicy is {policy or 'not set'}: set it to TLS_1_2"


@rule("Only we can invoke a function", PERMISSION, controls=["Lambda.1"])
def lambda_is_not_public(permission: Resource) -> Iterator[str]:
    principal = str(permission.get("principal") or "").strip()
    if permission.get("functionUrlAuthType") == "NONE":
        yield "functionUrlAuthType is NONE, so callers need no identity: set it to AWS_IAM"
    if WILDCARD.search(principal):
        if not OURS.organization or permission.get("principalOrgId") != OURS.organization:
            yield f'principal is "{principal}": name who can invoke the function'
    elif not SERVICE.fullmatch(principal):
        if not is_ours(principal):
            yield f"{principal} is in none of the accounts in policy/ours.yaml: remove it, or add it there"
    elif not is_for_us(permission):
        yield f"{principal} can invoke the function for any account: set sourceAccount to ours"


def is_for_us(permission: Resource) -> bool:
    """Whether a service acts for one of our accounts. The ARN of a bucket doesn't contain its account."""
    account = permission.get("sourceAccount")
    source = str(permission.get("sourceArn") or "").split(":")
    return account in OURS.accounts or (account is None and len(source) > 4 and source[4] in OURS.accounts)


@rule("A function's runtime is supported", FUNCTION, controls=["Lambda.2"])
def lambda_runtime_is_supported(function: Resource) -> Iterator[str]:
    if function.get("packageType") != "Image":
        yield from must_be(function, "runtime", *LAMBDA_RUNTIMES)


@rule("A function in the VPC uses several zones", FUNCTION, controls=["Lambda.5"])
def lambda_is_in_several_zones(function: Resource) -> Iterator[str]:
    if function.get("vpcConfig"):
        yield from must_be_at_least(function, "vpcConfig.subnetIds", LEAST_ZONES)


@rule("A function is traced, and its environment is encrypted with the platform's key", FUNCTION)
def lambda_is_traced_and_encrypted(function: Resource) -> Iterator[str]:
    yield from must_be(function, "tracingConfig.mode", "Active")
    yield from must_be_our_key(function, "kmsKeyArn")


@rule("A user pool blocks suspicious sign-ins", USER_POOL, controls=["Cognito.1"])
def user_pool_stops_suspicious_sign_ins(pool: Resource) -> Iterator[str]:
    yield from must_be(pool, "userPoolAddOns.advancedSecurityMode", "ENFORCED")


@rule("Users have a second factor, and only administrators add them", USER_POOL, controls=["Cognito.5"])
def user_pool_wants_second_factor(pool: Resource) -> Iterator[str]:
    yield from must_be(pool, "mfaConfiguration", "ON")
    yield from must_be(pool, "adminCreateUserConfig.allowAdminCreateUserOnly", True)


@rule("Passwords are long and contain all kinds of characters", USER_POOL, controls=["Cognito.3"])
def user_pool_wants_strong_passwords(pool: Resource) -> Iterator[str]:
    yield from must_be_at_least(pool, "passwordPolicy.minimumLength", 8)
    for kind in ("Lowercase", "Uppercase", "Numbers", "Symbols"):
        yield from must_be(pool, f"passwordPolicy.require{kind}", True)


@rule("A user pool in production has deletion protection", USER_POOL, controls=["Cognito.6"])
def user_pool_is_protected(pool: Resource) -> Iterator[str]:
    if pool.is_production:
        yield from must_be(pool, "deletionProtection", "ACTIVE")


@rule("An app client gets tokens by a code, or with its own secret", USER_POOL_CLIENT)
def user_pool_client_uses_codes(client: Resource) -> Iterator[str]:
    flows = [str(flow) for flow in listed(client.get("allowedOauthFlows"))]
    if "implicit" in flows:
        yield "allowedOauthFlows contains implicit, which shows tokens in addresses: use code"
    for flow in listed(client.get("explicitAuthFlows")):
        if flow in PASSWORD_FLOWS:
            yield f"explicitAuthFlows contains {flow}, which sends the password: use ALLOW_USER_SRP_AUTH"
    yield from must_be(client, "enableTokenRevocation", True, unset=True)
    if "client_credentials" in flows:
        yield from must_be(client, "generateSecret", True)
