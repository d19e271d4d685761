"""Images: nodes can pull every one that the program names, and mirrors replace their registries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from components.service.autoscaler import IMAGE_REGISTRY
from sandbox.values import is_dict, is_list
from settings.images import LAYERS_BEYOND_REACH, mirrored, reachable_image, registry_of
from tests.unit.harness import STACKS, Graph, Registered, deploy_platform, platform, stack_values

KEDA_IMAGES = ("kedacore/keda", "kedacore/keda-metrics-apiserver", "kedacore/keda-admission-webhooks")
"""The repositories in `keda/values.yaml` of kedacore/charts (August 2026)."""

ADD_ON_REGISTRY = "602401143452.dkr.ecr.{region}.amazonaws.com"
"""EKS's own repositories in a region ("View Amazon container image registries for Amazon EKS add-ons", EKS
User Guide)."""

LAYERS = {
    # buildkite/cleanroom #330 (May 2026)
    r"ghcr\.io": "https://pkg-containers.githubusercontent.com",
    # docker/sbx-releases #525 (August 2026)
    r"public\.ecr\.aws": "https://d2glxqk2uabbnd.cloudfront.net",
    # "Amazon ECR interface VPC endpoints", ECR User Guide
    r"[0-9]{12}\.dkr\.ecr\.REGION\.amazonaws\.com": "s3://prod-REGION-starport-layer-bucket",
    **{re.escape(registry): f"s3://{bucket}" for registry, bucket in LAYERS_BEYOND_REACH.items()},
}
"""Registry → where it redirects a pull of a layer to. A registry that isn't here must be looked up first."""


def images(graph: Graph, region: str) -> Iterator[str]:
    """All images that nodes of a region pull."""
    for resource in graph.resources:
        if region not in resource.name:
            continue
        yield from _of_objects(resource)
        if resource.type == "kubernetes:helm.sh/v4:Chart":
            yield resource.inputs["values"]["image"]
        if resource.type == "kubernetes:helm.sh/v3:Release":
            assert resource.inputs["chart"] == "keda", "where do the images of this chart come from?"
            registry = resource.inputs["values"]["global"]["image"]["registry"]
            yield from (f"{registry}/{repository}:2" for repository in KEDA_IMAGES)
        if resource.type == "aws:eks/addon:Addon":
            yield f"{ADD_ON_REGISTRY.format(region=region)}/eks/{resource.inputs['addonName']}:v1"


def _of_objects(resource: Registered) -> Iterator[str]:
    def walk(value: Any) -> Iterator[str]:
        if is_dict(value):
            if isinstance(value.get("image"), str):
                yield value["image"]
            for item in value.values():
                yield from walk(item)
        elif is_list(value):
            for item in value:
                yield from walk(item)

    if resource.type.startswith("kubernetes:") and ":helm.sh/" not in resource.type:
        yield from walk(resource.inputs)


def location(image: str, region: str) -> str:
    """Where a region's nodes get the layers of an image from."""
    registry = registry_of(image)
    found = [
        where.replace("REGION", region)
        for pattern, where in LAYERS.items()
        if re.fullmatch(pattern.replace("REGION", region), registry)
    ]
    assert len(found) == 1, f"look up where {registry} keeps its layers, and add it to LAYERS"
    return found[0]


def admitted(bucket: str, endpoint: Registered) -> bool:
    """Whether the policy of an endpoint for S3 allows reading a bucket of another account."""
    return any(
        statement["Effect"] == "Allow"
        and "Condition" not in statement
        and fnmatchcase(f"arn:aws:s3:::{bucket}/layer", statement["Resource"])
        for statement in json.loads(endpoint.inputs["policy"])["Statement"]
    )


@pytest.mark.parametrize("stack", STACKS)
def test_nodes_can_pull_every_image(stack: str) -> None:
    graph = platform(stack)
    for region in {resource.inputs["region"] for resource in graph.of("pulumi:providers:aws")}:
        if not graph.of("eks:index:Cluster") or not any(
            f"network-{region}" == r.name for r in graph.resources
        ):
            continue
        endpoint = graph.named(f"network-{region}-s3", "aws:ec2/vpcEndpoint:VpcEndpoint")
        tables = [
            table
            for table in graph.of("aws:ec2/routeTable:RouteTable")
            if table.name.startswith(f"network-{region}-private")
        ]
        found = set(images(graph, region))
        assert len(found) > 5
        for image in found:
            scheme, _, place = location(image, region).partition("://")
            if scheme == "s3":
                assert admitted(place, endpoint), f"{image}: the endpoint for S3 refuses {place}"
            else:
                for table in tables:
                    assert table.inputs["routes"][0]["cidrBlock"] == "0.0.0.0/0", (
                        f"{image}: no way to {place}"
                    )


@pytest.mark.parametrize(
    "image", ["nginx:1.29.4", "amazon/aws-cli:2.37.5", "index.docker.io/library/nginx:1.29.4"]
)
def test_endpoint_for_s3_refuses_docker_hub_and_so_do_we(image: str) -> None:
    endpoint = platform("small").named("network-us-east-1-s3", "aws:ec2/vpcEndpoint:VpcEndpoint")
    assert not admitted(location(image, "us-east-1").removeprefix("s3://"), endpoint)
    with pytest.raises(ValueError, match=r"comes from docker\.io"):
        reachable_image(image)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("ghcr.io/example/orders:1.4.2", "mirror.example.com/ghcr/eu-west-1/example/orders:1.4.2"),
        ("nginx:1.29.4", "mirror.example.com/hub/library/nginx:1.29.4"),
        ("example/orders@sha256:0", "mirror.example.com/hub/example/orders@sha256:0"),
        ("registry-1.docker.io/example/orders:1.4.2", "mirror.example.com/hub/example/orders:1.4.2"),
        ("k8s.gcr.io/pause:3.10", "mirror.example.com/k8s/pause:3.10"),
        ("public.ecr.aws/example/orders:1.4.2", "public.ecr.aws/example/orders:1.4.2"),
        ("localhost:5000/orders:1.4.2", "localhost:5000/orders:1.4.2"),
    ],
)
def test_mirror_takes_the_place_of_the_registry(image: str, expected: str) -> None:
    mirrors = {
        "ghcr.io": "mirror.example.com/ghcr/REGION",
        "docker.io": "mirror.example.com/hub",
        "registry.k8s.io": "mirror.example.com/k8s",
    }
    assert mirrored(image, mirrors, "eu-west-1") == expected


def test_platform_pulls_everything_from_its_mirrors() -> None:
    values = stack_values("small")
    account = "123456789012.dkr.ecr.REGION.amazonaws.com"
    values["trading:cluster"]["imageMirrors"] = {
        registry: f"{account}/{path}"
        for registry, path in (("ghcr.io", "ghcr"), ("public.ecr.aws", "ecr-public"), ("docker.io", "hub"))
    }
    values["trading:services"]["orders"]["image"] = "example/orders:1.4.2"
    found = set(images(deploy_platform("small", values), "us-east-1"))
    assert {registry_of(image) for image in found} == {
        "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        ADD_ON_REGISTRY.format(region="us-east-1"),
    }
    assert "123456789012.dkr.ecr.us-east-1.amazonaws.com/hub/example/orders:1.4.2" in found
    assert IMAGE_REGISTRY == "ghcr.io"
