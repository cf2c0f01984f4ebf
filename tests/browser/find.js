// Finding, seen through the page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, row, search, shows } from "./browser.js";
import { until } from "./network.js";

/** @param {() => Promise<import("./run.js").Stage>} stage */
export function tests(stage) {
  test("a search shows its rows, groups by content and explains its end", async () => {
    const { browser, alice } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "q", "the box has the focus");
    await search(page, "seabird documentary");
    const found = row(page, "g-search", "Seabird documentary");
    await found.waitFor();
    // Two peers have the same bytes under two names: one row.
    await shows(found.locator(".sources"), /^2$/);
    await shows(found.locator(".by"), /hub \d+ ms/);
    await page.locator("g-search .end:not([hidden])").waitFor();
    await shows(page.locator("g-search > .state"), /^1 file in /);
    assert.equal(await found.count(), 1);
    await found.click();
    const sources = page.locator("g-search .side .sources li:not(.via)");
    await until("both sources are named", async () => await sources.count() === 2);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("filters and order need no other search", async () => {
    const { browser, alice } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    let searches = 0;
    page.on("request", (request) => { searches += Number(request.method() === "POST" && request.url().endsWith("/searches")); });
    await search(page, "common");
    await page.locator("g-search .end:not([hidden])").waitFor();
    const names = async () => page.locator("g-search .rows .row:not([hidden]) b").allTextContents();
    const all = Number(await page.getAttribute("g-search g-list", "aria-rowcount")) - 1;
    assert.ok(all >= 20, `${all}`);
    await page.click("g-search .head .size button");
    const top = () => page.locator("g-search .rows .row[aria-rowindex='2']:not([hidden]) .size").textContent();
    await until("the biggest is first", async () => await top() === "36.0 kB");
    await page.click("g-search .head .size button");
    await until("the smallest is first", async () => await top() === "2.0 kB");
    await page.locator("g-search .head .size[aria-sort=ascending]").waitFor();
    await page.click("g-search .chips button[data-value=audio]");
    await until("only sounds", async () => (await names()).every((name) => name.endsWith(".flac")));
    assert.ok((await names()).length > 0);
    await page.fill("g-search .narrow", "peer-3");
    await until("narrowed", async () => (await names()).every((name) => name.includes("peer-3")));
    assert.equal(searches, 1);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("nothing found says why", async () => {
    const { browser, alice } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    await search(page, "xyzzyplugh");
    const empty = page.locator("g-search .empty");
    await empty.locator("h2", { hasText: /Nobody has it|Nothing was found/ }).waitFor();
    await until("each way says what it did", async () => await empty.locator(".ways li").count() >= 2);
    await search(page, "-only");
    await empty.locator("h2", { hasText: "That did not work" }).waitFor();
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("a kept search tells only what is new", async () => {
    const { browser, alice, network } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    await search(page, "heron");
    await page.locator("g-search .state", { hasText: " in " }).waitFor();
    await page.click("g-search .searchbox button[aria-label='Keep this search']");
    await page.locator("g-search .kept button", { hasText: "heron" }).waitFor();
    network.peers[3].share("a new heron.txt", 5_000);
    await until("it is registered", async () => {
      await page.reload();
      return page.locator("g-search .kept .fresh", { hasText: "1 new" }).waitFor({ timeout: 1_500 }).then(() => true, () => false);
    });
    await page.click("g-search .kept .fresh");
    await row(page, "g-search", "a new heron").waitFor();
    await page.locator("g-search > .state", { hasText: "1 new file" }).waitFor();
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
