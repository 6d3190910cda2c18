/** For Node: keys are kept in memory, or in a storage of yours; the work is done in the calling thread. */
import { readFile } from "node:fs/promises";
import { Client, type Reach, type Token } from "./client.js";
import init from "./core/core.js";
import { ours } from "./errors.js";
import type { Progress } from "./registration.js";
import { Session } from "./session.js";
import { MemoryStorage, type Storage } from "./storage.js";

export { Client, Model, type Token } from "./client.js";
export { CipherfnError, type ErrorCode } from "./errors.js";
export type { Cell, Rows } from "./rows.js";
export type { ColumnFacts, ModelFacts, Prediction } from "./session.js";
export { MemoryStorage, type Storage } from "./storage.js";

/** How to open a service. */
export interface Options {
  /** Its address. */
  readonly service: string;
  readonly token?: Token;
  /** Where keys and what is remembered of models are kept; without one, in memory. */
  readonly storage?: Storage;
}

let loaded: Promise<unknown> | undefined;

/** Opens a service. Nothing is sent yet. */
export async function open(options: Options): Promise<Client> {
  loaded ??= readFile(new URL("./core/core_bg.wasm", import.meta.url)).then((bytes) => init({ module_or_path: bytes }));
  await loaded;
  return new Client(new DirectReach(new Session(options.service, options.storage ?? new MemoryStorage())), options.token);
}

/** Calls the session in this thread. */
class DirectReach implements Reach {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async call(method: string, args: readonly unknown[], progress?: Progress): Promise<unknown> {
    const work = (this.#session as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[method];
    try {
      return await work?.call(this.#session, ...args, progress);
    } catch (error) {
      throw ours(error);
    }
  }

  close(): void {}
}
