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
from difflib import SequenceMatcher
from functools import cached_property
from typing import Any

from policy.rule import SECRET, is_list, is_map
from report.tiers import tier_of
from sandbox import values

State = Mapping[str, Any]

UNKNOWN = "[unknown]"
"""Placeholder for a value that is known only after the deployment."""

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

_UNKNOWN = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""Boolean, number, string, list, asset, archive and object (pulumi/pulumi v3.255.0, `sdk/go/common/resource/
plugin/rpc.go`)."""

_ASSETS = frozenset({"c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"})
"""Signatures of assets and archives (`sdk/go/common/resource/sig`)."""

_OPTIONS = ("protect", "retainOnDelete", "provider", "deletedWith")
"""Resource options whose changes are shown, beside the properties."""

_COMPUTED = frozenset({"tagsAll"})
"""Outputs that the AWS provider lists as changed beside the input that changes them."""


class PreviewError(Exception):
    """Raised if a document is not a complete preview. The text names the reason."""


class PreviewFailedError(PreviewError):
    """Raised for the document of a preview that failed. The text has the engine's errors."""


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
"""The value of a property that is not there."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A property that changes."""

    path: str
    """Such as `ingress[0].cidrBlocks[1]`, or `(protect)` for a resource option."""
    old: Any
    """The value before: plain data with `SECRET` and `UNKNOWN`, or `ABSENT`."""
    new: Any
    replaces: bool = False
    """Whether this difference forces the replacement of the resource."""
    generated: bool = False
    """Whether both values are names that the engine generated."""

    @property
    def top(self) -> str:
        """The property that contains the path."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0] or self.path

    @property
    def is_secret(self) -> bool:
        """Whether a part of the value is a secret, before or after."""
        return contains(self.old, SECRET) or contains(self.new, SECRET)

    @property
    def is_unknown(self) -> bool:
        """Whether a part of the new value is known only after the deployment."""
        return contains(self.new, UNKNOWN)


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

    @cached_property
    def tier(self) -> str:
        """The tier's title."""
        return tier_of(self.urn)

    @property
    def is_component(self) -> bool:
        """Whether the resource only groups others."""
        return not (self.new_state or self.old_state).get("custom", True)

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs before."""
        found = _clean(self.old_state.get("outputs") or {})
        return found if is_map(found) else {}

    def sources(self, key: str) -> Sequence[str]:
        """URNs of the resources whose outputs the new value of a property uses."""
        return (self.new_state.get("propertyDependencies") or {}).get(key) or ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A remark of the policy pack or of the engine."""

    source: str
    """`policy pack` or `engine`."""
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
    """In the engine's order. Resources that don't change are left out."""
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
    shown = sum(step["op"] == "same" for step in steps)
    return Preview(
        stack=_stack(steps),
        changes=list(_changes(steps)),
        unchanged=same,
        findings=[*policy, *(found for found in diagnostics if found.severity == "warning")],
        before=_states(steps, "oldState") if shown >= same else None,
        after=_states(steps, "newState") if shown >= same else None,
    )


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
    found = document.get(key) or []
    if not is_list(found):
        raise PreviewError(f"{key} is not a list")
    return found


def _step(step: Any) -> Mapping[str, Any]:
    urn = step.get("urn") if is_map(step) else None
    if not is_map(step) or not isinstance(urn, str) or len(urn.split("::")) < 4:
        raise PreviewError(f"a step has no URN of a resource: {json.dumps(step)[:200]}")
    if step.get("op") not in _KNOWN_OPERATIONS:
        raise PreviewError(
            f"the step of {urn} has the operation {step.get('op')!r}; known are "
            + ", ".join(sorted(_KNOWN_OPERATIONS))
        )
    return step


def _summary(document: Mapping[str, Any]) -> Mapping[str, int]:
    found = document.get("changeSummary")
    return found if is_map(found) else {}


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


