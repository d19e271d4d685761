"""The clusters: whether pods run where they should, scale, get credentials, and are kept apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from account.question import Answer, judged
from account.verify.kubernetes import Kubernetes

ZONE = "topology.kubernetes.io/zone"
CREDENTIALS = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
"""The variable that EKS Pod Identity adds to containers ("How EKS Pod Identity works", EKS User Guide)."""
POLICY_ENDPOINTS = "/apis/networking.k8s.aws/v1alpha1/policyendpoints"
"""What EKS's network policy controller makes of each policy, and the nodes' agents enforce (aws/
amazon-network-policy-controller-k8s, read 2026-11-27)."""

CLOSED_PORT = 65_000
"""A port on which no pod listens and that no policy opens."""
MOST_NODES = 5
"""Nodes on which a connection is tried. Each dropped one takes a timeout."""

Labels = Mapping[str, str]


def deployments(cluster: Kubernetes, namespaces: Collection[str]) -> Answer:
    """All replicas of all Deployments are available."""
    found = [
        item
        for namespace in namespaces
        for item in cluster.items(f"/apis/apps/v1/namespaces/{namespace}/deployments")
    ]
    problems = [
        f"{_name(item)} has {available} of {wanted} replicas"
        for item in found
        if (available := item.get("status", {}).get("availableReplicas", 0))
        < (wanted := item["spec"].get("replicas", 1))
    ]
    if not found:
        problems = [f"{', '.join(namespaces)} have no Deployments"]
    return judged(
        problems,
        f"{len(found)} Deployments are available",
        "see `service-pods-missing` in docs/operations.md",
    )


def zones(cluster: Kubernetes, namespaces: Collection[str], count: int) -> Answer:
    """The pods of each Deployment are ready in as many zones as its constraint promises.

    Args:
        cluster: the cluster.
        namespaces: the namespaces to look at.
        count: zones of the region.
    """
    of_node = {
        item["metadata"]["name"]: item["metadata"]["labels"].get(ZONE, "")
        for item in cluster.items("/api/v1/nodes")
    }
    problems: list[str] = []
    seen = 0
    for namespace in namespaces:
        pods = cluster.items(f"/api/v1/namespaces/{namespace}/pods")
        for item in cluster.items(f"/apis/apps/v1/namespaces/{namespace}/deployments"):
            promised = min(_promised(item, count), item["spec"].get("replicas", 1))
            if not promised:
                continue
            seen += 1
            selector = item["spec"]["selector"]["matchLabels"]
            used = {
                of_node.get(pod["spec"].get("nodeName", ""), "")
                for pod in pods
                if _selects(selector, pod["metadata"].get("labels", {})) and _is_ready(pod)
            } - {""}
            if len(used) < promised:
                problems.append(f"{_name(item)} is ready in {len(used)} of {promised} zones")
    return judged(
        problems,
        f"{seen} Deployments are ready in all promised zones",
        "see `cluster-unschedulable-pods` in docs/operations.md",
    )


def _promised(deployment: Any, count: int) -> int:
    """The zones that a Deployment's hard constraint requires; 0 without one."""
    constraints = deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", ())
    return max(
        (
            min(item.get("minDomains", count), count)
            for item in constraints
            if item["topologyKey"] == ZONE and item["whenUnsatisfiable"] == "DoNotSchedule"
        ),
        default=0,
    )


def nodes(cluster: Kubernetes) -> Answer:
    """Auto Mode has started nodes of the platform's own node classes, and all are ready."""
    found = cluster.items("/api/v1/nodes")
    classes = cluster.items("/apis/eks.amazonaws.com/v1/nodeclasses")
    problems = [
        f"the {what} {item['metadata']['name']} isn't ready"
        for what, items in (("node", found), ("node class", classes))
        for item in items
        if not _is_ready(item)
    ]
    if not found:
        problems.append("the cluster has no nodes")
    return judged(
        problems,
        f"{len(found)} nodes of {len(classes)} node classes are ready",
        "`kubectl describe nodeclass` and `kubectl get nodeclaims -o wide` show what is missing",
    )


