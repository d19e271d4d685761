"""Names of the stack that nobody else may have, and the questions whether somebody has them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from account.hosted_zone import public_zone
from account.question import Answer, Client, Question, ask, judged, pages, taken, unless
from account.stack import Caller, Stack
from report.planned import UNKNOWN
from settings.aws_limits import EDGE_REGION

ASKED: Mapping[str, str] = {
    "aws:apigateway/domainName:DomainName": "api-domains",
    "aws:budgets/budget:Budget": "budget-name",
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": "chat-name",
    "aws:cloudfront/distribution:Distribution": "host-names",
    "aws:cloudwatch/logGroup:LogGroup": "log-groups",
    "aws:cognito/userPoolDomain:UserPoolDomain": "login-domain",
    "aws:eks/cluster:Cluster": "cluster-name",
    "aws:elasticache/user:User": "cache-users",
    "aws:elasticache/userGroup:UserGroup": "cache-users",
    "aws:kms/alias:Alias": "key-aliases",
    "aws:rds/cluster:Cluster": "database-name",
    "aws:rds/globalCluster:GlobalCluster": "global-database-name",
    "aws:route53/record:Record": "host-names",
    "aws:synthetics/canary:Canary": "canary-name",
}
"""Type of resources with a name of the program's choice → the check that asks whether it is free."""

_INSIDE = "the name is unique only inside another resource of the stack"
_EQUAL = "several resources can have the same name"
_PLATFORM = (
    "the name begins with the platform's, so that the check `cluster-name` finds whoever else uses it; the "
    "resource is overwritten, and has no owner to ask for"
)
NOT_ASKED: Mapping[str, str] = {
    "aws:acm/certificate:Certificate": _EQUAL,
    "aws:amp/ruleGroupNamespace:RuleGroupNamespace": _INSIDE,
    "aws:amp/scraper:Scraper": _EQUAL,
    "aws:amp/workspace:Workspace": _EQUAL,
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": _PLATFORM,
    "aws:cloudwatch/dashboard:Dashboard": _PLATFORM,
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": _PLATFORM,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _PLATFORM,
    "aws:cloudwatch/queryDefinition:QueryDefinition": _EQUAL,
    "aws:cognito/resourceServer:ResourceServer": _INSIDE,
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": "its name is a title, and AWS gives it an id",
    "aws:costexplorer/anomalySubscription:AnomalySubscription": "its name is a title, and AWS gives it an id",
    "aws:lambda/alias:Alias": _INSIDE,
    "aws:msk/topic:Topic": _INSIDE,
    "aws:rds/proxyEndpoint:ProxyEndpoint": "the name continues that of a proxy, which is automatic",
    "aws:route53/keySigningKey:KeySigningKey": _INSIDE,
}
"""Type of resources with a name of the program's choice → why nobody needs to be asked."""


def questions(stack: Stack, region: str) -> Iterator[Question]:
    """The questions about the names in a region."""
    here = functools.partial(ask, region=region, named=True)
    tag = stack.platform
    users = _texts(stack, "aws:elasticache/user:User", region, "userId")
    groups = _texts(stack, "aws:elasticache/userGroup:UserGroup", region, "userGroupId")
    if users or groups:
        yield here(
            "cache-users",
            "the names of the cache's users",
            "elasticache",
            ("DescribeUsers", "DescribeUserGroups", "ListTagsForResource"),
            cache_users,
            users,
            groups,
            tag,
        )
    if names := _texts(stack, "aws:kms/alias:Alias", region, "name"):
        yield here(
            "key-aliases",
            "the aliases of the keys",
            "kms",
            ("ListAliases", "ListResourceTags"),
            key_aliases,
            names,
            tag,
        )
    if names := _texts(stack, "aws:apigateway/domainName:DomainName", region, "domainName"):
        yield here(
            "api-domains",
            "the custom domains of the API",
            "apigateway",
            "GetDomainNames",
            api_domains,
            names,
            tag,
        )
    for name in _texts(stack, "aws:rds/globalCluster:GlobalCluster", region, "globalClusterIdentifier"):
        yield here(
            "global-database-name",
            f"the name {name} for the global database",
            "rds",
            "DescribeGlobalClusters",
            global_database,
            name,
            tag,
        )
    for name in _texts(stack, "aws:synthetics/canary:Canary", region, "name"):
        yield here(
            "canary-name",
            f"the name {name} for the canary",
            "synthetics",
            "GetCanary",
            canary,
            name,
            tag,
        )


