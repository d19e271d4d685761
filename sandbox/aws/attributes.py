"""Generates the values that AWS assigns: ids, ARNs, endpoints, DNS names and automatic names.

They have each service's real format. `attributes.toml` has templates for each type's id, ARN and other
outputs. All other outputs are derived from the SDK: an output has the value of the input with the same name,
the default that its description documents, or an empty value of its type.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import random
import re
import string
import tomllib
import uuid
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from typing import Any, Protocol, cast

from sandbox.aws import regions
from sandbox.aws.store import ACCOUNT, Store
from sandbox.sdk_schema import Property, Type, properties, schema
from sandbox.values import UNKNOWN
from settings.aws_limits import BROKER_IAM_PORT, BROKER_SCRAM_PORT, BROKER_TLS_PORT

CREATED = "2026-01-01T00:00:00Z"
"""The creation time of every resource. It is fixed, so that two runs have equal results."""

NAME_SERVERS = tuple(
    f"ns-{256 * n}.awsdns-{n:02}.{top}" for n, top in enumerate(("com", "net", "org", "co.uk"))
)
"""The name servers of every public hosted zone."""

Inputs = Mapping[str, Any]


@functools.cache
def forms() -> Mapping[str, Mapping[str, str]]:
    """Resource type → its templates: `id`, `arn` if it has one, and other outputs."""
    text = (resources.files("sandbox.aws") / "attributes.toml").read_text()
    return tomllib.loads(text)


_ALPHABETS = {
    "hex": "0123456789abcdef",
    "low": string.ascii_lowercase + string.digits,
    "up": string.ascii_uppercase + string.digits,
    "mixed": string.ascii_letters + string.digits,
    "digits": "123456789",
}
_RANDOM = re.compile(r"(hex|low|up|mixed|digits)(\d+)")
_DEFAULT = re.compile(
    r"[Dd]efaults? (?:value )?(?:(?:is|to|are) )?(?:set to )?`\"?([^`\"]+)\"?`(?! (?:when|if|for|unless)\b)"
)
_TIME = re.compile(
    r"(create|creation|modified|associated|uploaded?)(d?date|d?at|d?time|d)?$|lastmodified", re.IGNORECASE
)
EMPTY: dict[str, Any] = {"list": [], "map": {}, "boolean": False, "number": 0}
"""The empty value of each kind of type other than strings."""

# Outputs that are computed again at each update. All others keep their value from the creation.
_LIVE = {
    ("aws:acm/certificate:Certificate", "domainValidationOptions"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "networkInterfaceIds"),
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "subnetIds"),
    ("aws:lambda/function:Function", "qualifiedArn"),
    ("aws:lambda/function:Function", "qualifiedInvokeArn"),
    ("aws:lambda/function:Function", "version"),
    ("aws:msk/configuration:Configuration", "latestRevision"),
}


class Cluster(Protocol):
    """The endpoint of a Kubernetes API server."""

    @property
    def endpoint(self) -> str:
        """An `https://` URL."""
        ...

    @property
    def certificate_authority_data(self) -> str:
        """The server's certificate authority, PEM in base64."""
        ...


@dataclass(frozen=True)
class _UnreachableCluster:
    endpoint: str
    certificate_authority_data: str


