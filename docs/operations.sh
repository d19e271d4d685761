# shellcheck shell=bash
# Read-only shell functions for the commands in docs/operations.md. Load them with
# `. docs/operations.sh trading-prod us-east-1 eu-west-1`. They need the AWS CLI 2, jq, kubectl and awscurl, and run in
# bash and zsh, on Linux and on macOS.
#
# With `--output text`, the AWS CLI applies a query to every page of a list, so a query that selects from a list must not
# end in `[0]`: each page without a match would print `None`.

export PLATFORM=${1:?usage: . docs/operations.sh PLATFORM REGION [OTHER_REGION]}
export REGION=${2:?usage: . docs/operations.sh PLATFORM REGION [OTHER_REGION]}
export PEER=${3:-}    # another region of the platform, where a section is about two
export AWS_REGION=$REGION AWS_PAGER=

# alarm SIGNAL: prints the alarm's definition. For an alarm on metric math, adds the fields of the query with the id
# `metric`.
alarm() {
  aws cloudwatch describe-alarms --alarm-names "$PLATFORM-$AWS_REGION-$1" --query 'MetricAlarms[0]' --output json |
    jq '. + ([.Metrics[]? | select(.Id == "metric").MetricStat | .Metric + {Period, Statistic: .Stat}] | first // {})'
}

# ago SECONDS: prints the time that was so many seconds ago, as the AWS CLI accepts it.
ago() {
  jq -rn --argjson seconds "$1" 'now - $seconds | floor | todate'
}

# dim SIGNAL DIMENSION: prints the value of a dimension of the alarm's metric, such as the name that AWS generated for
# a function.
dim() {
  alarm "$1" | jq -r --arg name "$2" '.Dimensions[] | select(.Name == $name).Value'
}

