"""Rules about pods: the restricted Pod Security Standard, images, and resources.

The checks are those of the API server (k8s.io/pod-security-admission 0.36.3, `policy/`), which enforces the
standard in namespaces that have its label. These rules also hold where the label is missing, and refuse a pod
before the deployment begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from policy.ours import OURS
from policy.rule import Resource, is_map, listed, rule
from policy.rules.kubernetes import CHART
from settings import pinned_image, reachable_image, trusted_image
from settings.images import registry_of

_TEMPLATE = "spec.template.spec"
_SPECS = {
    "kubernetes:core/v1:Pod": "spec",
    "kubernetes:core/v1:PodTemplate": "template.spec",
    "kubernetes:core/v1:ReplicationController": _TEMPLATE,
    "kubernetes:apps/v1:DaemonSet": _TEMPLATE,
    "kubernetes:apps/v1:Deployment": _TEMPLATE,
    "kubernetes:apps/v1:ReplicaSet": _TEMPLATE,
    "kubernetes:apps/v1:StatefulSet": _TEMPLATE,
    "kubernetes:batch/v1:CronJob": "spec.jobTemplate.spec.template.spec",
    "kubernetes:batch/v1:Job": _TEMPLATE,
}
POD_SPECS: Mapping[str, str] = {
    **_SPECS,
    **{f"{type_}Patch": path for type_, path in _SPECS.items()},
    "kubernetes:keda.sh/v1alpha1:ScaledJob": "spec.jobTargetRef.template.spec",
}
"""Type → where the specification of its pods is. A patch must have all that the rules want of the containers
that it names, because the object that it patches is not known."""

WORKLOADS = tuple(POD_SPECS)

VOLUMES = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
        *("projected", "secret"),
    }
)
"""Sources of volumes that the standard accepts. A volume also has a `name`."""

SAFE_SYSCTLS = frozenset(
    {
        *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"),
        *("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"),
        *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
        *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
    }
)
SELINUX_TYPES = ("", None, "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
PROFILES = ("RuntimeDefault", "Localhost")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@rule("Images have a pinned version", CHART, *WORKLOADS)
def image_is_pinned(resource: Resource) -> Iterator[str]:
    for image in _images(resource):
        yield from _refusal(pinned_image, image)


@rule("Images have a digest, so that their content can't change", CHART, *WORKLOADS)
def image_has_digest(resource: Resource) -> Iterator[str]:
    for image in _images(resource):
        if "@sha256:" not in image:
            yield f"image {image} has no digest: add @sha256:… to the version"


@rule("Images come from registries that the platform trusts", CHART, *WORKLOADS)
def image_is_trusted(resource: Resource) -> Iterator[str]:
    for image in _images(resource):
        if registry_of(image) not in OURS.registries:
            for problem in _refusal(trusted_image, image):
                yield f"{problem}, or list the registry in policy/ours.yaml"


@rule("Nodes can pull images from their registry", CHART, *WORKLOADS)
def image_is_reachable(resource: Resource) -> Iterator[str]:
    for image in _images(resource):
        yield from _refusal(reachable_image, image)


@rule("Pods share nothing with their node", *WORKLOADS)
def pods_are_isolated(workload: Resource) -> Iterator[str]:
    pod = _pod(workload)
    for key in ("hostIPC", "hostNetwork", "hostPID"):
        if pod.get(key) not in (None, False):
            yield f"{key} is set: remove it"
    if pod.get("hostUsers") is True:
        yield "hostUsers is true: remove it"
    for volume in _maps(pod.get("volumes")):
        for source in sorted(set(volume) - VOLUMES - {"name"}):
            yield f"volume {volume.get('name')} is a {source}: use one of {', '.join(sorted(VOLUMES))}"
    for container in _containers(workload):
        for port in _maps(container.get("ports")):
            if port.get("hostPort"):
                yield f"container {container.get('name')} has the hostPort {port['hostPort']:g}: remove it"
        for place, handler in _handlers(container):
            for kind in ("httpGet", "tcpSocket"):
                if _map(handler.get(kind)).get("host"):
                    yield f"container {container.get('name')}: {place}.{kind}.host is set: remove it"


@rule("Containers have no privileges", *WORKLOADS)
def containers_have_no_privileges(workload: Resource) -> Iterator[str]:
    for container in _containers(workload):
        context = _map(container.get("securityContext"))
        name = container.get("name")
        if context.get("privileged"):
            yield f"container {name} is privileged: remove privileged"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"container {name}: allowPrivilegeEscalation is not false: set it to false"
        capabilities = _map(context.get("capabilities"))
        if "ALL" not in listed(capabilities.get("drop")):
            yield f"container {name}: capabilities.drop does not contain ALL: add it"
        for capability in listed(capabilities.get("add")):
            if capability != "NET_BIND_SERVICE":
                yield f"container {name} adds the capability {capability}: remove it"
        if context.get("procMount") not in (None, "Default"):
            yield f"container {name}: procMount is {context['procMount']}: remove it"


@rule("Containers can't change the files of their image", *WORKLOADS)
def containers_have_fixed_files(workload: Resource) -> Iterator[str]:
    for container in _containers(workload):
        if _map(container.get("securityContext")).get("readOnlyRootFilesystem") is not True:
            yield f"container {container.get('name')}: readOnlyRootFilesystem is not true: set it to true"


@rule("Pods get no token for the cluster's API unless they use it", *WORKLOADS)
def pods_get_no_token(workload: Resource) -> Iterator[str]:
    if _pod(workload).get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken is not false: set it to false"


@rule("Containers don't run as root", *WORKLOADS)
def containers_run_as_users(workload: Resource) -> Iterator[str]:
    pod = _map(_pod(workload).get("securityContext"))
    for container in _containers(workload):
        context, name = _map(container.get("securityContext")), container.get("name")
        if _own(context, pod, "runAsNonRoot") is not True:
            yield f"container {name}: runAsNonRoot is not true, for the container or the pod: set it to true"
        if _own(context, pod, "runAsUser") == 0:
            yield f"container {name}: runAsUser is 0: use another user"


@rule("Containers are confined by the kernel's profiles", *WORKLOADS)
def containers_are_confined(workload: Resource) -> Iterator[str]:
    pod = _map(_pod(workload).get("securityContext"))
    for container in _containers(workload):
        context, name = _map(container.get("securityContext")), container.get("name")
        profile = _map(_own(context, pod, "seccompProfile")).get("type")
        if profile not in PROFILES:
            yield f"container {name}: seccompProfile.type is {profile or 'not set'}: set it to RuntimeDefault"
        armor = _map(_own(context, pod, "appArmorProfile")).get("type")
        if armor not in (None, *PROFILES):
            yield f"container {name}: appArmorProfile.type is {armor}: set it to RuntimeDefault"
        for selinux in (_map(context.get("seLinuxOptions")), _map(pod.get("seLinuxOptions"))):
            if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
                yield f"container {name}: seLinuxOptions has another user, role or type: remove them"
        for windows in (_map(context.get("windowsOptions")), _map(pod.get("windowsOptions"))):
            if windows.get("hostProcess"):
                yield f"container {name}: windowsOptions.hostProcess is true: remove it"
    for sysctl in _maps(pod.get("sysctls")):
        if sysctl.get("name") not in SAFE_SYSCTLS:
            yield f"sysctls sets {sysctl.get('name')}: remove it"


@rule("Containers have resource requests and a memory limit", *WORKLOADS)
def containers_have_limits(workload: Resource) -> Iterator[str]:
    for container in _containers(workload):
        resources = _map(container.get("resources"))
        for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if not _map(resources.get(kind)).get(name):
                yield f"container {container.get('name')}: resources.{kind}.{name} is not set: set it"


def _refusal(check: Callable[[str], str], image: str) -> Iterator[str]:
    try:
        check(image)
    except ValueError as error:
        yield f"image {image} {error}"


def _map(value: object) -> Mapping[str, Any]:
    return value if is_map(value) else {}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [item for item in listed(value) if is_map(item)]


def _own(context: Mapping[str, Any], pod: Mapping[str, Any], key: str) -> Any:
    """A setting of a container, which replaces the pod's."""
    value = context.get(key)
    return pod.get(key) if value is None else value


def _pod(workload: Resource) -> Mapping[str, Any]:
    return _map(workload.get(POD_SPECS[workload.type]))


def _containers(workload: Resource) -> list[Mapping[str, Any]]:
    pod = _pod(workload)
    keys = ("initContainers", "containers", "ephemeralContainers")
    return [container for key in keys for container in _maps(pod.get(key))]


def _handlers(container: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((key, _map(container.get(key))) for key in _PROBES)
    lifecycle = _map(container.get("lifecycle"))
    yield from ((f"lifecycle.{key}", _map(lifecycle.get(key))) for key in ("postStart", "preStop"))


def _images(resource: Resource) -> Iterator[str]:
    if resource.type == CHART:
        images = [resource.get("values.image")]
    else:
        images = [container.get("image") for container in _containers(resource)]
        images += [
            _map(volume.get("image")).get("reference") for volume in _maps(_pod(resource).get("volumes"))
        ]
    yield from (image for image in images if isinstance(image, str))
