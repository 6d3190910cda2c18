/** What callers hold: the same in a page, where the work is done by a worker, and in Node. */
import type { Progress } from "./registration.js";
import { columnsOf, type Rows } from "./rows.js";
import type { ColumnFacts, ModelFacts, Prediction } from "./session.js";

/** A bearer token, or what gives one: asked before every call, so that it may be renewed. */
export type Token = string | (() => string | Promise<string>);

/** How calls reach the session. @internal */
export interface Reach {
  call(method: string, args: readonly unknown[], progress?: Progress): Promise<unknown>;
  close(): void;
}

/** A service. */
export class Client {
  readonly #reach: Reach;
  readonly #token: Token | undefined;

  /** @internal */
  constructor(reach: Reach, token: Token | undefined) {
    this.#reach = reach;
    this.#token = token;
  }

  /**
   * A model by its current specs. The first ones, and their developer, are remembered; later ones must be the same developer's.
   * `accept` is what you know from elsewhere: the developer's key (`ed25519:...`), which a page should name; a hash of specs; or `"offered"`,
   * to believe the service this once.
   */
  async model(name: string, options: { accept?: string } = {}): Promise<Model> {
    const facts = (await this.#reach.call("model", [await this.#identity(), name, options.accept])) as ModelFacts;
    return new Model(this.#reach, () => this.#identity(), facts);
  }

  /** Deletes the keys and all that is remembered, here and at the service. */
  async forget(): Promise<void> {
    await this.#reach.call("forget", [await this.#identity()]);
  }

  /** Decrypts a reply file of the command, with its secret key file. */
  async decrypt(specs: Uint8Array, secret: Uint8Array, reply: Uint8Array): Promise<Prediction[]> {
    return (await this.#reach.call("decrypt", [specs, secret, reply])) as Prediction[];
  }

  /** Ends the worker. Stored keys stay. */
  close(): void {
    this.#reach.close();
  }

  async #identity(): Promise<string | undefined> {
    return typeof this.#token === "function" ? await this.#token() : this.#token;
  }
}

/** A model of a service. */
export class Model implements ModelFacts {
  readonly name: string;
  readonly columns: readonly ColumnFacts[];
  readonly outputs: readonly string[];
  readonly specs: string;
  readonly developer: string | undefined;
  readonly verdict: string;
  readonly #reach: Reach;
  readonly #identity: () => Promise<string | undefined>;

  /** @internal */
  constructor(reach: Reach, identity: () => Promise<string | undefined>, facts: ModelFacts) {
    this.#reach = reach;
    this.#identity = identity;
    this.name = facts.name;
    this.columns = facts.columns;
    this.outputs = facts.outputs;
    this.specs = facts.specs;
    this.developer = facts.developer;
    this.verdict = facts.verdict;
  }

  /** Makes keys where there are none and registers the evaluation key, which `predict` does too: call it early, so that predictions need not wait. */
  async register(progress: Progress = () => {}): Promise<void> {
    await this.#reach.call("register", [await this.#identity(), this.name], progress);
  }

  /** Encrypts rows, asks the service, decrypts its reply: one prediction a row, in their order. */
  async predict(rows: Rows): Promise<Prediction[]> {
    const { columns, count } = columnsOf(
      rows,
      this.columns.map((column) => column.name),
    );
    if (count === 0) return [];
    return (await this.#reach.call("predict", [await this.#identity(), this.name, columns])) as Prediction[];
  }
}
