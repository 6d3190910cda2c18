/** What kind of error it is, for programs. */
export type ErrorCode =
  /** An argument that means nothing here. */
  | "argument"
  /** Columns are missing, of unequal length or of mixed types. */
  | "columns"
  /** The service does not take the caller: give a token, or another. */
  | "denied"
  /** A key that does not fit the model, or that the service refuses. */
  | "key"
  /** The service cannot be reached. */
  | "network"
  /** A reply that does not answer what was asked. Nothing of it is used. */
  | "reply"
  /** The service refuses the request. */
  | "service"
  /** Specs that cannot be used. */
  | "specs"
  /** The model has changed: ask for it again. */
  | "stale"
  /** The page's storage is denied, full, was cleared, or cannot be opened. */
  | "storage"
  /** Specs that are not the known developer's. Nothing was encrypted under them. */
  | "trust"
  /** A mistake of this package. */
  | "internal";

/** An error that says what is wrong and what to do. */
export class CipherfnError extends Error {
  override readonly name = "CipherfnError";
  readonly code: ErrorCode;
  /** Kind of problem, as the service names it: docs/common-errors.md lists them. */
  readonly problem: string | undefined;

  constructor(code: ErrorCode, message: string, problem?: string) {
    super(message);
    this.code = code;
    this.problem = problem;
  }
}

/** Any error as one of ours. The core's have a code. */
export function ours(error: unknown): CipherfnError {
  if (error instanceof CipherfnError) return error;
  const { message, code } = error instanceof Error ? (error as Error & { code?: unknown }) : { message: String(error), code: undefined };
  const core: readonly unknown[] = ["argument", "columns", "key", "reply", "specs", "trust"];
  return core.includes(code) ? new CipherfnError(code as ErrorCode, message) : new CipherfnError("internal", `${message}; reload, and report this if it happens again`);
}
