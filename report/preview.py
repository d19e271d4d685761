"""Reads what `pulumi preview --json` prints into a typed model of a change.

The engine's document is `PreviewDigest` in pulumi/pulumi v3.255.0 (`pkg/display/json.go`, written by
`pkg/backend/display/json.go`):

- A secret is the text `[secret]`, before and after, so two secrets can't be compared; only `detailedDiff` and
  `diffReasons` say that one changes.
- A value that is known only after the deployment is one of seven fixed texts (`plugin/rpc.go`).
- Unchanged resources are left out unless `--show-sames` is given, except for the stack and for resources
  whose protection changes. `changeSummary` counts them in any case.
- A replacement is one step `replace`, or three steps with `--show-replacement-steps`.
- The findings of policy packs are left out. The engine only writes them to the file of the hidden option
  `--event-log`, which exists if PULUMI_DEBUG_COMMANDS is set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from policy.rule import is_list, is_map
from report.differences import ABSENT, UNKNOWN, Difference, at, compare, is_internal, overlap, properties
from report.tiers import tier_of

State = Mapping[str, Any]

OPERATIONS = ("delete", "replace", "update", "create", "import", "discard")
"""What can happen to a resource, from the most to the least dangerous. `discard` is the removal of what an
interrupted deployment has left, or of a resource that the program only read."""

_MEANING = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "read-replacement": "replace",
    "import-replacement": "replace",
    "import": "import",
    "delete-replaced": "discard",
    "discard": "discard",
    "discard-replaced": "discard",
    "remove-pending-replace": "discard",
}
"""The engine's operation → one of `OPERATIONS` (`pkg/resource/deploy/step.go`). A `delete-replaced` without a
step that replaces is left over from an earlier deployment. The other operations change nothing."""

_KNOWN_OPERATIONS = frozenset({*_MEANING, "same", "read", "refresh", "diff", "extend-parameterize"})

_KEPT = frozenset(
    {"same", "create", "update", "replace", "create-replacement", "import", "import-replacement"}
)
"""The operations after which a resource belongs to the stack."""

_OPTIONS = ("protect", "retainOnDelete", "provider", "deletedWith")
"""Resource options whose changes are shown, beside the properties."""

_COMPUTED = frozenset({"tagsAll"})
"""Outputs that the AWS provider lists as changed beside the input that changes them."""


class PreviewError(Exception):
    """Raised if a document is not a complete preview. The text names the reason."""


class PreviewFailedError(PreviewError):
    """Raised for the document of a preview that failed. The text has the engine's errors."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource."""

    urn: str
    operation: str
    """One of `OPERATIONS`."""
    differences: Sequence[Difference]
    old: Mapping[str, Any]
    """The inputs before; empty if the resource is created."""
    new: Mapping[str, Any]
    """The inputs after; empty if the resource is deleted."""
    replace_keys: Sequence[str] = ()
    """The properties that force a replacement, as far as the engine names them."""
    old_state: State
    """The engine's record of the resource before: `id`, `outputs` (without secrets) and options."""
    new_state: State

    @property
    def type(self) -> str:
        """The type token, such as `aws:rds/cluster:Cluster`."""
        return type_of(self.urn)

    @property
    def name(self) -> str:
        """The logical name."""
        return name_of(self.urn)

    @property
    def existed(self) -> bool:
        """Whether the resource is there before the change."""
        return bool(self.old_state)

    @property
    def remains(self) -> bool:
        """Whether the resource is there after the change."""
        return bool(self.new_state)

    @cached_property
    def tier(self) -> str:
        """The tier's title."""
        return tier_of(self.urn)

    def sources(self, key: str) -> Sequence[str]:
        """URNs of the resources whose outputs the new value of a property uses."""
        return dependencies(self.new_state, key)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A remark of the policy pack, of the engine or of a check."""

    source: str
    """`policy pack`, `engine` or `exceptions`."""
    severity: str
    """`mandatory`, `advisory`, `error` or `warning`."""
    urn: str
    """The resource, or an empty string."""
    text: str

    @property
    def blocks(self) -> bool:
        """Whether a deployment would fail."""
        return self.severity in ("mandatory", "error")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a deployment would change."""

    stack: str
    changes: Sequence[Change]
    """By URN. Resources that don't change are left out."""
    unchanged: int
    findings: Sequence[Finding]
    before: Sequence[State] | None
    """All resources of the stack before, as in `pulumi stack export`, or None if the document leaves out
    unchanged resources."""
    after: Sequence[State] | None

    @property
    def counts(self) -> Mapping[str, int]:
        """Operation → number of resources, for the operations that occur."""
        found = [change.operation for change in self.changes]
        return {operation: found.count(operation) for operation in OPERATIONS if operation in found}


