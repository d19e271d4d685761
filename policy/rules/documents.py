"""Rules about policy documents, wherever they are, and about everything else that grants access."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policy.documents import admission
from policy.documents.parse import Document, Statement
from policy.documents.patterns import WILDCARD, covers, is_wide_action, is_wide_resource
from policy.ours import OURS
from policy.rule import Resource, Stack, rule, stack_rule
from policy.rules.api import PERMISSION
from policy.rules.network import ENDPOINT, VPC
from policy.values import Text

MANAGED_POLICY = "aws:iam/policy:Policy"

ENDPOINTS = (
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy",
    "aws:odb/network:Network",
)
"""Types whose documents limit what passes through a network's endpoint."""

NETWORKS = (VPC, ENDPOINT)

LIMITING = (
    *ENDPOINTS,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation",
    "aws:organizations/policy:Policy",
    "aws:rolesanywhere/profile:Profile",
    "aws:transfer/access:Access",
    "aws:transfer/user:User",
)
"""Types whose documents grant nothing: they limit what other policies grant (IAM User Guide, "Policies and
permissions in AWS Identity and Access Management")."""

ACTIONS_WITHOUT_RESOURCES = (
    *("ec2:describe*", "ec2:createnetworkinterface", "ec2:deletenetworkinterface"),
    *("ec2:assignprivateipaddresses", "ec2:unassignprivateipaddresses"),
    *("xray:puttelemetryrecords", "xray:puttracesegments", "cloudwatch:putmetricdata", "logs:describe*"),
    *("s3:listallmybuckets", "secretsmanager:getrandompassword"),
)
"""Actions that don't support resource-level permissions, or whose resources aren't known beforehand (Service
Authorization Reference; for network interfaces: Lambda Developer Guide, "Giving functions access to resources
in an Amazon VPC")."""

DECRYPTING = ("kms:decrypt", "kms:reencryptfrom")

ESCALATING = (
    *("iam:addusertogroup", "iam:attachgrouppolicy", "iam:attachrolepolicy", "iam:attachuserpolicy"),
    *("iam:createaccesskey", "iam:createloginprofile", "iam:createpolicyversion"),
    *("iam:createservicespecificcredential", "iam:deleterolepermissionsboundary", "iam:deleterolepolicy"),
    *("iam:deleteuserpermissionsboundary", "iam:detachrolepolicy", "iam:putgrouppolicy"),
    *("iam:putrolepermissionsboundary", "iam:putrolepolicy", "iam:putuserpermissionsboundary"),
    *("iam:putuserpolicy", "iam:resetservicespecificcredential", "iam:setdefaultpolicyversion"),
    *("iam:updateaccesskey", "iam:updateassumerolepolicy", "iam:updateloginprofile"),
    *("sso:attachmanagedpolicytopermissionset", "sso:putinlinepolicytopermissionset"),
)
"""Actions with which a holder gives itself more permissions, on whatever resource."""

BORROWING = (
    *("iam:passrole", "sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity"),
    *("bedrock-agentcore:invokecodeinterpreter", "bedrock-agentcore:startcodeinterpretersession"),
    *("cloudformation:createchangeset", "cloudformation:executechangeset", "cloudformation:updatestack"),
    *("cloudformation:updatestackset", "codebuild:startbuild", "codebuild:startbuildbatch"),
    *("codebuild:updateproject", "ec2-instance-connect:sendsshpublickey"),
    *("ec2:createlaunchtemplateversion", "ec2:modifyinstanceattribute", "ecs:executecommand"),
    *("glue:updatedevendpoint", "glue:updatejob", "lambda:addpermission", "lambda:updatefunctioncode"),
    *("lambda:updatefunctionconfiguration", "sagemaker:createpresignednotebookinstanceurl"),
    *("sagemaker:updatenotebookinstance", "ssm:sendcommand", "ssm:startsession"),
)
"""Actions with which a holder uses the permissions of a role, so that the policy must name the resources.

Both lists: Rhino Security Labs, "AWS IAM Privilege Escalation: Methods and Mitigation"; Bishop Fox, "5
Privesc Attack Vectors in AWS"; Datadog, pathfinding.cloud; as in cloudsplaining's
`PRIVILEGE_ESCALATION_METHODS` (commit 126e052, 2026) and parliament 1.6.4."""

