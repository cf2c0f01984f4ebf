// With a keyboard only, with a screen reader, on a phone.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { open, row, search, shows } from "./browser.js";
import { until } from "./network.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PARTS = ["search", "downloads", "library", "network", "settings"];

/** What axe finds that is serious. @param {import("playwright-core").Page} page */
export async function faults(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => Reflect.get(window, "axe").run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((/** @type {any} */ one) => one.impact === "serious" || one.impact === "critical")
    .map((/** @type {any} */ one) => `${one.id}: ${one.nodes.map((/** @type {any} */ node) => `${node.target} ${node.any[0]?.message ?? ""}`).slice(0, 4).join(" | ")}`);
}

/** @param {() => Promise<import("./run.js").Stage>} stage */
export function tests(stage) {
  test("everything is done with the keyboard", async () => {
    const { browser, alice } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    const key = (/** @type {string} */ name) => page.keyboard.press(name);
    const tabTo = async (/** @type {string} */ selector) => {
      for (let n = 0; n < 60; n += 1) {
        if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
        await key("Tab");
      }
      throw new Error(`Tab does not lead to ${selector}`);
    };
    await page.keyboard.type("gull chart");
    await key("Enter");
    await row(page, "g-search", "gull chart").waitFor();
    await tabTo("g-list");
    await key("ArrowDown");
    const first = page.locator("g-search .row[aria-selected=true]");
    await until("one is selected", async () => await first.count() === 1);
    assert.equal(await first.getAttribute("id"), await page.getAttribute("g-search g-list", "aria-activedescendant"));
    await key("Enter");
    await page.locator(".note", { hasText: "Download started" }).waitFor();
    await key("Escape");
    await page.locator("g-search .side").waitFor({ state: "hidden" });
    await key("2");
    await row(page, "g-downloads", "gull chart").waitFor();
    await tabTo("g-downloads g-list");
    await key("End");
    const chosen = page.locator("g-downloads .row[aria-selected=true]");
    await until("one is chosen", async () => await chosen.count() === 1);
    const name = await chosen.locator("b").textContent();
    await tabTo("g-downloads .side a, g-downloads .side button.main");
    await key("3");
    await page.locator("g-library .folders li").first().waitFor();
    await tabTo("g-library input[name=path]");
    await page.keyboard.type("/nonexistent/folder");
    await key("Enter");
    await page.locator(".note.bad").waitFor();
    await page.locator("g-library h2").first().click();
    await key("4");
    await tabTo("g-network button.main");
    await key("Enter");
    const check = page.locator("g-network .checks li", { hasText: "Am I connected?" });
    await shows(check, /To \d+ peers/);
    await key("?");
    await page.locator("#keys[open]").waitFor();
    await key("Escape");
    await page.locator("#keys[open]").waitFor({ state: "detached" });
    await key("/");
    await until("the box has the focus", () => page.evaluate(() => document.activeElement?.getAttribute("name") === "q"));
    assert.ok(name);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`axe has nothing serious to say, ${colorScheme}`, async () => {
      const { browser, alice } = await stage();
      const { page, context } = await open(browser, alice, { colorScheme, bypassCSP: true });
      const found = [];
      await search(page, "common");
      await page.locator("g-search .end:not([hidden])").waitFor();
      await page.locator("g-search .rows .row").first().click();
      for (const part of PARTS) {
        await page.click(`nav a[href='#${part}']`);
        if (part === "downloads" && await page.locator("g-downloads .rows .row:visible").count()) await page.locator("g-downloads .rows .row:visible").first().click();
        if (part === "library") {
          await page.locator("g-library .rows .row").first().click();
          for (const files of ["kept", "held"]) {
            await page.click(`g-library .chips button[data-value=${files}]`);
            found.push(...(await faults(page)).map((/** @type {string} */ fault) => `${files}: ${fault}`));
          }
          await page.click("g-library .chips button[data-value=shared]");
        }
        if (part === "network") { await page.click("g-network button.main"); await page.locator("g-network .checks li").nth(2).waitFor(); }
        found.push(...(await faults(page)).map((/** @type {string} */ fault) => `${part}: ${fault}`));
      }
      await page.goto(`${alice.origin}/api/`);
      await page.locator("details").first().waitFor();
      found.push(...(await faults(page)).map((/** @type {string} */ fault) => `try: ${fault}`));
      assert.deepEqual(found, []);
      await context.close();
    });
  }

  test("a phone's width is enough", async () => {
    const { browser, alice } = await stage();
    const { page, context, wrong } = await open(browser, alice, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await search(page, "seabird");
    await row(page, "g-search", "Seabird atlas").tap();
    await page.locator("g-search .side h2", { hasText: "Seabird atlas" }).waitFor();
    await page.locator("g-search .side .close").tap();
    for (const part of PARTS) {
      await page.locator(`nav a[href='#${part}']`).tap();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 360, `${part} is ${wide} wide`);
      const nav = await page.locator("nav").boundingBox();
      assert.ok(nav && nav.y + nav.height <= 740, `${part}: the parts are in reach`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("the API can be tried by its own description", async () => {
    const { browser, alice } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    await page.goto(`${alice.origin}/api/`);
    const one = page.locator("details").filter({ has: page.locator("summary code", { hasText: /^\/api\/v1\/settings$/ }) }).filter({ has: page.locator(".tag.get") });
    await one.locator("summary").click();
    await one.locator("button.main").click();
    await one.locator("pre", { hasText: '"upload_slots"' }).waitFor();
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
