// What the page says about an answer of the API, and about all of them.

/**
 * What an HTTP status says. Without a token the API refuses before it asks a service: then it is the way
 * through CloudFront, the load balancer and the API that is well.
 */
export function judge(status, signedIn) {
  if (status === 429) return { state: "degraded", text: "Busy: too many requests" };
  if (status >= 500) return { state: "down", text: `Failing (HTTP ${status})` };
  if (status === 401) return { state: "reached", text: signedIn ? "Session has ended" : "API answers" };
  if (status === 403) return { state: "reached", text: "API answers, and does not let this page ask" };
  return { state: "up", text: "Up" };
}

/**
 * One line for all services: its state and its text. It asks the user to sign in only where `signIn`, the
 * configuration of the user pool, says that the page can.
 */
export function summarize(states, signedIn, signIn) {
  const down = states.filter((state) => state === "down").length;
  if (down === states.length) return ["down", "The platform does not answer."];
  if (down > 0) return ["degraded", `${down} of ${states.length} services do not answer.`];
  if (states.includes("degraded")) return ["degraded", "The platform is busy."];
  if (!signedIn && signIn) return ["up", "The API answers. Sign in to ask the services behind it."];
  if (!signedIn) return ["up", "The API answers."];
  return ["up", "All services that this page may ask answer."];
}
