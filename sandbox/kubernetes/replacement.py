"""Which changed property replaces a Kubernetes object, as the official provider decides it.

The API server can't be asked: its texts for immutable fields differ by kind. Source:
`provider/pkg/provider/diff.go` in pulumi/pulumi-kubernetes.
"""

from __future__ import annotations

import re

from sandbox.kubernetes.client import Object

_WORKLOAD = ["spec.selector"]
_CONTAINER = [
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
]
_POD = [
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
    *(f"{list_}[*].{name}" for list_ in ("containers", "initContainers") for name in _CONTAINER),
]
_VOLUME_SOURCES = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
]

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
    ("", "PersistentVolume"): [f"spec.{name}" for name in _VOLUME_SOURCES],
    ("", "PersistentVolumeClaim"): [
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ],
    ("", "Pod"): [f"spec.{name}" for name in _POD],
    ("", "ResourceQuota"): ["spec.scopes"],
    ("", "Service"): ["spec.clusterIP"],
}


def replacing_properties(obj: Object, mutable_config_maps: bool, mutable_secrets: bool) -> list[str]:
    """Property paths of the object's kind that force a replacement; `[*]` is any element."""
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


def replaces(changed: str, path: str) -> bool:
    """Whether a changed path is a replacing path or lies below it."""
    pattern = re.escape(path).replace(re.escape("[*]"), r"\[\d+\]")
    return re.match(rf"{pattern}($|[.\[])", changed) is not None