def read(text: str, events: str = "") -> Preview:
    """Reads a preview.

    Args:
        text: what `pulumi preview --json` printed. Text before the document, such as warnings, is ignored.
        events: the file that `--event-log` wrote, which has the findings of policy packs. Empty if there is
            none.

    Raises:
        PreviewFailedError: the preview failed, and not because of a finding of a policy pack in `events`.
        PreviewError: the text is not a complete document of a preview.
    """
    document = _document(text)
    steps = [_step(step) for step in _listed(document, "steps")]
    policy = list(_policy_findings(events))
    diagnostics = list(_diagnostics(document))
    _check_result(document, diagnostics, policy)
    _check_complete(document, steps)
    same = _summary(document).get("same", 0)
    same_urns = {step.urn for step in steps if step.op == "same"}
    # The engine's own order differs from run to run, because it works on several resources at a time.
    changes = sorted(_changes(steps), key=lambda change: change.urn)
    return Preview(
        stack=_stack(steps),
        changes=changes,
        # The engine also counts resources of which only the protection changes.
        unchanged=same - len({change.urn for change in changes} & same_urns),
        findings=[*policy, *(found for found in diagnostics if found.severity == "warning")],
        before=_before(steps) if len(same_urns) >= same else None,
        after=_after(steps) if len(same_urns) >= same else None,
    )


def dependencies(state: State, key: str) -> Sequence[str]:
    """URNs of the resources whose outputs a property uses."""
    found = state.get("propertyDependencies")
    urns = found.get(key) if is_map(found) else None
    return [str(urn) for urn in urns] if is_list(urns) else []


def type_of(urn: str) -> str:
    """The type token in a URN, without its parents'."""
    return urn.split("::")[2].rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """The logical name in a URN."""
    return urn.split("::", 3)[3]


def _document(text: str) -> Mapping[str, Any]:
    start = re.search(r"^\{", text, re.MULTILINE)
    if not start:
        raise PreviewError(
            "there is no JSON in it: give the output of `pulumi preview --json`"
            + (f". It begins with {text.strip()[:200]!r}" if text.strip() else " (it is empty)")
        )
    try:
        document, _ = json.JSONDecoder().raw_decode(text, start.start())
    except ValueError as error:
        raise PreviewError(f"the JSON is damaged or incomplete: {error}") from None
    except RecursionError:
        raise PreviewError("the JSON is nested too deeply") from None
    if "sequence" in document:
        raise PreviewError(
            "it is a stream of events: unset PULUMI_ENABLE_STREAMING_JSON_PREVIEW, so that "
            "`pulumi preview --json` prints one document"
        )
    if not {"steps", "changeSummary", "diagnostics"} & document.keys():
        raise PreviewError("it is not the output of `pulumi preview --json`: it has no steps")
    return document