class Builder:
    """Builds one resource's id, ARN and outputs.

    `builder["vpcId"]` returns the value for a name in a template: a fixed part, an input, another output, a
    computed part or a random part.
    """

    def __init__(
        self,
        token: str,
        inputs: Inputs,
        *,
        region: str,
        default_tags: Mapping[str, str],
        store: Store,
        preview: bool = False,
        old: tuple[str, Inputs, Inputs] | None = None,
        start_cluster: Callable[[str], Cluster] | None = None,
    ) -> None:
        self.token = token
        self.inputs = inputs
        self.region = region
        self.store = store
        self._preview = preview
        nothing: Inputs = {}
        self._old_inputs, self._old_outputs = (old[1], old[2]) if old else (nothing, nothing)
        self._default_tags = default_tags
        self._start_cluster = start_cluster
        self._schema = schema(token)
        self._templates = forms()[token]
        self._known: dict[str, Any] = {"region": region, "account": ACCOUNT}
        if old:
            self._known["id"] = old[0]
            if "arn" in old[2]:
                self._known["arn"] = old[2]["arn"]
        elif not preview:
            # One of the two can depend on the other.
            first = "arn" if self._templates["id"] == "{arn}" else "id"
            for name in dict.fromkeys((first, "id", "arn")):
                if name in self._templates:
                    prefix = "arn:aws:" if name == "arn" else ""
                    self._known[name] = prefix + self.format(self._templates[name])

    @property
    def id(self) -> str:
        """The resource's id; empty in the preview of a creation."""
        return self._known.get("id", "")

    def planned_id(self) -> str:
        """The id if a preview already knows it, because it is one of the inputs; otherwise empty."""
        match = re.fullmatch(r"\{(\w+)\}", self._templates["id"])
        return str(self.inputs.get(match[1], "")) if match else ""

    @property
    def arn(self) -> str:
        """The resource's ARN; empty if the type has none."""
        return self._known.get("arn", "")

    def outputs(self) -> dict[str, Any]:
        """All outputs. In a preview, those that aren't known yet are `UNKNOWN`."""
        found: dict[str, Any] = {}
        for name, prop in self._schema.outputs.items():
            value = self._output(name, prop)
            if value is not None:
                found[name] = value
        return found

    def format(self, template: str) -> str:
        """A template with its parts filled in."""
        return re.sub(r"\{(\w+)\}", lambda match: str(self[match[1]]), template)

    def get(self, name: str, default: Any = None) -> Any:
        """An input, or the default if it isn't set."""
        value = self.inputs.get(name)
        return default if value is None else value

    def old_inputs(self) -> Inputs:
        """The inputs before this update; empty for a creation."""
        return self._old_inputs

    def old_output(self, name: str, default: Any) -> Any:
        """An output before this update."""
        return self._old_outputs.get(name, default)

    def cluster(self) -> Cluster:
        """The Kubernetes API server of an EKS cluster, which is started when it is first needed."""
        if "cluster" not in self._known:
            name = str(self["name"])
            number = stable(32, self.region, name, alphabet="hex").upper()
            self._known["cluster"] = (
                self._start_cluster(name)
                if self._start_cluster
                else _UnreachableCluster(
                    f"https://{number}.gr7.{self.region}.eks.amazonaws.com",
                    base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode(),
                )
            )
        return self._known["cluster"]

    def __getitem__(self, name: str) -> Any:
        if name in self._known:
            return self._known[name]
        if self.inputs.get(name) is not None:
            return self.inputs[name]
        if name in self._templates or name in _STRUCTURES.get(self.token, {}):
            prop = self._schema.outputs.get(name)
            if prop and self._templates.get(name) != f"{{{name}}}":
                return self._output(name, prop)
        if name in _PARTS:
            return _PARTS[name](self)
        if name in _ABSENT:
            return _ABSENT[name]
        return _random(name)

    def _output(self, name: str, prop: Property) -> Any:
        given = self.inputs.get(name)
        if name.endswith("Wo"):
            return None  # write-only: the provider never returns it
        if given is not None and given == self._old_inputs.get(name) and self._old_outputs.get(name):
            return self._old_outputs[name]  # including nested values that AWS added
        if given is not None and (self.token, name) not in _ADDS_TO_INPUT:
            return self._filled(prop.type, given)
        if name in self._known and name not in ("account", "id"):
            return self._known[name]
        if name == "tagsAll":
            return {**self._default_tags, **self.get("tags", {})}
        live = (self.token, name) in _LIVE
        kept = self._old_outputs.get(name) if name not in self._old_inputs else None
        if kept is not None and not live:
            return kept
        default = _documented_default(prop) or _documented_default(self._schema.inputs.get(name))
        structure = _STRUCTURES.get(self.token, {}).get(name)
        if (
            self._preview
            and not (live and kept)
            and (structure or name in self._templates or (prop.required and default is None))
        ):
            return UNKNOWN
        if structure:
            value = self._filled(prop.type, structure(self))
        elif name in self._templates:
            value = self.format(self._templates[name])
        elif default is not None:
            value = default
        elif prop.required:
            value = self._empty(prop)
        else:
            return None
        if self._preview and live and value != kept:
            value = UNKNOWN
        self._known[name] = value
        return value

    def _filled(self, kind: Type, value: Any) -> Any:
        """A value with the nested outputs that AWS adds to it."""
        if kind.item and kind.kind == "list" and isinstance(value, list):
            return [self._filled(kind.item, item) for item in cast(list[Any], value)]
        if not kind.cls or not isinstance(value, dict):
            return value
        known, filled = properties(kind.cls), dict(cast(dict[str, Any], value))
        for name, prop in known.items():
            default = _documented_default(prop)
            if name in filled:
                filled[name] = self._filled(prop.type, filled[name])
            elif default is not None:
                filled[name] = default
            elif prop.required:
                filled[name] = UNKNOWN if self._preview else self._empty(prop)
        return filled

    def _empty(self, prop: Property) -> Any:
        lowered = prop.name.lower()
        if prop.type.kind == "string":
            if lowered in ("ownerid", "accountid", "awsaccountid"):
                return ACCOUNT
            if _TIME.search(lowered):
                return CREATED
            return "ACTIVE" if lowered in ("status", "state") else ""
        plain = EMPTY.get(prop.type.kind)
        return self._filled(prop.type, {}) if plain is None else plain


