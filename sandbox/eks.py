"""The stand-in for the `eks` provider: its `Cluster` component in Auto Mode.

It registers the children that the official component (4.4.0, `nodejs/eks/cluster/cluster.ts` in
pulumi/pulumi-eks) registers. Two things differ: the CoreDNS add-on gets no version unless the program gives
one (the official component asks AWS for the newest), and an argument that is not known here is an error.
"""

# ruff: noqa: ARG002 (the signatures are the base class's)

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pulumi.runtime.proto import provider_pb2

from sandbox.construct import Component, ComponentProvider, Output, Registered, combine
from sandbox.rpc import Properties, ProviderError
from sandbox.values import is_dict

AWS_VERSION = importlib.metadata.version("pulumi_aws")
KUBERNETES_VERSION = importlib.metadata.version("pulumi_kubernetes")

_ARGUMENTS = {
    "accessEntries",
    "authenticationMode",
    "autoMode",
    "clusterTags",
    "corednsAddonOptions",
    "createInstanceRole",
    "deletionProtection",
    "enableConfigMapMutable",
    "enabledClusterLogTypes",
    "encryptionConfigKeyArn",
    "endpointPrivateAccess",
    "endpointPublicAccess",
    "ipFamily",
    "kubeProxyAddonOptions",
    "kubernetesServiceIpAddressRange",
    "name",
    "privateSubnetIds",
    "publicAccessCidrs",
    "publicSubnetIds",
    "skipDefaultNodeGroup",
    "subnetIds",
    "tags",
    "upgradePolicy",
    "version",
    "vpcId",
}
# Arguments that are known with the value that changes nothing in Auto Mode.
_WITHOUT_EFFECT = {"createOidcProvider": False, "skipDefaultSecurityGroups": True, "useDefaultVpcCni": True}

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
    """Knows `eks.Cluster` and refuses everything else."""

    name = "eks"
    version = importlib.metadata.version("pulumi_eks")

    def construct_component(
        self, config: Properties, request: provider_pb2.ConstructRequest
    ) -> provider_pb2.ConstructResponse:
        """Registers a cluster and its children."""
        if request.type != "eks:index:Cluster":
            raise ProviderError(f"the sandbox's eks stand-in does not know {request.type}")
        with Component(request) as component:
            return component.finish(_Cluster(component).build())


