"""The base class of every component."""

from __future__ import annotations

from functools import cached_property

import pulumi
import pulumi_aws as aws

from components.common.signals import LogQuery, Objective, Signal


class Component(pulumi.ComponentResource):
    """A part of the platform. Its children have it as their parent and inherit its providers.

    A component reports the signals that show whether it is healthy. The component that contains it reports
    them as well, so the reports of all components in a region reach `Monitoring` without being collected by
    hand.

    Args:
        token: type token, such as `trading:tier:Cache`. It is part of the URN of the component and of each
            of its descendants: a different token replaces them all.
        name: logical name.
        opts: options of the component itself. For a component inside another one, they set the parent.
    """

    def __init__(self, token: str, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(token, name, None, opts)
        self._reports: list[Signal | Objective | LogQuery] = []
        parent = opts.parent if opts else None
        self._container = parent if isinstance(parent, Component) else None

    def report(self, *reports: Signal | Objective | LogQuery) -> None:
        """Adds signals, objectives and log queries to those of this component and of its container."""
        self._reports += reports
        if self._container:
            self._container.report(*reports)

    @property
    def signals(self) -> list[Signal]:
        """Signals that show whether the component and everything inside it are healthy."""
        return [report for report in self._reports if isinstance(report, Signal)]

    @property
    def objectives(self) -> list[Objective]:
        """Service-level objectives of the component."""
        return [report for report in self._reports if isinstance(report, Objective)]

    @property
    def queries(self) -> list[LogQuery]:
        """Saved queries for the component's logs."""
        return [report for report in self._reports if isinstance(report, LogQuery)]

    @cached_property
    def account_id(self) -> pulumi.Output[str]:
        """The AWS account that the component is deployed in."""
        if self._container:
            return self._container.account_id
        return aws.get_caller_identity_output(opts=pulumi.InvokeOptions(parent=self)).account_id

    def child(
        self,
        *,
        provider: pulumi.ProviderResource | None = None,
        protect: bool | None = None,
        depends_on: pulumi.Input[list[pulumi.Resource]] | None = None,
        ignore_changes: list[str] | None = None,
        delete_before_replace: bool | None = None,
        replace_on_changes: list[str] | None = None,
        additional_secret_outputs: list[str] | None = None,
        custom_timeouts: pulumi.CustomTimeouts | None = None,
        retain_on_delete: bool | None = None,
        import_: str | None = None,
    ) -> pulumi.ResourceOptions:
        """Options of a child resource. They don't inherit any of this component's own options."""
        return pulumi.ResourceOptions(
            parent=self,
            provider=provider,
            protect=protect,
            depends_on=depends_on,
            ignore_changes=ignore_changes,
            delete_before_replace=delete_before_replace,
            replace_on_changes=replace_on_changes,
            additional_secret_outputs=additional_secret_outputs,
            custom_timeouts=custom_timeouts,
            retain_on_delete=retain_on_delete,
            import_=import_,
        )

    def allow_connection(
        self,
        egress_name: str,
        ingress_name: str,
        *,
        port: int,
        client: pulumi.Input[str],
        client_is: str,
        server: pulumi.Input[str],
        server_is: str,
    ) -> None:
        """Lets the security group `client` connect to TCP `port` of the security group `server`.

        The component of the client calls it. Each side's rule describes the other side.
        """
        aws.vpc.SecurityGroupEgressRule(
            egress_name,
            security_group_id=client,
            referenced_security_group_id=server,
            description=server_is,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            ingress_name,
            security_group_id=server,
            referenced_security_group_id=client,
            description=client_is,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            opts=self.child(),
        )