@functools.cache
def _documented_default(prop: Property | None) -> Any:
    """The default that a description documents, if it documents exactly one and without a condition."""
    stated = {match[1] for match in _DEFAULT.finditer(prop.doc)} if prop else set[str]()
    if not prop or len(stated) != 1:
        return None
    (text,) = stated
    if prop.type.kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if prop.type.kind == "number" and re.fullmatch(r"\d+", text):
        return int(text)
    if (
        prop.type.kind == "string"
        and re.fullmatch(r"[\w./:+-]+", text)
        and text not in ("null", "none", "nil")
    ):
        return text
    return None


draw: ContextVar[random.Random] = ContextVar("draw", default=random.SystemRandom())  # noqa: B039 (it has no state)
"""The source of random parts of ids. Tests set a seeded one, so that ids are the same in each run."""


def _random(name: str) -> str:
    source = draw.get()
    if name in ("uuid", "guid"):
        return str(uuid.UUID(int=source.getrandbits(128), version=4))
    if name == "byte":
        return str(source.randrange(4, 254))
    if name == "base64":
        return base64.b64encode(source.randbytes(32)).decode()
    match = _RANDOM.fullmatch(name)
    if not match:
        raise KeyError(name)
    return "".join(source.choices(_ALPHABETS[match[1]], k=int(match[2])))


def stable(length: int, *parts: str, alphabet: str = "low") -> str:
    """Part of a name that only depends on the given values."""
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    letters = _ALPHABETS[alphabet]
    return "".join(letters[byte % len(letters)] for byte in digest[:length])


# Types whose Terraform ids are only unique within the scope of other inputs.
_SCOPED = {
    "aws:appautoscaling/policy:Policy": ("resourceId", "scalableDimension"),
    "aws:appautoscaling/target:Target": ("scalableDimension",),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": ("logGroupName",),
    "aws:lambda/permission:Permission": ("function",),
}


def scope(token: str, inputs: Inputs) -> str:
    """The scope within which the id of a resource is unique (see `_SCOPED`); empty for most types."""
    return "/".join(str(inputs.get(name, "")) for name in _SCOPED.get(token, ()))


# -- automatic names -----------------------------------------------------------------------------

