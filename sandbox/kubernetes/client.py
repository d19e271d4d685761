"""A client of the Kubernetes API over plain dicts, with discovery and one method for each verb.

It uses the official client for authentication and transport, but not its dynamic client: the discovery of
that isn't thread-safe, and passing `fieldValidation` and field managers to it is awkward.
"""

# The client has no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
import yaml
from kubernetes import client, config

Object = dict[str, Any]

REQUEST_TIMEOUT = 30
"""Timeout of a request, in seconds. A local API server responds within milliseconds."""

KIND_TIMEOUT = 10
"""Seconds to wait until a newly defined kind is served."""


class Unreachable(Exception):  # noqa: N818 - the official provider's term for this state
    """Raised if the API server can't be reached, or if the kubeconfig isn't usable."""


class ApiError(Exception):
    """Raised for an error response of the API server, with the server's message.

    Attributes:
        status: HTTP status.
        reason: Kubernetes' reason (`NotFound`, `AlreadyExists`, `Invalid`, `Conflict`, …).
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.reason = str(body.get("reason", ""))
        super().__init__(body.get("message") or f"HTTP status {status}")


@dataclass(frozen=True)
class Kind:
    """How a kind is served: its path in the API and the supported operations."""

    api_version: str
    plural: str
    namespaced: bool
    listable: bool


class Cluster:
    """A client of one API server, with the user of a kubeconfig. It is safe to use from several threads."""

    def __init__(self, kubeconfig: str, context: str | None = None) -> None:
        """Runs the kubeconfig's exec credential. Raises `Unreachable` if that fails."""
        configuration = client.Configuration()
        try:
            document = yaml.safe_load(kubeconfig)
            config.load_kube_config_from_dict(
                document, context=context, client_configuration=configuration, persist_config=False
            )
        except (config.ConfigException, yaml.YAMLError, TypeError, KeyError) as error:
            raise Unreachable(f"the kubeconfig is not usable: {error}") from error
        # After a failed exec credential, the client would continue anonymously and report "forbidden".
        if not configuration.api_key and not configuration.cert_file:
            raise Unreachable("the kubeconfig's credentials aren't available: its user's command failed")
        configuration.proxy = None  # the API server is on loopback
        configuration.retries = False
        configuration.connection_pool_maxsize = 32
        self._client = client.ApiClient(configuration)
        self._host: str = configuration.host
        self._token: str = next(iter(configuration.api_key.values()), "")
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        **query: str | bool,
    ) -> Object:
        """Sends a request. Raises `ApiError` for an error response, and `Unreachable` without a response.

        A kind whose definition has just changed responds with 429 for a moment, so such requests are
        repeated.
        """
        deadline = time.monotonic() + KIND_TIMEOUT
        while True:
            try:
                return self._request(method, path, body, content_type, query)
            except ApiError as error:
                if error.status != 429 or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _request(
        self, method: str, path: str, body: Any, content_type: str, query: Mapping[str, str | bool]
    ) -> Object:
        parameters = {
            key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items()
        }
        url = f"{self._host}{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        headers = {"Accept": "application/json", "Content-Type": content_type, "Authorization": self._token}
        try:
            response = self._client.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=REQUEST_TIMEOUT
            )
            text = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{self._host} does not respond: {error}") from error
        except client.ApiException as error:
            raise Unreachable(f"{self._host} does not respond: {error.reason}") from error
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"message": text.decode(errors="replace").strip()}
        if not 200 <= response.status < 300:
            raise ApiError(response.status, answer)
        return answer

    # -- discovery -----------------------------------------------------------------------------

    def version(self) -> str:
        """The server's version, in Helm's format (`v1.36.3`)."""
        return self.request("GET", "/version")["gitVersion"]

    def api_versions(self) -> list[str]:
        """All served versions and kinds, in the format of charts: `apps/v1` and `apps/v1/Deployment`."""
        groups = self.request("GET", "/apis")["groups"]
        versions = ["v1", *(version["groupVersion"] for group in groups for version in group["versions"])]
        return [
            name
            for version in versions
            for name in (version, *(f"{version}/{kind}" for kind in self.kinds(version)))
        ]

    def kinds(self, api_version: str, refresh: bool = False) -> dict[str, Kind]:
        """The kinds of an API version; empty if the version isn't served."""
        with self._lock:
            if refresh or api_version not in self._kinds:
                try:
                    resources = self.request("GET", _root(api_version))["resources"]
                except ApiError as error:
                    if error.status != 404:
                        raise
                    resources = []
                self._kinds[api_version] = {
                    item["kind"]: Kind(api_version, item["name"], item["namespaced"], "list" in item["verbs"])
                    for item in resources
                    if "/" not in item["name"]
                }
            return self._kinds[api_version]

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """A kind, or `None` if the server doesn't know it (yet)."""
        return self.kinds(api_version).get(kind) or self.kinds(api_version, refresh=True).get(kind)

    def _path(self, obj: Object, collection: bool = False) -> str:
        found = self.kind(obj["apiVersion"], obj["kind"])
        if found is None:
            raise ApiError(
                404,
                {
                    "reason": "NoMatch",
                    "message": f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"',
                },
            )
        metadata = obj["metadata"]
        namespace = f"/namespaces/{metadata.get('namespace') or 'default'}" if found.namespaced else ""
        name = "" if collection else f"/{quote(metadata['name'])}"
        return f"{_root(found.api_version)}{namespace}/{found.plural}{name}"

    # -- objects -------------------------------------------------------------------------------

    def get(self, obj: Object) -> Object | None:
        """The live object with this kind and name, or `None`."""
        try:
            return self.request("GET", self._path(obj))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: Kind) -> list[Object]:
        """All objects of a kind."""
        return self.request("GET", f"{_root(kind.api_version)}/{kind.plural}")["items"]

    def create(self, obj: Object, manager: str, dry_run: bool = False) -> Object:
        """Creates an object. Unknown fields and existing objects are errors."""
        options = {"dryRun": "All"} if dry_run else {}
        return self.request(
            "POST",
            self._path(obj, collection=True),
            obj,
            fieldManager=manager,
            fieldValidation="Strict",
            **options,
        )

    def apply(self, obj: Object, manager: str, force: bool = False, dry_run: bool = False) -> Object:
        """Applies an object on the server side, which rejects unknown fields."""
        options = {"dryRun": "All"} if dry_run else {}
        return self.request(
            "PATCH",
            self._path(obj),
            obj,
            content_type="application/apply-patch+yaml",
            fieldManager=manager,
            force=force,
            **options,
        )

    def replace(self, obj: Object, manager: str, dry_run: bool = False) -> Object:
        """Replaces an object. `obj` must have the `resourceVersion` that it replaces."""
        options = {"dryRun": "All"} if dry_run else {}
        return self.request(
            "PUT", self._path(obj), obj, fieldManager=manager, fieldValidation="Strict", **options
        )

    def json_patch(self, obj: Object, operations: list[Object]) -> Object:
        """Applies a JSON patch to a live object."""
        return self.request("PATCH", self._path(obj), operations, content_type="application/json-patch+json")

    def delete(self, obj: Object, timeout: float) -> None:
        """Deletes an object with background propagation, and waits until it is gone.

        Raises `TimeoutError` after `timeout` seconds, with the finalizers that block the deletion.
        """
        try:
            self.request("DELETE", self._path(obj), {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status == 404:
                return
            raise
        deadline = time.monotonic() + timeout
        pause = 0.01
        while (live := self.get(obj)) is not None and "deletionTimestamp" in live["metadata"]:
            if time.monotonic() > deadline:
                finalizers = live["metadata"].get("finalizers") or live.get("spec", {}).get("finalizers")
                raise TimeoutError(
                    f"{obj['kind']} {obj['metadata']['name']} still exists after {timeout:.0f} s; "
                    f"its finalizers: {finalizers}"
                )
            time.sleep(pause)
            pause = min(2 * pause, 0.2)

    def wait_established(self, crd: Object) -> Object:
        """Waits until the kind of a CustomResourceDefinition is served, and returns the definition."""
        deadline = time.monotonic() + KIND_TIMEOUT
        while True:
            live = self.get(crd)
            conditions = (live or {}).get("status", {}).get("conditions") or []
            if live is not None and any(
                item["type"] == "Established" and item["status"] == "True" for item in conditions
            ):
                spec = live["spec"]
                versions = [
                    f"{spec['group']}/{version['name']}" for version in spec["versions"] if version["served"]
                ]
                if all(self.kind(version, spec["names"]["kind"]) for version in versions):
                    return live
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"CustomResourceDefinition {crd['metadata']['name']} is not established after "
                    f"{KIND_TIMEOUT} s: {conditions}"
                )
            time.sleep(0.02)


def full_name(obj: Object) -> str:
    """The object's name, with its namespace if it has one: `kube-system/coredns`."""
    metadata = obj["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
