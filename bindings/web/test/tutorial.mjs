// The tutorial "a browser form whose server sees nothing", as it stands in the page, in a real browser.
//
//     node tutorial.mjs CIPHERFN MODULES     the command, a folder with playwright-core; after bindings/web/build
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";

const [cipherfn, modules] = process.argv.slice(2).map((argument) => path.resolve(argument));
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const root = path.resolve(import.meta.dirname, "../../..");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "cipherfn-form-"));
const MODEL = "tests/models/mixed_columns_forest";
const started = [];

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.on("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

async function reachable(url) {
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (await fetch(url).then(() => true, () => false)) return;
  }
  throw new Error(`nothing answers at ${url}`);
}

/** What the library predicts for rows of the model's own test table. */
function expected() {
  const table = (file) => {
    const [head, ...lines] = fs.readFileSync(path.join(root, MODEL, file), "utf8").trim().split("\n").map((line) => line.trim().split(","));
    return lines.map((line) => Object.fromEntries(line.map((cell, index) => [head[index], cell])));
  };
  return table("test.csv").map((row, index) => ({ row, label: table("expected.csv")[index].o0_0 }));
}

async function main() {
  const [port, web] = [await freePort(), await freePort()];
  const text = fs.readFileSync(path.join(root, "docs/tutorials/browser-form.md"), "utf8").replaceAll("9000", port).replaceAll("9001", web);
  const blocks = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, kind, block]) => [kind, block]);
  const block = (kind) => blocks.find(([own]) => own === kind)[1];
  for (const file of ["tests", "target"]) fs.symlinkSync(path.join(root, file), path.join(work, file));
  const environment = { ...process.env, PATH: `${path.dirname(cipherfn)}:${process.env.PATH}` };
  for (const line of block("bash").trim().split("\n")) {
    const options = { cwd: work, env: environment, stdio: ["ignore", "ignore", "inherit"] };
    if (line.startsWith("cipherfn dev")) {
      // The page is there before it is served.
      fs.writeFileSync(path.join(work, "form/index.html"), block("html"));
      fs.writeFileSync(path.join(work, "form/form.js"), block("js"));
      started.push(spawn("bash", ["-c", `exec ${line}`], options));
    } else {
      execFileSync("bash", ["-c", line], options);
    }
  }
  const page = `http://127.0.0.1:${web}`;
  await reachable(page);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"] });
  started.push({ kill: () => browser.close() });
  const tab = await browser.newPage();
  const [errors, sent] = [[], []];
  // A browser asks for an icon that the page does not name.
  const counts = (message) => message.type() === "error" && !message.location().url.endsWith("/favicon.ico");
  tab.on("console", (message) => counts(message) && errors.push(message.text()));
  tab.on("pageerror", (error) => errors.push(String(error)));
  browser.contexts()[0].on("request", (request) => sent.push(Buffer.concat([Buffer.from(request.url()), request.postDataBuffer() ?? Buffer.alloc(0)])));
  await tab.goto(page);
  const rows = expected();
  const first = rows[0];
  const other = rows.find(({ label }) => label !== first.label);
  assert.ok(other, "rows of two classes");
  for (const { row, label } of [first, other]) {
    for (const name of ["age", "income", "count"]) await tab.fill(`[name=${name}]`, row[name]);
    for (const name of ["colour", "size"]) await tab.selectOption(`[name=${name}]`, row[name]);
    await tab.evaluate(() => (document.getElementById("answer").textContent = ""));
    await tab.click("button");
    await tab.waitForFunction(() => document.getElementById("answer").textContent !== "", undefined, { timeout: 60_000 });
    assert.equal(await tab.textContent("#answer"), `Class ${label}`);
    for (const bytes of sent) assert.ok(!bytes.includes(row.income), "what was entered went nowhere");
  }
  assert.ok(sent.some((bytes) => bytes.includes("/v2/models/form/predict") && bytes.length > 1000), "queries were seen");
  assert.deepEqual(errors, []);
  console.log("web: the tutorial's form, answered as the library predicts");
}

try {
  await main();
} finally {
  for (const each of started.reverse()) await each.kill();
  fs.rmSync(work, { recursive: true, force: true });
}