# Properties to which the bridged provider assigns a name if the program doesn't, and the maximum length of
# the name (pulumi-aws: `provider/resources.go`, `autonaming.go`). For all other types it is `name`, with up
# to 255 characters.
_NAMED = {
    "aws:elasticache/replicationGroup:ReplicationGroup": ("replicationGroupId", 40),
    "aws:iam/role:Role": ("name", 64),
    "aws:kms/alias:Alias": ("name", 238),
    "aws:lambda/function:Function": ("name", 64),
    "aws:lambda/permission:Permission": ("statementId", 100),
    "aws:lb/loadBalancer:LoadBalancer": ("name", 32),
    "aws:lb/targetGroup:TargetGroup": ("name", 32),
    "aws:msk/cluster:Cluster": ("clusterName", 255),
    "aws:s3/bucket:Bucket": ("bucket", 63),
    "aws:sns/topic:Topic": ("name", 80),
    "aws:sqs/queue:Queue": ("name", 80),
}
_LOWERED = {"aws:elasticache/replicationGroup:ReplicationGroup", "aws:s3/bucket:Bucket"}
_PREFIXES = {"namePrefix", "bucketPrefix", "statementIdPrefix"}
# Properties that Terraform names itself at creation, in its own format.
_IDENTIFIERS = {
    "aws:rds/cluster:Cluster": "clusterIdentifier",
    "aws:rds/clusterInstance:ClusterInstance": "identifier",
}
# Types whose `description` the bridged provider sets.
_DESCRIBED = {
    "aws:ec2/securityGroup:SecurityGroup",
    "aws:elasticache/parameterGroup:ParameterGroup",
    "aws:elasticache/subnetGroup:SubnetGroup",
    "aws:rds/clusterParameterGroup:ClusterParameterGroup",
    "aws:rds/parameterGroup:ParameterGroup",
    "aws:rds/subnetGroup:SubnetGroup",
}


def named_property(token: str) -> str | None:
    """The property that the provider names automatically, or None."""
    if token in _NAMED:
        return _NAMED[token][0]
    name = schema(token).inputs.get("name")
    return "name" if name and not name.required else None


def with_defaults(token: str, name: str, inputs: Inputs, old: Inputs, seed: bytes) -> dict[str, Any]:
    """Adds the automatic name and the provider's default description to inputs.

    A resource keeps its automatic name. `__defaults` lists the properties that were added, as in the bridged
    provider. It shows that a name is automatic after a program has stopped setting it.
    """
    filled = dict(inputs)
    defaults: list[str] = []

    def fill(prop: str | None, value: str) -> None:
        if prop and filled.get(prop) is None:
            filled[prop] = old[prop] if prop in old.get("__defaults", []) else value
            defaults.append(prop)

    prefix = next((value for key, value in inputs.items() if value and key in _PREFIXES), None)
    if prefix is None:
        fill(named_property(token), _auto_name(token, name, inputs, seed))
    else:
        fill(named_property(token), f"{prefix}{_seeded(26, seed, 'digits')}")
    fill(_IDENTIFIERS.get(token), f"tf-{_seeded(26, seed, 'digits')}")
    fill("description" if token in _DESCRIBED else None, "Managed by Pulumi")
    if token.endswith(":BucketObjectv2"):
        fill("key", name)
    filled["__defaults"] = sorted(defaults)
    return filled


def _auto_name(token: str, name: str, inputs: Inputs, seed: bytes) -> str:
    longest = _NAMED.get(token, ("", 255))[1]
    fifo = ".fifo" if inputs.get("fifoQueue") or inputs.get("fifoTopic") else ""
    suffix = f"-{_seeded(7, seed, 'hex')}"
    text = f"{name[: longest - len(suffix)]}{suffix}{fifo}"
    if token in _LOWERED:
        text = text.lower()
    return f"alias/{text}" if "kms/alias:" in token and not text.startswith("alias/") else text


def _seeded(length: int, seed: bytes, alphabet: str) -> str:
    return stable(length, seed.hex(), alphabet=alphabet) if seed else _random(f"{alphabet}{length}")


# -- parts of ids and names ----------------------------------------------------------------------


def _path(arn: str, kinds: int = 1) -> str:
    """An ARN's resource without its leading types, such as `app/web/0123` for a load balancer."""
    return arn.split(":", 5)[-1].split("/", kinds)[-1]