def of_account(stack: Stack, caller: Caller, route53: Client) -> Iterator[Question]:
    """The questions about the names that are unique in the account or in the world."""
    for name in _texts(stack, "aws:budgets/budget:Budget", None, "name"):
        yield ask(
            "budget-name",
            f"the name {name} for the budget",
            "budgets",
            ("DescribeBudget", "ListTagsForResource"),
            budget,
            name,
            caller.account,
            stack.platform,
        )
    for item in stack.of("aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration"):
        yield ask(
            "chat-name",
            f"the name {item['configurationName']} for the configuration of the chat",
            "chatbot",
            "DescribeSlackChannelConfigurations",
            chat,
            item["configurationName"],
            stack.platform,
            region=item.get("region", EDGE_REGION),
        )
    hosts = sorted(
        {
            host
            for item in stack.of("aws:cloudfront/distribution:Distribution")
            for host in item.get("aliases", ())
            if isinstance(host, str) and UNKNOWN not in host
        }
    )
    records = sorted(
        {
            (str(item["name"]).rstrip("."), str(item["type"]))
            for item in stack.of("aws:route53/record:Record")
            if UNKNOWN not in str(item.get("name", UNKNOWN)) and not item.get("allowOverwrite")
        }
    )
    yield ask(
        "host-names",
        f"no other distribution and no other record for {', '.join(hosts)}",
        "cloudfront",
        ("ListDistributions", "ListTagsForResource"),
        host_names,
        route53,
        hosts,
        records,
        stack.settings.domain.zone,
        stack.platform,
        also=("route53:ListHostedZonesByName", "route53:ListResourceRecordSets"),
        region=EDGE_REGION,
    )


def _texts(stack: Stack, token: str, region: str | None, key: str) -> list[str]:
    """The names of a type's resources that are known."""
    found = {item.get(key) for item in stack.of(token, region)}
    return sorted(name for name in found if isinstance(name, str) and UNKNOWN not in name)


# -- the checks -------------------------------------------------------------------------------------------


def cache_users(
    elasticache: Client, users: Collection[str], groups: Collection[str], platform: str
) -> Answer:
    """No one else has the names of the cache's users and user groups."""
    owners: dict[str, str | None] = {}
    asks = (
        ("User", users, elasticache.describe_users),
        ("UserGroup", groups, elasticache.describe_user_groups),
    )
    for kind, names, describe in asks:
        for name in names:
            # The code of the error `UserNotFoundFault` has no "Fault" at the end (botocore's service model).
            found = unless(
                f"{kind}NotFound",
                lambda name=name, kind=kind, describe=describe: describe(**{f"{kind}Id": name}),
            )
            for item in found[f"{kind}s"] if found else ():
                tags = elasticache.list_tags_for_resource(ResourceName=item["ARN"])["TagList"]
                owners[name] = _tag(tags)
    return _judged(owners, [*users, *groups], platform)


def key_aliases(kms: Client, names: Collection[str], platform: str) -> Answer:
    """No other key has the aliases."""
    owners: dict[str, str | None] = {}
    for item in pages(kms, "list_aliases", "Aliases"):
        if item["AliasName"] in names:
            key = item.get("TargetKeyId")
            tags: Any = kms.list_resource_tags(KeyId=key)["Tags"] if key else ()
            owners[item["AliasName"]] = _tag(tags, "TagKey", "TagValue")
    return _judged(owners, names, platform)


def api_domains(apigateway: Client, names: Collection[str], platform: str) -> Answer:
    """No other API of the account has the custom domains in this region."""
    owners = {
        item["domainName"]: item.get("tags", {}).get("platform")
        for item in pages(apigateway, "get_domain_names", "items")
        if item["domainName"] in names
    }
    return _judged(owners, names, platform)


def global_database(rds: Client, name: str, platform: str) -> Answer:
    """No other global database has the name."""
    found = unless(
        "GlobalClusterNotFoundFault", lambda: rds.describe_global_clusters(GlobalClusterIdentifier=name)
    )
    owners: dict[str, str | None] = {}
    for item in found["GlobalClusters"] if found else ():
        owners[name] = _tag(item.get("TagList", []))
    return _judged(owners, [name], platform)


