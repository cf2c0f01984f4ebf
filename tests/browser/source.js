// The page's source: its types, and the API's types that they are checked against.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { declarations } from "./types.js";

const HERE = import.meta.dirname;

/** @param {() => Promise<import("./run.js").Stage>} stage */
export function tests(stage) {
  test("the API's types are those of its description", async () => {
    const { alice } = await stage();
    const written = readFileSync(join(HERE, "api.d.ts"), "utf8");
    const now = declarations(await alice.ask("/openapi.json"));
    assert.equal(written, now, "run `node run.js --types`");
  });

  for (const config of ["tsconfig.page.json", "tsconfig.json"]) {
    test(`tsc --checkJs agrees: ${config}`, () => {
      try {
        execFileSync(join(HERE, "node_modules/.bin/tsc"), ["-p", join(HERE, config)], { encoding: "utf8" });
      } catch (error) {
        assert.fail(/** @type {{stdout: string}} */ (error).stdout);
      }
    });
  }
}
