"""Simulates the `eks` provider: its `Cluster` component in Auto Mode.

It registers the same children as the official component (4.4.0, `nodejs/eks/cluster/cluster.ts` in
pulumi/pulumi-eks). There are two differences: the CoreDNS add-on only has a version if the program sets one
(the official component requests the newest from AWS), and arguments that this program doesn't use are errors.
"""

# ruff: noqa: ARG002 (the base class defines the signatures)

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pulumi.runtime.proto import provider_pb2

from sandbox.construct import Component, ComponentProvider, Output, Registered, combine
from sandbox.rpc import ProviderError
from sandbox.values import UNKNOWN, Properties, is_dict

AWS_VERSION = importlib.metadata.version("pulumi_aws")
KUBERNETES_VERSION = importlib.metadata.version("pulumi_kubernetes")

_ARGUMENTS = {
    "accessEntries",
    "authenticationMode",
    "autoMode",
    "corednsAddonOptions",
    "deletionProtection",
    "enabledClusterLogTypes",
    "encryptionConfigKeyArn",
    "endpointPrivateAccess",
    "endpointPublicAccess",
    "name",
    "privateSubnetIds",
    "publicAccessCidrs",
    "publicSubnetIds",
    "skipDefaultNodeGroup",
    "tags",
    "upgradePolicy",
    "version",
    "vpcId",
}

_CLUSTER_POLICIES = (
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)
_NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
_INSTANCE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryReadOnly",
)


class EksProvider(ComponentProvider):
    """Supports `eks.Cluster` and rejects everything else."""

    name = "eks"
    version = importlib.metadata.version("pulumi_eks")

    def construct(
        self, config: Properties, request: provider_pb2.ConstructRequest
    ) -> provider_pb2.ConstructResponse:
        """Registers a cluster and its children."""
        if request.type != "eks:index:Cluster":
            raise ProviderError(f"the sandbox's eks provider does not support {request.type}")
        with Component(request) as component:
            return component.finish(_Cluster(component).build())


@dataclass(frozen=True)
class _ServiceRole:
    """A role and, as `attached`, the URNs of the resources that must exist before it is used."""

    role: Registered
    attached: list[str]

    @property
    def resolved(self) -> Output:
        """The role as an input that depends on the role's policies."""
        reference = self.role.reference
        return Output(reference.value, reference.dependencies | set(self.attached))