def _listed(document: Mapping[str, Any], key: str) -> Sequence[Any]:
    found: object = document.get(key)
    if found is None:
        return []
    if not is_list(found):
        raise PreviewError(f"{key} is not a list")
    return found


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One step of the engine, checked."""

    op: str
    urn: str
    old: State
    new: State
    detail: Mapping[str, Mapping[str, Any]]
    """Path → kind of difference."""
    reasons: Sequence[str]
    replace_keys: Sequence[str]

    @property
    def meaning(self) -> str:
        """One of `OPERATIONS`, or an empty string."""
        return _MEANING.get(self.op, "")


def _step(step: Any) -> _Step:
    urn = step.get("urn") if is_map(step) else None
    if not is_map(step) or not isinstance(urn, str) or len(urn.split("::", 3)) < 4:
        raise PreviewError(f"a step has no URN of a resource: {json.dumps(step)[:200]}")
    if step.get("op") not in _KNOWN_OPERATIONS:
        raise PreviewError(
            f"the step of {urn} has the operation {step.get('op')!r}; known are "
            + ", ".join(sorted(_KNOWN_OPERATIONS))
        )
    detail = _map(step, "detailedDiff")
    return _Step(
        op=step["op"],
        urn=urn,
        old=_map(step, "oldState"),
        new=_map(step, "newState"),
        detail={path: found if is_map(found) else {} for path, found in detail.items()},
        reasons=[str(key) for key in _listed(step, "diffReasons")],
        replace_keys=[str(key) for key in _listed(step, "replaceReasons")],
    )


def _map(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found: object = document.get(key)
    if found is None:
        return {}
    if not is_map(found):
        raise PreviewError(f"{key} is not an object")
    return found


def _summary(document: Mapping[str, Any]) -> Mapping[str, int]:
    found = _map(document, "changeSummary")
    return {key: count for key, count in found.items() if isinstance(count, int)}


def _diagnostics(document: Mapping[str, Any]) -> Iterator[Finding]:
    for item in _listed(document, "diagnostics"):
        severity, text = item.get("severity"), item.get("message", "").strip()
        if severity in ("error", "warning") and not re.match(r"warning: using \S+ from \$PATH", text):
            text = text.removeprefix(f"{severity}: ")
            yield Finding(source="engine", severity=severity, urn=item.get("urn", ""), text=text)


def _policy_findings(events: str) -> Iterator[Finding]:
    for number, line in enumerate(events.splitlines(), 1):
        try:
            event = json.loads(line)
        except ValueError:
            raise PreviewError(f"line {number} of the event log is not JSON") from None
        found = event.get("policyEvent") if is_map(event) else None
        if found:
            # The first line is the policy's own description, and each further one a finding.
            description, _, rest = found.get("message", "").partition("\n")
            yield Finding(
                source="policy pack",
                severity=found.get("enforcementLevel", "mandatory"),
                urn=found.get("resourceUrn", ""),
                text=rest.strip() or description,
            )


def _check_result(
    document: Mapping[str, Any], diagnostics: Sequence[Finding], policy: Sequence[Finding]
) -> None:
    errors = [found.text for found in diagnostics if found.severity == "error"]
    reasons = [text for text in errors if text != "preview failed"]
    if reasons:
        # A program's own output, such as the problems of a stack file, is an informational message.
        printed = "".join(
            item.get("message", "")
            for item in _listed(document, "diagnostics")
            if item.get("severity") == "info"
        )
        raise PreviewFailedError(
            "the preview failed:\n" + "\n".join(dict.fromkeys([printed.strip(), *reasons]))
        )
    if errors and not any(found.blocks for found in policy):
        raise PreviewFailedError(
            "the preview failed, and its document doesn't say why. Findings of a policy pack are only in the "
            "file that `pulumi preview --event-log FILE` writes if PULUMI_DEBUG_COMMANDS=true"
        )
    if "changeSummary" not in document:
        raise PreviewError("the preview ended before its summary: changeSummary is missing")


def _check_complete(document: Mapping[str, Any], steps: Sequence[_Step]) -> None:
    """Compares the steps with the engine's own counts."""
    for operation in ("create", "update", "delete", "replace", "import"):
        there = sum(step.op == operation for step in steps)
        counted = _summary(document).get(operation, 0)
        if there < counted:
            raise PreviewError(
                f"the document is incomplete: it has {there} of {counted} steps with operation {operation}"
            )


def _stack(steps: Sequence[_Step]) -> str:
    return steps[0].urn.split("::")[0].removeprefix("urn:pulumi:") if steps else ""


def _before(steps: Sequence[_Step]) -> list[State]:
    """The resources before, without copies that an interrupted deployment has left."""
    return list(
        {step.urn: step.old for step in reversed(steps) if step.old and step.meaning != "discard"}.values()
    )[::-1]


def _after(steps: Sequence[_Step]) -> list[State]:
    return list({step.urn: step.new for step in steps if step.new and step.op in _KEPT}.values())


def _changes(steps: Iterable[_Step]) -> Iterator[Change]:
    by_urn: dict[str, list[_Step]] = {}
    for step in steps:
        by_urn.setdefault(step.urn, []).append(step)
    for urn, own in by_urn.items():
        operations = {step.meaning for step in own if step.meaning}
        if not operations and not any(_protection(step) for step in own):
            continue
        # A copy of the resource that is left over doesn't matter beside what happens to the resource.
        operation = min(operations - {"discard"}, key=OPERATIONS.index, default="")
        yield _change(urn, operation or ("discard" if operations else "update"), own)