def _subnet_vpc(builder: Builder) -> str:
    names = ("subnets", "subnetIds", "vpcSubnetIds")
    subnets = next((list[str](builder.get(name)) for name in names if builder.get(name)), list[str]())
    mappings: list[dict[str, Any]] = builder.get("subnetMappings", [])
    for subnet in [*subnets, *(mapping.get("subnetId") for mapping in mappings)]:
        row = builder.store.owner(str(subnet))
        if row:
            return str(row.outputs.get("vpcId", ""))
    return ""


def _load_balancer_dns(builder: Builder) -> str:
    if builder.get("loadBalancerType") == "network":
        return f"{builder['name']}-{builder['arnLast']}.elb.{builder.region}.amazonaws.com"
    internal = "internal-" if builder.get("internal") else ""
    return f"{internal}{builder['name']}-{_random('digits10')}.{builder.region}.elb.amazonaws.com"


def _load_balancer_zone(builder: Builder) -> str:
    zones = regions.LOAD_BALANCER_ZONES.get(builder.region)
    if not zones:
        return f"Z{stable(13, builder.region, 'elb', alphabet='up')}"
    return zones[1] if builder.get("loadBalancerType") == "network" else zones[0]


def _elastic_ip(builder: Builder) -> str:
    address = builder.store.owner(builder.get("allocationId", ""))
    return str(address.outputs["publicIp"]) if address else ""


def _is_private(builder: Builder) -> bool:
    return builder.get("endpointConfiguration", {}).get("types") == "PRIVATE"


def _domain_id(builder: Builder) -> str:
    return stable(10, builder.region, builder["domainName"]) if _is_private(builder) else ""


def _brokers(port: int, enabled: Callable[[Builder], Any]) -> Callable[[Builder], str]:
    def hosts(builder: Builder) -> str:
        if not enabled(builder):
            return ""
        name, unique = builder["clusterName"], stable(6, builder.arn)
        domain = f"{name}.{unique}.c2.kafka.{builder.region}.amazonaws.com:{port}"
        return ",".join(
            f"b-{number + 1}.{domain}" for number in range(min(3, int(builder["numberOfBrokerNodes"])))
        )

    return hosts


def _sasl(builder: Builder) -> dict[str, Any]:
    return builder.get("clientAuthentication", {}).get("sasl") or {}


def _client_tls(builder: Builder) -> bool:
    transit: Mapping[str, str] = builder.get("encryptionInfo", {}).get("encryptionInTransit") or {}
    return transit.get("clientBroker", "TLS") != "PLAINTEXT"


def _sharded(builder: Builder) -> bool:
    group = str(builder.get("parameterGroupName", ""))
    return (
        int(builder.get("numNodeGroups", 1)) > 1
        or builder.get("clusterMode") == "enabled"
        or "cluster.on" in group
    )


def _cache_host(role: str, sharded: bool) -> Callable[[Builder], str]:
    def host(builder: Builder) -> str:
        if _sharded(builder) != sharded:
            return ""
        short = regions.zone_id(regions.zones(builder.region)[0]).split("-")[0]
        return f"{role}.{builder.id}.{stable(6, builder.region, builder.id)}.{short}.cache.amazonaws.com"

    return host


def _lambda_version(builder: Builder) -> str:
    """The version of a function. A published function gets a new one when its code or configuration
    changes."""
    if not builder.get("publish"):
        return "$LATEST"
    old = str(builder.old_output("version", "0"))
    changed = {k: v for k, v in builder.inputs.items() if k not in ("tags", "__defaults")} != {
        k: v for k, v in builder.old_inputs().items() if k not in ("tags", "__defaults")
    }
    return str(int(old) + 1) if old.isdigit() and changed else old


def _adopted_group(builder: Builder) -> str:
    row = builder.store.owner(builder.get("vpcId", ""))
    return str(row.outputs["defaultSecurityGroupId"]) if row else f"sg-{_random('hex17')}"


def _key_arn(builder: Builder) -> str:
    row = builder.store.owner(builder.get("targetKeyId", ""))
    return row.arn if row else ""


def _associated_path(builder: Builder) -> str:
    domain = builder["domainNameArn"].rsplit("/", 1)[-1]
    return (
        f"/domainnameaccessassociations/domainname/{domain}/vpcesource/{builder['accessAssociationSource']}"
    )


