"""Reads a cluster's objects through its API, as the deployment does: with a token of `aws eks get-token`."""

from __future__ import annotations

import functools
import json
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlsplit

from account.question import UnansweredError
from account.verify.https import Https, Response

Reached = Literal["answered", "refused", "dropped"]
"""A pod answered, its kernel refused the connection, or something on the way dropped it."""


class Kubernetes:
    """Reads from the API of a cluster."""

    def __init__(self, endpoint: str, authority: str, token: Callable[[], str]) -> None:
        """Makes a client.

        Args:
            endpoint: URL of the cluster's API.
            authority: its certificate authority, in base64, as EKS returns it.
            token: returns the caller's token.
        """
        parts = urlsplit(endpoint)
        self._host, self._token = parts.hostname or "", token
        port = parts.port or 443
        context = ssl.create_default_context(cadata=b64decode(authority).decode())
        self._https = Https(context, lambda host: (host, port))

    def get(self, path: str) -> Any:
        """An object, or a list of objects.

        Raises:
            UnansweredError: the caller may not read it, or gets another answer.
            LookupError: there is no such object, or no such kind.
            OSError: the cluster doesn't answer.
        """
        response = self._send(
            path, "name your role in `cluster.adminRoleArns`, `operatorRoleArns` or `viewerRoleArns`"
        )
        if response.status == 404:
            raise LookupError(path)
        if response.status != 200:
            raise UnansweredError(f"{path} of the cluster answers {response.status}")
        return response.json()

    def reach(self, namespace: str, pod: str, port: int, path: str) -> Reached:
        """What becomes of a request that the API server sends to a port of a pod.

        Raises:
            UnansweredError: the caller may not send it.
        """
        target = f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}"
        try:
            response = self._send(target, "name your role in `cluster.adminRoleArns`")
        except TimeoutError:
            return "dropped"  # the API server waits for longer
        if response.status == 503 and b"refused" in response.body:
            return "refused"
        timed_out = any(word in response.body for word in (b"i/o timeout", b"deadline exceeded"))
        return "dropped" if response.status == 503 and timed_out else "answered"

    def _send(self, path: str, remedy: str) -> Response:
        """The response to a request, unless the caller may not send it: `remedy` says what to do then."""
        response = self._https.send(self._host, path, {"Authorization": f"Bearer {self._token()}"})
        if response.status in (401, 403):
            raise UnansweredError(f"not allowed to get {path} of the cluster", remedy)
        return response

    def items(self, path: str) -> list[Any]:
        """The objects of a list; none if the cluster doesn't know their kind."""
        try:
            return self.get(path)["items"]
        except LookupError:
            return []


@functools.cache
def cluster_token(name: str, region: str) -> str:
    """A token for a cluster. It lasts longer than all questions take.

    Raises:
        UnansweredError: the AWS CLI is missing, or gets no token.
    """
    command = ["aws", "--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["status"]["token"]
    except OSError as error:
        raise UnansweredError(f"the AWS CLI can't be run: {error.strerror}", "install it") from None
    except (subprocess.CalledProcessError, ValueError, KeyError) as error:
        raise UnansweredError(f"no token for {name}: {error}", f"run `{' '.join(command)}`") from None