POLICY_ARN = re.compile(r"(policyArns?|managedPolicyArns?)$", re.IGNORECASE)
"""Names of properties that attach managed policies, such as `policyArn` and `managedPolicyArns`."""

PRINCIPAL_NAME = re.compile(
    r"(allowed|grantee|retiring)?principals?|principalarns?|grantee|(shared|target|recipient)?accounts?"
    r"|(owner|source)?accountids?",
    re.IGNORECASE,
)
"""Names of properties that grant something to an account or a principal, without a policy document."""

_ACCOUNT = re.compile(r"\d{12}|arn:aws[a-z-]*:(iam|sts)::.*")
_ORGANIZATION = re.compile(r"arn:aws[a-z-]*:organizations::\d{12}:(?:organization|ou)/(o-[a-z0-9]+).*")
_AWS_POLICY = re.compile(r"arn:aws[a-z-]*:(iam|eks)::aws:(cluster-access-)?policy/.+")
_OWN_POLICY = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:policy/.+")


def _granting(resource: Resource) -> Iterator[Document]:
    if resource.type not in LIMITING:
        yield from resource.documents()


def _identity_statements(resource: Resource) -> Iterator[tuple[str, Statement]]:
    """Where statements are that allow something to the identity that has the policy, and the statements."""
    for document in _granting(resource):
        for statement in document.allowed:
            if not statement.is_about_callers and document.property != "assumeRolePolicy":
                yield document.path, statement


def _wide_resources(statement: Statement) -> Iterator[str]:
    yield from filter(is_wide_resource, statement.resources or ("*",))


@rule("A policy document can be read")
def document_is_readable(resource: Resource) -> Iterator[str]:
    for document in resource.documents():
        if document.problem:
            yield f"{document.path} {document.problem}"


@rule("No policy document admits strangers", controls=["KMS.5", "Lambda.1", "SNS.4", "SQS.3"])
def document_admits_only_us(resource: Resource) -> Iterator[str]:
    for document in _granting(resource):
        for problem in admission.strangers(document):
            yield f"{document.path} {problem}"


@rule("An endpoint's policy names resources, or only ours", *ENDPOINTS)
def endpoint_reaches_only_us(endpoint: Resource) -> Iterator[str]:
    for document in endpoint.documents():
        admitted = set(admission.strangers(document))
        for statement in document.allowed:
            if not admitted or admission.reaches_only_ours(statement.condition):
                continue
            for text in statement.resources or statement.not_resources:
                account = (text.split(":") + [""] * 5)[4]
                if statement.not_resources or (is_wide_resource(text) and account not in OURS.accounts):
                    yield (
                        f'{document.path} lets everyone through to "{text}": name the resources, or add a '
                        "condition such as aws:ResourceAccount"
                    )


@rule("No policy allows all actions of AWS or of a service", controls=["IAM.1", "IAM.21"])
def policy_names_its_actions(resource: Resource) -> Iterator[str]:
    for path, statement in _identity_statements(resource):
        if statement.not_actions:
            yield f"{path} allows all actions except some (NotAction): name the actions that are needed"
        for action in filter(is_wide_action, statement.actions):
            yield f"{path} allows {action}: name the actions that are needed"


@rule("A policy names its resources")
def policy_names_its_resources(resource: Resource) -> Iterator[str]:
    for path, statement in _identity_statements(resource):
        if statement.not_resources:
            yield f"{path} covers all resources except some (NotResource): name the resources"
            continue
        for wide in _wide_resources(statement):
            for action in statement.actions:
                if wide != "*" or not any(covers(known, action) for known in ACTIONS_WITHOUT_RESOURCES):
                    yield f'{path} allows {action} on "{wide}": name the resources'


