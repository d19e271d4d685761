"""The report as a page of its own, which loads nothing and runs no script.

Names and values come from the pull request, so all of them are escaped, and a policy in the page's head
forbids everything but its own style.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from report import gate, wording
from report.causes import Explained, Group, grouped
from report.dangers import KINDS
from report.drawing import anchor, drawing
from report.markdown import visible
from report.model import Report
from report.preview import OPERATIONS, Finding, name_of, type_of
from report.structure import Entry, Line, entries
from report.wording import PAST, SIGNS, short_type

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0;
  --box: #f6f8fa; --link: #0969da; --add: #dafbe1; --remove: #ffebe9; --red: #b3261e; --green: #1a7f37;
  --changed: #ddf4ff; --changed-line: #0969da; --danger: #ffebe9; --danger-line: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --quiet: #9198a1;
  --line: #3d444d; --box: #151b23; --link: #4493f8; --add: #12361f; --remove: #4a1c1c; --red: #ff7b72;
  --green: #3fb950; --changed: #0c2d52; --changed-line: #4493f8; --danger: #4a1c1c;
  --danger-line: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .25rem 0; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
li { margin: .25rem 0; }
code, pre { font: .85em/1.45 ui-monospace, monospace; }
code { background: var(--box); border-radius: 4px; padding: .1em .3em; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 6px; margin: .35rem 0;
  padding: .5rem; white-space: pre-wrap; }
pre span { display: block; }
.add { background: var(--add); } .remove { background: var(--remove); } .place { color: var(--quiet); }
del, ins { text-decoration: none; }
del code { background: var(--remove); } ins code { background: var(--add); }
.quiet { color: var(--quiet); }
.verdict { display: inline-block; border-radius: 2rem; padding: .1rem .8rem; font-weight: 600;
  color: var(--page); background: var(--green); }
.verdict.blocked { background: var(--red); }
.forces { color: var(--red); font-weight: 600; }
article > h3 { margin-top: 0; }
article { border: 1px solid var(--line); border-left: 4px solid var(--changed-line); border-radius: 6px;
  margin: .5rem 0; padding: .4rem .75rem; }
article.delete, article.replace, article.kind { border-left-color: var(--danger-line); }
article.create, article.import { border-left-color: var(--green); }
article.allowed { border-left-color: var(--line); }
summary { cursor: pointer; color: var(--link); }
svg { display: block; width: 100%; height: auto; margin: 1rem 0; }
svg.narrow { display: none; max-width: 24rem; }
svg .edge { fill: none; stroke: var(--quiet); stroke-width: 1.5; } svg marker path { fill: var(--quiet); }
svg rect { fill: var(--box); stroke: var(--line); stroke-width: 1.5; }
svg .changed rect { fill: var(--changed); stroke: var(--changed-line); stroke-width: 2; }
svg .danger rect { fill: var(--danger); stroke: var(--danger-line); stroke-width: 2; }
svg text { fill: var(--text); font: 13px system-ui, sans-serif; } svg .title { font-weight: 600; }
svg .same .title { font-weight: 400; fill: var(--quiet); } svg a { text-decoration: none; }
@media (max-width: 48rem) { svg.wide { display: none; } svg.narrow { display: block; } }
"""


def render(report: Report) -> str:
    """The report as HTML."""
    title = f"{report.preview.stack}: {report.verdict}"
    if wording.is_nothing(report):
        return _page(title, [f"<p>{_text(wording.nothing(report))}</p>"])
    return _page(title, _body(report))


def failed(reason: str) -> str:
    """The page for a preview that can't be read."""
    head = '<h1><span class="verdict blocked">blocked</span> There is no preview that could be judged</h1>'
    return _page("blocked", [head, f"<pre>{_text(reason)}</pre>"])


def _page(title: str, body: Iterator[str] | Sequence[str]) -> str:
    head = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'\">\n"
    )
    rest = "\n".join(body)
    return f"{head}<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n<body>\n{rest}\n</body>\n</html>\n"


def _body(report: Report) -> Iterator[str]:
    blocked = " blocked" if report.verdict == gate.BLOCKED else ""
    yield (
        f'<h1><span class="verdict{blocked}">{report.verdict}</span> {_code(report.preview.stack)} '
        f"{_text(wording.summary(report))}</h1>"
    )
    if report.reasons:
        yield "<p>Until each of these is fixed, or allowed by its label:</p><ul>"
        for reason in report.reasons:
            label = f" → label {_code(reason.label)}" if reason.label else ""
            yield f"<li>{_text(reason.text)}{label}</li>"
        yield "</ul>"
    yield from (f"<p>{_text(line)}</p>" for line in wording.cost(report.before, report.after) if line)
    yield _drawing(report)
    yield from _dangers(report)
    for tier in report.tiers:
        items = report.in_tier(tier)
        yield f'<h2 id="{anchor(tier)}">{_text(tier)}: {wording.counts(items)}</h2>'
        yield from _tier(items)
    yield from _findings(report.findings)


