// Requests each of the API's paths in /config.json and shows whether it answers. Without a session, the API
// rejects the requests, which shows that it can be reached. With a session, the requests reach the services. The
// page supports sessions only with the platform's own user pool. If an external issuer manages the users, the page
// shows its name.
import { loginAddress, logoutAddress, redeem, renewed } from "/sign-in.js";
import { judge, summarize } from "/status.js";

const TIMEOUT_MS = 10_000;
const INTERVAL_MS = 60_000;
const REDIRECT = `${location.origin}/`;

let config = null;
let session = null;

const element = (id) => document.getElementById(id);

/** Requests one path. The promise never rejects. */
async function probe(path) {
  const start = performance.now();
  const headers = { accept: "application/json" };
  if (session) headers.authorization = `Bearer ${session.accessToken}`;
  try {
    const response = await fetch(path, {
      cache: "no-store",
      credentials: "omit",
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const milliseconds = Math.round(performance.now() - start);
    return { ...judge(response.status, session !== null), milliseconds };
  } catch (error) {
    const text = error.name === "TimeoutError" ? `No answer in ${TIMEOUT_MS / 1000} s` : "Not reachable";
    return { state: "down", text, milliseconds: null };
  }
}

/** The table row for an API path: /api/market-data is shown as "Market data". */
function rowOf(path) {
  const words = path.replace(/^\/api\//, "").replaceAll("-", " ");
  const row = document.createElement("tr");
  row.dataset.path = path;
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = words.charAt(0).toUpperCase() + words.slice(1);
  const time = document.createElement("td");
  time.className = "number";
  row.append(name, document.createElement("td"), time);
  return row;
}

/** Reads the configuration that the deployment has created for this page, and completes a pending sign-in. */
async function configure() {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  config = await response.json();
  element("services").replaceChildren(...config.apiPaths.map(rowOf));
  const query = new URLSearchParams(location.search);
  // The code is valid only once, so a reload must not send it again.
  history.replaceState(null, "", "/");
  if (config.signIn) await sign(() => redeem(config.signIn, REDIRECT, query, sessionStorage));
  element("issuer").textContent = config.issuer ?? "";
  element("no-sign-in").hidden = config.signIn !== null;
}

/** Sets the session to the result of `how`. If that fails, the page continues without a session. */
async function sign(how) {
  const problem = element("sign-in-problem");
  problem.textContent = "";
  try {
    session = await how();
  } catch (error) {
    session = null;
    problem.textContent = `The sign-in failed: ${error.message}`;
  }
  element("sign-in").hidden = session !== null;
  element("sign-out").hidden = session === null;
}

async function check(row) {
  const result = await probe(row.dataset.path);
  const [status, time] = row.querySelectorAll("td");
  status.textContent = result.text;
  status.dataset.state = result.state;
  time.textContent = result.milliseconds === null ? "" : `${result.milliseconds} ms`;
  return result.state;
}

/** Checks every service. If there is no configuration yet, requests it first. */
async function judgeAll() {
  try {
    if (config === null) await configure();
  } catch {
    config = null;
    return ["down", "The page's configuration can't be loaded."];
  }
  if (session) await sign(() => renewed(config.signIn, session));
  const rows = [...document.querySelectorAll("#services tr")];
  return summarize(await Promise.all(rows.map(check)), session !== null, config.signIn);
}

async function checkAll() {
  const button = element("refresh");
  button.disabled = true;
  const [state, text] = await judgeAll();
  const summary = element("summary");
  summary.dataset.state = state;
  // Updated only when it changes. Otherwise, a screen reader would repeat it every minute.
  if (summary.textContent !== text) summary.textContent = text;
  const now = new Date();
  const checked = element("checked");
  checked.dateTime = now.toISOString();
  checked.textContent = now.toLocaleTimeString();
  button.disabled = false;
}

function start() {
  if (!["/", "/index.html"].includes(location.pathname)) {
    document.title = "Page not found · Trading platform";
    element("status").hidden = true;
    element("not-found").hidden = false;
    return;
  }
  element("refresh").addEventListener("click", checkAll);
  element("sign-in").addEventListener("click", async () => {
    location.assign(await loginAddress(config.signIn, REDIRECT, sessionStorage));
  });
  element("sign-out").addEventListener("click", () => {
    session = null;
    location.assign(logoutAddress(config.signIn, REDIRECT));
  });
  setInterval(() => {
    if (document.visibilityState === "visible") checkAll();
  }, INTERVAL_MS);
  checkAll();
}

start();
