/** Registration of the parts of an evaluation key. */
import { CipherfnError } from "./errors.js";
import { Refusal, send } from "./http.js";

/** A part, and what a service is told of it. */
export type Part = { readonly name: string; readonly bytes: Uint8Array };

/** Whose parts they are. */
export type KeyName = { readonly id: string; readonly set: string; readonly setHash: string };

type PartStatus = { sha256: string; state: "pending" | "active" | "rejected"; reason?: string; expires: string };
type Status = { key: string; parts: Record<string, PartStatus> };
type Piece = { part: string; offset: number; bytes: number; method: string; url: string; headers: Record<string, string> };

/** How far an upload is, in bytes. */
export type Progress = (done: number, of: number) => void;

/** Calls the service at a path under its address. */
export type Call = (what: string, path: string, init?: RequestInit) => Promise<Response>;

/** Registers what the service lacks of these parts. Doing it again is harmless. */
export async function register(call: Call, key: KeyName, parts: readonly Part[], progress: Progress): Promise<void> {
  const sums = new Map<string, string>();
  for (const part of parts) sums.set(part.name, await sha256(part.bytes));
  const active = (status: Status | undefined, part: Part): boolean => {
    const there = status?.parts[part.name];
    return there?.state === "active" && there.sha256 === sums.get(part.name) && Date.parse(there.expires) > Date.now();
  };
  const known = await registered(call, key.id);
  const missing = parts.filter((part) => !active(known, part));
  if (missing.length === 0) return;
  const declaration = {
    key: key.id,
    parameter_set: { name: key.set, hash: key.setHash },
    parts: Object.fromEntries(missing.map((part) => [part.name, { bytes: part.bytes.length, sha256: sums.get(part.name) }])),
  };
  const what = "registering the evaluation key";
  const declare = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(declaration) };
  const upload = async (): Promise<void> => {
    const declared = (await (await call(what, "/v2/keys", declare)).json()) as { status: Status; pieces: Piece[] };
    if (declared.status.key !== key.id) throw new CipherfnError("service", `${what}: the service answered about another key`);
    const of = missing.reduce((sum, part) => sum + part.bytes.length, 0);
    let done = of - declared.pieces.reduce((sum, piece) => sum + piece.bytes, 0);
    progress(done, of);
    for (const piece of declared.pieces) {
      const part = missing.find((each) => each.name === piece.part);
      if (!part) throw new CipherfnError("service", `${what}: the service asks for part ${piece.part}, which was not declared`);
      await put(piece, part.bytes.slice(piece.offset, piece.offset + piece.bytes));
      done += piece.bytes;
      progress(done, of);
    }
  };
  try {
    await upload();
  } catch (error) {
    // The address ran out, or the piece arrived and its answer did not: the service knows what is missing.
    if (!(error instanceof CipherfnError) || error.code !== "denied") throw error;
    await upload();
  }
  const status = (await (await call(what, `/v2/keys/${key.id}/complete`, { method: "POST" })).json()) as Status;
  const refused = missing.find((part) => status.parts[part.name]?.state !== "active");
  if (refused) {
    const reason = status.parts[refused.name]?.reason ?? "it is not active";
    throw new CipherfnError("key", `${what}: the service refuses part ${refused.name} (${reason}); call forget() for new keys`);
  }
}

async function registered(call: Call, id: string): Promise<Status | undefined> {
  try {
    return (await (await call("asking for the registered key", `/v2/keys/${id}`)).json()) as Status;
  } catch (error) {
    if (error instanceof Refusal && (error.problem === "unknown-key" || error.problem === "key-expired")) return undefined;
    throw error;
  }
}

/** To a presigned address, which needs no identity and gets none. */
async function put(piece: Piece, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  // A browser sets the length itself, and refuses to be told.
  const headers = Object.fromEntries(Object.entries(piece.headers).filter(([name]) => !["content-length", "host"].includes(name.toLowerCase())));
  const response = await send("uploading the evaluation key", piece.url, { method: piece.method, headers, body: bytes });
  if (!response.ok) throw new CipherfnError("service", `uploading the evaluation key: status ${response.status}`);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as BufferSource));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