def _check_complete(document: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> None:
    """Compares the steps with the engine's own counts."""
    for operation in ("create", "update", "delete", "replace", "import"):
        there = sum(step["op"] == operation for step in steps)
        counted = _summary(document).get(operation, 0)
        if there < counted:
            raise PreviewError(
                f"the document is incomplete: it has {there} of {counted} steps with operation {operation}"
            )


def _stack(steps: Sequence[Mapping[str, Any]]) -> str:
    return steps[0]["urn"].split("::")[0].removeprefix("urn:pulumi:") if steps else ""


def _states(steps: Sequence[Mapping[str, Any]], key: str) -> list[State]:
    """The resources before or after, without copies that an interrupted deployment has left."""
    found: dict[str, State] = {}
    for step in steps:
        left_over = _MEANING.get(step["op"]) == "discard"
        if step.get(key) and not left_over and (key == "oldState" or step["op"] in _KEPT):
            found.setdefault(step["urn"], step[key])
    return list(found.values())


def _changes(steps: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    by_urn: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        by_urn.setdefault(step["urn"], []).append(step)
    for urn, own in by_urn.items():
        operations = {_MEANING[step["op"]] for step in own if step["op"] in _MEANING}
        protection = any(_protection(step) for step in own)
        if not operations and not protection:
            continue
        # A copy of the resource that is left over doesn't matter beside what happens to the resource.
        operation = min(operations - {"discard"}, key=OPERATIONS.index, default="")
        yield _change(urn, operation or ("discard" if operations else "update"), own)


def _protection(step: Mapping[str, Any]) -> bool:
    old, new = step.get("oldState"), step.get("newState")
    return bool(old and new and bool(old.get("protect")) != bool(new.get("protect")))


def _change(urn: str, operation: str, steps: Sequence[Mapping[str, Any]]) -> Change:
    meant = [step for step in steps if _MEANING.get(step["op"]) not in (None, "discard")] or steps
    # The steps of a replacement repeat each other, and so do those of a refresh and of the update after it.
    old_state: State = next((step["oldState"] for step in meant if step.get("oldState")), {})
    new_state: State = next((step["newState"] for step in reversed(meant) if step.get("newState")), {})
    if operation in ("delete", "discard"):
        new_state = {}
    elif operation in ("create", "import"):
        old_state = {}
    old, new = _inputs(old_state), _inputs(new_state)
    detailed = {path: detail for step in meant for path, detail in (step.get("detailedDiff") or {}).items()}
    keys = list(dict.fromkeys(key for step in meant for key in step.get("replaceReasons") or []))
    reasons = {key for step in meant for key in step.get("diffReasons") or []}
    differences = (
        list(_differences(old_state, new_state, detailed, reasons))
        if old_state and new_state
        else [
            Difference(path=key, old=old.get(key, ABSENT), new=new.get(key, ABSENT))
            for key in dict.fromkeys([*old, *new])
        ]
    )
    forcing = {path for path, detail in detailed.items() if detail.get("kind", "").endswith("-replace")}
    return Change(
        urn=urn,
        operation=operation,
        differences=[
            _forced(difference, forcing, keys) if operation == "replace" else difference
            for difference in differences
        ],
        old=old,
        new=new,
        replace_keys=keys,
        old_state=old_state,
        new_state=new_state,
    )


def _forced(difference: Difference, forcing: set[str], keys: Sequence[str]) -> Difference:
    forces = any(_overlap(difference.path, path) for path in forcing) or (
        not forcing and difference.top in keys
    )
    return replace(difference, replaces=forces)


def _differences(
    old_state: State, new_state: State, detailed: Mapping[str, Any], reasons: set[str]
) -> Iterator[Difference]:
    """The union of what differs between the inputs and of what the provider says."""
    old, new = _inputs(old_state), _inputs(new_state)
    found = list(compare(old, new))
    # The provider compares with the resource as it is on AWS, which can differ from its old inputs.
    outputs = _clean(old_state.get("outputs") or {})
    for path, detail in detailed.items():
        if is_internal(path) or any(_overlap(path, other.path) for other in found):
            continue
        before = _at(old if detail.get("inputDiff") else outputs, path)
        before, after = _at(old, path) if before is ABSENT else before, _at(new, path)
        if after is ABSENT and not detail.get("kind", "").startswith("delete"):
            after = UNKNOWN  # the provider computes it
        found.append(Difference(path=path, old=before, new=after))
    for key in sorted(reasons):
        if not is_internal(key) and not any(other.top == key for other in found):
            found.append(Difference(path=key, old=old.get(key, ABSENT), new=new.get(key, ABSENT)))
    if any(difference.top not in _COMPUTED for difference in found):
        found = [difference for difference in found if difference.top not in _COMPUTED]
    generated = _generated(old_state) & _generated(new_state)
    yield from (replace(item, generated=item.top in generated) for item in found)
    for option in _OPTIONS:
        before, after = _option(old_state, option), _option(new_state, option)
        if before != after:
            yield Difference(path=f"({option})", old=before, new=after)


def _generated(state: State) -> frozenset[str]:
    """The properties that the program doesn't give, such as names that the engine generates."""
    defaults = (state.get("inputs") or {}).get("__defaults")
    return frozenset(defaults if is_list(defaults) else ())


def _option(state: State, option: str) -> Any:
    value = state.get(option, ABSENT)
    if option == "provider" and isinstance(value, str):
        return value.rsplit("::", 1)[0]  # without the provider's ID, which each deployment can change
    return value or ABSENT


def compare(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """The parts of a value that differ, each with its path. Equal elements of lists are aligned."""
    if is_map(old) and is_map(new):
        for key in dict.fromkeys([*old, *new]):
            yield from compare(old.get(key, ABSENT), new.get(key, ABSENT), _below(path, key))
    elif is_list(old) and is_list(new) and old and new:
        yield from _compare_lists(old, new, path)
    elif not same(old, new):
        yield Difference(path=path, old=old, new=new)


def _compare_lists(old: Sequence[Any], new: Sequence[Any], path: str) -> Iterator[Difference]:
    before, after = ([json.dumps(item, sort_keys=True) for item in items] for items in (old, new))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        pairs = min(last - first, end - start)
        for offset in range(pairs):
            yield from compare(old[first + offset], new[start + offset], f"{path}[{start + offset}]")
        for index in range(first + pairs, last):
            yield Difference(path=f"{path}[{index}]", old=old[index], new=ABSENT)
        for index in range(start + pairs, end):
            yield Difference(path=f"{path}[{index}]", old=ABSENT, new=new[index])


def same(old: Any, new: Any) -> bool:
    """Whether two values are equal. A boolean is not equal to a number, unlike in Python."""
    return json.dumps(_encodable(old), sort_keys=True) == json.dumps(_encodable(new), sort_keys=True)


def _encodable(value: Any) -> Any:
    return {"absent": []} if value is ABSENT else value


def _below(path: str, key: str) -> str:
    if re.fullmatch(r"[\w$-]+", key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key)}]"


def _overlap(path: str, other: str) -> bool:
    """Whether one path is equal to the other, or contains it."""
    shorter, longer = sorted((path, other), key=len)
    return longer.startswith(shorter) and longer[len(shorter) : len(shorter) + 1] in ("", ".", "[")


def is_internal(path: str) -> bool:
    """Whether a path belongs to the bookkeeping of the engine or of a provider, such as `__defaults`."""
    return any(part.startswith("__") for part in re.split(r"[.\[]", path))


def _at(value: Any, path: str) -> Any:
    for quoted, index, name in re.findall(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)', path):
        if index:
            if not is_list(value) or int(index) >= len(value):
                return ABSENT
            value = value[int(index)]
        elif not is_map(value) or (key := quoted or name) not in value:
            return ABSENT
        else:
            value = value[key]
    return value


def _inputs(state: State) -> Mapping[str, Any]:
    found = _clean(state.get("inputs") or {})
    if is_map(found) and "apiVersion" in found and found.get("kind") == "Secret":
        # Only a cluster's base64 hides these, and a program can forget to mark them as secret.
        return {key: SECRET if key in ("data", "stringData") else item for key, item in found.items()}
    return found if is_map(found) else {}


_SENSITIVE = frozenset(
    {
        *("authToken", "masterPassword", "password", "passwords", "privateKey", "secretBinary", "secretKey"),
        *("secretString", "userPassword"),
    }
)
"""Properties that are masked even if the program doesn't mark their value as secret."""


def _clean(value: Any) -> Any:
    """The value as plain data, without bookkeeping. Files are replaced by their digest."""
    if is_map(value):
        signature = value.get(values.SIGNATURE)
        if signature == values.SECRET:
            return SECRET
        if signature in _ASSETS:
            return f"sha256:{value.get('hash', '')}"
        if signature == values.OUTPUT:
            return SECRET if value.get("secret") else _clean(value.get("value", UNKNOWN))
        if signature == values.RESOURCE:
            return value.get("urn", "")
        return {
            key: SECRET if key in _SENSITIVE and item and not _is_unknown(item) else _clean(item)
            for key, item in value.items()
            if not key.startswith("__")
        }
    if is_list(value):
        return [_clean(item) for item in value]
    return UNKNOWN if _is_unknown(value) else value


def _is_unknown(value: object) -> bool:
    return isinstance(value, str) and value in _UNKNOWN


def contains(value: Any, marker: str) -> bool:
    """Whether a marker, `SECRET` or `UNKNOWN`, is a part of a value."""
    if is_map(value):
        return any(contains(item, marker) for item in value.values())
    return any(contains(item, marker) for item in value) if is_list(value) else value == marker
