/** Rows as callers give them, to columns of one type each. */
import { CipherfnError } from "./errors.js";

/** A value of a row; `null`, `undefined` and `NaN` are missing ones. */
export type Cell = number | bigint | boolean | string | null | undefined;

/** Rows, one object each with the same columns; or columns, one array each of the same length. */
export type Rows = readonly Readonly<Record<string, Cell>>[] | Readonly<Record<string, readonly Cell[]>>;

/** A column of one type. */
export type Column = { readonly name: string; readonly valid: Uint8Array } & (
  | { readonly kind: "numbers"; readonly values: Float64Array }
  | { readonly kind: "integers"; readonly values: BigInt64Array }
  | { readonly kind: "booleans"; readonly values: Uint8Array }
  | { readonly kind: "texts"; readonly values: string[] }
);

/** The model's columns of some rows, and how many rows there are. What a model does not name stays behind. */
export function columnsOf(rows: Rows, wanted: readonly string[]): { columns: Column[]; count: number } {
  if (typeof rows !== "object" || rows === null) throw new CipherfnError("argument", "rows are an array of objects, or an object of arrays");
  const cells = Array.isArray(rows) ? transposed(rows as readonly Record<string, Cell>[], wanted) : given(rows as Record<string, readonly Cell[]>, wanted);
  const [first] = cells;
  if (!first) {
    const found = Array.isArray(rows) ? Object.keys(rows[0] ?? {}) : Object.keys(rows);
    if (wanted.length > 0 && (!Array.isArray(rows) || rows.length > 0))
      throw new CipherfnError("columns", `the rows have no column ${quoted(wanted)}; they have ${quoted(found)}: rename or add columns`);
    return { columns: [], count: 0 };
  }
  return { columns: cells.map(([name, values]) => column(name, values)), count: first[1].length };
}

/** A column that is in one row must be in all: a name that is misspelt once would be a missing value. */
function transposed(rows: readonly Readonly<Record<string, Cell>>[], wanted: readonly string[]): [string, readonly Cell[]][] {
  const there = wanted.filter((name) => rows.some((row) => Object.hasOwn(object(row), name)));
  return there.map((name) => {
    const cell = (row: Readonly<Record<string, Cell>>, index: number): Cell => {
      if (!Object.hasOwn(row, name))
        throw new CipherfnError("columns", `row ${index + 1} has no column ${JSON.stringify(name)}, others have; add it, as null where the value is missing`);
      return row[name];
    };
    return [name, rows.map(cell)];
  });
}

function object(row: Readonly<Record<string, Cell>>): object {
  if (typeof row !== "object" || row === null) throw new CipherfnError("argument", "a row is an object with a value a column");
  return row;
}

function given(columns: Readonly<Record<string, readonly Cell[]>>, wanted: readonly string[]): [string, readonly Cell[]][] {
  const there = wanted.filter((name) => Object.hasOwn(columns, name));
  let before: string | undefined;
  return there.map((name) => {
    const values = columns[name] as ArrayLike<Cell>;
    if (typeof values !== "object" || values === null || typeof values.length !== "number") throw new CipherfnError("columns", `column ${JSON.stringify(name)} is no array`);
    const length = before === undefined ? values.length : (columns[before] as ArrayLike<Cell>).length;
    if (values.length !== length)
      throw new CipherfnError("columns", `column ${JSON.stringify(name)} has ${values.length} values and column ${JSON.stringify(before)} ${length}; give as many of each`);
    before = name;
    return [name, Array.from(values)];
  });
}

function column(name: string, cells: readonly Cell[]): Column {
  const missing = (cell: Cell): boolean => cell === null || cell === undefined || Number.isNaN(cell);
  const valid = Uint8Array.from(cells, (cell) => (missing(cell) ? 0 : 1));
  const first = cells.findIndex((cell) => !missing(cell));
  const kind = first < 0 ? "number" : typeof cells[first];
  const other = cells.findIndex((cell) => !missing(cell) && typeof cell !== kind);
  if (other >= 0)
    throw new CipherfnError("columns", `column ${JSON.stringify(name)} is ${typeof cells[other]} in row ${other + 1} and ${kind} in row ${first + 1}; convert one of them`);
  const values = <T>(otherwise: T): T[] => cells.map((cell) => (missing(cell) ? otherwise : (cell as T)));
  switch (kind) {
    case "number":
      return { name, valid, kind: "numbers", values: Float64Array.from(values(0)) };
    case "bigint":
      return { name, valid, kind: "integers", values: BigInt64Array.from(values(0n)) };
    case "boolean":
      return { name, valid, kind: "booleans", values: Uint8Array.from(values(false), Number) };
    case "string":
      return { name, valid, kind: "texts", values: values("") };
    default:
      throw new CipherfnError("columns", `column ${JSON.stringify(name)} is ${kind} in row ${first + 1}, which no model takes; convert it to numbers, text or booleans`);
  }
}

function quoted(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(", ") || "none";
}