class _Cluster:
    def __init__(self, component: Component) -> None:
        self._component = component
        self._name = component.name
        self._argument = component.argument
        self._check()

    def _value(self, argument: str) -> Any:
        return self._argument(argument).value

    def _check(self) -> None:
        for argument, output in self._component.arguments.items():
            if argument not in _ARGUMENTS and output.value is not None:
                self._refuse(f"does not support the argument {argument} (value {output.value!r})")
        auto_mode = self._value("autoMode")
        if not is_dict(auto_mode) or auto_mode.get("enabled") is not True:
            self._refuse("only supports Auto Mode")
        if self._value("authenticationMode") != "API":
            self._refuse("only supports the authenticationMode API, because Auto Mode needs access entries")
        if self._value("vpcId") is None:
            self._refuse("has no default VPC: set vpcId")
        if self._value("publicAccessCidrs") and self._value("endpointPublicAccess") is False:
            self._refuse("requires endpointPublicAccess for publicAccessCidrs")

    def _refuse(self, what: str) -> NoReturn:
        raise ProviderError(f"eks.Cluster {self._name}: the sandbox's eks provider {what}")

    def build(self) -> dict[str, object]:
        """Registers the children and returns the component's outputs."""
        cluster_role = self._service_role(
            "eksRole",
            "eks.amazonaws.com",
            _CLUSTER_POLICIES,
            actions=["sts:AssumeRole", "sts:TagSession"],
            description="Allows EKS to manage clusters on your behalf.",
        )
        node_role = self._node_role()
        cluster = self._eks_cluster(cluster_role, node_role)
        kubeconfig = combine(
            [
                cluster.output("name"),
                cluster.output("endpoint"),
                cluster.output("certificateAuthority")["data"],
                cluster.output("arn"),
            ]
        ).map(lambda parts: _kubeconfig(*parts))
        kubeconfig_json = kubeconfig.map(lambda document: json.dumps(document, separators=(",", ":")))
        kubernetes = self._component.register(
            "pulumi:providers:kubernetes",
            f"{self._name}-eks-k8s",
            {"kubeconfig": kubeconfig_json},
            version=KUBERNETES_VERSION,
        )
        instance_role = self._instance_role()
        self._access_entries(cluster, instance_role)
        self._coredns(cluster)
        outputs = self._outputs(cluster, cluster_role, node_role, instance_role, kubernetes)
        outputs["core"]["kubeconfig"] = kubeconfig
        return {**outputs, "kubeconfig": kubeconfig, "kubeconfigJson": kubeconfig_json}

    def _aws(self, type_token: str, name: str, inputs: dict[str, object], **options: Any) -> Registered:
        return self._component.register(type_token, name, inputs, version=AWS_VERSION, **options)

    def _service_role(
        self,
        suffix: str,
        service: str,
        policies: Sequence[str],
        actions: Sequence[str] = ("sts:AssumeRole",),
        description: str | None = None,
    ) -> _ServiceRole:
        name = f"{self._name}-{suffix}"
        urn = self._component.register_component("eks:index:ServiceRole", name)
        statement = {"Action": list(actions), "Effect": "Allow", "Principal": {"Service": [service]}}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        role = self._aws(
            "aws:iam/role:Role",
            f"{name}-role",
            {
                "description": description,
                "assumeRolePolicy": json.dumps(policy, separators=(",", ":")),
                "tags": self._argument("tags"),
            },
            parent=urn,
        )
        attachments: list[str] = []
        for managed in policies:
            arn = f"arn:aws:iam::aws:policy/{managed}"
            attachment = self._aws(
                "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                f"{name}-{hashlib.sha1(arn.encode(), usedforsecurity=False).hexdigest()[:8]}",
                {"policyArn": arn, "role": role.reference},
                parent=urn,
            )
            attachments.append(attachment.urn)
        return _ServiceRole(role, [role.urn, *attachments])

    def _subnet_ids(self) -> Output:
        # An unknown id doesn't make the whole list unknown.
        both = combine([self._argument("publicSubnetIds"), self._argument("privateSubnetIds")])
        lists = [group for group in both.value if group is not None]
        unknown = UNKNOWN in lists
        ids = UNKNOWN if unknown else [item for group in lists for item in group]
        return Output(ids, both.dependencies, both.secret)

    def _eks_cluster(self, role: _ServiceRole, node_role: _ServiceRole | None) -> Registered:
        # The `aws` provider requires that these three are known or unknown together.
        auto_mode = combine(
            {
                "config": self._argument("autoMode")["computeConfig"],
                "nodeRoleArn": node_role.role.output("arn") if node_role else None,
            }
        ).map(_auto_mode)
        key = self._argument("encryptionConfigKeyArn")
        name = f"{self._name}-eksCluster"
        given = ("name", "version", "enabledClusterLogTypes", "deletionProtection", "upgradePolicy")
        network = ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs")
        return self._aws(
            "aws:eks/cluster:Cluster",
            name,
            {
                **{argument: self._argument(argument) for argument in given},
                "roleArn": role.role.output("arn"),
                "computeConfig": auto_mode["computeConfig"],
                "storageConfig": auto_mode["storageConfig"],
                "kubernetesNetworkConfig": auto_mode["kubernetesNetworkConfig"],
                "bootstrapSelfManagedAddons": False,
                "vpcConfig": {
                    "subnetIds": self._subnet_ids(),
                    **{argument: self._argument(argument) for argument in network},
                },
                "tags": combine([{"Name": name}, self._argument("tags")]).map(_merged),
                "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]}
                if key.value is not None
                else None,
                "accessConfig": {
                    "authenticationMode": self._argument("authenticationMode"),
                    "bootstrapClusterCreatorAdminPermissions": True,
                },
            },
            depends_on=role.attached + (node_role.attached if node_role else []),
            ignore_changes=[
                "accessConfig.bootstrapClusterCreatorAdminPermissions",
                "bootstrapSelfManagedAddons",
            ],
        )

    def _node_role(self) -> _ServiceRole | None:
        if self._value("autoMode").get("createNodeRole") is False:
            return None
        return self._service_role("nodeRole", "ec2.amazonaws.com", _NODE_POLICIES)

    def _instance_role(self) -> _ServiceRole | None:
        # The component creates it for a default node group, even in Auto Mode, unless the program opts out.
        if self._value("skipDefaultNodeGroup"):
            return None
        role = self._service_role("instanceRole", "ec2.amazonaws.com", _INSTANCE_POLICIES)
        self._aws(
            "aws:iam/instanceProfile:InstanceProfile",
            f"{self._name}-instanceProfile",
            {"role": role.resolved},
        )
        return role

    def _access_entries(self, cluster: Registered, instance_role: _ServiceRole | None) -> None:
        entries: dict[str, Output] = {}
        if instance_role:
            arn = instance_role.role.output("arn")
            entries["defaultNodeGroupInstanceRole"] = combine(
                {
                    "principalArn": Output(arn.value, instance_role.resolved.dependencies),
                    "type": "EC2_LINUX",
                }
            )
        given = self._argument("accessEntries")
        if is_dict(given.value):
            entries |= {name: given[name] for name in given.value}
        for name, entry in entries.items():
            registered = self._aws(
                "aws:eks/accessEntry:AccessEntry",
                f"{self._name}-{name}",
                {
                    "clusterName": cluster.output("name"),
                    "principalArn": entry["principalArn"],
                    "kubernetesGroups": entry["kubernetesGroups"],
                    "tags": entry["tags"],
                    "type": entry["type"],
                    "userName": entry["username"],
                },
                depends_on=[cluster.urn],
            )
            policies = entry["accessPolicies"]
            for policy in policies.value if is_dict(policies.value) else {}:
                self._aws(
                    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
                    f"{self._name}-{name}-{policy}",
                    {
                        "clusterName": cluster.output("name"),
                        "principalArn": entry["principalArn"],
                        "policyArn": policies[policy]["policyArn"],
                        "accessScope": policies[policy]["accessScope"],
                    },
                    parent=registered.urn,
                    depends_on=[registered.urn],
                )

    def _coredns(self, cluster: Registered) -> None:
        options = self._argument("corednsAddonOptions")
        if is_dict(options.value) and options.value.get("enabled") is False:
            return
        self._aws(
            "aws:eks/addon:Addon",
            f"{self._name}-coredns",
            {
                "clusterName": cluster.output("name"),
                "addonName": "coredns",
                "tags": self._argument("tags"),
                "preserve": True,
                "addonVersion": options["version"],
                "resolveConflictsOnCreate": options["resolveConflictsOnCreate"].value or "OVERWRITE",
                "resolveConflictsOnUpdate": options["resolveConflictsOnUpdate"].value or "OVERWRITE",
            },
        )

    def _outputs(
        self,
        cluster: Registered,
        cluster_role: _ServiceRole,
        node_role: _ServiceRole | None,
        instance_role: _ServiceRole | None,
        kubernetes: Registered,
    ) -> dict[str, Any]:
        issuer = cluster.output("identities").map(_issuer)
        shared: dict[str, Any] = {
            "autoModeNodeRoleName": node_role.role.output("name") if node_role else "",
            "instanceRoles": [instance_role.resolved] if instance_role else [],
        }
        given = ("privateSubnetIds", "publicSubnetIds", "tags", "vpcId")
        group = cluster.output("vpcConfig")["clusterSecurityGroupId"]
        return {
            **shared,
            "clusterIngressRuleId": "",
            "clusterSecurityGroupId": group,
            "core": {
                **shared,
                **{argument: self._argument(argument) for argument in given},
                "accessEntries": [],
                "cluster": cluster.reference,
                "clusterIamRole": cluster_role.role.reference,
                "encryptionConfig": cluster.output("encryptionConfig"),
                "endpoint": cluster.output("endpoint"),
                "nodeGroupOptions": {"version": self._argument("version")},
                "provider": kubernetes.reference,
                "storageClasses": {},
                "subnetIds": self._subnet_ids(),
            },
            "defaultNodeGroupAsgName": "",
            "eksCluster": cluster.reference,
            "fargateProfileId": "",
            "fargateProfileStatus": "",
            "nodeSecurityGroupId": group,
            "oidcIssuer": issuer.map(lambda url: url.removeprefix("https://")),
            "oidcProviderArn": "",
            "oidcProviderUrl": issuer,
        }


