// What encrypting takes in WebAssembly, beside the command on the same machine in the same minute: ratios.
//
//     node measure.mjs CIPHERFN [PACKAGE] [--rounds N]     the command, a release build; the built package
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: "string", default: "5" } } });
const root = path.resolve(import.meta.dirname, "../../..");
const cipherfn = path.resolve(positionals[0]);
const core = path.resolve(positionals[1] ?? path.join(root, "target/web/package"), "core");
const golden = (file) => path.join(root, "tests/golden/v1", file);
const ROWS = 60;

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

const { default: init, Columns, Model, Secret } = await import(pathToFileURL(path.join(core, "core.js")));
await init({ module_or_path: fs.readFileSync(path.join(core, "core_bg.wasm")) });
const model = new Model("golden", fs.readFileSync(golden("tree.specs.json")), undefined, undefined, "offered");
const secret = Secret.fromBytes(fs.readFileSync(golden("secret.cfk")));
const columns = new Columns();
for (const name of model.columns) columns.numbers(name, Float64Array.of(1), Uint8Array.of(1));
const encoded = model.encode(columns);

/** Seconds of one call, each time. */
function timed(count, call) {
  return Array.from({ length: count }, () => {
    const before = performance.now();
    call();
    return (performance.now() - before) / 1000;
  });
}

const encrypt = () => model.query(secret, encoded, 0, 1).free();
const makeKeys = () => {
  const key = Secret.generate(model.parameterSet);
  model.keyParts.forEach((part) => key.part(part));
  key.free();
};

// Until the engine has compiled what is called often for speed: a page's first rows take longer, which is told apart.
const first = timed(1, encrypt)[0];
timed(500, encrypt);
timed(10, makeKeys);
const rounds = [];
for (let round = 0; round < Number(options.rounds); round += 1) {
  const wasm = { encrypt: median(timed(ROWS, encrypt)), keys: median(timed(9, makeKeys)) };
  const text = execFileSync(cipherfn, ["--json", "bench", golden("tree.cfn"), "--rows", String(ROWS), "--threads", "1"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const { encrypt_seconds: native, make_keys_seconds: keys } = JSON.parse(text).client;
  rounds.push({ wasm, native: { encrypt: native, keys } });
}
const column = (side, what) => median(rounds.map((round) => round[side][what]));
const ratios = (what) => rounds.map(({ wasm, native }) => wasm[what] / native[what]).toSorted((a, b) => a - b);
const shown = (seconds) => `${(1e6 * seconds).toFixed(0)} us`;
console.log(`the first row in WebAssembly: ${shown(first)}`);
for (const [what, name] of [["encrypt", "encrypt a row"], ["keys", "make keys"]]) {
  const sorted = ratios(what);
  console.log(`${name}: ${shown(column("wasm", what))} in WebAssembly, ${shown(column("native", what))} by the command: ${median(sorted).toFixed(2)} times (${sorted[0].toFixed(2)} to ${sorted.at(-1).toFixed(2)} over ${rounds.length} rounds)`);
}
