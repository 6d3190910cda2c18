// The package and the example page in a real browser, against `cipherfn dev`.
//
//     node browser.mjs CIPHERFN PAGE MODULES     the command, the built page, a folder with playwright-core
import assert from "node:assert/strict";
import { spawn, execFileSync } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

const [cipherfn, page, modules] = process.argv.slice(2).map((argument) => path.resolve(argument));
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const root = path.resolve(import.meta.dirname, "../../..");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "cipherfn-web-"));
const started = [];

function run(...args) {
  return execFileSync(cipherfn, args, { cwd: work, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

async function until(what, ready) {
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
    const found = ready();
    if (found) return found;
  }
  throw new Error(`${what} did not come`);
}

async function dev(data, ...args) {
  const file = path.join(work, `${data}.out`);
  const out = fs.openSync(file, "w");
  const child = spawn(cipherfn, ["--json", "dev", "--port", "0", "--data", data, "--signing-key", `${data}.key`, ...args], { cwd: work, stdio: ["ignore", out, "inherit"] });
  started.push(child);
  const text = await until("cipherfn dev", () => {
    assert.equal(child.exitCode, null, "cipherfn dev ended");
    try {
      return JSON.parse(fs.readFileSync(file, "utf8"));
    } catch {
      return undefined;
    }
  });
  return { child, ...text };
}

/** A service in between that may answer with what it likes. */
async function between(service) {
  const state = { swap: undefined, asked: [] };
  const { hostname, port } = new URL(service);
  const server = http.createServer((request, response) => {
    state.asked.push(`${request.method} ${request.url}`);
    const swapped = request.method === "GET" && state.swap !== undefined && request.url.startsWith("/v2/models/fraud");
    const headers = { ...request.headers, host: `${hostname}:${port}` };
    if (swapped) delete headers["if-none-match"];
    const target = swapped ? request.url.replace("/fraud", `/${state.swap}`) : request.url;
    request.pipe(http.request({ hostname, port, method: request.method, path: target, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  started.push({ kill: () => (server.close(), server.closeAllConnections()) });
  return Object.assign(state, { url: `http://127.0.0.1:${server.address().port}` });
}

/** A page's files, and golden ones, without a policy. `denial` is what the worker runs first. */
async function files() {
  const state = { denial: "" };
  const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", ".css": "text/css", ".svg": "image/svg+xml" };
  const server = http.createServer((request, response) => {
    const golden = request.url.startsWith("/golden/");
    const { pathname } = new URL(request.url, "http://127.0.0.1");
    const file = pathname === "/" ? undefined : path.join(golden ? path.join(root, "tests") : page, pathname);
    response.setHeader("content-type", types[file ? path.extname(file) : ".html"] ?? "application/octet-stream");
    if (!file) return response.end("<!doctype html><title>test</title>");
    response.setHeader("cache-control", "no-store");
    if (request.url.endsWith("/worker.js")) response.write(state.denial);
    fs.createReadStream(file).on("error", () => response.writeHead(404).end()).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  started.push({ kill: () => (server.close(), server.closeAllConnections()) });
  return Object.assign(state, { origin: `http://127.0.0.1:${server.address().port}` });
}

function table(file) {
  const [head, ...lines] = fs.readFileSync(file, "utf8").trim().split("\n").map((line) => line.trim().split(","));
  return lines.map((line) => Object.fromEntries(line.map((cell, index) => [head[index], cell])));
}

/** Values are golden ones, rounded to the digits that mean something. */
function same(found, wanted, what) {
  for (const [name, cell] of Object.entries(wanted)) {
    const value = found[name];
    const decimals = String(value).split(".")[1]?.length ?? 0;
    const near = typeof value === "string" ? value === cell : Math.abs(value - Number(cell)) <= 0.5000001 * 10 ** -decimals;
    assert.ok(near, `${what}, ${name}: ${value} instead of ${cell}`);
  }
}

const MODEL = path.join(root, "examples/xgb_bc");

async function golden(tab, origin) {
  for (const [set, secret] of [["v1/tree", "v1/secret"], ["v1/linear", "v1/secret"], ["v2/batch", "v2/batch.secret"]]) {
    const found = await tab.evaluate(async ([origin, set, secret]) => {
      const { open } = await import(`${origin}/cipherfn/browser.js`);
      const bytes = async (file) => new Uint8Array(await (await fetch(`${origin}/golden/${file}`)).arrayBuffer());
      const client = await open({ service: "http://127.0.0.1:9", storage: "memory" });
      const answers = await client.decrypt(await bytes(`${set}.specs.json`), await bytes(`${secret}.cfk`), await bytes(`${set}.cfr`));
      client.close();
      return answers;
    }, [origin, set, secret]);
    const wanted = table(path.join(root, `tests/golden/${set}.predictions.csv`));
    assert.equal(found.length, wanted.length, set);
    found.forEach((answer, row) => answer.values && same(answer.values, Object.fromEntries(Object.entries(wanted[row]).filter(([name]) => name !== "remark")), `${set}, row ${row + 1}`));
  }
}

/** Runs in the page: a registered key goes between two predictions. */
async function withoutKey(tab, origin, service, row) {
  return tab.evaluate(async ([origin, service, row]) => {
    const { open } = await import(`${origin}/cipherfn/browser.js`);
    const client = await open({ service });
    const model = await client.model("fraud");
    const [before] = await model.predict([row]);
    const { keys } = await (await fetch(`${service}/v2/keys`)).json();
    for (const { key } of keys) await fetch(`${service}/v2/keys/${key}`, { method: "DELETE" });
    const [after] = await model.predict([row]);
    client.close();
    return { keys: keys.length, before: before.values.label, after: after.values.label };
  }, [origin, service, row]);
}

/** Runs in the page: errors as `code: message`. */
async function ask(tab, origin, options) {
  return tab.evaluate(async ([origin, { service, model = "fraud", accept, rows, storage }]) => {
    const { open } = await import(`${origin}/cipherfn/browser.js`);
    let client;
    try {
      client = await open({ service, storage });
      const opened = await client.model(model, { accept });
      return { verdict: opened.verdict, developer: opened.developer, answers: await opened.predict(rows) };
    } catch (error) {
      return { error: `${error.code}: ${error.message}` };
    } finally {
      client?.close();
    }
  }, [origin, options]);
}

async function main() {
  run("compile", path.join(MODEL, "model.onnx"), "--calibration", path.join(MODEL, "train.csv"), "--target", "target", "-o", "fraud.cfn");
  run("compile", path.join(MODEL, "model.onnx"), "--calibration", path.join(MODEL, "train.csv"), "--target", "target", "--features", "grid:3", "-o", "other.cfn");
  const mixedModel = path.join(root, "tests/models/mixed_columns_logreg");
  run("compile", path.join(mixedModel, "model.onnx"), "--calibration", path.join(mixedModel, "train.csv"), "-o", "mixed.cfn");
  const pages = await files();
  const { origin } = pages;
  const service = await dev("dev", "--publish", "fraud=fraud.cfn", "--publish", "other=other.cfn", "--publish", "mixed=mixed.cfn", "--web", page, "--allow-origin", origin);
  const proxy = await between(service.url);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"] });
  started.push({ kill: () => browser.close() });
  const context = await browser.newContext();
  const tab = await context.newPage();
  tab.on("pageerror", (error) => { throw error; });
  const step = (text) => console.log(`web: ${text}`);

  await tab.goto(origin);
  await golden(tab, origin);
  step("golden replies");

  const cells = table(path.join(MODEL, "test.csv")).slice(0, 20);
  const rows = cells.map(({ target: _, ...row }) => Object.fromEntries(Object.entries(row).map(([name, cell]) => [name, Number(cell)])));
  const expected = table(path.join(MODEL, "expected.csv"));
  const first = await ask(tab, origin, { service: proxy.url, rows });
  assert.equal(first.error, undefined);
  assert.equal(first.verdict, "remembered from now on");
  assert.match(first.developer, /^ed25519:/);
  first.answers.forEach(({ outcome, values }, row) => {
    assert.ok(["answered", "limited"].includes(outcome), `row ${row + 1}: ${outcome}`);
    assert.equal(String(values.label), expected[row].label, `row ${row + 1}`);
    assert.ok(Math.abs(values.probability_1 - Number(expected[row].p1)) < 0.01, `row ${row + 1}`);
  });
  step("a round trip, as the library predicts");

  const keys = () => proxy.asked.filter((line) => line.startsWith("POST /v2/keys")).length;
  const [declared, uploads] = [keys(), proxy.asked.length];
  await tab.reload();
  const again = await ask(tab, origin, { service: proxy.url, rows: rows.slice(0, 1) });
  assert.deepEqual([again.verdict, again.answers?.[0]?.values.label], ["as before", first.answers[0].values.label]);
  assert.equal(keys(), declared, "the kept key is registered already");
  const secrets = await tab.evaluate(async () => {
    const database = await new Promise((resolve) => (indexedDB.open("cipherfn").onsuccess = (event) => resolve(event.target.result)));
    const read = (store, key) => new Promise((resolve) => (database.transaction(store).objectStore(store)[key ? "get" : "getAllKeys"](key).onsuccess = (event) => resolve(event.target.result)));
    const wrapping = await read("wrapping", "key");
    const name = (await read("bytes")).find((each) => each.startsWith("secret/"));
    const exported = await crypto.subtle.exportKey("raw", wrapping).catch((error) => error.name);
    const stored = await read("bytes", name);
    database.close();
    return { exported, wrapped: stored.bytes instanceof ArrayBuffer && stored.iv.length === 12 };
  });
  assert.deepEqual(secrets, { exported: "InvalidAccessError", wrapped: true });
  assert.ok(proxy.asked.length > uploads);
  step("a reload with keys kept, wrapped by a key that does not come out");

  const bad = async (change) => (await ask(tab, origin, { service: proxy.url, rows: change })).error ?? "";
  assert.match(await bad(rows.map((row) => Object.fromEntries(Object.entries(row).slice(1)))), /^columns: .*no column/);
  assert.match(await bad([rows[0], {}]), /^columns: row 2 has no column/);
  const unusable = (await ask(tab, origin, { service: proxy.url, rows: [{ ...rows[0], [Object.keys(rows[0])[0]]: "many" }] })).answers[0];
  assert.deepEqual([unusable.outcome, unusable.values], ["unusable", null]);
  assert.match(unusable.remark, /is text where the model takes a number/);
  step("bad rows");

  const people = table(path.join(root, "tests/models/mixed_columns_logreg/test.csv")).slice(0, 1);
  people.push({ ...people[0], colour: "purple" }, { ...people[0], size: "vast" });
  const typed = people.map((row) => ({ ...row, age: Number(row.age), income: Number(row.income), count: Number(row.count) }));
  const mixed = await ask(tab, origin, { service: proxy.url, model: "mixed", rows: typed });
  assert.deepEqual(mixed.answers?.map((answer) => answer.outcome), ["answered", "answered", "answered"], mixed.error);
  // By onnxruntime; unknown categories have no column of their own, as the pipeline says.
  mixed.answers.forEach(({ values }, row) => assert.ok(Math.abs(values.probability_1 - [0.94302726, 0.785807, 0.9373007][row]) < 2e-5, `row ${row + 1}`));
  step("a category that nobody saw");

  const gone = await withoutKey(tab, origin, service.url, rows[0]);
  assert.ok(gone.keys > 0);
  assert.deepEqual([gone.before, gone.after], [first.answers[0].values.label, first.answers[0].values.label]);
  step("a key that is gone from the service is registered again");

  for (const [name, denied] of [["SecurityError", /allow this page to keep data/], ["QuotaExceededError", /no room left/]]) {
    pages.denial = `IDBFactory.prototype.open = () => { throw new DOMException("denied", "${name}"); };\n`;
    const refused = await context.newPage();
    await refused.goto(origin);
    const found = await ask(refused, origin, { service: proxy.url, rows: rows.slice(0, 1) });
    assert.match(found.error ?? "", /^storage: /);
    assert.match(found.error ?? "", denied);
    const memory = await ask(refused, origin, { service: proxy.url, rows: rows.slice(0, 1), storage: "memory" });
    assert.equal(memory.error, undefined);
    await refused.close();
  }
  pages.denial = "";
  step("a browser that keeps nothing");

  proxy.swap = "other";
  const queries = () => proxy.asked.filter((line) => line.includes("/predict")).length;
  const before = queries();
  const swapped = await ask(tab, origin, { service: proxy.url, rows });
  assert.match(swapped.error ?? "", /^trust: /);
  assert.equal(queries(), before, "nothing was encrypted under swapped specs");
  proxy.swap = undefined;
  step("swapped specs");

  const page_ = await context.newPage();
  const policy = [];
  page_.on("console", (message) => message.type() === "error" && policy.push(message.text()));
  const begin = performance.now();
  await page_.goto(`${service.page}?model=fraud`);
  await page_.waitForFunction(() => !document.getElementById("fields").disabled);
  const ready = performance.now() - begin;
  // By keyboard alone.
  await page_.focus("#example");
  await page_.keyboard.press("Enter");
  await page_.waitForFunction(() => document.getElementById("column-0").value !== "");
  const asked = performance.now();
  await page_.focus("#column-0");
  await page_.keyboard.press("Enter");
  await page_.waitForSelector("#answer:not([hidden])");
  const answered = performance.now() - asked;
  assert.match(await page_.textContent("#values"), new RegExp(`label${expected[0].label}`));
  assert.equal(await page_.evaluate(() => document.activeElement.id), "answer");
  const unlabelled = await page_.evaluate(() => [...document.querySelectorAll("input")].filter((input) => input.labels.length === 0).length);
  assert.equal(unlabelled, 0, "every field has a label");
  assert.deepEqual(policy, [], "nothing against the page's policy");
  step(`the page under its policy, by keyboard: ready with new keys after ${Math.round(ready)} ms, answered in ${Math.round(answered)} ms more`);

  const elsewhere = await context.newPage();
  await elsewhere.goto(`${origin}/index.html?model=fraud&service=${service.url}`);
  await elsewhere.waitForFunction(() => !document.getElementById("fields").disabled);
  await elsewhere.click("#example");
  await elsewhere.waitForFunction(() => document.getElementById("column-0").value !== "");
  await elsewhere.click("#form button[type=submit]");
  await elsewhere.waitForSelector("#answer:not([hidden])");
  assert.match(await elsewhere.textContent("#values"), new RegExp(`label${expected[0].label}`));
  await elsewhere.close();
  step("the page on another site, as the documentation has it");

  service.child.kill();
  await until("the end of cipherfn dev", () => service.child.exitCode !== null || service.child.signalCode !== null);
  await context.setOffline(true);
  const offline = await page_.evaluate(() => document.getElementById("form").requestSubmit()).then(() => page_.waitForSelector("#error:not([hidden])", { timeout: 60_000 }));
  assert.match(await offline.textContent(), /cannot be reached/);
  step("offline");
}

try {
  await main();
} finally {
  for (const each of started.reverse()) await each.kill();
  fs.rmSync(work, { recursive: true, force: true });
}