# metric SIGNAL [METRIC STATISTIC]: prints the values of the alarm's metric, or of another metric with the same
# dimensions, for the last three hours or more.
metric() {
  aws cloudwatch get-metric-statistics --output json \
    --cli-input-json "$(alarm "$1" | jq --arg metric "${2:-}" --arg statistic "${3:-}" '
      (if $statistic == "" then .Statistic // .ExtendedStatistic else $statistic end) as $stat |
      {Namespace, Dimensions, Period, MetricName: (if $metric == "" then .MetricName else $metric end),
       StartTime: (now - ([10800, 15 * .Period] | max) | todate), EndTime: (now | todate)} +
      (if $stat | startswith("p") then {ExtendedStatistics: [$stat]} else {Statistics: [$stat]} end)')" |
    jq -r '.Datapoints | sort_by(.Timestamp)[] |
      [.Timestamp, .Sum // .Average // .Maximum // .Minimum // (.ExtendedStatistics // {} | .[])] | @tsv'
}

# log_groups PREFIX: prints the names of this platform's log groups that begin with the prefix. Other stacks in the account
# have log groups with the same prefixes, and only the tag tells them apart.
log_groups() {
  aws logs describe-log-groups --log-group-name-prefix "$1" --query 'logGroups[].[logGroupArn, logGroupName]' --output text |
    while read -r arn name; do
      [ "$(aws logs list-tags-for-resource --resource-arn "$arn" --query tags.platform --output text)" != "$PLATFORM" ] || echo "$name"
    done
}

# logs PREFIX QUERY: runs a Logs Insights query on the last hour of this platform's log groups that begin with the prefix.
logs() {
  local groups query
  groups=$(log_groups "$1" | jq -Rn '[inputs]')
  query=$(aws logs start-query --query queryId --output text --cli-input-json "$(jq -n \
    --argjson groups "$groups" --arg query "$2" \
    '{logGroupNames: $groups, queryString: $query, startTime: (now - 3600 | floor), endTime: (now | floor)}')")
  while aws logs get-query-results --query-id "$query" --query status --output text | grep -qE 'Scheduled|Running'; do
    sleep 1
  done
  aws logs get-query-results --query-id "$query" --query "results[*][?field != '@ptr'].value" --output json |
    jq -r '.[] | @tsv'
}

# role PREFIX: prints the ARN of this platform's IAM role whose name begins with the prefix.
role() {
  aws iam list-roles --query "Roles[?starts_with(RoleName, '$1')].[RoleName, Arn]" --output text |
    while read -r name arn; do
      [ "$(aws iam list-role-tags --role-name "$name" --query "Tags[?Key == 'platform'].Value" --output text)" != "$PLATFORM" ] || echo "$arn"
    done
}

# promql QUERY [ALIAS]: runs an instant query in the region's Prometheus workspace for pods, or in another workspace.
promql() {
  local workspace
  workspace=$(aws amp list-workspaces --alias "${2:-$PLATFORM-$AWS_REGION}" --output text \
    --query "workspaces[?alias == '${2:-$PLATFORM-$AWS_REGION}'].workspaceId")
  awscurl --service aps --region "$AWS_REGION" "https://aps-workspaces.$AWS_REGION.amazonaws.com/workspaces/$workspace/api/v1/query?query=$(
    jq -rn --arg query "$1" '$query | @uri'
  )" | jq -r '.data.result[] | [(.metric | tojson), .value[1]] | @tsv'
}

# targets SIGNAL: prints the health of the targets in the target group that a load balancer's alarm watches.
targets() {
  aws elbv2 describe-target-groups --output text \
    --query "TargetGroups[?ends_with(TargetGroupArn, '$(dim "$1" TargetGroup)')].TargetGroupArn" |
    xargs aws elbv2 describe-target-health --output table \
      --query 'TargetHealthDescriptions[].[Target.Id, TargetHealth.State, TargetHealth.Reason]' --target-group-arn
}

# alb_failures: counts this hour's 5xx errors in the public load balancer's access log, which arrives five minutes late.
# Prints the count, the load balancer's status, the API's status and the address.
alb_failures() {
  local arn bucket folder
  arn=$(aws elbv2 describe-load-balancers --output text \
    --query "LoadBalancers[?ends_with(LoadBalancerArn, '$(dim alb-5xx LoadBalancer)')].LoadBalancerArn")
  bucket=$(aws elbv2 describe-load-balancer-attributes --load-balancer-arn "$arn" --output text \
    --query "Attributes[?Key == 'access_logs.s3.bucket'].Value | [0]")
  folder=$(mktemp -d)
  aws s3 cp --quiet --recursive --exclude '*' --include "*_$(date -u +%Y%m%dT%H)*.log.gz" --exclude '*conn_log*' \
    "s3://$bucket/alb/AWSLogs/$(cut -d: -f5 <<<"$arn")/elasticloadbalancing/$AWS_REGION/$(date -u +%Y/%m/%d)/" "$folder"
  find "$folder" -name '*.gz' -exec gzip -dc {} + | awk '$9 ~ /^5/ {print $9, $10, $14}' | sort | uniq -c | sort -rn | head -20
  rm -r "$folder"
}

# kafka_arn: prints the ARN of the region's Kafka cluster.
kafka_arn() {
  local name
  name=$(dim kafka-offline-partitions 'Cluster Name')
  aws kafka list-clusters-v2 --cluster-name-filter "$name" --output text \
    --query "ClusterInfoList[?ClusterName == '$name'].ClusterArn"
}

# top_sql: prints the statements that put the most load on the database's writer (in a secondary region, on its first
# reader), with their average number of active sessions.
top_sql() {
  local writer
  writer=$(aws rds describe-db-clusters --db-cluster-identifier "$PLATFORM-database-$AWS_REGION" --output text \
    --query 'DBClusters[0].DBClusterMembers | (@[?IsClusterWriter] || @) | [0].DBInstanceIdentifier')
  aws pi describe-dimension-keys --service-type RDS --metric db.load.avg --group-by Group=db.sql_tokenized,Limit=10 \
    --identifier "$(aws rds describe-db-instances --db-instance-identifier "$writer" --query 'DBInstances[0].DbiResourceId' --output text)" \
    --start-time "$(ago 3600)" --end-time "$(ago 0)" --output json |
    jq -r '.Keys[] | [.Total, .Dimensions["db.sql_tokenized.statement"]] | @tsv'
}

# writer_region: prints the region whose database takes the writes.
writer_region() {
  local arn
  arn=$(aws rds describe-global-clusters --output text --query \
    "GlobalClusters[?GlobalClusterIdentifier == '$PLATFORM-database'].GlobalClusterMembers[] | [?IsWriter].DBClusterArn")
  if [ -n "$arn" ]; then cut -d: -f4 <<<"$arn"; else echo "$AWS_REGION"; fi
}

# sql STATEMENT [HOST]: runs a statement as the database's master user, on the region's writer (in a secondary region, on
# a reader) or on another host, from a pod that is deleted afterwards. The password is that of the writer's region, whose
# users all regions have. The pod reads it from its standard input, so that neither its specification nor the audit log
# contains it.
sql() {
  local region arn secret host endpoint=Endpoint
  region=$(writer_region)
  [ "$region" = "$AWS_REGION" ] || endpoint=ReaderEndpoint
  host=${2:-$(aws rds describe-db-clusters --db-cluster-identifier "$PLATFORM-database-$AWS_REGION" --output text \
    --query "DBClusters[0].$endpoint")}
  arn=$(AWS_REGION=$region aws secretsmanager list-secrets --output text \
    --query "SecretList[?Description && contains(Description, '$PLATFORM-database-$region;')].ARN")
  secret=$(AWS_REGION=$region aws secretsmanager get-secret-value --secret-id "$arn" --query SecretString --output text)
  # The pod does not run in the namespace `trading`, whose network policies block other pods from the database.
  jq -r .password <<<"$secret" |
    kubectl run "psql-$RANDOM" --namespace default --rm -i --quiet --restart=Never --image=postgres:17 -- \
      sh -c 'read -r PGPASSWORD; export PGPASSWORD; exec psql "$0" -c "$1"' \
      "$(jq -r --arg host "$host" '"host=\($host) port=\(.port) dbname=\(.dbname) user=\(.username) sslmode=require"' <<<"$secret")" "$1"
}
