// Sign-in with the user pool: authorization code with PKCE (RFC 7636), for a client without a secret.
//
// What must outlive the way to the login page and back is in the session storage until it has been used once.
// Tokens stay in memory: a reload asks the login page again, which remembers the user.

const PENDING = "sign-in";
/** A token is renewed this long before its end, so that no request is under way when it ends. */
const MARGIN_MS = 60_000;

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** The address of the login page. It leads back to `redirect` with a code, which `redeem` takes. */
export async function loginAddress({ url, clientId, scopes }, redirect, storage) {
  const verifier = random();
  const state = random();
  storage.setItem(PENDING, JSON.stringify({ verifier, state }));
  const challenge = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const query = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirect,
    scope: scopes.join(" "),
    state,
    code_challenge: base64url(challenge),
    code_challenge_method: "S256",
  });
  return `${url}/oauth2/authorize?${query}`;
}

/** The address that ends the login page's own session, too, and leads back to `redirect`. */
export function logoutAddress({ url, clientId }, redirect) {
  return `${url}/logout?${new URLSearchParams({ client_id: clientId, logout_uri: redirect })}`;
}

/** The session for the login page's answer; null for a visit that is none. Rejects a refusal and a forgery. */
export async function redeem(config, redirect, query, storage) {
  if (!query.has("code") && !query.has("error")) return null;
  const pending = JSON.parse(storage.getItem(PENDING) ?? "{}");
  storage.removeItem(PENDING);
  if (!pending.state || query.get("state") !== pending.state) throw new Error("It was not begun in this tab.");
  if (query.has("error")) throw new Error(query.get("error_description") ?? query.get("error"));
  return tokens(config, {
    grant_type: "authorization_code",
    code: query.get("code"),
    redirect_uri: redirect,
    code_verifier: pending.verifier,
  });
}

/** The session with an access token that is good for a while yet. */
export async function renewed(config, session) {
  if (Date.now() < session.expires - MARGIN_MS) return session;
  const grant = { grant_type: "refresh_token", refresh_token: session.refreshToken };
  return { ...session, ...(await tokens(config, grant)) };
}

async function tokens({ url, clientId }, grant) {
  const response = await fetch(`${url}/oauth2/token`, {
    method: "POST",
    body: new URLSearchParams({ client_id: clientId, ...grant }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  const session = { accessToken: answer.access_token, expires: Date.now() + answer.expires_in * 1000 };
  // A renewal brings none: the first one stays good.
  if (answer.refresh_token) session.refreshToken = answer.refresh_token;
  return session;
}