def scaled_objects(cluster: Kubernetes, namespace: str) -> Answer:
    """KEDA reads the metrics of every service, and falls back for none."""
    found = cluster.items(f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects")
    problems: list[str] = []
    for item in found:
        status = {c["type"]: c["status"] for c in item.get("status", {}).get("conditions", ())}
        if status.get("Ready") != "True":
            problems.append(f"KEDA can't scale {_name(item)}")
        elif status.get("Fallback") == "True":
            problems.append(f"KEDA can't read the metrics of {_name(item)}")
    if not found:
        problems.append(f"{namespace} has no ScaledObjects")
    return judged(
        problems, f"KEDA scales {len(found)} services", "see `service-pods-at-maximum` in docs/operations.md"
    )


def identities(cluster: Kubernetes, accounts: Sequence[tuple[str, str]]) -> Answer:
    """Pods with a Pod Identity association have credentials. EKS adds them to pods that start some seconds
    after the association was made, and not to earlier ones.

    Args:
        cluster: the cluster.
        accounts: namespace and service account of each association.
    """
    of_namespace: dict[str, set[str]] = defaultdict(set)
    for namespace, account in accounts:
        of_namespace[namespace].add(account)
    pods = [
        pod
        for namespace, names in sorted(of_namespace.items())
        for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods")
        if pod["spec"].get("serviceAccountName") in names and pod.get("status", {}).get("phase") == "Running"
    ]
    lacking = [_name(pod) for pod in pods if not _has_credentials(pod)]
    if not pods:
        return Answer(
            "unknown", "no pod with a Pod Identity association runs", "see `deployments` of the same region"
        )
    return judged(
        [f"{len(lacking)} of {len(pods)} pods have no credentials: {', '.join(lacking[:5])}"]
        if lacking
        else [],
        f"{len(pods)} pods have credentials",
        "restart them: kubectl -n NAMESPACE rollout restart deployment NAME",
    )


def _has_credentials(pod: Any) -> bool:
    containers = pod["spec"]["containers"]
    return all(any(item["name"] == CREDENTIALS for item in c.get("env", ())) for c in containers)


def network_policies(cluster: Kubernetes) -> Answer:
    """EKS has taken every network policy: its controller has made policy endpoints of each. `closed_ports`
    shows whether the nodes enforce them."""
    try:
        switch = cluster.get("/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni")
        enabled = switch.get("data", {}).get("enable-network-policy-controller")
    except LookupError:
        enabled = None
    if enabled != "true":
        return Answer(
            "fail",
            f"enable-network-policy-controller of the ConfigMap amazon-vpc-cni is {enabled or 'not set'}",
            "run `pulumi up --refresh`",
        )
    wanted = {_name(item) for item in cluster.items("/apis/networking.k8s.io/v1/networkpolicies")}
    made = {_policy(item) for item in cluster.items(POLICY_ENDPOINTS)}
    lacking = sorted(wanted - made)
    return judged(
        [f"nothing enforces {', '.join(lacking)}"] if lacking else [],
        f"EKS's controller has made endpoints of {len(wanted)} network policies, which nodes enforce",
        "`kubectl get policyendpoints -A` shows what EKS enforces; a policy without pods has none",
    )


def closed_ports(cluster: Kubernetes, namespace: str) -> Answer:
    """Nodes drop connections that no network policy allows.

    The API server connects to a pod on each of some nodes: to its own port, which the policies open for the
    VPC, and to a port that none opens. Without enforcement, the pod's kernel refuses the second connection at
    once. This shows that the nodes' agents enforce what comes in from outside the cluster's pods. It doesn't
    show what a pod may send, or receive from another pod: that would take a process in a pod, or a pod of its
    own, and so a change to what runs.
    """
    pods = {
        pod["spec"].get("nodeName", ""): (pod, container["ports"][0]["containerPort"], _ready_path(container))
        for pod in cluster.items(f"/api/v1/namespaces/{namespace}/pods")
        for container in pod["spec"]["containers"][:1]
        if _is_ready(pod) and container.get("ports")
    }
    if not pods:
        return Answer("unknown", f"no pod of {namespace} is ready", "see `deployments` of the same region")
    asked = [pods[node] for node in sorted(pods)][:MOST_NODES]
    problems: list[str] = []
    for pod, port, path in asked:
        name = pod["metadata"]["name"]
        opened = cluster.reach(namespace, name, port, path)
        if opened != "answered":
            return Answer(
                "unknown",
                f"the API server's connection to port {port} of {_name(pod)} is {opened}",
                "see that the cluster's security group admits its own members",
            )
        closed = cluster.reach(namespace, name, CLOSED_PORT, "/")
        if closed != "dropped":
            problems.append(f"a connection to port {CLOSED_PORT} of {_name(pod)} is {closed}")
    return judged(
        problems,
        f"connections from the API server to port {CLOSED_PORT}, which no policy allows, are dropped on "
        f"{len(asked)} of {len(pods)} nodes with pods; connections between pods haven't been tried",
        "see `network-policies` of the same region, and the network policy logs of the node",
    )


def _ready_path(container: Any) -> str:
    return container.get("readinessProbe", {}).get("httpGet", {}).get("path", "/")


def _policy(endpoint: Any) -> str:
    reference = endpoint["spec"]["policyRef"]
    return f"{reference['namespace']}/{reference['name']}"


def _is_ready(item: Any) -> bool:
    conditions = item.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _selects(selector: Labels, labels: Labels) -> bool:
    return selector.items() <= labels.items()


def _name(item: Any) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"
