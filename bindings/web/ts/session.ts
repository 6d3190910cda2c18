/** The work: runs in a worker of the page, or in Node's own thread. */
import { Columns, Encoded, Model as CoreModel, Secret } from "./core/core.js";
import { CipherfnError } from "./errors.js";
import { Refusal, send } from "./http.js";
import { register, type Part, type Progress } from "./registration.js";
import type { Column } from "./rows.js";
import type { Storage } from "./storage.js";

/** What a column takes. */
export interface ColumnFacts {
  readonly name: string;
  readonly kind: "number" | "integer" | "text";
  /** Whether a value may be missing. */
  readonly optional: boolean;
}

/** What there is to know of a model. */
export interface ModelFacts {
  readonly name: string;
  readonly columns: readonly ColumnFacts[];
  /** Names of a prediction's values. */
  readonly outputs: readonly string[];
  /** Hash of its specs. */
  readonly specs: string;
  /** Who has signed them, if anybody has. */
  readonly developer: string | undefined;
  /** Why they are taken, in words. */
  readonly verdict: string;
}

/** The answer to a row. */
export interface Prediction {
  /**
   * `answered`; `limited`, where a value was outside the range that the model knows and was limited to it, or
   * between the few that it knows and rounded to the nearest, or columns do not relate as in the rows that the model knows;
   * `unusable`, where the row cannot be encoded; `failed`, where the service or the specs' program failed on it.
   */
  readonly outcome: "answered" | "limited" | "unusable" | "failed";
  /** By the names in `outputs`, numbers rounded to the digits that mean something; null without an answer. */
  readonly values: Readonly<Record<string, number | bigint | string>> | null;
  /** Why there is no answer, or in what it differs from what the model says. */
  readonly remark: string | null;
}

const QUERY = "application/vnd.cipherfn.query";
const REPLY = "application/vnd.cipherfn.reply";
/** Registrations that a prediction makes at most, where the service turns out to lack them. */
const MOST_REPAIRS = 3;

/** One service, with keys and models. */
export class Session {
  readonly #service: string;
  readonly #storage: Storage;
  readonly #models = new Map<string, CoreModel>();
  readonly #secrets = new Map<string, Secret>();
  /** Parts that were registered, so that it is asked once. */
  readonly #registered = new Set<string>();

  constructor(service: string, storage: Storage) {
    this.#service = address(service);
    this.#storage = storage;
  }

