// Files that others keep, seen through the pages of who wants it and who does it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, row, shows } from "./browser.js";
import { faults } from "./everyone.js";
import { Network, until } from "./network.js";

const LONG_MS = 90_000;
const NAME = "Log of a lighthouse.txt";

/** Four peers that know each other by the ring alone: who shares, and three who have room.
 * @param {Network} network */
async function ring(network) {
  const ways = ["--overlay", "dht"];
  const keeper = await network.add("up", [...ways, "--grant", "none"], (peer) => peer.share(NAME, 300_000));
  const flags = [...ways, "--peer", keeper.address, "--grant", "50MB"];
  const holders = await Promise.all([1, 2, 3].map(() => network.add("up", flags)));
  for (const peer of network.peers) {
    await until("all are on the ring", async () => (await peer.ask("/status")).dht.successors.length >= 3, LONG_MS);
  }
  await until("it is shared", async () => (await keeper.ask("/status")).shares.files === 1, LONG_MS);
  return { keeper, holders };
}

/** @param {import("playwright-core").Page} page @param {string} part */
const look = async (page, part) => {
  await page.click("nav a[href='#library']");
  await page.click(`g-library .chips button[data-value=${part}]`);
};

/** @param {() => Promise<import("./run.js").Stage>} stage */
export function tests(stage) {
  test("a file is kept by others, refused by one, and kept no more", async () => {
    const { browser } = await stage();
    const network = new Network();
    try {
      const { keeper, holders } = await ring(network);
      const { page, context, wrong } = await open(browser, keeper, { bypassCSP: true });
      page.on("dialog", (dialog) => void dialog.accept());
      await look(page, "kept");
      await page.locator("g-kept .empty h2", { hasText: "Others keep nothing" }).waitFor();
      await page.click("g-library .chips button[data-value=shared]");
      await row(page, "g-library", NAME).click();
      const form = page.locator("g-library .keeping:visible");
      await form.getByLabel("Copies").fill("3");
      await form.getByLabel("Days").fill("9");
      await form.locator("button").click();
      await page.locator(".note", { hasText: "Others keep Log" }).waitFor({ timeout: LONG_MS });
      await page.click("g-library .chips button[data-value=kept]");
      const kept = row(page, "g-kept", NAME);
      await kept.locator(".copies", { hasText: "3 of 3" }).filter({ hasText: "3 online" }).waitFor({ timeout: LONG_MS });
      await shows(kept.locator(".left"), /^(9 d 0 h|8 d 23 h)$/);
      await kept.click();
      await page.locator("g-kept .side dd", { hasText: "3 of 3 possible" }).waitFor();
      assert.deepEqual(await faults(page), []);
      await page.click("g-kept .side .close");

      const other = await open(browser, holders[0], { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, bypassCSP: true });
      other.page.on("dialog", (dialog) => void dialog.accept());
      await look(other.page, "held");
      const held = row(other.page, "g-held", NAME);
      await held.locator(".copies", { hasText: "1 of 1" }).waitFor({ timeout: LONG_MS });
      await held.locator("small", { hasText: `for ${keeper.id.slice(0, 10)}` }).waitFor();
      await other.page.locator("g-held .state", { hasText: /of 50(\.0)? MB granted/ }).waitFor();
      assert.ok(await other.page.evaluate(() => document.documentElement.scrollWidth) <= 360);
      assert.deepEqual(await faults(other.page), []);
      await held.locator("b").tap();
      await other.page.locator("g-held .side button", { hasText: "Refuse this file" }).tap();
      await held.waitFor({ state: "hidden", timeout: LONG_MS });
      assert.equal((await holders[0].ask("/held/refused")).total, 1);
      await other.page.locator("g-held summary").tap();
      await other.page.locator("g-held button", { hasText: "Allow again" }).tap();
      await until("it is allowed", async () => (await holders[0].ask("/held/refused")).total === 0, LONG_MS);
      assert.deepEqual(other.wrong, []);
      await other.context.close();

      // With the keyboard: the list, the row, the key.
      await page.focus("g-kept g-list");
      await page.keyboard.press("Home");
      await page.keyboard.press("Delete");
      await page.locator("g-kept .empty h2").waitFor({ timeout: LONG_MS });
      assert.equal((await keeper.ask("/kept")).total, 0);
      assert.deepEqual(wrong, []);
      await context.close();
    } finally {
      await network.end();
    }
  });
}
