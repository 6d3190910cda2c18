// A form over the columns of a model: everything that it needs to know comes with the model's specs.
import { open } from "./cipherfn/browser.js";

const element = (id) => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
const name = parameters.get("model") ?? "fraud";

let model;
let client;

function say(text) {
  element("status").textContent = text;
}

function show(error) {
  element("error").hidden = !error;
  element("error").textContent = error ? error.message : "";
  if (error) say("");
}

function field(column, index) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.htmlFor = input.id = `column-${index}`;
  label.textContent = column.optional ? `${column.name} (may be empty)` : column.name;
  input.required = !column.optional;
  input.autocomplete = "off";
  if (column.kind !== "text") {
    input.inputMode = "decimal";
    input.type = "number";
    input.step = column.kind === "integer" ? "1" : "any";
  }
  const row = document.createElement("div");
  row.append(label, input);
  return row;
}

function values() {
  const cell = (column, index) => {
    const { value } = element(`column-${index}`);
    return [column.name, value === "" ? null : column.kind === "text" ? value : Number(value)];
  };
  return Object.fromEntries(model.columns.map(cell));
}

function answer({ outcome, values, remark }) {
  const entries = Object.entries(values ?? {}).flatMap(([name, value]) => {
    const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    detail.textContent = String(value);
    return [term, detail];
  });
  element("values").replaceChildren(...entries);
  element("remark").textContent = remark ?? "";
  element("answer").dataset.outcome = outcome;
  element("answer").hidden = false;
  element("answer").focus();
}

async function start() {
  // Served by `cipherfn dev`, it says where the service is; elsewhere the address does.
  const service = parameters.get("service") ?? (await (await fetch("cipherfn.json")).json()).service;
  client = await open({ service });
  model = await client.model(name, { accept: parameters.get("developer") ?? undefined });
  element("columns").replaceChildren(...model.columns.map(field));
  await model.register((done, of) => say(`Registering the evaluation key: ${Math.round((100 * done) / of)} %`));
  element("facts").textContent = `They are kept in this browser. The model's specs (${model.specs.slice(0, 12)}) are ${model.developer ? `signed by ${model.developer}` : "not signed"}: ${model.verdict}.`;
  element("fields").disabled = element("forget").disabled = false;
  say("Ready.");
}

async function guarded(work) {
  show();
  try {
    await work();
  } catch (error) {
    show(error);
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(async () => {
    element("answer").hidden = true;
    say("Encrypting, asking, decrypting …");
    const [prediction] = await model.predict([values()]);
    answer(prediction);
    say("Answered.");
  });
});

element("example").addEventListener("click", () =>
  guarded(async () => {
    const response = await fetch("example.json");
    const example = response.ok ? await response.json() : {};
    model.columns.forEach((column, index) => (element(`column-${index}`).value = example[column.name] ?? (column.kind === "text" ? "" : "0")));
    say("An example was filled in.");
  }),
);

element("forget").addEventListener("click", () =>
  guarded(async () => {
    await client.forget();
    element("fields").disabled = element("forget").disabled = true;
    element("facts").textContent = "Forgotten. Reload the page for new ones.";
    say("Keys are deleted here and at the service.");
  }),
);

guarded(start);
