// Sign-in with the user pool: authorization code grant with PKCE (RFC 7636), for a client without a secret.
//
// Values that are needed after the return from the login page are in the session storage until they have been used
// once. Tokens are kept only in memory: after a reload, the login page, which remembers the user, issues new ones.

const PENDING = "sign-in";
/** A token is renewed this long before it expires, so that it doesn't expire during a request. */
const MARGIN_MS = 60_000;

function base64url(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

/** The address of the login page. It redirects to `redirect` with a code for `redeem`. */
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

/** The address that also ends the login page's own session. It redirects to `redirect`. */
export function logoutAddress({ url, clientId }, redirect) {
  return `${url}/logout?${new URLSearchParams({ client_id: clientId, logout_uri: redirect })}`;
}

/**
 * The session for the login page's response, or null if the visit isn't a response. The promise rejects if the
 * sign-in was refused or the response is forged.
 */
export async function redeem(config, redirect, query, storage) {
  if (!query.has("code") && !query.has("error")) return null;
  const pending = JSON.parse(storage.getItem(PENDING) ?? "{}");
  storage.removeItem(PENDING);
  if (!pending.state || query.get("state") !== pending.state) throw new Error("It wasn't started in this tab.");
  if (query.has("error")) throw new Error(query.get("error_description") ?? query.get("error"));
  return tokens(config, {
    grant_type: "authorization_code",
    code: query.get("code"),
    redirect_uri: redirect,
    code_verifier: pending.verifier,
  });
}

/** The session, with a new access token if the current one is about to expire. */
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
  // A renewal returns no refresh token, because the first one stays valid.
  if (answer.refresh_token) session.refreshToken = answer.refresh_token;
  return session;
}
