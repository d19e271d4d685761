"""A real API server with the kinds that EKS and KEDA add, to test the objects that we send to it."""

from collections.abc import Iterator

import pytest
import yaml

from sandbox import tools
from sandbox.apiserver import ApiServers
from sandbox.kubernetes.client import Cluster


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    servers = ApiServers(directory)
    server = servers.start("test")
    token = (directory / "clusters" / "test" / "token").read_text()
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {
                "name": "test",
                "cluster": {
                    "server": server.endpoint,
                    "certificate-authority-data": server.certificate_authority_data,
                },
            }
        ],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {"token": token}}],
    }
    try:
        cluster = Cluster(yaml.safe_dump(kubeconfig))
        for path in sorted(tools.keda_crds().glob("*.yaml")):
            definition = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
            cluster.apply(definition, "test")
            cluster.wait_established(definition)
        yield cluster
    finally:
        servers.stop()