  /** A model by its current specs, if they are the known developer's. */
  async model(token: string | undefined, name: string, accept: string | undefined): Promise<ModelFacts> {
    const where = `${this.#service}/${name}`;
    const [pin, cached] = [await this.#storage.get(`pin/${where}`), await this.#storage.get(`specs/${where}`)];
    const tag = cached && text(await this.#storage.get(`tag/${where}`));
    const headers: HeadersInit = tag ? { "if-none-match": `"${tag}"` } : {};
    const what = `the specs of model ${name}`;
    const asked = accept && /^[0-9a-f]{64}$/.test(accept) ? `?specs=${accept}` : "";
    const response = await this.#call(token)(what, `/v2/models/${encodeURIComponent(name)}${asked}`, { headers });
    if (response.status !== 200 && response.status !== 304)
      throw new CipherfnError("specs", `${what} are too large for a page, which cannot follow where the service points to; compile the model with fewer split points, or use the command`);
    const bytes = response.status === 304 && cached ? cached : new Uint8Array(await response.arrayBuffer());
    const statement = response.headers.get("cipherfn-statement") ?? undefined;
    const model = new CoreModel(name, bytes, statement, text(pin), accept);
    const named = response.headers.get("etag")?.replace(/^W\//, "").replaceAll('"', "");
    if (named !== model.specs) {
      model.free();
      throw new CipherfnError("specs", `${what} were altered on the way: they have not the hash that names them; try again, and tell the service's operator if it stays so`);
    }
    await this.#storage.put(`pin/${where}`, new TextEncoder().encode(model.pin));
    await this.#storage.put(`specs/${where}`, bytes);
    await this.#storage.put(`tag/${where}`, new TextEncoder().encode(model.specs));
    this.#models.get(name)?.free();
    this.#models.set(name, model);
    return facts(name, model);
  }

  /** Makes keys where there are none, and registers what the model needs. */
  async register(token: string | undefined, name: string, progress: Progress): Promise<void> {
    const model = this.#model(name);
    await this.#supply(token, model, model.keyParts, progress);
  }

  /** Answers to the rows, in their order. */
  async predict(token: string | undefined, name: string, columns: readonly Column[]): Promise<Prediction[]> {
    const model = this.#model(name);
    let most = model.rowsARequest;
    if (most === 0) throw new CipherfnError("specs", `a row of model ${name} is too large for a request; compile it for a smaller query`);
    const rows = encoded(model, columns);
    try {
      await this.#supply(token, model, model.keyParts, () => {});
      const secret = await this.#secret(model.parameterSet);
      const answers: Prediction[] = [];
      let repairs = 0;
      while (answers.length < rows.length) {
        const count = Math.min(most, rows.length - answers.length);
        const query = model.query(secret, rows, answers.length, count);
        try {
          const reply = await this.#ask(token, name, model, query.bytes);
          answers.push(...(model.open(secret, rows, query, reply) as Prediction[]));
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          const fewer = error.details.most_rows;
          if (error.problem === "too-many-rows" && count > 1) {
            most = fewer !== undefined && fewer >= 1 && fewer < count ? fewer : Math.floor(count / 2);
          } else if (error.problem === "stale-specs") {
            throw new CipherfnError("stale", `model ${name} has changed since its specs were fetched; ask for it again with model(), nothing else is lost`, error.problem);
          } else if (repairs < MOST_REPAIRS && ["missing-key-part", "unknown-key", "key-expired", "key-not-active"].includes(error.problem ?? "")) {
            repairs += 1;
            this.#registered.clear();
            const part = error.details.missing_part;
            await this.#supply(token, model, part === undefined ? model.keyParts : [part], () => {});
          } else throw error;
        } finally {
          query.free();
        }
      }
      return answers;
    } finally {
      rows.free();
    }
  }

  /** Decrypts a reply that was kept, as a file of the command. */
  async decrypt(specs: Uint8Array, secret: Uint8Array, reply: Uint8Array): Promise<Prediction[]> {
    const model = new CoreModel("kept", specs, undefined, undefined, "offered");
    const key = Secret.fromBytes(secret);
    try {
      return model.decrypt(key, reply) as Prediction[];
    } finally {
      key.free();
      model.free();
    }
  }

  /** Deletes keys and what is remembered here, and the registered keys of this session's models at the service. */
  async forget(token: string | undefined): Promise<void> {
    const ids = [...this.#secrets.values()].map((secret) => secret.id);
    for (const secret of this.#secrets.values()) secret.free();
    this.#secrets.clear();
    this.#registered.clear();
    await this.#storage.clear();
    for (const id of ids) {
      try {
        await this.#call(token)("deleting the registered key", `/v2/keys/${id}`, { method: "DELETE" });
      } catch (error) {
        if (!(error instanceof Refusal) || error.problem !== "unknown-key") throw error;
      }
    }
  }

  #model(name: string): CoreModel {
    const model = this.#models.get(name);
    if (!model) throw new CipherfnError("argument", `model ${name} was not asked for; call model() first`);
    return model;
  }

  #call(token: string | undefined) {
    return (what: string, path: string, init: RequestInit = {}): Promise<Response> => {
      const headers = new Headers(init.headers);
      if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
      return send(what, this.#service + path, { ...init, headers });
    };
  }

  async #ask(token: string | undefined, name: string, model: CoreModel, query: Uint8Array): Promise<Uint8Array> {
    const path = `/v${model.apiVersion}/models/${encodeURIComponent(name)}/predict`;
    const init = { method: "POST", headers: { "content-type": QUERY, accept: REPLY }, body: query as Uint8Array<ArrayBuffer> };
    const response = await this.#call(token)(`asking model ${name}`, path, init);
    const kind = response.headers.get("content-type");
    if (response.status !== 200 || kind !== REPLY) throw new CipherfnError("reply", `asking model ${name}: status ${response.status} and content type ${kind} instead of a reply`);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** The secret key of a parameter set: the stored one, or a new one. */
  async #secret(set: string): Promise<Secret> {
    const held = this.#secrets.get(set);
    if (held) return held;
    const name = `secret/${set}`;
    let bytes = await this.#storage.get(name);
    if (!bytes) {
      const fresh = Secret.generate(set);
      const file = fresh.toBytes();
      fresh.free();
      bytes = await this.#storage.add(name, file);
      file.fill(0);
    }
    const secret = Secret.fromBytes(bytes);
    bytes.fill(0);
    this.#secrets.set(set, secret);
    return secret;
  }

  async #supply(token: string | undefined, model: CoreModel, names: readonly string[], progress: Progress): Promise<void> {
    const missing = names.filter((name) => !this.#registered.has(`${model.parameterSet}/${name}`));
    if (missing.length === 0) return;
    const secret = await this.#secret(model.parameterSet);
    const parts: Part[] = [];
    for (const name of missing) {
      const place = `part/${secret.id}/${name}`;
      const held = await this.#storage.get(place);
      if (held) secret.checkPart(name, held);
      parts.push({ name, bytes: held ?? (await this.#storage.add(place, secret.part(name))) });
    }
    const key = { id: secret.id, set: model.parameterSet, setHash: model.parameterSetHash };
    await register(this.#call(token), key, parts, progress);
    for (const name of missing) this.#registered.add(`${model.parameterSet}/${name}`);
  }
}

function encoded(model: CoreModel, columns: readonly Column[]): Encoded {
  const batch = new Columns();
  try {
    for (const column of columns) {
      if (column.kind === "numbers") batch.numbers(column.name, column.values, column.valid);
      else if (column.kind === "integers") batch.integers(column.name, column.values, column.valid);
      else if (column.kind === "booleans") batch.booleans(column.name, column.values, column.valid);
      else batch.texts(column.name, column.values, column.valid);
    }
    return model.encode(batch);
  } finally {
    batch.free();
  }
}

function facts(name: string, model: CoreModel): ModelFacts {
  const kinds = model.columnKinds;
  const column = (column: string, index: number): ColumnFacts => {
    const kind = kinds[index] ?? "text";
    return { name: column, kind: kind.replace("?", "") as ColumnFacts["kind"], optional: kind.endsWith("?") };
  };
  return { name, columns: model.columns.map(column), outputs: model.outputs, specs: model.specs, developer: model.developer, verdict: model.verdict };
}

/** Without a slash at its end; `https`, or `http` on this machine. */
function address(service: string): string {
  let url: URL;
  try {
    url = new URL(service);
  } catch {
    throw new CipherfnError("argument", `${JSON.stringify(service)} is no address of a service, such as https://abc123.execute-api.eu-central-1.amazonaws.com`);
  }
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && !(url.protocol === "http:" && local)) throw new CipherfnError("argument", `${service}: only https, or http on this machine`);
  if (url.username || url.password || url.search || url.hash) throw new CipherfnError("argument", `${url.origin}: an address without user, query and fragment`);
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
