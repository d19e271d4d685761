"""Parameters of the database, and why each is not what PostgreSQL has by default."""

from __future__ import annotations

CLUSTER_PARAMETERS = {
    "rds.force_ssl": "1",
    "ssl_min_protocol_version": "TLSv1.2",
    # Who changed the schema or a right; the rows' own history is the ledger's business.
    "pgaudit.log": "ddl,role",
    "log_connections": "1",
    "log_disconnections": "1",
    "log_lock_waits": "1",
    "log_min_duration_statement": "1000",  # ms
    # A commit that has been answered is in the storage of several zones. It is the default; that it is
    # written down here makes it a reviewed change to trade booked orders for a millisecond.
    "synchronous_commit": "on",
    # A client that died inside a transaction must not keep balances locked (ms).
    "idle_in_transaction_session_timeout": "60000",
    # Whoever asked has given up by then (order intake waits 10 s for its service), and a schema change
    # that waits longer for its table would hold up everything behind it (ms). A session that knows
    # better sets its own.
    "lock_timeout": "10000",
}
"""Dynamic parameters of every instance, which take effect at once.

`statement_timeout` is not among them: what is too long for an order is not for a report or for building
an index, so each role has its own (`alter role orders set statement_timeout = '5s'`). Nor is the
isolation level: a service asks for SERIALIZABLE where it needs it, and is ready to try again.
"""

STATIC_CLUSTER_PARAMETERS = {"shared_preload_libraries": "pg_stat_statements,pgaudit,auto_explain"}
"""Parameters that take effect when an instance restarts."""

INSTANCE_PARAMETERS = {
    # The plan of a statement that took this long (ms), as it was planned: to time its every step would
    # cost each statement on the order path.
    "auto_explain.log_min_duration": "5000",
    "auto_explain.log_analyze": "0",
    "auto_explain.log_nested_statements": "1",
}
"""Dynamic parameters of the declared instances."""
