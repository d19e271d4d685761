"""Runs the Kubernetes API of each EKS cluster in the sandbox.

Each cluster has etcd, kube-apiserver and kube-controller-manager as child processes, on the loopback
interface. There are no nodes and no scheduler, so pods stay pending. The controller manager is needed because
deleted namespaces never disappear without it. A cluster starts in about a second and takes 400 MB.
"""

from __future__ import annotations

import base64
import os
import random
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox import tools
from sandbox.folder import CLUSTER_NAME, SandboxError, cluster_folder

if TYPE_CHECKING:
    from sandbox.kubernetes.client import Cluster

START_TIMEOUT = 60
"""Seconds to wait for an API server. It usually takes one, and far longer on a busy machine."""

STOP_TIMEOUT = 10
"""Seconds that a process has to terminate before it is killed."""

PORTS = range(20_000, 30_000)
"""Ports below Linux's ephemeral range (32768 to 60999), so outgoing connections can't take one between two
commands."""

CRDS = Path(__file__).parent / "crds"

# The child runs until the parent's end of the pipe on standard input closes. The kernel closes it however the
# parent ends. (A parent-death signal would be sent as soon as the *thread* that started the child ends.) The
# child is then killed: etcd could no longer be stopped last, and an API server without etcd takes a minute to
# terminate. The data is as safe as after any crash.
_GUARD = """
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
trap 'kill $child' TERM
(read -r _ <&3; kill -9 $child) &
guard=$!
while kill -0 $child; do wait $child; done 2>/dev/null
kill $guard
"""


class ApiServerError(SandboxError):
    """Raised if an API server doesn't start, or if a cluster doesn't exist."""


@dataclass(frozen=True)
class ApiServer:
    """A running cluster, with the properties that EKS's `DescribeCluster` shows."""

    name: str
    endpoint: str
    certificate_authority_data: str


class ApiServers:
    """The local API servers in one directory, one for each cluster. It is safe to use from several threads.

    A cluster's data, certificate and port stay in `<directory>/clusters/<name>` between commands, so its
    endpoint is stable. The processes end when the process that started them ends.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, _Processes] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def _lock_of(self, name: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(name, threading.Lock())

    def names(self) -> list[str]:
        """The names of all clusters that have data, whether they are running or not."""
        found = (path.parent.name for path in (self._directory / "clusters").glob("*/port"))
        return sorted(name for name in found if CLUSTER_NAME.fullmatch(name))

    def _folder(self, name: str) -> Path:
        return cluster_folder(self._directory, name)

    def start(self, name: str) -> ApiServer:
        """Starts a cluster unless it is running, and returns it.

        Raises:
            SandboxError: the cluster doesn't start, or its name is invalid.
        """
        with self._lock_of(name):
            running = self._running.get(name)
            if running is None:
                running = _Processes(self._folder(name))
                running.start()
                self._running[name] = running
            return running.server

    def start_existing(self) -> list[ApiServer]:
        """Starts every cluster that has data."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self.start, self.names()))

    def stop(self) -> None:
        """Stops all processes and waits for them. The data is kept."""
        for name in list(self._running):
            self._stop(name)

    def _stop(self, name: str) -> None:
        with self._lock_of(name):
            running = self._running.pop(name, None)
            if running is not None:
                running.stop()

    def remove(self, name: str) -> None:
        """Stops a cluster and deletes its data.

        Raises:
            SandboxError: the cluster's name is invalid.
        """
        folder = self._folder(name)
        self._stop(name)
        shutil.rmtree(folder, ignore_errors=True)

    def status(self) -> list[dict[str, Any]]:
        """Returns `name`, `endpoint`, `running` and `objects` of each cluster.

        `objects` counts the deployed objects by kind (those with a field manager of Pulumi or Helm). It is
        `None` if the cluster isn't running.
        """
        return [
            {
                "name": name,
                "endpoint": _endpoint(self._folder(name)),
                "running": name in self._running,
                "objects": _count(self._folder(name)) if name in self._running else None,
            }
            for name in self.names()
        ]

    def write_kubeconfig(self, path: Path) -> None:
        """Writes a kubeconfig with a context for each cluster, whose user runs `aws eks get-token`."""
        path.write_text(yaml.safe_dump(_kubeconfig({name: self._folder(name) for name in self.names()})))


def _endpoint(directory: Path) -> str:
    return f"https://127.0.0.1:{(directory / 'port').read_text()}"


def _kubeconfig(folders: Mapping[str, Path]) -> dict[str, Any]:
    def arguments(name: str) -> list[str]:
        return ["eks", "get-token", "--cluster-name", name, "--output", "json"]

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(folders), ""),
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": _endpoint(folder),
                    "certificate-authority-data": _base64(folder / "server.crt"),
                },
            }
            for name, folder in folders.items()
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in folders],
        "users": [
            {
                "name": name,
                "user": {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1beta1",
                        "command": "aws",
                        "args": arguments(name),
                        "interactiveMode": "Never",
                    }
                },
            }
            for name in folders
        ],
    }


def _token_kubeconfig(directory: Path, token: str) -> str:
    document = _kubeconfig({directory.name: directory})
    document["users"][0]["user"] = {"token": token}
    return yaml.safe_dump(document)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _administrator(directory: Path) -> Cluster:
    # Imported here because the import takes a third of a second, and `aws eks get-token` doesn't need it.
    from sandbox.kubernetes.client import Cluster

    return Cluster(_token_kubeconfig(directory, (directory / "token").read_text()))