@dataclass(frozen=True)
class _ServiceRole:
    """A role and, as `attached`, the URNs of what must be there before it is used."""

    role: Registered
    attached: list[str]

    @property
    def resolved(self) -> Output:
        """The role as an input that waits for its policies."""
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
            without_effect = argument in _WITHOUT_EFFECT and output.value == _WITHOUT_EFFECT[argument]
            if argument not in _ARGUMENTS and not without_effect and output.value is not None:
                raise ProviderError(
                    f"eks.Cluster {self._name}: the sandbox's eks stand-in does not know the argument "
                    f"{argument} with the value {output.value!r}"
                )
        auto_mode = self._value("autoMode")
        if not is_dict(auto_mode) or auto_mode.get("enabled") is not True:
            raise ProviderError(f"eks.Cluster {self._name}: the sandbox's eks stand-in knows Auto Mode only")
        if self._value("authenticationMode") != "API":
            raise ProviderError(
                f"eks.Cluster {self._name}: Auto Mode needs access entries, and the sandbox's eks stand-in "
                f"knows the authenticationMode API only"
            )
        if self._value("vpcId") is None:
            raise ProviderError(f"eks.Cluster {self._name}: the sandbox has no default VPC; give vpcId")
        if self._value("subnetIds") and (self._value("publicSubnetIds") or self._value("privateSubnetIds")):
            raise ProviderError(
                f"eks.Cluster {self._name}: subnetIds, and the use of publicSubnetIds and/or "
                f"privateSubnetIds are mutually exclusive. Choose a single approach."
            )
        if self._value("publicAccessCidrs") and self._value("endpointPublicAccess") is False:
            raise ProviderError(
                f"eks.Cluster {self._name}: `publicAccessCidrs` can only be set when `endpointPublicAccess` "
                f"is true"
            )

    def build(self) -> dict[str, object]:
        """Registers the children and returns the component's outputs."""
        cluster_role = self._service_role(
            "eksRole",
            "eks.amazonaws.com",
            _CLUSTER_POLICIES,
            actions=["sts:AssumeRole", "sts:TagSession"],
            description="Allows EKS to manage clusters on your behalf.",
        )
        node_role = None
        if self._value("autoMode").get("createNodeRole") is not False:
            node_role = self._service_role("nodeRole", "ec2.amazonaws.com", _NODE_POLICIES)
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
            {
                "kubeconfig": kubeconfig_json,
                "enableConfigMapMutable": self._argument("enableConfigMapMutable").map(
                    lambda flag: None if flag is None else json.dumps(flag)
                ),
            },
            version=KUBERNETES_VERSION,
        )
        instance_role = self._instance_role()
        self._access_entries(cluster, instance_role)
        self._addon("kube-proxy", "kubeProxyAddonOptions", cluster, default=False)
        self._addon("coredns", "corednsAddonOptions", cluster, default=True)
        return self._outputs(cluster, cluster_role, node_role, instance_role, kubernetes, kubeconfig)

    def _aws(
        self,
        type_token: str,
        name: str,
        inputs: dict[str, object],
        *,
        parent: str = "",
        depends_on: Sequence[str] = (),
        ignore_changes: Sequence[str] = (),
    ) -> Registered:
        return self._component.register(
            type_token,
            name,
            inputs,
            parent=parent,
            version=AWS_VERSION,
            depends_on=depends_on,
            ignore_changes=ignore_changes,
        )

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
        if self._value("subnetIds") is not None:
            return self._argument("subnetIds")
        groups = [self._argument("publicSubnetIds"), self._argument("privateSubnetIds")]
        # An id that is not known yet does not make the list unknown.
        combined = combine(groups)
        lists = [group for group in combined.value if group is not None]
        if any(isinstance(group, str) for group in lists):
            return Output(next(group for group in lists if isinstance(group, str)), combined.dependencies)
        return Output([item for group in lists for item in group], combined.dependencies, combined.secret)

    def _tags(self) -> Output:
        tags = combine([self._argument("clusterTags"), self._argument("tags")])
        name = {"Name": f"{self._name}-eksCluster"}

        def merged(both: list[dict[str, str] | None]) -> dict[str, str]:
            return {**name, **(both[0] or {}), **(both[1] or {})}

        return tags.map(merged)

    def _eks_cluster(self, role: _ServiceRole, node_role: _ServiceRole | None) -> Registered:
        # The `aws` provider wants these three to be known or unknown together.
        auto_mode = combine(
            {
                "config": self._argument("autoMode")["computeConfig"],
                "nodeRoleArn": node_role.role.output("arn") if node_role else None,
                "ipFamily": self._argument("ipFamily"),
                "range": self._argument("kubernetesServiceIpAddressRange"),
            }
        ).map(_auto_mode)
        key = self._argument("encryptionConfigKeyArn")
        attached = role.attached + (node_role.attached if node_role else [])
        return self._aws(
            "aws:eks/cluster:Cluster",
            f"{self._name}-eksCluster",
            {
                "name": self._argument("name"),
                "roleArn": role.role.output("arn"),
                "computeConfig": auto_mode["computeConfig"],
                "storageConfig": auto_mode["storageConfig"],
                "kubernetesNetworkConfig": auto_mode["kubernetesNetworkConfig"],
                "bootstrapSelfManagedAddons": False,
                "vpcConfig": {
                    "subnetIds": self._subnet_ids(),
                    "endpointPrivateAccess": self._argument("endpointPrivateAccess"),
                    "endpointPublicAccess": self._argument("endpointPublicAccess"),
                    "publicAccessCidrs": self._argument("publicAccessCidrs"),
                },
                "version": self._argument("version"),
                "enabledClusterLogTypes": self._argument("enabledClusterLogTypes"),
                "tags": self._tags(),
                "encryptionConfig": {"provider": {"keyArn": key}, "resources": ["secrets"]}
                if key.value is not None
                else None,
                "accessConfig": {
                    "authenticationMode": self._argument("authenticationMode"),
                    "bootstrapClusterCreatorAdminPermissions": True,
                },
                "upgradePolicy": self._argument("upgradePolicy"),
                "deletionProtection": self._argument("deletionProtection"),
            },
            depends_on=attached,
            ignore_changes=[
                "accessConfig.bootstrapClusterCreatorAdminPermissions",
                "bootstrapSelfManagedAddons",
            ],
        )

    def _instance_role(self) -> _ServiceRole | None:
        # Made for a default node group even where there is none, unless that is said.
        default = not self._value("skipDefaultNodeGroup")
        wanted = self._value("createInstanceRole")
        if not (default if wanted is None else wanted):
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

    def _addon(self, addon: str, argument: str, cluster: Registered, default: bool) -> None:
        options = self._argument(argument)
        enabled = options["enabled"].value if is_dict(options.value) else None
        if not (default if enabled is None else enabled):
            return
        configuration = options["configurationValues"]
        self._aws(
            "aws:eks/addon:Addon",
            f"{self._name}-{addon}",
            {
                "clusterName": cluster.output("name"),
                "addonName": addon,
                "tags": self._argument("tags"),
                "preserve": True,
                "addonVersion": options["version"],
                "resolveConflictsOnCreate": options["resolveConflictsOnCreate"].value or "OVERWRITE",
                "resolveConflictsOnUpdate": options["resolveConflictsOnUpdate"].value or "OVERWRITE",
                "configurationValues": configuration.map(
                    lambda document: json.dumps(document, separators=(",", ":"), sort_keys=True)
                )
                if configuration.value is not None
                else None,
            },
        )

    def _outputs(
        self,
        cluster: Registered,
        cluster_role: _ServiceRole,
        node_role: _ServiceRole | None,
        instance_role: _ServiceRole | None,
        kubernetes: Registered,
        kubeconfig: Output,
    ) -> dict[str, object]:
        group = cluster.output("vpcConfig")["clusterSecurityGroupId"]
        issuer = cluster.output("identities").map(_issuer)
        roles = [instance_role.resolved] if instance_role else []
        node_role_name = node_role.role.output("name") if node_role else ""
        return {
            "autoModeNodeRoleName": node_role_name,
            "clusterIngressRuleId": "",
            "clusterSecurityGroupId": group,
            "core": {
                "accessEntries": [],
                "autoModeNodeRoleName": node_role_name,
                "cluster": cluster.reference,
                "clusterIamRole": cluster_role.role.reference,
                "encryptionConfig": cluster.output("encryptionConfig"),
                "endpoint": cluster.output("endpoint"),
                "instanceRoles": roles,
                "kubeconfig": kubeconfig,
                "nodeGroupOptions": {"version": self._argument("version")},
                "privateSubnetIds": self._argument("privateSubnetIds"),
                "provider": kubernetes.reference,
                "publicSubnetIds": self._argument("publicSubnetIds"),
                "storageClasses": {},
                "subnetIds": self._subnet_ids(),
                "tags": self._argument("tags"),
                "vpcId": self._argument("vpcId"),
            },
            "defaultNodeGroupAsgName": "",
            "eksCluster": cluster.reference,
            "fargateProfileId": "",
            "fargateProfileStatus": "",
            "instanceRoles": roles,
            "kubeconfig": kubeconfig,
            "kubeconfigJson": kubeconfig.map(lambda document: json.dumps(document, separators=(",", ":"))),
            "nodeSecurityGroupId": group,
            "oidcIssuer": issuer.map(lambda url: url.removeprefix("https://")),
            "oidcProviderArn": "",
            "oidcProviderUrl": issuer,
        }


