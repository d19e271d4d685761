// The page's texts for a response of the API, and for all responses together.

/**
 * The state and text for an HTTP status. Without a token, the API rejects a request before it reaches a service.
 * In this case, the status only shows that the path through CloudFront, the load balancer and the API works.
 */
export function judge(status, signedIn) {
  if (status === 429) return { state: "degraded", text: "Busy: too many requests" };
  if (status >= 500) return { state: "down", text: `Failing (HTTP ${status})` };
  if (status === 401) return { state: "reached", text: signedIn ? "Session has expired" : "API answers" };
  if (status === 403) return { state: "reached", text: "API answers, but denies access" };
  return { state: "up", text: "Up" };
}

/**
 * The state and text for all services. It asks the user to sign in only if the page supports it, which means that
 * there is a user pool configuration `signIn`.
 */
export function summarize(states, signedIn, signIn) {
  const down = states.filter((state) => state === "down").length;
  if (down === states.length) return ["down", "The platform does not answer."];
  if (down > 0) return ["degraded", `${down} of ${states.length} services do not answer.`];
  if (states.includes("degraded")) return ["degraded", "The platform is busy."];
  if (!signedIn && signIn) return ["up", "The API answers. Sign in to check the services behind it."];
  if (!signedIn) return ["up", "The API answers."];
  return ["up", "All services that this page may access answer."];
}
