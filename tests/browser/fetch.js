// Fetching, seen through the page: to the end, with pauses, and while it plays.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { open, row, search } from "./browser.js";
import { sound, until } from "./network.js";

/** @param {Buffer} bytes */
const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** @param {() => Promise<import("./run.js").Stage>} stage */
export function tests(stage) {
  test("a file is got, shown as it comes, and saved", async () => {
    const { browser, alice, network } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    await search(page, "seabird atlas");
    await row(page, "g-search", "Seabird atlas").locator("button[aria-label=Get]").click();
    await page.click("nav a[href='#downloads']");
    const one = row(page, "g-downloads", "Seabird atlas");
    await one.locator("small.complete").waitFor();
    await one.locator("[role=progressbar][aria-valuenow='100']").waitFor();
    await one.click();
    const saving = page.waitForEvent("download");
    await page.locator("g-downloads .side a", { hasText: "Save a copy" }).click();
    const saved = await saving;
    assert.equal(saved.suggestedFilename(), "Seabird atlas.pdf");
    const original = readFileSync(join(network.peers[1].folder, "Seabird atlas.pdf"));
    assert.equal(digest(readFileSync(await saved.path())), digest(original));
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("a download is paused, goes on and is whole", async () => {
    const { browser, alice, bob } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    await search(page, "seabird documentary");
    await row(page, "g-search", "Seabird documentary").locator("button[aria-label=Get]").click();
    await page.click("nav a[href='#downloads']");
    const one = row(page, "g-downloads", "Seabird documentary");
    await until("something has come", async () => Number(await one.locator("[role=progressbar]").getAttribute("aria-valuenow")) > 2);
    await one.locator("button[aria-label=Pause]").click();
    await one.locator("small.paused").waitFor();
    const info = async () => (await alice.ask("/downloads")).items.find((/** @type {any} */ item) => item.name.includes("ocumentary"));
    // What was on its way still comes.
    let before = -1;
    await until("nothing comes any more", async () => {
      const now = (await info()).have_bytes;
      const same = now === before;
      before = now;
      await new Promise((go) => setTimeout(go, 300));
      return same;
    });
    assert.ok(before > 0 && before < (await info()).size);
    await one.locator("button[aria-label=Resume]").click();
    await one.locator("small.complete").waitFor({ timeout: 60_000 });
    const done = await info();
    assert.equal(digest(readFileSync(done.path)), digest(readFileSync(join(bob.folder, "Seabird documentary.mp4"))));
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("a sound plays while it comes, and seeking fetches there first", async () => {
    const { browser, alice, bob } = await stage();
    const seconds = 150;
    const file = sound(seconds);
    bob.share("Colony at dawn.wav", file);
    const { page, context, wrong } = await open(browser, alice);
    await until("it is found", async () => {
      await search(page, "colony dawn");
      return row(page, "g-search", "Colony at dawn").waitFor({ timeout: 1_500 }).then(() => true, () => false);
    });
    await row(page, "g-search", "Colony at dawn").click();
    const from = Date.now();
    await page.locator("g-search .side button", { hasText: "Play while it comes" }).click();
    const time = () => page.evaluate(() => document.querySelector("audio")?.currentTime ?? 0);
    await until("it plays", async () => await time() > 0.2);
    console.log(`    plays after ${Date.now() - from} ms`);
    const info = async () => (await alice.ask("/downloads")).items.find((/** @type {any} */ item) => item.name.includes("Colony"));
    const early = await info();
    assert.notEqual(early.state, "complete");
    const to = Math.floor(seconds * 0.85);
    assert.equal(early.pieces[Math.floor(64 * 0.86)], "0", `the far part has not come: ${early.pieces}`);
    const sought = Date.now();
    await page.evaluate((to) => { const audio = document.querySelector("audio"); if (audio) audio.currentTime = to; }, to);
    await until("it plays there", async () => await time() > to + 0.3);
    const took = Date.now() - sought;
    const then = await info();
    console.log(`    plays there after ${took} ms, with ${Math.round((then.have_bytes / then.size) * 100)} % of the file here`);
    assert.notEqual(then.state, "complete", "it played before the whole was here");
    assert.match(then.pieces, /0/, `parts before it are still missing: ${then.pieces}`);
    const at = 44 + to * 44_100 * 4;
    const part = await page.evaluate(async ([content, at]) => {
      const answer = await fetch(`/api/v1/contents/${content}`, { headers: { Range: `bytes=${at}-${Number(at) + 999}` } });
      return { status: answer.status, bytes: [...new Uint8Array(await answer.arrayBuffer())] };
    }, [early.content, at]);
    assert.equal(part.status, 206);
    assert.deepEqual(Buffer.from(part.bytes), file.subarray(at, at + 1000));
    await page.keyboard.press("Escape");
    await page.locator("audio").waitFor({ state: "detached" });
    await until("it is whole", async () => (await info()).state === "complete", 60_000);
    assert.equal(digest(readFileSync((await info()).path)), digest(file));
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
