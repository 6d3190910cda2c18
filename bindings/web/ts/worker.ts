/** The page's worker: a session, called by messages. One call after the other, in the order in which they come. */
import init from "./core/core.js";
import { CipherfnError, ours } from "./errors.js";
import type { Progress } from "./registration.js";
import { Session } from "./session.js";
import { BrowserStorage, MemoryStorage } from "./storage.js";

/** What a session is started with. */
export type Start = { service: string; storage: "indexeddb" | "memory" };
/** A call. */
export type Request = { id: number; method: string; args: readonly unknown[] };
/** What comes back. */
export type Answer =
  | { id: number; value: unknown }
  | { id: number; progress: [number, number] }
  | { id: number; error: { code: string; message: string; problem: string | undefined } };

let session: Session | undefined;
let last: Promise<void> = Promise.resolve();

async function run({ id, method, args }: Request): Promise<unknown> {
  if (method === "start") {
    const [start] = args as [Start];
    await init({ module_or_path: new URL("./core/core_bg.wasm", import.meta.url) });
    session = new Session(start.service, start.storage === "memory" ? new MemoryStorage() : await BrowserStorage.open());
    return undefined;
  }
  if (!session) throw new CipherfnError("internal", "the session was not started");
  const progress: Progress = (done, of) => reply({ id, progress: [done, of] });
  return call(session, method, args, progress);
}

function call(session: Session, method: string, args: readonly unknown[], progress: Progress): Promise<unknown> {
  const work = (session as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[method];
  if (!work) throw new CipherfnError("internal", `no call ${method}`);
  return work.call(session, ...args, progress);
}

function reply(answer: Answer): void {
  postMessage(answer);
}

addEventListener("message", (event: MessageEvent<Request>) => {
  const request = event.data;
  last = last.then(async () => {
    try {
      reply({ id: request.id, value: await run(request) });
    } catch (error) {
      const { code, message, problem } = ours(error);
      reply({ id: request.id, error: { code, message, problem } });
    }
  });
});
