"""Attacks that the fixture stacks themselves provide: every switch of every resource, the other way round.

A switch is a property that is true or false. `python -m tests.policy.flips` prints those that no rule holds.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from policy import exceptions
from policy.exceptions import RuleException
from policy.rule import Resource, Stack, is_list, is_map
from policy.rules import NAMES, RULES, STACK_RULES
from tests.policy.configurations import changed
from tests.policy.stacks import TODAY
from tests.policy.states import whole
from tests.unit.harness import STACKS

HARMLESS: Mapping[str, Sequence[str]] = {
    "It decides when something runs, or how fast, and not who may do what.": (
        "aws:appautoscaling/policy:Policy targetTrackingScalingPolicyConfiguration.disableScaleIn",
        "aws:appautoscaling/target:Target suspendedState.dynamicScalingInSuspended",
        "aws:appautoscaling/target:Target suspendedState.dynamicScalingOutSuspended",
        "aws:cloudfront/distribution:Distribution defaultCacheBehavior.compress",
        "aws:cloudfront/distribution:Distribution enabled",
        "aws:cloudfront/distribution:Distribution isIpv6Enabled",
        "aws:cloudfront/distribution:Distribution waitForDeployment",
        "aws:dynamodb/table:Table streamEnabled",
        "aws:elasticache/replicationGroup:ReplicationGroup applyImmediately",
        "aws:lambda/function:Function publish",
        "aws:lambda/function:Function replaceSecurityGroupsOnDestroy",
        "aws:lb/loadBalancer:LoadBalancer enableCrossZoneLoadBalancing",
        "aws:lb/loadBalancer:LoadBalancer enableHttp2",
        "aws:lb/loadBalancer:LoadBalancer enableZonalShift",
        "aws:lb/targetGroup:TargetGroup connectionTermination",
        "aws:rds/cluster:Cluster applyImmediately",
        "aws:rds/clusterInstance:ClusterInstance applyImmediately",
        "aws:secretsmanager/secretRotation:SecretRotation rotateImmediately",
        "aws:synthetics/canary:Canary deleteLambda",
        "aws:synthetics/canary:Canary startCanary",
    ),
    "A part without it doesn't work, which its alarms or the deployment itself show.": (
        "aws:cognito/userPoolClient:UserPoolClient allowedOauthFlowsUserPoolClient",
        "aws:dynamodb/table:Table ttl.enabled",
        "aws:ec2/vpc:Vpc enableDnsHostnames",
        "aws:ec2/vpc:Vpc enableDnsSupport",
        "aws:ec2/vpcEndpoint:VpcEndpoint privateDnsEnabled",
        "aws:eks/cluster:Cluster accessConfig.bootstrapClusterCreatorAdminPermissions",
        "aws:eks/cluster:Cluster bootstrapSelfManagedAddons",
        "aws:eks/cluster:Cluster computeConfig.enabled",
        "aws:eks/cluster:Cluster kubernetesNetworkConfig.elasticLoadBalancing.enabled",
        "aws:eks/cluster:Cluster storageConfig.blockStorage.enabled",
        "aws:eks/cluster:Cluster vpcConfig.endpointPrivateAccess",
        "aws:eks/cluster:Cluster vpcConfig.endpointPublicAccess",
        "aws:lb/loadBalancer:LoadBalancer internal",
        "aws:lb/loadBalancer:LoadBalancer preserveHostHeader",
        "aws:msk/cluster:Cluster openMonitoring.prometheus.jmxExporter.enabledInBroker",
        "aws:msk/cluster:Cluster openMonitoring.prometheus.nodeExporter.enabledInBroker",
        "aws:rds/globalCluster:GlobalCluster forceDestroy",
        "aws:route53/healthCheck:HealthCheck enableSni",
        "aws:route53/healthCheck:HealthCheck invertHealthcheck",
        "aws:route53/record:Record aliases.[].evaluateTargetHealth",
        "kubernetes:apps/v1:Deployment spec.template.spec.enableServiceLinks",
        "kubernetes:batch/v1:Job spec.template.spec.enableServiceLinks",
        "kubernetes:core/v1:ConfigMap immutable",
    ),
    "It only observes, or says less about itself.": (
        "aws:apigateway/methodSettings:MethodSettings settings.metricsEnabled",
        "aws:cloudwatch/metricAlarm:MetricAlarm metricQueries.[].returnData",
        "aws:lb/listener:Listener routingHttpResponseServerEnabled",
        "aws:lb/loadBalancer:LoadBalancer connectionLogs.enabled",
        "aws:rds/cluster:Cluster performanceInsightsEnabled",
        "aws:wafv2/webAcl:WebAcl rules.[].visibilityConfig.sampledRequestsEnabled",
        "aws:wafv2/webAcl:WebAcl visibilityConfig.cloudwatchMetricsEnabled",
        "aws:wafv2/webAcl:WebAcl visibilityConfig.sampledRequestsEnabled",
    ),
    "Only this program writes these headers, and no origin does.": (
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy customHeadersConfig.items.[].override",
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy "
        "securityHeadersConfig.contentSecurityPolicy.override",
        "aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy "
        "securityHeadersConfig.referrerPolicy.override",
    ),
    "A person decides on upgrades, and tries them in another stack first (docs/operations.md).": (
        "aws:elasticache/replicationGroup:ReplicationGroup autoMinorVersionUpgrade",
        "aws:rds/cluster:Cluster allowMajorVersionUpgrade",
        "aws:rds/cluster:Cluster autoMinorVersionUpgrade",
        "aws:rds/clusterInstance:ClusterInstance autoMinorVersionUpgrade",
    ),
    "Another setting is decisive: the role of the channel, the key, the second factor, the volume.": (
        "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration userAuthorizationRequired",
        "aws:cognito/userPool:UserPool softwareTokenMfaConfiguration.enabled",
        "aws:cognito/userPool:UserPool usernameConfiguration.caseSensitive",
        "aws:cognito/managedLoginBranding:ManagedLoginBranding useCognitoProvidedValues",
        "aws:route53/record:Record allowOverwrite",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration "
        "rules.[].bucketKeyEnabled",
        "kubernetes:apps/v1:Deployment spec.template.spec.containers.[].volumeMounts.[].readOnly",
        "kubernetes:batch/v1:Job spec.template.spec.containers.[].volumeMounts.[].readOnly",
        "kubernetes:batch/v1:Job spec.template.spec.initContainers.[].volumeMounts.[].readOnly",
        "kubernetes:core/v1:ServiceAccount automountServiceAccountToken",
        "random:index/randomPassword:RandomPassword special",
    ),
}
"""Why nothing has to hold a switch → type and path of the switches."""

Path = tuple[str | int, ...]
Problems = set[tuple[str, str]]


@dataclass(frozen=True)
class Switch:
    """A switch of a resource, with the first resource that has it."""

    stack: Stack
    resource: Resource
    path: Path
    value: bool

    @property
    def name(self) -> str:
        """The type, and the path without the numbers of list items."""
        path = ".".join("[]" if isinstance(key, int) else key for key in self.path)
        return f"{self.resource.type} {path}"

    def is_held(self) -> bool:
        """Whether the rules find something new when it is the other way round."""
        properties = changed({**self.resource.properties}, ".".join(map(str, self.path)), not self.value)
        flipped = replace(self.resource, properties=properties)
        return bool(_problems(flipped, self.stack) - _problems(self.resource, self.stack))


def switches() -> list[Switch]:
    """One of each switch in the fixture stacks."""
    found: dict[str, Switch] = {}
    # Rules for production hold only there.
    for stack in sorted(map(whole, STACKS), key=lambda it: not it.resources[0].is_production):
        for resource in stack.resources:
            if not resource.is_component:
                for path, value in _switches(resource.properties):
                    it = Switch(stack, resource, path, value)
                    found.setdefault(it.name, it)
    return list(found.values())


def _switches(value: Any, path: Path = ()) -> Iterator[tuple[Path, bool]]:
    if isinstance(value, bool):
        yield path, value
    elif is_map(value):
        for key, item in value.items():
            yield from _switches(item, (*path, str(key)))
    elif is_list(value):
        for index, item in enumerate(value):
            yield from _switches(item, (*path, index))


@functools.cache
def _entries() -> list[RuleException]:
    return exceptions.load(known_rules=NAMES)


def _problems(resource: Resource, stack: Stack) -> Problems:
    """What the rules find in a resource and in those that it belongs to, and no exception covers."""
    neighbours = [resource, *(it for it in stack.resources if it.urn in resource.refers_to)]
    others = [it for it in stack.resources if it.urn != resource.urn]
    whole_stack = Stack([resource, *others])
    found = [
        (rule, resource, problem)
        for rule in RULES
        if rule.applies_to(resource.type)
        for problem in rule.check(resource)
    ]
    found += [
        (rule, it, problem)
        for rule in STACK_RULES
        for it in neighbours
        if rule.applies_to(it.type)
        for problem in rule.check(it, whole_stack)
    ]
    return {
        (rule.name, problem)
        for rule, it, problem in found
        if exceptions.judged(_entries(), rule.name, it, problem, TODAY)
    }


def main() -> None:
    """Prints the switches that no rule holds."""
    for switch in switches():
        if not switch.is_held():
            print(switch.name)


if __name__ == "__main__":
    main()