def _drawing(report: Report) -> str:
    counts = {
        tier: {key: found[key] for key in OPERATIONS if key in found}
        for tier in report.tiers
        if (found := Counter(item.change.operation for item in report.in_tier(tier)))
    }
    tiers = {item.change.urn: item.change.tier for item in report.explained}
    dangerous = frozenset(
        tiers[danger.urn] for danger in report.dangers if not gate.is_allowed(danger.label, report.labels)
    )
    used = {operation for found in counts.values() for operation in found}
    legend = ", ".join(f"{SIGNS[key]} {PAST[key]}" for key in OPERATIONS if key in used)
    legend += ", ⚠ dangerous" if dangerous else ""
    return f'{drawing(counts, dangerous)}\n<p class="quiet">{_text(legend)}</p>'


def _dangers(report: Report) -> Iterator[str]:
    if report.dangers:
        yield "<h2>Dangers</h2>"
    for kind, group in groupby(report.dangers, lambda danger: danger.kind):
        dangers = list(group)
        label = dangers[0].label
        allowed = gate.is_allowed(label, report.labels)
        yield f'<article class="{"allowed" if allowed else "kind"}">'
        yield f"<h3>{_text(kind[:1].upper() + kind[1:])} ({len(dangers)})</h3>"
        state = "Allowed by the label" if allowed else "To allow it, add the label"
        yield f"<p>{_text(KINDS[kind])} {state} {_code(label)}.</p><ul>"
        for what, items in wording.by_text(dangers):
            names = _names([name_of(danger.urn) for danger in items])
            yield f"<li>{f'{_text(what)}: {names}' if len(items) > 1 else f'{names}: {_text(what)}'}</li>"
        yield "</ul></article>"


_NAMES = 8


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(_code(name) for name in names[:_NAMES])
    rest = ", ".join(_code(name) for name in names[_NAMES:])
    if not rest:
        return shown
    return f"{shown} <details><summary>and {len(names) - _NAMES} more</summary>{rest}</details>"


def _tier(items: Sequence[Explained]) -> Iterator[str]:
    for group in grouped(item for item in items if item.kind == "own"):
        yield from _group(group)
    if folded := wording.folded(items):
        yield "<ul>"
        for line, names in folded:
            yield f"<li>{_text(line)}{f': {_names(names)}' if names else ''}</li>"
        yield "</ul>"


def _group(group: Group) -> Iterator[str]:
    change, members = group.change, group.members
    many = f"{len(members)} × " if len(members) > 1 else ""  # noqa: RUF001 (the sign for times)
    yield f'<article class="{change.operation}">'
    yield f"<p><b>{many}{PAST[change.operation]}</b> {_text(short_type(change.type))} "
    yield f"{_names([member.change.name for member in members])}</p>"
    if change.operation in ("update", "replace"):
        shown = entries(change, members[0].own)
        if not shown and not change.differences:
            yield '<p class="quiet">no property differs in the preview</p>'
        yield from (_entry(entry) for entry in shown)
        yield from (f'<p class="quiet">{_text(line)}</p>' for line in wording.beside(group))
    else:
        for member in members:
            if text := wording.properties(member.change):
                title = "properties" if len(members) == 1 else member.change.name
                yield f"<details><summary>{_text(title)}</summary><pre>{_text(text)}</pre></details>"
    yield "</article>"


def _entry(entry: Entry) -> str:
    forces = ' <span class="forces">forces the replacement</span>' if entry.replaces else ""
    if isinstance(entry, Line):
        old = f"<del>{_code(entry.old)}</del>" if entry.old else "nothing"
        new = f"<ins>{_code(entry.new)}</ins>" if entry.new else "nothing"
        return f"<p>{_code(entry.path)}: {old} → {new}{forces}</p>"
    lines = "".join(f'<span class="{_class(line)}">{_text(line)}</span>' for line in entry.lines)
    return f"<p>{_code(entry.path)}:{forces}</p><pre>{lines}</pre>"


def _class(line: str) -> str:
    return {"+": "add", "-": "remove", "@": "place"}.get(line[:1], "")


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield "<h2>Findings</h2><ul>"
    for finding in sorted(findings, key=lambda finding: not finding.blocks):
        where = ""
        if finding.urn.count("::") >= 3:
            where = f"{_text(short_type(type_of(finding.urn)))} {_code(name_of(finding.urn))}: "
        head = f"<b>{_text(finding.severity)}</b> ({_text(finding.source)})"
        yield f"<li>{head} {where}{_text(finding.text)}</li>"
    yield "</ul>"


def _text(text: str) -> str:
    return html.escape(visible(text))


def _code(text: str) -> str:
    return f"<code>{_text(text) or ' '}</code>"
