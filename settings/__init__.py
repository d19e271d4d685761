"""One stack's configuration, typed and validated: one module for each part; `stack` puts them together.

`Settings.load()` reads every `trading:` key of the stack and either returns a `Settings` or raises
`SettingsError`, whose text names each wrong key, its value and what would be accepted. It runs before
any resource is registered. The defaults suit a production stack; a stack file holds only what differs.

`python -m settings schema` prints the JSON Schema of the stack files (see `settings.schema.json`).
"""

from settings.api import (
    HEALTH_PATH,
    OPENID_SCOPES,
    ORDERS_PATH,
    ApiSettings,
    Canary,
    CanarySettings,
    JwtSettings,
    RouteSettings,
)
from settings.cache import CacheReplicas, CacheSettings
from settings.cluster import ClusterSettings, oldest_version_in_standard_support
from settings.countries import COUNTRIES
from settings.database import DatabaseSettings, ServerlessCapacity
from settings.domain import DomainSettings
from settings.errors import SettingsError
from settings.images import reachable_image, trusted_image
from settings.load_balancer import (
    RULE_PRIORITIES,
    FixedResponseSettings,
    InternalLoadBalancerSettings,
    LoadBalancerSettings,
    RedirectSettings,
)
from settings.market_hours import MarketHours
from settings.model import Range, is_the_internet
from settings.monitoring import (
    MonitoringSettings,
    ObjectiveSettings,
    OrderCanarySettings,
    SlackSettings,
    SpendingSettings,
)
from settings.pinned import pinned_chart, pinned_image
from settings.regions import (
    INTERFACE_SERVICES,
    ExistingSubnet,
    ExistingVpc,
    Region,
    RegionSettings,
    ServedLocations,
    SubnetPlan,
)
from settings.service import WORKLOAD_NAMESPACE, DatabaseRole, ServiceAlertSettings, ServiceSettings
from settings.stack import Settings, stack_schema
from settings.streaming import StreamingSettings, TopicSettings
from settings.table import IDEMPOTENCY_TABLE, AttributeSettings, IndexSettings, RequestUnits, TableSettings
from settings.tags import REQUIRED_TAGS, missing_tags
from settings.web import WebSettings

__all__ = [
    "COUNTRIES",
    "HEALTH_PATH",
    "IDEMPOTENCY_TABLE",
    "INTERFACE_SERVICES",
    "OPENID_SCOPES",
    "ORDERS_PATH",
    "REQUIRED_TAGS",
    "RULE_PRIORITIES",
    "WORKLOAD_NAMESPACE",
    "ApiSettings",
    "AttributeSettings",
    "CacheReplicas",
    "CacheSettings",
    "Canary",
    "CanarySettings",
    "ClusterSettings",
    "DatabaseRole",
    "DatabaseSettings",
    "DomainSettings",
    "ExistingSubnet",
    "ExistingVpc",
    "FixedResponseSettings",
    "IndexSettings",
    "InternalLoadBalancerSettings",
    "JwtSettings",
    "LoadBalancerSettings",
    "MarketHours",
    "MonitoringSettings",
    "ObjectiveSettings",
    "OrderCanarySettings",
    "Range",
    "RedirectSettings",
    "Region",
    "RegionSettings",
    "RequestUnits",
    "RouteSettings",
    "ServedLocations",
    "ServerlessCapacity",
    "ServiceAlertSettings",
    "ServiceSettings",
    "Settings",
    "SettingsError",
    "SlackSettings",
    "SpendingSettings",
    "StreamingSettings",
    "SubnetPlan",
    "TableSettings",
    "TopicSettings",
    "WebSettings",
    "is_the_internet",
    "missing_tags",
    "oldest_version_in_standard_support",
    "pinned_chart",
    "pinned_image",
    "reachable_image",
    "stack_schema",
    "trusted_image",
]