def _count(directory: Path) -> dict[str, int]:
    cluster = _administrator(directory)
    groups = cluster.request("GET", "/apis")["groups"]
    counts: dict[str, int] = {}
    for version in ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]:
        for kind, served in cluster.kinds(version).items():
            if not served.listable:
                continue
            items = cluster.list(served)
            managed = sum(
                any(
                    entry.get("manager", "").startswith(("pulumi-kubernetes", "helm"))
                    for entry in item["metadata"].get("managedFields", [])
                )
                for item in items
            )
            if managed:
                counts[kind] = counts.get(kind, 0) + managed
    return dict(sorted(counts.items()))


class _Processes:
    """The three processes of one cluster."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []

    @property
    def server(self) -> ApiServer:
        return ApiServer(
            self.directory.name, _endpoint(self.directory), _base64(self.directory / "server.crt")
        )

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self._write_files()
        try:
            self._start_etcd()
            self._start_api_server()
            self._start_controller_manager()
            self._install_crds()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        # In reverse order, because an API server without etcd takes a minute to terminate.
        for _, child in reversed(self._children):
            child.terminate()
            try:
                child.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)
                child.wait()
            finally:
                if child.stdin:
                    child.stdin.close()
        self._children.clear()

    def _write_files(self) -> None:
        directory = self.directory
        if not (directory / "server.crt").exists():
            _write_certificate(directory / "server.crt", directory / "server.key")
        if not (directory / "port").exists():
            (directory / "port").write_text(str(_free_port(PORTS)))
        if not (directory / "token").exists():
            (directory / "token").write_text(secrets.token_urlsafe(32))
        controller_token = secrets.token_urlsafe(32)
        token = (directory / "token").read_text()
        (directory / "tokens.csv").write_text(
            f'{token},administrator,administrator,"system:masters"\n'
            f"{controller_token},system:kube-controller-manager,controller-manager\n"
        )
        (directory / "controller-manager.kubeconfig").write_text(
            _token_kubeconfig(directory, controller_token)
        )

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", str(tools.tool(name)), *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # Ctrl-C must only reach the engine, which still needs this API server to finish its work.
                start_new_session=True,
            )
        self._children.append((name, child))
        return child

    def _wait(self, name: str, child: subprocess.Popen[bytes], url: str) -> None:
        """Waits for a 200 response from a server that has the cluster's key, so not from another process."""
        context = ssl.create_default_context(cafile=str(self.directory / "server.crt"))
        context.load_cert_chain(self.directory / "server.crt", self.directory / "server.key")
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})
        )
        deadline = time.monotonic() + START_TIMEOUT
        problem: object = ""
        while time.monotonic() < deadline and child.poll() is None:
            try:
                with opener.open(url, timeout=5) as response:
                    if response.status == 200:
                        return
            except (OSError, urllib.error.URLError) as error:
                problem = error
            time.sleep(0.03)
        log = (self.directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
        raise ApiServerError(
            f"{name} of cluster {self.directory.name} did not start ({problem}); "
            f"the end of {self.directory / name}.log:\n" + "\n".join(log[-5:])
        )

    def _start_etcd(self) -> None:
        self._etcd = f"https://127.0.0.1:{_free_port(PORTS)}"
        child = self._spawn(
            "etcd",
            "--data-dir=etcd",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--cert-file=server.crt",
            "--key-file=server.key",
            "--client-cert-auth",
            "--trusted-ca-file=server.crt",
            "--log-level=warn",
            # The data survives a crash of the process, but not of the machine, which is enough here.
            "--unsafe-no-fsync",
        )
        self._wait("etcd", child, f"{self._etcd}/health")

    def _start_api_server(self) -> None:
        # Imported here because importing settings takes most of a second, and other commands don't need them.
        from settings.aws_limits import SERVICE_NETWORKS

        endpoint = _endpoint(self.directory)
        port = int(endpoint.rsplit(":", 1)[1])
        # After a crash, the previous command's processes take a moment to end.
        deadline = time.monotonic() + STOP_TIMEOUT
        while not _is_free(port) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not _is_free(port):
            raise ApiServerError(
                f"port {port} of cluster {self.directory.name} is used by another process (or by another "
                f"sandbox command that is still running): stop it, or delete the sandbox with "
                f"`python -m sandbox reset`"
            )
        child = self._spawn(
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            "--etcd-cafile=server.crt",
            "--etcd-certfile=server.crt",
            "--etcd-keyfile=server.key",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={SERVICE_NETWORKS[0]}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=server.key",
            "--service-account-signing-key-file=server.key",
            "--endpoint-reconciler-type=none",
            "--allow-privileged",
            "--profiling=false",
        )
        self._wait("kube-apiserver", child, f"{endpoint}/readyz")

    def _start_controller_manager(self) -> None:
        kubeconfig = "controller-manager.kubeconfig"
        self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--secure-port=0",
            "--leader-elect=false",
            "--root-ca-file=server.crt",
            "--service-account-private-key-file=server.key",
            "--use-service-account-credentials=true",
            # Without the controllers that need nodes or a cloud provider.
            "--controllers=*,-node-ipam-controller,-node-route-controller,"
            "-cloud-node-lifecycle-controller,-service-lb-controller",
        )

    def _install_crds(self) -> None:
        cluster = _administrator(self.directory)
        definitions = [
            yaml.load(path.read_text(), Loader=yaml.CSafeLoader) for path in sorted(CRDS.glob("*.yaml"))
        ]
        for definition in definitions:
            cluster.apply(definition, "eks", force=True)
        for definition in definitions:
            cluster.wait_established(definition)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Like servers, ignore connections of the last run that the kernel still remembers.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port(ports: range) -> int:
    return next(port for port in random.sample(ports, len(ports)) if _is_free(port))


def _write_certificate(certificate: Path, key: Path) -> None:
    """Writes a self-signed certificate for the servers, and for the API server as a client of etcd."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .sign(private, hashes.SHA256())
    )
    key.touch(mode=0o600)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