def _auto_mode(parts: Properties) -> Properties:
    family = parts.get("ipFamily", "ipv4")
    network: Properties = {"elasticLoadBalancing": {"enabled": True}, "ipFamily": family}
    if family == "ipv4" and "range" in parts:
        network["serviceIpv4Cidr"] = parts["range"]
    compute: Properties = {"enabled": True, "nodePools": ["general-purpose", "system"]}
    if "nodeRoleArn" in parts:
        compute["nodeRoleArn"] = parts["nodeRoleArn"]
    return {
        "computeConfig": {**compute, **parts.get("config", {})},
        "storageConfig": {"blockStorage": {"enabled": True}},
        "kubernetesNetworkConfig": network,
    }


def _issuer(identities: Any) -> str:
    try:
        return identities[0]["oidcs"][0]["issuer"]
    except (IndexError, KeyError, TypeError):
        return ""


def _kubeconfig(name: str, endpoint: str, authority: str, arn: str) -> Properties:
    region = arn.split(":")[3]
    return {
        "apiVersion": "v1",
        "clusters": [
            {
                "cluster": {"server": endpoint, "certificate-authority-data": authority},
                "name": "kubernetes",
            }
        ],
        "contexts": [{"context": {"cluster": "kubernetes", "user": "aws"}, "name": "aws"}],
        "current-context": "aws",
        "kind": "Config",
        "users": [
            {
                "name": "aws",
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "aws",
                        "args": [
                            "--region",
                            region,
                            "eks",
                            "get-token",
                            "--cluster-name",
                            name,
                            "--output",
                            "json",
                        ],
                        "env": [
                            {
                                "name": "KUBERNETES_EXEC_INFO",
                                "value": '{"apiVersion": "client.authentication.k8s.io/v1beta1"}',
                            }
                        ],
                    }
                },
            }
        ],
    }