def canary(synthetics: Client, name: str, platform: str) -> Answer:
    """No other canary has the name."""
    found = unless("ResourceNotFoundException", lambda: synthetics.get_canary(Name=name))
    return _judged({name: found["Canary"].get("Tags", {}).get("platform")} if found else {}, [name], platform)


def chat(chatbot: Client, name: str, platform: str) -> Answer:
    """No other configuration of a chat has the name."""
    owners: dict[str, str | None] = {}
    for item in pages(chatbot, "describe_slack_channel_configurations", "SlackChannelConfigurations"):
        if item.get("ConfigurationName") == name:
            owners[name] = _tag(item.get("Tags", []), "TagKey", "TagValue")
    return _judged(owners, [name], platform)


def budget(budgets: Client, name: str, account: str, platform: str) -> Answer:
    """No other budget has the name."""
    found = unless("NotFoundException", lambda: budgets.describe_budget(AccountId=account, BudgetName=name))
    owners: dict[str, str | None] = {}
    if found:
        arn = f"arn:aws:budgets::{account}:budget/{name}"
        owners[name] = _tag(budgets.list_tags_for_resource(ResourceARN=arn).get("ResourceTags", []))
    return _judged(owners, [name], platform)


def host_names(
    cloudfront: Client,
    route53: Client,
    hosts: Collection[str],
    records: Collection[tuple[str, str]],
    zone: str,
    platform: str,
) -> Answer:
    """No other distribution of the account serves the hosts, and no record of theirs is someone else's.

    CloudFront doesn't tell before the deployment whether another account serves a host. Its records would be
    in the zone.

    Args:
        cloudfront: the client.
        route53: a client for the hosted zone.
        hosts: the alternate names of the stack's distributions.
        records: names and types of the stack's records.
        zone: the name of the hosted zone.
        platform: the tag of the stack's own distributions.
    """
    owners: dict[str, str | None] = {}
    targets: set[str] = set()
    for page in cloudfront.get_paginator("list_distributions").paginate():
        for item in page["DistributionList"].get("Items", ()):
            for host in {*item["Aliases"].get("Items", ())} & {*hosts}:
                tags = cloudfront.list_tags_for_resource(Resource=item["ARN"])["Tags"].get("Items", [])
                owners[host] = _tag(tags)
                if owners[host] == platform:
                    targets.add(item["DomainName"])
    served = _judged(owners, hosts, platform)
    if served.status == "fail":
        return served
    foreign = sorted({*_foreign(route53, public_zone(route53, zone), hosts, records, targets)})
    return judged(
        foreign,
        f"{', '.join(hosts)}: {len(records)} records are free or this stack's own",
        "delete the records that nobody needs, or choose another `domain.host`",
    )


def _foreign(
    route53: Client,
    zone: str,
    hosts: Collection[str],
    records: Collection[tuple[str, str]],
    targets: Collection[str],
) -> Iterator[str]:
    """The records that aren't the stack's own. A stack without a distribution has none."""
    for item in pages(route53, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone):
        name, kind = item["Name"].rstrip(".").replace("\\052", "*"), item["Type"]
        address = item.get("AliasTarget", {}).get("DNSName", "").rstrip(".")
        value = address or ", ".join(found["Value"] for found in item.get("ResourceRecords", ()))
        # Only the hosts' own addresses tell whose they are: other records lead to load balancers.
        elsewhere = name in hosts and kind in ("A", "AAAA") and address not in targets
        blocks = name in hosts and kind == "CNAME"
        if blocks or ((name, kind) in records and (not targets or elsewhere)):
            yield f"{name} has the {kind} record {value}"


def _tag(tags: Iterable[Mapping[str, Any]], key: str = "Key", value: str = "Value") -> str | None:
    """The platform that a list of tags names."""
    return next((str(item[value]) for item in tags if item[key] == "platform"), None)


def _judged(owners: Mapping[str, str | None], names: Collection[str], platform: str) -> Answer:
    """Whether all names that exist are the platform's own."""
    return judged(
        [taken(name, owner) for name, owner in sorted(owners.items()) if owner != platform],
        f"{', '.join(names)}: {'this stack has' if owners else 'free'}",
        "choose another `environment` or `domain.host`, or import the resource into the stack",
    )
