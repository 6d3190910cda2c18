/** For pages: keys are kept in the browser, and all work is done by a worker. */
import { Client, type Reach, type Token } from "./client.js";
import { CipherfnError, ours, type ErrorCode } from "./errors.js";
import type { Progress } from "./registration.js";
import type { Answer, Start } from "./worker.js";

export { Client, Model, type Token } from "./client.js";
export { CipherfnError, type ErrorCode } from "./errors.js";
export type { Cell, Rows } from "./rows.js";
export type { ColumnFacts, ModelFacts, Prediction } from "./session.js";

/** How to open a service. */
export interface Options {
  /** Its address. */
  readonly service: string;
  readonly token?: Token;
  /** `indexeddb` keeps keys for the next visit, `memory` until the page is closed. */
  readonly storage?: "indexeddb" | "memory";
}

/** Opens a service. Nothing is sent yet. */
export async function open(options: Options): Promise<Client> {
  const reach = new WorkerReach();
  try {
    await reach.start({ service: options.service, storage: options.storage ?? "indexeddb" });
  } catch (error) {
    reach.close();
    throw error;
  }
  return new Client(reach, options.token);
}

type Waiting = { resolve: (value: unknown) => void; reject: (error: CipherfnError) => void; progress: Progress | undefined };

class WorkerReach implements Reach {
  readonly #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "cipherfn" });
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;
  #ended: CipherfnError | undefined;

  constructor() {
    this.#worker.onmessage = (event: MessageEvent<Answer>) => this.#take(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new CipherfnError("internal", `the worker did not start (${event.message ?? "blocked"}): its files must be served beside this package's, and the page's policy needs worker-src 'self' and script-src 'wasm-unsafe-eval'`));
    };
  }

  start(start: Start): Promise<unknown> {
    return this.call("start", [start]);
  }

  call(method: string, args: readonly unknown[], progress?: Progress): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject, progress });
      this.#worker.postMessage({ id, method, args });
    });
  }

  close(): void {
    this.#end(new CipherfnError("argument", "this client was closed; open another one"));
  }

  #take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    if ("progress" in answer) return waiting.progress?.(...answer.progress);
    this.#waiting.delete(answer.id);
    if ("value" in answer) waiting.resolve(answer.value);
    else waiting.reject(new CipherfnError(answer.error.code as ErrorCode, answer.error.message, answer.error.problem));
  }

  #end(error: CipherfnError): void {
    this.#ended ??= error;
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(ours(error));
    this.#waiting.clear();
  }
}
