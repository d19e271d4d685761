"""Settings of the public domain names."""

from __future__ import annotations

from collections.abc import Iterator

from settings.aws_limits import COMMON_NAME_LENGTH, LOGIN_DOMAIN_RESERVED
from settings.model import Broken, Fqdn, Model, rule


class DomainSettings(Model):
    """The public domain names. They all lie in one existing Route 53 hosted zone."""

    zone: Fqdn
    """Name of the public hosted zone, which is looked up during the deployment."""
    host: Fqdn
    """The name that browsers use. It points to CloudFront."""
    dnssec: bool = False
    """Whether to sign the zone. Signing applies to the whole zone, so set it in at most one of the stacks
    that share the zone. After the deployment, add the stack's output `dsRecord` to the parent zone. To switch
    signing off, first remove that record from the parent zone."""
    query_logging: bool = False
    """Whether to log every query for the zone. A zone has only one log, so set it in at most one of the
    stacks that share the zone."""

    @rule
    def _zone_covers_host(self) -> Iterator[Broken]:
        for word in LOGIN_DOMAIN_RESERVED:
            if word in self.host:
                yield Broken(f"host {self.host}: Cognito's login domain must not contain {word!r}")
        if len(self.host) > COMMON_NAME_LENGTH:
            yield Broken(
                f"host {self.host} has {len(self.host)} characters, but a certificate's first name can have "
                f"only {COMMON_NAME_LENGTH}: choose a shorter one, such as trade.{self.zone}"
            )
        if not self.host.endswith(f".{self.zone}"):
            yield Broken(f"host {self.host} must lie below zone {self.zone}, such as trade.{self.zone}")

    @property
    def origin(self) -> str:
        """The origin that CloudFront resolves for all other requests: geolocation → latency → failover."""
        return f"origin.{self.host}"

    @property
    def write_origin(self) -> str:
        """The origin that CloudFront resolves for orders and `writes` routes: the region that takes them."""
        return f"write.{self.origin}"

    @property
    def latency_origin(self) -> str:
        """The name of the region with the lowest latency, which `origin` uses where no region `serves`."""
        return f"lat.{self.origin}"

    def region_origin(self, region: str) -> str:
        """The name of one region's load balancer, with failover to the region's peer."""
        return f"{region}.{self.origin}"

    def region_health(self, region: str) -> str:
        """The name of one region's load balancer without failover, for the region's health check.

        The health check can't use `region_origin`: after a failover that name resolves to the peer, and the
        check would test the peer (Route 53 Developer Guide: a health check must not name the records that it
        controls).
        """
        return f"health-{region}.{self.origin}"

    def region_internal(self, region: str) -> str:
        """The name of one region's internal load balancer, which resolves to private addresses.

        It lies below the origin's name, because the region's certificate has a wildcard for that.
        """
        return f"internal-{region}.{self.origin}"
