// Tries the API by its own description.

import { capital, fill, h, one } from "./dom.js";

/** @typedef {{name: string, in: string, required?: boolean, description?: string, schema?: any}} Parameter
 * @typedef {{tags: string[], summary?: string, description?: string, parameters?: Parameter[], requestBody?: any, responses: Record<string, any>}} Operation */

const SHOWN_MAX = 100_000;
const WAIT_MS = 5000;

/** @type {any} */
let document_;

/** @param {any} schema @returns {any} */
const follow = (schema) => (schema?.$ref ? follow(schema.$ref.slice(2).split("/").reduce((/** @type {any} */ at, /** @type {string} */ key) => at[key], document_)) : schema);

/** A value such as the schema describes. @param {any} schema @returns {any} */
function example(schema) {
  const is = follow(schema) ?? {};
  const part = is.oneOf?.[0] ?? is.anyOf?.[0];
  if (part) return example(part);
  if ("default" in is) return is.default;
  if (is.enum) return is.enum[0];
  const type = [is.type].flat()[0];
  if (type === "object") return Object.fromEntries(Object.entries(is.properties ?? {}).map(([name, of]) => [name, example(of)]));
  if (type === "array") return [];
  return { integer: is.minimum ?? 0, number: 0, boolean: false, string: "" }[/** @type {string} */ (type)] ?? null;
}

/** @param {string} method @param {string} path @param {Operation} operation */
function show(method, path, operation) {
  const inputs = (operation.parameters ?? []).map((parameter) => ({ parameter,
    input: h("input", { required: parameter.required, placeholder: parameter.schema?.default ?? "", "aria-label": parameter.name }) }));
  const json = operation.requestBody?.content?.["application/json"]?.schema;
  const body = json ? h("textarea", { rows: 4, spellcheck: "false", "aria-label": "Body" }) : null;
  if (body) body.value = JSON.stringify(example(json), null, 1);
  const answer = h("pre", { hidden: true, tabindex: 0, "aria-label": "Answer", "aria-live": "polite" });
  const send = async () => {
    let to = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") to = to.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(parameter.name, input.value);
    }
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const got = await fetch(query.size ? `${to}?${query}` : to, { method, body: body?.value || undefined, headers: body?.value ? { "Content-Type": "application/json" } : {} });
      await print(got, answer);
    } catch (error) {
      answer.textContent = String(error);
    }
  };
  return h("details", { class: "card" }, h("summary", {}, h("span", { class: `tag ${method.toLowerCase()}` }, method), h("code", {}, path), h("span", {}, operation.summary ?? "")),
    operation.description ? h("p", {}, operation.description) : null,
    h("form", { onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void send(); } },
      inputs.map(({ parameter, input }) => h("label", { class: "field" }, parameter.name, input, h("small", {}, parameter.description ?? ""))),
      body ? h("label", { class: "field" }, "Body", body) : null, h("button", { class: "main" }, "Send")), answer);
}

/** Prints an answer; of a stream, what comes within some seconds.
 * @param {Response} got @param {HTMLElement} into */
async function print(got, into) {
  const type = got.headers.get("content-type") ?? "";
  const head = `${got.status} ${got.statusText}\n${type}\n\n`;
  into.textContent = head;
  if (!got.body) return;
  const reader = got.body.pipeThrough(new TextDecoderStream()).getReader();
  const stop = setTimeout(() => void reader.cancel(), WAIT_MS);
  let text = "";
  for (let part = await reader.read(); !part.done && text.length < SHOWN_MAX; part = await reader.read()) {
    text += part.value;
    into.textContent = head + text;
  }
  clearTimeout(stop);
  void reader.cancel();
  if (type.includes("json")) into.textContent = head + JSON.stringify(JSON.parse(text), null, 2);
}

const operations = one("#operations");
const answer = await fetch("/api/v1/openapi.json");
if (answer.ok) {
  document_ = await answer.json();
  /** @type {Map<string, Node[]>} */
  const groups = new Map();
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(/** @type {Record<string, Operation>} */ (item))) {
      const tag = operation.tags[0];
      groups.set(tag, [...(groups.get(tag) ?? []), show(method.toUpperCase(), path, operation)]);
    }
  }
  fill(operations, h("p", {}, `${document_.info.description} `, h("a", { href: "/api/v1/openapi.json" }, "The description"), "."),
    [...groups].map(([tag, nodes]) => h("section", {}, h("h2", {}, capital(tag)), ...nodes)));
} else {
  fill(operations, h("p", {}, "This browser has not been let in. Type ", h("code", {}, "gannet open"), " in a terminal."));
}
