// The API's types for the page's scripts, out of the API's own description.
// `node types.js` asks a peer and writes api.d.ts; the tests hold that file against
// the description.

/** @typedef {{[key: string]: any}} Schema */

/** @param {Schema} schema @returns {string} */
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return several.map(typeOf).join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ value) => JSON.stringify(value)).join(" | ");
  const types = [schema.type].flat();
  return types.map((type) => {
    if (type === "array") return `(${typeOf(schema.items ?? {})})[]`;
    if (type === "object") return objectOf(schema);
    return { integer: "number", number: "number", string: "string", boolean: "boolean", null: "null" }[/** @type {string} */ (type)] ?? "unknown";
  }).join(" | ");
}

/** @param {Schema} schema */
function objectOf(schema) {
  if (!schema.properties) return "Record<string, unknown>";
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([name, of]) => `${name}${required.has(name) ? "" : "?"}: ${typeOf(of)};`);
  return `{ ${fields.join(" ")} }`;
}

/** @param {{components: {schemas: Record<string, Schema>}}} document */
export function declarations(document) {
  const names = Object.entries(document.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = names.map(([name, schema]) => `export type ${name} = ${typeOf(schema)};`);
  return `// Written by types.js from the API's description; not by hand.\n\n${lines.join("\n")}\n`;
}
