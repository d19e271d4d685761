"""Rules about who may do what in a cluster, and who can reach it: RBAC, namespaces and services."""

from __future__ import annotations

from collections.abc import Iterator

from policy.rule import Resource, is_map, listed, rule

_RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
_ROLES = (f"{_RBAC}:Role", f"{_RBAC}:RolePatch")
_CLUSTER_ROLES = (f"{_RBAC}:ClusterRole", f"{_RBAC}:ClusterRolePatch")
_BINDINGS = (f"{_RBAC}:RoleBinding", f"{_RBAC}:RoleBindingPatch")
_CLUSTER_BINDINGS = (f"{_RBAC}:ClusterRoleBinding", f"{_RBAC}:ClusterRoleBindingPatch")
NAMESPACES = ("kubernetes:core/v1:Namespace", "kubernetes:core/v1:NamespacePatch")
SERVICES = ("kubernetes:core/v1:Service", "kubernetes:core/v1:ServicePatch")

ESCALATING_VERBS = ("bind", "escalate", "impersonate")
"""Verbs with which somebody gets rights that they don't have (Kubernetes documentation, "Role Based Access
Control Good Practices", read 2026-11-27)."""

ESCALATING_RESOURCES = frozenset(
    {
        *("certificatesigningrequests/approval", "mutatingwebhookconfigurations", "nodes/proxy"),
        *("pods/attach", "pods/ephemeralcontainers", "pods/exec", "serviceaccounts/token"),
        *("validatingwebhookconfigurations", "clusterroles", "clusterrolebindings", "roles", "rolebindings"),
    }
)
"""Resources that give access to others' rights (same source)."""

EVERYBODY = ("system:anonymous", "system:authenticated", "system:unauthenticated")
BROAD_ROLES = ("admin", "cluster-admin", "edit")
"""Kubernetes' own roles that may read secrets, and the administrator's."""

ENFORCE = "pod-security.kubernetes.io/enforce"


@rule("A role in the cluster names what it allows", *_ROLES, *_CLUSTER_ROLES)
def cluster_role_is_narrow(role: Resource) -> Iterator[str]:
    if role.get("aggregationRule"):
        yield "aggregationRule adds rules of other roles: write its rules here"
    for entry in (entry for entry in listed(role.get("rules")) if is_map(entry)):
        for key in ("apiGroups", "nonResourceURLs", "resources", "verbs"):
            if any("*" in str(value) for value in listed(entry.get(key))):
                yield f"a rule has a wildcard in {key}: name what is needed"
        verbs = [str(verb).lower() for verb in listed(entry.get("verbs"))]
        for verb in ESCALATING_VERBS:
            if verb in verbs:
                yield f"a rule allows {verb}, which gives rights that its subject does not have: remove it"
        for resource in listed(entry.get("resources")):
            name = str(resource).lower()
            if name in ESCALATING_RESOURCES and set(verbs) - {"get", "list", "watch"}:
                yield f"a rule changes {resource}, which gives access to others' rights: remove it"
            everywhere = role.type in _CLUSTER_ROLES
            # Whoever may only create secrets can't read any, and no name can limit `create` (Kubernetes
            # documentation, "Using RBAC Authorization", "Referring to resources").
            reads = set(verbs) != {"create"}
            if name.split("/")[0] == "secrets" and reads and (everywhere or not entry.get("resourceNames")):
                where = "of the whole cluster" if everywhere else "without resourceNames"
                yield f"a rule allows secrets {where}: use a Role that names the secrets"


@rule("No binding gives rights to everybody, or all rights", *_BINDINGS, *_CLUSTER_BINDINGS)
def cluster_binding_is_narrow(binding: Resource) -> Iterator[str]:
    role = str(binding.get("roleRef.name") or "")
    if role in BROAD_ROLES or role.startswith("system:"):
        yield f"roleRef names {role}: write a role that allows only what is needed"
    for subject in (subject for subject in listed(binding.get("subjects")) if is_map(subject)):
        name = str(subject.get("name"))
        if name in EVERYBODY or name.startswith("system:serviceaccounts") or name == "system:masters":
            yield f"subjects contains {name}: name a service account, or a group of your own"
        if subject.get("kind") == "ServiceAccount" and name == "default":
            yield "subjects contains the default service account of a namespace: use one of its own"


@rule("A namespace enforces the restricted Pod Security Standard", *NAMESPACES)
def namespace_is_restricted(namespace: Resource) -> Iterator[str]:
    labels = namespace.get("metadata.labels")
    level = labels.get(ENFORCE) if is_map(labels) else None
    if level != "restricted":
        yield f"the label {ENFORCE} is {level or 'not set'}: set it to restricted"


@rule("Services are reached through the platform's load balancers", *SERVICES)
def service_is_internal(service: Resource) -> Iterator[str]:
    kind = service.get("spec.type")
    if kind not in (None, "ClusterIP"):
        yield f"spec.type is {kind}: use ClusterIP and a TargetGroupBinding"
    for key in ("externalIPs", "loadBalancerIP", "loadBalancerSourceRanges", "externalName"):
        if service.get(f"spec.{key}"):
            yield f"spec.{key} is set: remove it"