@rule("No policy allows decryption with every key", controls=["KMS.1", "KMS.2"])
def policy_decrypts_with_named_keys(resource: Resource) -> Iterator[str]:
    for path, statement in _identity_statements(resource):
        if not any(_allows(statement, action) for action in DECRYPTING):
            continue
        for wide in statement.not_resources or _wide_resources(statement):
            but = "all but " if statement.not_resources else ""
            yield f"{path} allows decryption with {but}{wide}: name the keys"


@rule("No policy lets its holder gain more permissions")
def policy_gives_no_way_up(resource: Resource) -> Iterator[str]:
    for path, statement in _identity_statements(resource):
        for action in ESCALATING:
            if _allows(statement, action):
                yield f"{path} allows {action}, which lets its holder gain any permission: remove it"
        for action in BORROWING:
            if not _allows(statement, action):
                continue
            for text in statement.not_resources or statement.resources or ("*",):
                if statement.not_resources or WILDCARD.search(text) or "${" in text:
                    yield f'{path} allows {action} on "{text}": name each resource, without a wildcard'


def _allows(statement: Statement, action: str) -> bool:
    if statement.not_actions:
        return not any(covers(pattern, action) for pattern in statement.not_actions)
    return any(covers(pattern, action) for pattern in statement.actions)


@stack_rule("A condition on a network names one of ours")
def condition_names_our_network(resource: Resource, stack: Stack) -> Iterator[str]:
    for document in resource.documents():
        foreign = sorted(admission.networks(document) - set(OURS.vpcs))
        sources = resource.sources.get(re.split(r"[.\[]", document.path)[0], frozenset())
        if foreign and not any(other.type in NETWORKS and other.urn in sources for other in stack.resources):
            yield (
                f"{document.path} has a condition on {', '.join(foreign)}, which this program does not "
                "create: use the id of a network or endpoint of the program, or list it in policy/ours.yaml"
            )


@rule("Only listed policies of AWS are attached", controls=["IAM.1"])
def managed_policy_is_listed(resource: Resource) -> Iterator[str]:
    if resource.is_component:
        return  # the resources that it creates are checked
    for text in _attached(resource, _AWS_POLICY):
        if text.value not in OURS.managed_policies:
            name = text.value.rsplit("/", 1)[-1]
            remedy = "write a policy that allows only what is needed, or list it in policy/ours.yaml"
            yield f"{text.path} is {name}: {remedy}"


@stack_rule("The program contains every policy that it attaches")
def attached_policy_is_known(resource: Resource, stack: Stack) -> Iterator[str]:
    for text in _attached(resource, _OWN_POLICY):
        sources = resource.sources.get(re.split(r"[.\[]", text.path)[0], frozenset())
        if not any(other.type == MANAGED_POLICY and other.urn in sources for other in stack.resources):
            remedy = "use the arn of a Policy in this program"
            yield f"{text.path} is {text.value}, which no rule can check: {remedy}"


def _attached(resource: Resource, kind: re.Pattern[str]) -> Iterator[Text]:
    return (
        text
        for text in resource.texts()
        if POLICY_ARN.search(text.name) and kind.fullmatch(text.value.strip())
    )


@rule("Nothing is shared with strangers")
def nothing_is_shared_with_strangers(resource: Resource) -> Iterator[str]:
    if not resource.type.startswith("aws:") or resource.type == PERMISSION:
        return
    for text in resource.texts():
        # Names in policy documents begin with capitals.
        if (
            text.name[:1].islower()
            and PRINCIPAL_NAME.fullmatch(text.name)
            and _is_stranger(text.value.strip())
        ):
            yield f"{text.path} is {text.value}, which is not in policy/ours.yaml: remove it, or add it there"


def _is_stranger(value: str) -> bool:
    if value == "*" or value.lower() == "all":
        return True
    if found := _ORGANIZATION.fullmatch(value):
        return found[1] != OURS.organization
    return _ACCOUNT.fullmatch(value) is not None and not admission.is_ours(value)
