"""moto's account with a stack's graph, and more than a page of another stack's resources in each list."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import functools
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3

from tests.unit.harness import Graph, Registered

BOTO: Any = boto3
ACCOUNT = "123456789012"
PLATFORM = "trading-full"
OTHER = "trading-decoy"
"""The platform of the other stack in the same account. Its name is in the names of all its resources."""
REGIONS = ("us-east-1", "eu-west-1")
PAGE = 101
"""Decoys of each kind: more than a page of any list in the snippets."""
VERSION = "17.11"


@functools.cache
def client(service: str, region: str) -> Any:
    return BOTO.client(service, region_name=region)


class Seed:
    """Fills the account. Where moto chooses an id itself, later resources refer to that id instead."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._ids: dict[str, str] = {}
        self._subnets: dict[str, list[str]] = {}
        for region in REGIONS:
            self._region(region)
        self._edge()
        self._databases()
        self._tables()
        for region in REGIONS:
            self._alarms(region)

    def of(self, token: str, region: str | None = None) -> Iterator[Registered]:
        """The resources of a type, in one region if it is given."""
        for resource in self.graph.of(f"aws:{token}"):
            if region in (None, resource.inputs.get("region") or resource.outputs.get("region")):
                yield resource

    def instance(self, region: str) -> str:
        """The identifier of an instance of the database."""
        return str(next(self.of("rds/clusterInstance:ClusterInstance", region)).outputs["identifier"])

    def now(self, value: Any) -> Any:
        """The value with moto's ids."""
        text = json.dumps(value)
        for old in sorted(self._ids, key=len, reverse=True):
            text = text.replace(old, self._ids[old])
        return json.loads(text)

    def _is(self, old: str, new: str) -> None:
        if old != new:
            self._ids[old] = new

    def _region(self, region: str) -> None:
        for fill in (
            self._keys,
            self._logs,
            self._network,
            self._topics,
            self._roles,
            self._functions,
            self._streams,
            self._certificates,
            self._backups,
            self._secrets,
        ):
            fill(region)

    def _keys(self, region: str) -> None:
        kms = client("kms", region)
        for key in self.of("kms/key:Key", region):
            self._is(key.id, kms.create_key()["KeyMetadata"]["KeyId"])
        for alias in self.of("kms/alias:Alias", region):
            kms.create_alias(AliasName=alias.id, TargetKeyId=self.now(alias.inputs["targetKeyId"]))

    def _logs(self, region: str) -> None:
        logs = client("logs", region)
        names = [str(group.outputs["name"]) for group in self.of("cloudwatch/logGroup:LogGroup", region)]
        for name in names:
            logs.create_log_group(logGroupName=name, tags={"platform": PLATFORM})
        prefixes = {re.sub(r"[0-9a-f]{7,}$|[a-z0-9]{10}/live$", "", name) for name in names}
        for prefix in prefixes:
            decoy = prefix.replace(PLATFORM, OTHER)
            logs.create_log_group(logGroupName=f"{decoy}decoy", tags={"platform": OTHER})
        for number in range(PAGE // 2):
            logs.create_log_group(
                logGroupName=f"network-{region}-flow-logs-0decoy{number}", tags={"platform": OTHER}
            )

    def _network(self, region: str) -> None:
        ec2, elb, s3 = (client(name, region) for name in ("ec2", "elbv2", "s3"))
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=f"{region}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for i, zone in enumerate("abc")
        ]
        self._subnets[region] = subnets
        for bucket in self.of("s3/bucket:Bucket", region):
            place = (
                {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            )
            s3.create_bucket(Bucket=bucket.id, **place)
        for endpoint in self.of("ec2/vpcEndpoint:VpcEndpoint", region):
            if endpoint.inputs["vpcEndpointType"] == "Interface":
                made = ec2.create_vpc_endpoint(
                    VpcId=vpc,
                    VpcEndpointType="Interface",
                    ServiceName=endpoint.inputs["serviceName"],
                    SubnetIds=subnets,
                )
                self._is(endpoint.id, made["VpcEndpoint"]["VpcEndpointId"])

        def balancer(name: str, kind: str) -> str:
            made = elb.create_load_balancer(Name=name, Type=kind, Scheme="internal", Subnets=subnets)
            return str(made["LoadBalancers"][0]["LoadBalancerArn"])

        for number in range(PAGE):
            balancer(f"decoy-{number}", "application")
        for item in self.of("lb/loadBalancer:LoadBalancer", region):
            arn = balancer(item.outputs["name"], item.inputs["loadBalancerType"])
            self._is(item.outputs["arnSuffix"], arn.split(":loadbalancer/")[1])
            logs = item.inputs["accessLogs"]
            elb.modify_load_balancer_attributes(
                LoadBalancerArn=arn, Attributes=[{"Key": "access_logs.s3.bucket", "Value": logs["bucket"]}]
            )
            if item.inputs["loadBalancerType"] == "application":
                _access_log(s3, logs["bucket"], region)
        for item in self.of("lb/targetGroup:TargetGroup", region):
            inputs = item.inputs
            made = elb.create_target_group(
                Name=item.outputs["name"],
                Protocol=inputs["protocol"],
                Port=inputs["port"],
                VpcId=vpc,
                TargetType=inputs["targetType"],
            )["TargetGroups"][0]["TargetGroupArn"]
            self._is(item.outputs["arnSuffix"], f"targetgroup/{made.split(':targetgroup/')[1]}")
            elb.register_targets(TargetGroupArn=made, Targets=[{"Id": "10.0.0.8", "Port": inputs["port"]}])

    def _topics(self, region: str) -> None:
        sns, sqs = client("sns", region), client("sqs", region)
        for number in range(PAGE):
            sns.create_topic(Name=f"decoy-{number}")
        for topic in self.of("sns/topic:Topic", region):
            sns.create_topic(Name=topic.outputs["name"])
            sns.subscribe(TopicArn=topic.id, Protocol="email", Endpoint="on-call@example.com")
        for queue in self.of("sqs/queue:Queue", region):
            url = sqs.create_queue(QueueName=queue.outputs["name"])["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody="{}")

    def _roles(self, region: str) -> None:
        iam = client("iam", region)
        for number in range(PAGE if region == REGIONS[0] else 0):
            iam.create_role(RoleName=f"a-decoy-{number}", AssumeRolePolicyDocument="{}")
        for role in self.of("iam/role:Role"):
            if role.provider.endswith(region):
                iam.create_role(
                    RoleName=role.outputs["name"],
                    AssumeRolePolicyDocument="{}",
                    Tags=[{"Key": "platform", "Value": PLATFORM}],
                )
                iam.create_role(
                    RoleName=re.sub(r"[0-9a-f]{7}$", "decoy", role.outputs["name"]),
                    AssumeRolePolicyDocument="{}",
                    Tags=[{"Key": "platform", "Value": OTHER}],
                )

    def _functions(self, region: str) -> None:
        functions = client("lambda", region)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("handler.py", "")
        for item in self.of("lambda/function:Function", region):
            functions.create_function(
                FunctionName=item.outputs["name"],
                Role=item.inputs["role"],
                Runtime=item.inputs["runtime"],
                Handler=item.inputs["handler"],
                Code={"ZipFile": archive.getvalue()},
            )
            for number in range(2):
                functions.update_function_configuration(
                    FunctionName=item.outputs["name"], Description=f"version {number}"
                )
                functions.publish_version(FunctionName=item.outputs["name"])
        for alias in self.of("lambda/alias:Alias", region):
            functions.create_alias(
                FunctionName=alias.inputs["functionName"], Name=alias.inputs["name"], FunctionVersion="2"
            )

    def _streams(self, region: str) -> None:
        kafka, amp = client("kafka", region), client("amp", region)
        for item in self.of("msk/cluster:Cluster", region):
            nodes = item.inputs["brokerNodeGroupInfo"]
            for name in (f"{item.outputs['clusterName']}-decoy", item.outputs["clusterName"]):
                made = kafka.create_cluster_v2(
                    ClusterName=name,
                    Provisioned={
                        "BrokerNodeGroupInfo": {
                            "ClientSubnets": nodes["clientSubnets"],
                            "InstanceType": nodes["instanceType"],
                        },
                        "KafkaVersion": item.inputs["kafkaVersion"],
                        "NumberOfBrokerNodes": item.inputs["numberOfBrokerNodes"],
                    },
                )
            self._is(item.id, made["ClusterArn"])
        for number in range(PAGE):
            amp.create_workspace(alias=f"{PLATFORM}-{region}-decoy-{number}")
        for item in self.of("amp/workspace:Workspace", region):
            self._is(item.id, amp.create_workspace(alias=item.inputs["alias"])["workspaceId"])

    def _certificates(self, region: str) -> None:
        acm = client("acm", region)
        for item in self.of("acm/certificate:Certificate", region):
            made = acm.request_certificate(DomainName=item.inputs["domainName"], ValidationMethod="DNS")
            self._is(item.id, made["CertificateArn"])

    def _backups(self, region: str) -> None:
        backup = client("backup", region)
        for vault in self.of("backup/vault:Vault", region):
            backup.create_backup_vault(BackupVaultName=vault.id)
        for item in self.of("backup/plan:Plan", region):
            rule = {"RuleName": "daily", "TargetBackupVaultName": item.inputs["rules"][0]["targetVaultName"]}
            for name in (f"backup-plan-{region}-decoy", item.outputs["name"]):
                backup.create_backup_plan(BackupPlan={"BackupPlanName": name, "Rules": [rule]})

    def _secrets(self, region: str) -> None:
        secrets = client("secretsmanager", region)
        for number in range(PAGE):
            secrets.create_secret(
                Name=f"decoy-{number}",
                Description=f"Master user of {OTHER}-database-{region};",
                SecretString="{}",
            )
        for item in self.of("secretsmanager/secret:Secret"):
            here = item.provider.endswith(region)
            replicated = region in [replica["region"] for replica in item.inputs.get("replicas", ())]
            if here or replicated:
                made = secrets.create_secret(
                    Name=item.outputs["name"],
                    Description=item.inputs["description"],
                    SecretString=_master_secret(item.name),
                    Tags=[{"Key": "platform", "Value": PLATFORM}],
                )
                if here:
                    self._is(item.id, made["ARN"])

    def _edge(self) -> None:
        route53 = client("route53", "us-east-1")
        checks = sorted(
            self.of("route53/healthCheck:HealthCheck"), key=lambda check: check.inputs["type"] == "CALCULATED"
        )
        for number, check in enumerate(checks):
            inputs = self.now(check.inputs)
            names = {
                "type": "Type",
                "fqdn": "FullyQualifiedDomainName",
                "port": "Port",
                "resourcePath": "ResourcePath",
                "requestInterval": "RequestInterval",
                "failureThreshold": "FailureThreshold",
                "childHealthchecks": "ChildHealthChecks",
                "childHealthThreshold": "HealthThreshold",
                "insufficientDataHealthStatus": "InsufficientDataHealthStatus",
            }
            made = route53.create_health_check(
                CallerReference=str(number),
                HealthCheckConfig={names[name]: value for name, value in inputs.items() if name in names},
            )
            self._is(check.id, made["HealthCheck"]["Id"])
        for item in self.of("route53/hostedZoneDnsSec:HostedZoneDnsSec"):
            made = route53.create_hosted_zone(Name="example.com", CallerReference="zone")
            self._is(item.id, made["HostedZone"]["Id"].rpartition("/")[2])

    def _databases(self) -> None:
        for region in REGIONS:
            rds = client("rds", region)
            for number in range(PAGE):
                rds.create_db_cluster(DBClusterIdentifier=f"a-decoy-{number}", **_engine(), **_master())
            for proxy in self.of("rds/proxy:Proxy", region):
                for name in (f"database-{region}-proxy-decoy", proxy.outputs["name"]):
                    tag = OTHER if "decoy" in name else PLATFORM
                    rds.create_db_proxy(
                        DBProxyName=name,
                        EngineFamily="POSTGRESQL",
                        Auth=[],
                        RoleArn=proxy.inputs["roleArn"],
                        VpcSubnetIds=self._subnets[region],
                        Tags=[{"Key": "platform", "Value": tag}],
                    )
        (world,) = self.of("rds/globalCluster:GlobalCluster")
        for region in REGIONS:
            for item in self.of("rds/cluster:Cluster", region):
                database(item, world, region)
        for region in REGIONS:
            rds = client("rds", region)
            for item in self.of("rds/clusterInstance:ClusterInstance", region):
                for name in (item.outputs["identifier"], f"decoy-{item.name}"):
                    rds.create_db_instance(
                        DBInstanceIdentifier=name,
                        DBClusterIdentifier=item.inputs["clusterIdentifier"]
                        if "decoy" not in name
                        else "a-decoy-0",
                        DBInstanceClass=item.inputs["instanceClass"],
                        Engine="aurora-postgresql",
                    )

    def _tables(self) -> None:
        for region in REGIONS:
            names = [table.outputs["name"] for table in self.of("dynamodb/table:Table")]
            dynamodb = client("dynamodb", region)
            for name in names:
                dynamodb.create_table(
                    TableName=name,
                    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                    AttributeDefinitions=[
                        {"AttributeName": "id", "AttributeType": "S"},
                        {"AttributeName": "venue", "AttributeType": "S"},
                    ],
                    GlobalSecondaryIndexes=[
                        {
                            "IndexName": "by-venue",
                            "KeySchema": [{"AttributeName": "venue", "KeyType": "HASH"}],
                            "Projection": {"ProjectionType": "ALL"},
                        }
                    ],
                    BillingMode="PAY_PER_REQUEST",
                )

    def _alarms(self, region: str) -> None:
        cloudwatch = client("cloudwatch", region)
        for number in range(PAGE):
            cloudwatch.put_metric_alarm(
                AlarmName=f"{OTHER}-{region}-{number}",
                MetricName="Decoy",
                Namespace="AWS/EC2",
                Period=60,
                Statistic="Sum",
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
            )
        for alarm in self.of("cloudwatch/metricAlarm:MetricAlarm", region):
            cloudwatch.put_metric_alarm(**_alarm({"name": alarm.outputs["name"], **self.now(alarm.inputs)}))


def database(item: Registered, world: Registered, region: str) -> None:
    """Creates a cluster of the graph, in the global database. The first one is the primary."""
    rds = client("rds", region)
    inputs = item.inputs
    is_first = "sourceRegion" not in inputs
    rds.create_db_cluster(
        DBClusterIdentifier=inputs["clusterIdentifier"],
        DBClusterParameterGroupName=inputs["dbClusterParameterGroupName"],
        KmsKeyId=inputs["kmsKeyId"],
        StorageEncrypted=True,
        DeletionProtection=True,
        EnableCloudwatchLogsExports=["postgresql"],
        BackupRetentionPeriod=35,
        **_engine(),
        **(_master() if is_first else {"GlobalClusterIdentifier": world.id}),
    )
    if is_first:
        client("rds", region).create_global_cluster(
            GlobalClusterIdentifier=world.id, SourceDBClusterIdentifier=item.outputs["arn"]
        )


def _engine() -> dict[str, str]:
    return {"Engine": "aurora-postgresql", "EngineVersion": VERSION}


def _master() -> dict[str, str]:
    return {"MasterUsername": "administrator", "MasterUserPassword": "first-password"}


def _master_secret(name: str) -> str:
    return json.dumps(
        {
            "host": f"{name}.example.com",
            "port": 5432,
            "dbname": "trading",
            "username": "administrator",
            "password": "a-password",
        }
    )


def _access_log(s3: Any, bucket: str, region: str) -> None:
    time = datetime.now(UTC)
    line = 'https t alb c:1 t:1 0 0 0 503 - 1 1 "GET https://trade.example.com/api/quotes HTTP/2.0"\n'
    for hour in (time.hour, (time.hour + 1) % 24):
        key = (
            f"alb/AWSLogs/{ACCOUNT}/elasticloadbalancing/{region}/{time:%Y/%m/%d}/"
            f"{ACCOUNT}_elasticloadbalancing_{region}_app.alb.1_{time:%Y%m%d}T{hour:02}05Z_10.0.0.1_a.log.gz"
        )
        s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(line.encode()))


_ALARM: Mapping[str, str] = {
    "name": "AlarmName",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "period": "Period",
    "statistic": "Statistic",
    "extendedStatistic": "ExtendedStatistic",
    "evaluationPeriods": "EvaluationPeriods",
    "threshold": "Threshold",
    "comparisonOperator": "ComparisonOperator",
}


def _alarm(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `PutMetricAlarm`."""
    made: dict[str, Any] = {to: inputs[name] for name, to in _ALARM.items() if inputs.get(name) is not None}
    if "dimensions" in inputs:
        made["Dimensions"] = _dimensions(inputs["dimensions"])
    for query in inputs.get("metricQueries", ()):
        item: dict[str, Any] = {"Id": query["id"], "ReturnData": bool(query.get("returnData"))}
        if "expression" in query:
            item["Expression"] = query["expression"]
        if metric := query.get("metric"):
            item["MetricStat"] = {
                "Metric": {
                    "Namespace": metric["namespace"],
                    "MetricName": metric["metricName"],
                    "Dimensions": _dimensions(metric.get("dimensions", {})),
                },
                "Period": metric["period"],
                "Stat": metric["stat"],
            }
        made.setdefault("Metrics", []).append(item)
    made.setdefault("ComparisonOperator", "GreaterThanThreshold")
    return made


def _dimensions(found: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": str(value)} for name, value in found.items()]
