/** Requests that are tried again where their failure can pass. */
import { CipherfnError } from "./errors.js";

const ATTEMPTS = 5;
const BASE_MS = 200;
const LONGEST_MS = 10_000;
/** Longest wait that a service may ask for. */
const MOST_PATIENCE_MS = 120_000;
/** An HTTP API answers within 30 s. */
const TIMEOUT_MS = 40_000;
const PROBLEM = "application/problem+json";
const PREFIX = "urn:cipherfn:problem:";

/** An error as the service answers it. */
export type Problem = { type: string; detail: string; most_rows?: number; missing_part?: string };

/** What a service refused, with its problem. */
export class Refusal extends CipherfnError {
  readonly details: Problem;

  constructor(what: string, details: Problem) {
    const problem = details.type.startsWith(PREFIX) ? details.type.slice(PREFIX.length) : details.type;
    super(problem === "unauthenticated" ? "denied" : "service", `${what}: ${details.detail.replace(/\p{Cc}/gu, " ")}`, problem);
    this.details = details;
  }
}

/** Sends a request until it succeeds, is redirected or "not modified". Redirects are not followed: a browser would show nothing of them. */
export async function send(what: string, url: string, init: RequestInit): Promise<Response> {
  for (let attempts = 1; ; attempts += 1) {
    const outcome = await attempt(what, url, init);
    if ("response" in outcome) return outcome.response;
    if (!outcome.passing || attempts >= ATTEMPTS) throw outcome.error;
    const bound = Math.min(BASE_MS * 2 ** (attempts - 1), LONGEST_MS);
    const wait = Math.min(outcome.wait, MOST_PATIENCE_MS) + Math.random() * bound;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

type Outcome = { response: Response } | { error: CipherfnError; passing: boolean; wait: number };

async function attempt(what: string, url: string, init: RequestInit): Promise<Outcome> {
  let response: Response;
  try {
    const fixed: RequestInit = { redirect: "manual", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(TIMEOUT_MS) };
    response = await fetch(url, { ...init, ...fixed });
  } catch (error) {
    const { origin } = new URL(url);
    const offline = globalThis.navigator?.onLine === false;
    const advice = offline
      ? "this device is offline; connect it, and try again"
      : "check that it is running and that the network is there; to a page it must allow the page's origin (AllowedOrigins of the deployment), and the page must allow it (connect-src)";
    const text = `${what}: ${origin} cannot be reached (${error instanceof Error ? error.message : String(error)}): ${advice}`;
    return { error: new CipherfnError("network", text), passing: !offline, wait: 0 };
  }
  if (response.ok || response.status === 304 || response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) return { response };
  return { error: await refusal(what, response), passing: [408, 429, 500, 502, 503, 504].includes(response.status), wait: asked(response) };
}

async function refusal(what: string, response: Response): Promise<CipherfnError> {
  const text = await response.text().catch(() => "");
  if (response.headers.get("content-type")?.startsWith(PROBLEM)) {
    try {
      const problem = JSON.parse(text) as Problem;
      if (typeof problem.type === "string" && typeof problem.detail === "string") return new Refusal(what, problem);
    } catch {
      // Told by its status.
    }
  }
  if (response.status === 401 || response.status === 403)
    return new CipherfnError("denied", `${what}: the service does not take this caller (status ${response.status}); give a token that it takes`);
  return new CipherfnError("service", `${what}: status ${response.status}`);
}

/** What `Retry-After` asks for, in milliseconds. */
function asked(response: Response): number {
  const text = response.headers.get("retry-after");
  if (text === null) return 0;
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(wait) ? Math.max(wait, 0) : 0;
}