# Names of service-linked roles, which the services choose ("Using service-linked roles" in each one's guide).
_SCALING_ROLE = "AWSServiceRoleForApplicationAutoScaling_"
_LINKED_ROLES = {
    "dynamodb.application-autoscaling.amazonaws.com": f"{_SCALING_ROLE}DynamoDBTable",
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "elasticache.amazonaws.com": "AWSServiceRoleForElastiCache",
    "elasticache.application-autoscaling.amazonaws.com": f"{_SCALING_ROLE}ElastiCacheRG",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "kafka.amazonaws.com": "AWSServiceRoleForKafka",
    "kafka.application-autoscaling.amazonaws.com": f"{_SCALING_ROLE}KafkaCluster",
    "lambda.application-autoscaling.amazonaws.com": f"{_SCALING_ROLE}LambdaConcurrency",
    "management.chatbot.amazonaws.com": "AWSServiceRoleForAWSChatbot",
    "ops.apigateway.amazonaws.com": "AWSServiceRoleForAPIGateway",
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
    "rds.application-autoscaling.amazonaws.com": f"{_SCALING_ROLE}RDSCluster",
    "replication.dynamodb.amazonaws.com": "AWSServiceRoleForDynamoDBReplication",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "wafv2.amazonaws.com": "AWSServiceRoleForWAFV2Logging",
}

# Values of optional inputs in templates if they aren't set.
_ABSENT = {
    "basePath": "",
    "dbProxyEndpointName": "",
    "engineVersion": "",
    "indexName": "",
    "path": "/",
}

_PARTS: dict[str, Callable[[Builder], str]] = {
    "adoptedGroup": _adopted_group,
    "arnLast": lambda b: b.arn.rsplit("/", 1)[-1],
    "associationPath": _associated_path,
    "brokersTls": _brokers(BROKER_TLS_PORT, _client_tls),
    "brokersScram": _brokers(BROKER_SCRAM_PORT, lambda b: _sasl(b).get("scram")),
    "brokersIam": _brokers(BROKER_IAM_PORT, lambda b: _sasl(b).get("iam")),
    "cacheConfiguration": _cache_host("clustercfg", sharded=True),
    "cachePrimary": _cache_host("master", sharded=False),
    "cacheReader": _cache_host("replica", sharded=False),
    "clientSecret": lambda b: _random("low51") if b.get("generateSecret") else "",
    "clusterPath": lambda b: _path(b["clusterArn"]),
    "dashedIp": lambda b: str(b["publicIp"]).replace(".", "-"),
    "domainNameId": _domain_id,
    "domainPath": lambda b: (
        f"{ACCOUNT}:/domainnames/{b['domainName']}+{_domain_id(b)}"
        if _is_private(b)
        else f":/domainnames/{b['domainName']}"
    ),
    "domainSuffix": lambda b: f"/{_domain_id(b)}" if _is_private(b) else "",
    "eipAddress": _elastic_ip,
    "issuer": lambda b: b["url"].removeprefix("https://"),
    "idLast": lambda b: b.id.rsplit("|", 1)[-1],
    "invokePath": lambda b: (
        f"arn:aws:apigateway:{b.region}:lambda:path/2015-03-31/functions/{b.arn}/invocations"
    ),
    "keyArn": _key_arn,
    "lambdaVersion": _lambda_version,
    "lbDns": _load_balancer_dns,
    "lbKind": lambda b: {"network": "net", "gateway": "gwy"}.get(b.get("loadBalancerType", ""), "app"),
    "lbZone": _load_balancer_zone,
    "linkedRole": lambda b: _LINKED_ROLES.get(b["awsServiceName"], "AWSServiceRoleForTheService"),
    "mainRegion": lambda b: b["globalTableArn"].rsplit(":", 2)[0].rsplit(":", 1)[-1],
    "mappingSuffix": lambda b: f"/{b.get('domainNameId')}" if b.get("domainNameId") else "",
    "parentPath": lambda b: _path(b.get("loadBalancerArn") or b.get("listenerArn", "")),
    "plainFunction": lambda b: str(b["functionName"]).rsplit(":", 1)[-1],
    "policyName": lambda b: b.get("resourceArn", ""),
    "prefixList": lambda b: (
        f"pl-{stable(8, b.region, b.get('serviceName', ''), alphabet='hex')}"
        if b.get("vpcEndpointType", "Gateway") == "Gateway"
        else ""
    ),
    "principalPath": lambda b: f"role/{ACCOUNT}/{b['principalArn'].rsplit('/', 1)[-1]}",
    "proxyResource": lambda b: b.get("dbClusterIdentifier") or b.get("dbInstanceIdentifier", ""),
    "proxyTarget": lambda b: f"{b['proxyType']}/{b['proxyResource']}",
    "proxyType": lambda b: "TRACKED_CLUSTER" if b.get("dbClusterIdentifier") else "RDS_INSTANCE",
    "rdsDomain": lambda b: f"c{stable(11, ACCOUNT, b.region)}.{b.region}.rds.amazonaws.com",
    "scalingPath": lambda b: (
        f"{_random('uuid')}:resource/{b['serviceNamespace']}/{b['resourceId']}:policyName/{b['name']}"
    ),
    "secretPath": lambda b: b["secretId"].removeprefix("arn:aws:"),
    "setSuffix": lambda b: f"_{b.get('setIdentifier')}" if b.get("setIdentifier") else "",
    "streamArn": lambda b: f"{b.arn}/stream/{b['streamLabel']}" if b.get("streamEnabled") else "",
    "streamLabel": lambda b: "2026-01-01T00:00:00.000" if b.get("streamEnabled") else "",
    "subnetVpc": _subnet_vpc,
    "tableName": lambda b: _path(b["globalTableArn"]),
    "topicPath": lambda b: b["topic"].removeprefix("arn:aws:"),
    "zoneIdOfZone": lambda b: regions.zone_id(b["availabilityZone"]),
    "anyZone": lambda b: regions.zones(b.region)[0],
    "wafScope": lambda b: "global" if b.get("scope") == "CLOUDFRONT" else "regional",
}


