"""The registries of container images: which ones nodes can pull from, and mirrors of the others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

DOCKER_HUB = "docker.io"
"""The registry of images that name none, such as `nginx:1.29`."""
REGION = "REGION"
"""Stands for the region's name in the address of a mirror."""

LAYERS_BEYOND_REACH = {
    DOCKER_HUB: "docker-images-prod",
    "registry.k8s.io": "prod-registry-k8s-io-REGION",
}
"""Registry → the S3 bucket from which it serves layers to clients in AWS.

The VPC's gateway endpoint for S3 only allows the buckets of this account and of Amazon ECR
(`components/network.py`), so a pull from these registries fails with 403. Docker Hub also limits anonymous
pulls by client address, which all nodes behind a NAT gateway share. Sources, read in November 2026: JFrog's
knowledge base, article 000004313, for Docker Hub; kubernetes/k8s.io #4214 for registry.k8s.io.
"""

TRUSTED_REGISTRIES = ("ghcr.io", "public.ecr.aws")
"""Registries from which images may come, besides private ones of Amazon ECR."""

_PRIVATE_ECR = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z]{2}(-[a-z]+)+-\d\.amazonaws\.com(\.cn)?")

_ALIASES = {
    "index.docker.io": DOCKER_HUB,
    "registry-1.docker.io": DOCKER_HUB,
    "registry.hub.docker.com": DOCKER_HUB,
    "k8s.gcr.io": "registry.k8s.io",
}
"""Other names of the same registries. k8s.gcr.io redirects to its successor."""


def registry_of(image: str) -> str:
    """The host of an image's registry. A first part without a dot or port belongs to Docker Hub."""
    first, slash, _ = image.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else DOCKER_HUB
    return _ALIASES.get(host, host)


def reachable_image(image: str) -> str:
    """Returns the image if nodes can pull it.

    Raises:
        ValueError: the registry serves its layers from a bucket that the VPC's endpoint for S3 refuses.
    """
    registry = registry_of(image)
    if registry in LAYERS_BEYOND_REACH:
        raise ValueError(
            f"comes from {registry}, which nodes can't pull from: the VPC's endpoint for S3 refuses "
            f"{LAYERS_BEYOND_REACH[registry]}. Use an image of ECR, public.ecr.aws or ghcr.io, or name "
            f"a mirror of {registry} in cluster.imageMirrors"
        )
    return image


def trusted_image(image: str) -> str:
    """Returns the image if its registry is a trusted one.

    Raises:
        ValueError: it comes from another registry.
    """
    registry = registry_of(image)
    if registry not in TRUSTED_REGISTRIES and not _PRIVATE_ECR.fullmatch(registry):
        raise ValueError(
            f"comes from {registry}: use a private registry of Amazon ECR, {' or '.join(TRUSTED_REGISTRIES)}"
        )
    return image


def mirror_of(registry: str, mirrors: Mapping[str, str], region: str) -> str:
    """The address of a registry's mirror in a region, or the registry itself if it has none."""
    return mirrors.get(registry, registry).replace(REGION, region)


def mirrored(image: str, mirrors: Mapping[str, str], region: str) -> str:
    """The image at its registry's mirror, or the image itself if its registry has none.

    Args:
        image: a reference with tag or digest, such as `ghcr.io/example/orders:1.4.2`.
        mirrors: registry → address of its mirror, which can contain `REGION`.
        region: the region whose nodes pull the image.
    """
    registry = registry_of(image)
    if registry not in mirrors:
        return image
    first, _, rest = image.partition("/")
    path = rest if _ALIASES.get(first, first) == registry else image
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"  # Docker Hub's official images
    return f"{mirror_of(registry, mirrors, region)}/{path}"


def _mirror(address: str) -> str:
    name = r"[a-z0-9]+([._-][a-z0-9]+)*"
    if not re.fullmatch(rf"{name}(:[0-9]{{1,5}})?(/{name})*", address.replace(REGION, "us-east-1")):
        raise ValueError(
            "must be a host and a path in lower case, such as 123456789012.dkr.ecr.REGION.amazonaws.com/ghcr "
            f"({REGION} stands for the region's name)"
        )
    return reachable_image(f"{address}/image").removesuffix("/image")


Registry = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?$", examples=["ghcr.io"])]
Mirror = Annotated[str, AfterValidator(_mirror)]
