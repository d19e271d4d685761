"""Parameters of the database, and why each differs from PostgreSQL's or RDS's default.

No parameter has its default value: RDS doesn't report such a parameter as set by a user, so every preview
would show it as a difference (terraform-provider-aws, `internal/service/rds/cluster_parameter_group.go` and
issue 39252). Defaults that the platform relies on are therefore not repeated here: `synchronous_commit` is
`on`, and `ssl_min_protocol_version` is `TLSv1.2`. A test compares the parameters with
`settings/aws_parameters.json`.
"""

from __future__ import annotations

import pulumi_aws as aws

from settings.aws_parameters import database_parameters

_CLUSTER = {
    "rds.force_ssl": "1",
    # Logs who changed the schema or a permission. The ledger records the history of the rows.
    "pgaudit.log": "ddl,role",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_lock_waits": "1",
    "log_min_duration_statement": "1000",  # ms
    # A client that died inside a transaction must not keep balances locked (ms).
    "idle_in_transaction_session_timeout": "60000",
    "shared_preload_libraries": "pg_stat_statements,pgaudit,auto_explain",
}
"""Parameters of every instance of the cluster.

`statement_timeout` isn't set here: a time that is too long for an order isn't too long for a report or for
building an index, so each role has its own value (`alter role orders set statement_timeout = '5s'`). Aurora
has no parameter `lock_timeout`; `database/users.sql` sets it for the services' users. The isolation level
isn't set either: a service requests SERIALIZABLE where it needs it, and must be able to retry.
"""

_AT_RESTART = {"rds.force_ssl"}
"""Dynamic parameters that RDS nevertheless reports with the apply method `pending-reboot`
(terraform-provider-aws, issue 39252), which it also accepts. New instances start with them."""

_INSTANCE = {
    # Logs the estimated plan of a statement that took this long (ms). The default of
    # `auto_explain.log_analyze` is off: timing each step would slow down every statement on the order path.
    "auto_explain.log_min_duration": "5000",
    "auto_explain.log_nested_statements": "1",
}
"""Dynamic parameters of the declared instances."""


def cluster_parameters(family: str) -> list[aws.rds.ClusterParameterGroupParameterArgsDict]:
    """The parameters of a cluster of a family such as `aurora-postgresql17`."""
    known = database_parameters(family)
    values = {name: value for name, value in _CLUSTER.items() if known[name].default != value}
    if "all" in (known["log_connections"].allowed or ""):
        # Since PostgreSQL 18, the parameter lists the stages of a connection that are logged.
        values["log_connections"] = "all"
    return [
        {
            "name": name,
            "value": value,
            "apply_method": (
                "pending-reboot" if known[name].kind == "static" or name in _AT_RESTART else "immediate"
            ),
        }
        for name, value in values.items()
    ]


def instance_parameters() -> list[aws.rds.ParameterGroupParameterArgsDict]:
    """The parameters of an instance."""
    return [{"name": name, "value": value, "apply_method": "immediate"} for name, value in _INSTANCE.items()]