# -- outputs that are not strings ----------------------------------------------------------------


def _endpoint_subnets(builder: Builder) -> list[str]:
    configured: list[dict[str, Any]] = builder.get("subnetConfigurations", [])
    return builder.get("subnetIds") or [item["subnetId"] for item in configured if item.get("subnetId")]


def _endpoint_dns(builder: Builder) -> list[dict[str, str]]:
    if builder.get("vpcEndpointType") != "Interface":
        return []
    service = str(builder["serviceName"]).rsplit(".", 1)[-1]
    host = f"{builder.id}-{stable(8, builder.id)}.{service}.{builder.region}.vpce.amazonaws.com"
    zone = f"Z{stable(13, builder.region, 'vpce', alphabet='up')}"
    return [{"dnsName": host, "hostedZoneId": zone}]


def _validation_options(builder: Builder) -> list[dict[str, str]]:
    if not builder.get("domainName"):
        return []  # an imported certificate
    names = [builder["domainName"], *builder.get("subjectAlternativeNames", [])]
    found: dict[str, dict[str, str]] = {}
    for name in names:
        plain = name.removeprefix("*.")
        found[name] = {
            "domainName": name,
            # A wildcard and its parent domain share one record.
            "resourceRecordName": f"_{stable(32, plain, alphabet='hex')}.{plain}.",
            "resourceRecordType": "CNAME",
            "resourceRecordValue": f"_{stable(32, plain, 'v', alphabet='hex')}.acm-validations.aws.",
        }
    return list(found.values())


def _eks_network(builder: Builder) -> dict[str, Any]:
    given: dict[str, Any] = dict(builder.get("vpcConfig", {}))
    subnets: list[str] = given.get("subnetIds") or []
    row = builder.store.owner(subnets[0]) if subnets else None
    old: dict[str, Any] = builder.old_output("vpcConfig", {})
    return {
        "endpointPrivateAccess": False,
        "endpointPublicAccess": True,
        "publicAccessCidrs": ["0.0.0.0/0"],
        "securityGroupIds": [],
        **given,
        "clusterSecurityGroupId": old.get("clusterSecurityGroupId") or f"sg-{_random('hex17')}",
        "vpcId": row.outputs["vpcId"] if row else "",
    }


