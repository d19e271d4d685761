"""Parameters of the database, and why each differs from PostgreSQL's default."""

from __future__ import annotations

CLUSTER_PARAMETERS = {
    "rds.force_ssl": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    # Logs who changed the schema or a permission. The ledger records the history of the rows.
    "pgaudit.log": "ddl,role",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_lock_waits": "1",
    "log_min_duration_statement": "1000",  # ms
    # An acknowledged commit is stored in several Availability Zones. This is the default, but because it is
    # set here, trading durability for a millisecond requires a reviewed change.
    "synchronous_commit": "on",
    # A client that died inside a transaction must not keep balances locked (ms).
    "idle_in_transaction_session_timeout": "60000",
    # After this time (ms), the caller has given up: order intake waits 10 s for its service. A schema change
    # that waits longer for a table would block all statements behind it. A session can set its own value.
    "lock_timeout": "10000",
}
"""Dynamic parameters of every instance, which take effect immediately.

`statement_timeout` isn't set here: a time that is too long for an order isn't too long for a report or for
building an index, so each role has its own value (`alter role orders set statement_timeout = '5s'`). The
isolation level isn't set either: a service requests SERIALIZABLE where it needs it, and must be able to
retry.
"""

STATIC_CLUSTER_PARAMETERS = {"shared_preload_libraries": "pg_stat_statements,pgaudit,auto_explain"}
"""Parameters that take effect when an instance restarts."""

INSTANCE_PARAMETERS = {
    # Logs the estimated plan of a statement that took this long (ms). Timing each step of the plan would slow
    # down every statement on the order path.
    "auto_explain.log_min_duration": "5000",
    "auto_explain.log_analyze": "0",
    "auto_explain.log_nested_statements": "1",
}
"""Dynamic parameters of the declared instances."""