def _protection(step: _Step) -> bool:
    """Whether the resource's protection changes, which the engine doesn't count as a change."""
    return bool(step.old and step.new) and bool(step.old.get("protect")) != bool(step.new.get("protect"))


def _change(urn: str, operation: str, steps: Sequence[_Step]) -> Change:
    # The steps of a replacement repeat each other, and so do those of a refresh and of the update after it.
    meant = [step for step in steps if step.meaning not in ("", "discard")] or steps
    nothing: State = {}
    old = next((step.old for step in meant if step.old), nothing)
    new = next((step.new for step in reversed(meant) if step.new), nothing)
    if operation in ("delete", "discard"):
        new = nothing
    elif operation in ("create", "import"):
        old = nothing
    before, after = (properties(state.get("inputs")) for state in (old, new))
    detail = {path: found for step in meant for path, found in step.detail.items()}
    keys = list(dict.fromkeys(key for step in meant for key in step.replace_keys))
    if old and new:
        reasons = dict.fromkeys(key for step in meant for key in step.reasons)
        found = list(_differences(old, new, detail, [*reasons, *keys]))
    else:
        found = [
            Difference(path=key, old=before.get(key, ABSENT), new=after.get(key, ABSENT))
            for key in dict.fromkeys([*before, *after])
        ]
    if operation == "replace":
        forcing = [path for path, kind in detail.items() if str(kind.get("kind")).endswith("-replace")]
        found = [replace(item, replaces=_forces(item, forcing, keys)) for item in found]
    return Change(
        urn=urn,
        operation=operation,
        differences=found,
        old=before,
        new=after,
        replace_keys=keys,
        old_state=old,
        new_state=new,
    )


def _forces(item: Difference, forcing: Sequence[str], keys: Sequence[str]) -> bool:
    return any(overlap(item.path, path) for path in forcing or keys)


def _differences(
    old: State, new: State, detail: Mapping[str, Mapping[str, Any]], reasons: Iterable[str]
) -> Iterator[Difference]:
    """The union of what differs between the inputs and of what the provider says."""
    before, after = (properties(state.get("inputs")) for state in (old, new))
    found = list(compare(before, after))
    # The provider compares with the resource as it is on AWS, which can differ from its old inputs.
    outputs = properties(old.get("outputs"))
    for path, kind in detail.items():
        if is_internal(path) or any(overlap(path, other.path) for other in found):
            continue
        was = at(before if kind.get("inputDiff") else outputs, path)
        was, now = at(before, path) if was is ABSENT else was, at(after, path)
        if now is ABSENT and not str(kind.get("kind")).startswith("delete"):
            now = UNKNOWN  # the provider computes it
        top = Difference(path=path, old=was, new=now).top
        if was is ABSENT and any(other.top == top for other in found):
            continue  # a position in a set, whose other elements are found already
        found.append(Difference(path=path, old=was, new=now))
    for key in reasons:
        if not is_internal(key) and not any(overlap(key, other.path) for other in found):
            found.append(Difference(path=key, old=at(before, key), new=at(after, key)))
    if any(item.top not in _COMPUTED for item in found):
        found = [item for item in found if item.top not in _COMPUTED]
    generated = _generated(old) & _generated(new)
    yield from (replace(item, generated=item.top in generated) for item in found)
    for option in _OPTIONS:
        was, now = _option(old, option), _option(new, option)
        if was != now:
            yield Difference(path=f"({option})", old=was, new=now)


def _generated(state: State) -> frozenset[str]:
    """The properties that the program doesn't give, such as names that the engine generates."""
    inputs = state.get("inputs")
    defaults = inputs.get("__defaults") if is_map(inputs) else None
    return frozenset(map(str, defaults)) if is_list(defaults) else frozenset()


def _option(state: State, option: str) -> Any:
    value = state.get(option) or ABSENT
    if option == "provider" and isinstance(value, str):
        return value.rsplit("::", 1)[0]  # without the provider's ID, which each deployment can change
    return value