def _eks_issuer(builder: Builder) -> list[dict[str, Any]]:
    number = stable(32, builder.arn, builder.id, alphabet="hex").upper()
    return [{"oidcs": [{"issuer": f"https://oidc.eks.{builder.region}.amazonaws.com/id/{number}"}]}]


def _port(builder: Builder) -> int:
    engine = str(builder.get("engine", ""))
    return 5432 if "postgres" in engine else 3306


def _managed_secret(builder: Builder) -> list[dict[str, str]]:
    if not builder.get("manageMasterUserPassword"):
        return []
    name = f"rds!cluster-{stable(8, builder.id, alphabet='hex')}-{stable(6, builder.id, alphabet='mixed')}"
    arn = f"arn:aws:secretsmanager:{builder.region}:{ACCOUNT}:secret:{name}"
    return [
        {"kmsKeyId": builder.get("masterUserSecretKmsKeyId", ""), "secretArn": arn, "secretStatus": "active"}
    ]


def _is_first_instance(builder: Builder) -> bool:
    others = builder.store.all("aws:rds/clusterInstance:ClusterInstance")
    return all(row.inputs.get("clusterIdentifier") != builder["clusterIdentifier"] for row in others)


def _member_clusters(builder: Builder) -> list[str]:
    shards = int(builder.get("numNodeGroups", 1))
    nodes = int(builder.get("numCacheClusters", 0)) or shards * (
        1 + int(builder.get("replicasPerNodeGroup", 0))
    )
    if not _sharded(builder):
        return [f"{builder.id}-{number + 1:03}" for number in range(nodes)]
    each = nodes // shards
    return [f"{builder.id}-{s + 1:04}-{n + 1:03}" for s in range(shards) for n in range(each)]


_STRUCTURES: dict[str, dict[str, Callable[[Builder], Any]]] = {
    "aws:acm/certificate:Certificate": {
        "domainValidationOptions": _validation_options,
        "subjectAlternativeNames": lambda b: [b.get("domainName", "")],
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "dnsEntries": _endpoint_dns,
        "networkInterfaceIds": lambda b: [
            f"eni-{stable(17, b.id, s, alphabet='hex')}" for s in _endpoint_subnets(b)
        ],
        "subnetIds": _endpoint_subnets,
    },
    "aws:eks/cluster:Cluster": {
        "certificateAuthority": lambda b: {"data": b.cluster().certificate_authority_data},
        "endpoint": lambda b: b.cluster().endpoint,
        "identities": _eks_issuer,
        "vpcConfig": _eks_network,
    },
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "clusterEnabled": _sharded,
        "memberClusters": _member_clusters,
        "numCacheClusters": lambda b: len(_member_clusters(b)),
        "numNodeGroups": lambda _: 1,
    },
    "aws:lambda/function:Function": {"architectures": lambda _: ["x86_64"], "sourceCodeSize": lambda _: 1024},
    "aws:msk/configuration:Configuration": {
        "latestRevision": lambda b: int(b.old_output("latestRevision", 0)) + 1
    },
    "aws:rds/cluster:Cluster": {
        "availabilityZones": lambda b: regions.zones(b.region)[:3],
        "publiclyAccessible": lambda _: False,
        "masterUserSecrets": _managed_secret,
        "port": _port,
    },
    "aws:rds/clusterInstance:ClusterInstance": {"port": _port, "writer": _is_first_instance},
    "aws:rds/proxyTarget:ProxyTarget": {"port": lambda _: 5432},
    "aws:route53/zone:Zone": {"nameServers": lambda _: list(NAME_SERVERS)},
    "aws:wafv2/webAcl:WebAcl": {"capacity": lambda b: 10 * len(b.get("rules", []))},
}
# Outputs that contain more than the input with the same name.
_ADDS_TO_INPUT = {
    ("aws:eks/cluster:Cluster", "vpcConfig"),
}
