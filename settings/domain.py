"""The public names."""

from __future__ import annotations

from collections.abc import Iterator

from settings.model import Broken, Fqdn, Model, rule

COMMON_NAME_LIMIT = 64
"""Characters in the first name of a certificate (ACM API Reference, "RequestCertificate")."""


class DomainSettings(Model):
    """The public names. All lie in one Route 53 hosted zone that exists already."""

    zone: Fqdn
    """Name of the public hosted zone, looked up at deployment."""
    host: Fqdn
    """The name that browsers use; CloudFront answers it."""
    dnssec: bool = False
    """Signs the whole zone, so at most one of the stacks that share it says so. The stack's output
    `dsRecord` then goes into the parent zone, last; before this is taken back, it comes out first."""
    query_logging: bool = False
    """Logs every query for the whole zone, of which there is one log: at most one stack says so."""

    @rule
    def _zone_covers_host(self) -> Iterator[Broken]:
        for word in ("aws", "amazon", "cognito"):
            if word in self.host:
                yield Broken(f"host {self.host}: {word!r} may not be in Cognito's login domain")
        if len(self.host) > COMMON_NAME_LIMIT:
            yield Broken(
                f"host {self.host} has {len(self.host)} characters, and a certificate's first name at most "
                f"{COMMON_NAME_LIMIT}: choose a shorter one, such as trade.{self.zone}"
            )
        if not self.host.endswith(f".{self.zone}"):
            yield Broken(f"host {self.host} must lie below zone {self.zone}, such as trade.{self.zone}")

    @property
    def origin(self) -> str:
        """What CloudFront resolves for everything else: the geolocation → latency → failover tree."""
        return f"origin.{self.host}"

    @property
    def write_origin(self) -> str:
        """What CloudFront resolves for orders and `writes` routes: failover from the primary region only."""
        return f"write.{self.origin}"

    @property
    def latency_origin(self) -> str:
        """The region nearest to the client, for the locations that `origin` sends here."""
        return f"lat.{self.origin}"

    def region_origin(self, region: str) -> str:
        """The name of one region's load balancer, with its peer as the secondary."""
        return f"{region}.{self.origin}"

    def region_health(self, region: str) -> str:
        """The name of one region's load balancer alone, which its health check asks for.

        `region_origin` would not do: once it fails over it answers with the peer, and the check would
        judge the peer (Route 53 Developer Guide: a health check must not name the records it steers).
        """
        return f"health-{region}.{self.origin}"

    def region_internal(self, region: str) -> str:
        """The name of one region's internal load balancer: of private addresses, for the region's API tier.

        Below the origin's name, because the region's certificate has a wildcard for it.
        """
        return f"internal-{region}.{self.origin}"
