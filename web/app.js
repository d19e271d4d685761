// Asks each of the API's paths, which /config.json names, and shows whether it answers. Without a session it
// sees the API refuse, which shows that the way there is well; with one it asks the services. It has a session
// only of the platform's own user pool: where another issuer signs people in, it says so.
import { loginAddress, logoutAddress, redeem, renewed } from "/sign-in.js";
import { judge, summarize } from "/status.js";

const TIMEOUT_MS = 10_000;
const INTERVAL_MS = 60_000;
const REDIRECT = `${location.origin}/`;

let config = null;
let session = null;

const element = (id) => document.getElementById(id);

/** Asks one path; never rejects. */
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

/** The row of an API path: /api/market-data is "Market data". */
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

/** Reads the configuration that the deployment has put beside this page, and takes up a sign-in. */
async function configure() {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  config = await response.json();
  element("services").replaceChildren(...config.apiPaths.map(rowOf));
  const query = new URLSearchParams(location.search);
  // The code is good once: a reload must not show it again.
  history.replaceState(null, "", "/");
  if (config.signIn) await sign(() => redeem(config.signIn, REDIRECT, query, sessionStorage));
  element("issuer").textContent = config.issuer ?? "";
  element("no-sign-in").hidden = config.signIn !== null;
}

/** Sets the session to what `how` brings; the page goes on without one when that fails. */
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

/** Checks every service, and asks for the configuration first as long as there is none. */
async function judgeAll() {
  try {
    if (config === null) await configure();
  } catch {
    config = null;
    return ["down", "The page's configuration does not load."];
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
  // Written only when it changes, or a screen reader would repeat it every minute.
  if (summary.textContent !== text) summary.textContent = text;
  const now = new Date();
  const checked = element("checked");
  checked.dateTime = now.toISOString();
  checked.textContent = now.toLocaleTimeString();
  button.disabled = false;
}

function start() {
  if (!["/", "/index.html"].includes(location.pathname)) {
    document.title = "No such page · Trading platform";
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
