// Asks each of the API's paths, which /config.json names, and shows whether it answers. No session is
// needed: a service that refuses an anonymous request has answered, through CloudFront, the load balancer
// and the API.
"use strict";

const TIMEOUT_MS = 10_000;
const INTERVAL_MS = 60_000;

/** What an HTTP status says about the service behind it. */
function judge(status) {
  if (status === 429) return { state: "degraded", text: "Busy: too many requests" };
  if (status >= 500) return { state: "down", text: `Failing (HTTP ${status})` };
  if (status === 401 || status === 403) return { state: "up", text: "Up (sign-in required)" };
  return { state: "up", text: "Up" };
}

/** Asks one path; never rejects. */
async function probe(path) {
  const start = performance.now();
  try {
    const response = await fetch(path, {
      cache: "no-store",
      credentials: "omit",
      headers: { accept: "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { ...judge(response.status), milliseconds: Math.round(performance.now() - start) };
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

/** Fills the table from the configuration that the deployment has put beside this page. */
async function configure() {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  const { apiPaths } = await response.json();
  document.getElementById("services").replaceChildren(...apiPaths.map(rowOf));
}

async function check(row) {
  const result = await probe(row.dataset.path);
  const [status, time] = row.querySelectorAll("td");
  status.textContent = result.text;
  status.dataset.state = result.state;
  time.textContent = result.milliseconds === null ? "" : `${result.milliseconds} ms`;
  return result.state;
}

function summarize(states) {
  const down = states.filter((state) => state === "down").length;
  if (down === states.length) return ["down", "The platform does not answer."];
  if (down > 0) return ["degraded", `${down} of ${states.length} services do not answer.`];
  if (states.includes("degraded")) return ["degraded", "The platform is busy."];
  return ["up", "All services answer."];
}

/** Checks every service, and asks for the configuration first as long as there is none. */
async function judgeAll() {
  const rows = () => [...document.querySelectorAll("#services tr")];
  try {
    if (rows().length === 0) await configure();
  } catch {
    return ["down", "The page's configuration does not load."];
  }
  return summarize(await Promise.all(rows().map(check)));
}

async function checkAll() {
  const button = document.getElementById("refresh");
  button.disabled = true;
  const [state, text] = await judgeAll();
  const summary = document.getElementById("summary");
  summary.dataset.state = state;
  // Written only when it changes, or a screen reader would repeat it every minute.
  if (summary.textContent !== text) summary.textContent = text;
  const now = new Date();
  const checked = document.getElementById("checked");
  checked.dateTime = now.toISOString();
  checked.textContent = now.toLocaleTimeString();
  button.disabled = false;
}

function start() {
  if (!["/", "/index.html"].includes(location.pathname)) {
    document.title = "No such page · Trading platform";
    document.getElementById("status").hidden = true;
    document.getElementById("not-found").hidden = false;
    return;
  }
  document.getElementById("refresh").addEventListener("click", checkAll);
  setInterval(() => {
    if (document.visibilityState === "visible") checkAll();
  }, INTERVAL_MS);
  checkAll();
}

start();
