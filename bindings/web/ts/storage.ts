/** Where keys, and what is remembered of models, are kept. */
import { CipherfnError } from "./errors.js";

/**
 * Bytes by name. Names that begin with `secret/` hold secret keys in the clear: a storage of your own protects them.
 * What is under `pin/` says whose specs are taken: whoever changes it can pass off other specs.
 */
export interface Storage {
  get(name: string): Promise<Uint8Array | undefined>;
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Puts where nothing is yet, and gives what is there then: of several at once, all get the same. */
  add(name: string, bytes: Uint8Array): Promise<Uint8Array>;
  /** Forgets everything. */
  clear(): Promise<void>;
}

/** Until the page is closed, or the process ends. */
export class MemoryStorage implements Storage {
  readonly #bytes = new Map<string, Uint8Array>();

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#bytes.get(name)?.slice();
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    this.#bytes.set(name, bytes.slice());
  }

  async add(name: string, bytes: Uint8Array): Promise<Uint8Array> {
    if (!this.#bytes.has(name)) this.#bytes.set(name, bytes.slice());
    return (this.#bytes.get(name) as Uint8Array).slice();
  }

  async clear(): Promise<void> {
    this.#bytes.clear();
  }
}

const DATABASE = "cipherfn";
const WRAPPING = "wrapping";
const BYTES = "bytes";
const KEY = "key";

/** A secret as it is stored. */
type Wrapped = { iv: Uint8Array<ArrayBuffer>; bytes: ArrayBuffer };

/** The browser's IndexedDB. Secrets are wrapped by a key of WebCrypto that no script can take out. */
export class BrowserStorage implements Storage {
  readonly #database: IDBDatabase;
  readonly #wrapping: CryptoKey;

  private constructor(database: IDBDatabase, wrapping: CryptoKey) {
    this.#database = database;
    this.#wrapping = wrapping;
  }

  static async open(): Promise<BrowserStorage> {
    if (!globalThis.isSecureContext || !globalThis.crypto?.subtle)
      throw new CipherfnError("storage", "keys are kept only for pages that came over https, or from this machine: serve the page so");
    try {
      const database = await opened();
      const fresh = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
      // Of several tabs at once the first one's key stays.
      const wrapping = await inTransaction<CryptoKey>(database, WRAPPING, "readwrite", (store, done) => {
        const held = store.get(KEY);
        held.onsuccess = () => {
          if (held.result === undefined) store.put(fresh, KEY);
          done(held.result ?? fresh);
        };
      });
      return new BrowserStorage(database, wrapping);
    } catch (error) {
      throw denied(error);
    }
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    const stored = await this.#run<Uint8Array | Wrapped | undefined>("readonly", (store, done) => {
      const held = store.get(name);
      held.onsuccess = () => done(held.result);
    });
    return stored && this.#unwrap(name, stored);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const stored = await this.#wrap(name, bytes);
    await this.#run<void>("readwrite", (store, done) => {
      store.put(stored, name);
      done();
    });
  }

  async add(name: string, bytes: Uint8Array): Promise<Uint8Array> {
    const fresh = await this.#wrap(name, bytes);
    const stored = await this.#run<Uint8Array | Wrapped>("readwrite", (store, done) => {
      const held = store.get(name);
      held.onsuccess = () => {
        if (held.result === undefined) store.put(fresh, name);
        done(held.result ?? fresh);
      };
    });
    return this.#unwrap(name, stored);
  }

  async clear(): Promise<void> {
    await this.#run<void>("readwrite", (store, done) => {
      store.clear();
      done();
    });
  }

  async #run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore, done: (value: T) => void) => void): Promise<T> {
    try {
      return await inTransaction(this.#database, BYTES, mode, work);
    } catch (error) {
      throw denied(error);
    }
  }

  async #wrap(name: string, bytes: Uint8Array): Promise<Uint8Array | Wrapped> {
    if (!name.startsWith("secret/")) return bytes;
    const iv = crypto.getRandomValues(new Uint8Array(12));
    return { iv, bytes: await crypto.subtle.encrypt(sealed(name, iv), this.#wrapping, bytes as BufferSource) };
  }

  async #unwrap(name: string, stored: Uint8Array | Wrapped): Promise<Uint8Array> {
    if (stored instanceof Uint8Array) return stored;
    try {
      return new Uint8Array(await crypto.subtle.decrypt(sealed(name, stored.iv), this.#wrapping, stored.bytes));
    } catch {
      throw new CipherfnError("storage", "the stored secret key cannot be opened: parts of the page's data were cleared; call forget() and start anew with new keys");
    }
  }
}

/** A wrapped key is good under its own name only. */
function sealed(name: string, iv: Uint8Array<ArrayBuffer>): AesGcmParams {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(name) };
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(WRAPPING);
      request.result.createObjectStore(BYTES);
    };
    request.onsuccess = () => {
      // Another tab deletes the database: let it.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another tab of this page holds an older version of the storage"));
  });
}

/** What `work` hands on, once all of it is stored. */
function inTransaction<T>(database: IDBDatabase, store: string, mode: IDBTransactionMode, work: (store: IDBObjectStore, done: (value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, mode, { durability: "strict" });
    let result: T;
    transaction.oncomplete = () => resolve(result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error("it was cleared meanwhile"));
    work(transaction.objectStore(store), (value) => (result = value));
  });
}

function denied(error: unknown): CipherfnError {
  if (error instanceof CipherfnError) return error;
  const { name, message } = error instanceof Error ? error : { name: "", message: String(error) };
  const remedy =
    name === "QuotaExceededError"
      ? "there is no room left; free some in the browser's settings"
      : name === "InvalidStateError"
        ? "the page's data was cleared; reload the page, it makes new keys"
        : 'allow this page to keep data in the browser\'s settings, or open it with storage "memory", which forgets keys with the page';
  return new CipherfnError("storage", `the browser keeps nothing for this page (${message || name}): ${remedy}`);
}
