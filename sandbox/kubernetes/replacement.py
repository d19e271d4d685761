"""Decides which changed properties replace a Kubernetes object, like the official provider.

The API server can't decide it, because its messages for immutable fields differ by kind. Source:
`provider/pkg/provider/diff.go` in pulumi/pulumi-kubernetes.
"""

from __future__ import annotations

from sandbox.kubernetes.client import Object

_WORKLOAD = ["spec.selector"]

_REPLACING = {
    ("apps", "DaemonSet"): _WORKLOAD,
    ("apps", "Deployment"): _WORKLOAD,
    ("apps", "StatefulSet"): [
        *_WORKLOAD,
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ],
    ("batch", "Job"): ["spec.completions", "spec.parallelism", "spec.selector", "spec.template"],
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ["roleRef"],
    ("rbac.authorization.k8s.io", "RoleBinding"): ["roleRef"],
    ("storage.k8s.io", "StorageClass"): ["parameters", "provisioner"],
    ("", "PersistentVolumeClaim"): [
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ],
    ("", "ResourceQuota"): ["spec.scopes"],
    ("", "Service"): ["spec.clusterIP"],
}


def replacing_properties(obj: Object, mutable_config_maps: bool, mutable_secrets: bool) -> list[str]:
    """Property paths that force a replacement of an object of this kind.

    Pods and persistent volumes, which programs leave to controllers, aren't covered: the API server rejects
    such changes.
    """
    group = obj["apiVersion"].rpartition("/")[0]
    paths = ["metadata.name", "metadata.namespace"]
    match group, obj["kind"]:
        case "", "ConfigMap" if not mutable_config_maps or obj.get("immutable"):
            return [*paths, "data", "binaryData"]
        case "", "Secret":
            frozen = not mutable_secrets or obj.get("immutable")
            return [*paths, "type", *(["data"] if frozen else [])]
        case key:
            return paths + _REPLACING.get(key, [])


def replaces(changed: str, path: str, *, unknown: bool = False) -> bool:
    """Whether a changed path equals a replacing path or lies below it.

    A property that becomes unknown as a whole counts as a change of everything in it. The engine makes
    properties unknown to find out whether the replacement of a resource replaces those that depend on it
    (pulumi/pulumi-kubernetes #1567).
    """
    if unknown and path.startswith(f"{changed}."):
        return True
    return changed == path or changed.startswith((f"{path}.", f"{path}["))