def _auto_mode(parts: Properties) -> Properties:
    compute: Properties = {"enabled": True, "nodePools": ["general-purpose", "system"]}
    if parts.get("nodeRoleArn") is not None:
        compute["nodeRoleArn"] = parts["nodeRoleArn"]
    return {
        "computeConfig": {**compute, **parts.get("config", {})},
        "storageConfig": {"blockStorage": {"enabled": True}},
        "kubernetesNetworkConfig": {"elasticLoadBalancing": {"enabled": True}, "ipFamily": "ipv4"},
    }


def _merged(parts: list[dict[str, str] | None]) -> dict[str, str]:
    return {key: value for part in parts for key, value in (part or {}).items()}


def _issuer(identities: Any) -> str:
    try:
        return identities[0]["oidcs"][0]["issuer"]
    except (IndexError, KeyError, TypeError):
        return ""


def _kubeconfig(name: str, endpoint: str, authority: str, arn: str) -> Properties:
    api_version = "client.authentication.k8s.io/v1beta1"
    command = ["--region", arn.split(":")[3], "eks", "get-token", "--cluster-name", name, "--output", "json"]
    credential = {
        "apiVersion": api_version,
        "command": "aws",
        "args": command,
        "env": [{"name": "KUBERNETES_EXEC_INFO", "value": json.dumps({"apiVersion": api_version})}],
    }
    cluster = {"server": endpoint, "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "clusters": [{"cluster": cluster, "name": "kubernetes"}],
        "contexts": [{"context": {"cluster": "kubernetes", "user": "aws"}, "name": "aws"}],
        "current-context": "aws",
        "kind": "Config",
        "users": [{"name": "aws", "user": {"exec": credential}}],
    }
