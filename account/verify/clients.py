"""The clients with which a deployed stack is asked."""

from __future__ import annotations

import functools
from typing import Any

from botocore.config import Config

from account.question import Client
from account.stack import Stack
from account.verify.engine import Engine
from account.verify.https import Https
from account.verify.kubernetes import Kubernetes, cluster_token
from account.verify.prometheus import Workspaces

_CONFIG = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})


class Clients:
    """Makes a new client of a service in a region."""

    def __init__(self, session: Any, name: str, stack: Stack) -> None:
        """Makes the maker.

        Args:
            session: a session of boto3.
            name: the stack's name.
            stack: its resources.
        """
        self._session, self._name, self._stack = session, name, stack

    def __call__(self, service: str, region: str) -> Client:
        """A client of AWS, or one of this package's own."""
        match service:
            case "https":
                return Https()
            case "dns" | "none":
                return None
            case "kubernetes":
                return self._cluster(region)
            case "prometheus":
                return Workspaces(self._session.get_credentials, region)
            case "pulumi":
                return Engine(self._name)
            case _:
                return self._session.client(service, region_name=region, config=_CONFIG)

    def _cluster(self, region: str) -> Kubernetes:
        (cluster,) = self._stack.deployed("aws:eks/cluster:Cluster", region)
        token = functools.partial(cluster_token, cluster["name"], region)
        return Kubernetes(cluster["endpoint"], cluster["certificateAuthority"]["data"], token)
