"""What could turn the rules off from outside, and the proof that they ran.

It only uses Python's standard library, because the scripts of the workflows use it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULT_VARIABLE = "TRADING_RULES_RESULT"
"""Environment variable with the path of the file in which the policy pack stores its `Result`."""

OPTION = "PULUMI_OPTION_"
"""Prefix of the environment variables that set the engine's options. Every option of every command has one
(pulumi/pulumi 3.255, `pkg/cmd/pulumi/pulumi.go`, `declareFlagsAsEnvironmentVariables`)."""

HARMLESS_OPTIONS = frozenset(
    {
        *("COLOR", "DEBUG", "DIFF", "EMOJI", "EVENT_LOG", "JSON", "LOGFLOW", "LOGTOSTDERR", "MESSAGE"),
        *("NON_INTERACTIVE", "PARALLEL", "SHOW_CONFIG", "SHOW_FULL_OUTPUT", "SHOW_POLICY_REMEDIATIONS"),
        *("SHOW_READS", "SHOW_REPLACEMENT_STEPS", "SHOW_SAMES", "SUPPRESS_OUTPUTS", "SUPPRESS_PERMALINK"),
        *("SUPPRESS_PROGRESS", "URNS", "VERBOSE"),
    }
)
"""Options that change how fast the engine works or what it prints, and not what it deploys. `SHOW_SECRETS`
is not among them."""

OTHER_SWITCHES = frozenset(
    {
        "PULUMI_CONTINUE_ON_ERROR",  # goes on with other resources after a rule has refused one
        "PULUMI_DISABLE_PROVIDER_PREVIEW",  # leaves values unknown that the rules check in a preview
        "PULUMI_LEGACY_PROVIDER_PREVIEW",  # the same
        "PULUMI_ENABLE_LEGACY_PLUGIN_SEARCH",  # finds other plugins
        "PULUMI_EXPERIMENTAL",  # changes how previews and deployments work
        "PULUMI_PLUGIN_DOWNLOAD_URL_OVERRIDES",  # downloads other plugins
        "PULUMI_PYTHON_CMD",  # runs the policy pack in another interpreter
    }
)
"""Other variables that the engine and its language host read (pulumi/pulumi 3.255,
`sdk/go/common/env/env.go` and calls of `os.Getenv`)."""


class RulesError(Exception):
    """Raised if the rules could be turned off, or did not run. The text says what to do."""


@dataclass(frozen=True)
class Result:
    """What the rules did in one run of the engine."""

    preview: bool
    """Whether it was a preview."""
    rules: int
    resources: int
    problems: int
    """Findings that no exception covers."""
    excepted: int
    """Findings that an exception covers."""
    waiting: int
    """Checks of a preview that depend on values which only the deployment knows."""
    data: Sequence[str] = ()
    """URNs of the resources that hold data."""

    def __str__(self) -> str:
        waiting = f", and {self.waiting} checks wait for values of the deployment" if self.waiting else ""
        run = "the preview" if self.preview else "the deployment"
        return (
            f"Rules: {self.rules} checked the {self.resources} resources of {run}: {self.problems} problems, "
            f"{self.excepted} exceptions{waiting}."
        )

    def save(self, path: Path) -> None:
        """Stores it."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Result | None:
        """The result in a file; None if the rules stored none."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None


def switches(environment: Mapping[str, str]) -> list[str]:
    """The variables that could weaken the rules, or a preview, or change the configuration."""
    return sorted(
        name
        for name in environment
        if name in OTHER_SWITCHES
        or (name.startswith(OPTION) and name.removeprefix(OPTION) not in HARMLESS_OPTIONS)
    )


def refuse(environment: Mapping[str, str]) -> None:
    """Refuses an environment that could weaken the rules.

    Raises:
        RulesError: names the variables.
    """
    if found := switches(environment):
        raise RulesError(
            f"the environment sets {', '.join(found)}, with which the engine could leave out rules or "
            "previews, or use another configuration: unset them"
        )


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables that could weaken the rules."""
    found = switches(environment)
    return {name: value for name, value in environment.items() if name not in found}


def proof(path: Path, *, preview: bool) -> Result:
    """The result of the run that just succeeded.

    Raises:
        RulesError: the rules did not run, or did not see the whole stack.
    """
    result = Result.load(path)
    if not result or result.preview != preview or not result.rules:
        raise RulesError(
            f"the rules did not run in the {'preview' if preview else 'deployment'}, although the engine "
            "succeeded: check policy/pack, and that nothing replaces the engine or the pack"
        )
    return result
