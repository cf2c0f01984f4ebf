// What others send is shown and does nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { open, row, search, shows } from "./browser.js";
import { Network, until } from "./network.js";

/** @param {() => Promise<import("./run.js").Stage>} stage */
export function tests(stage) {
  test("a hostile name is a name", async () => {
    const { browser, alice, evil } = await stage();
    const { page, context, wrong } = await open(browser, alice);
    await page.evaluate(() => { Object.assign(window, { owned: false }); });
    await search(page, "onerror");
    const found = row(page, "g-search", evil);
    await found.waitFor();
    assert.equal(await found.locator("b").textContent(), evil);
    await found.click();
    await shows(page.locator("g-search .side h2"), evil);
    assert.equal(await page.locator("g-search .side h2").textContent(), evil);
    await found.locator("button[aria-label=Get]").click();
    await page.click("nav a[href='#downloads']");
    // On the disk it gets a name that every system takes.
    const one = row(page, "g-downloads", "onerror");
    await one.locator("small.complete").waitFor();
    await one.click();
    await shows(page.locator("g-downloads .side h2"), /img src=x onerror/);
    for (const part of ["library", "network", "settings", "search"]) await page.click(`nav a[href='#${part}']`);
    assert.equal(await page.locator("main img, main script, main iframe").count(), 0);
    assert.equal(await page.evaluate(() => Reflect.get(window, "owned")), false);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test("a hostile file opened by its address is saved, not shown", async () => {
    const { browser, alice, evilPage } = await stage();
    const { page, context } = await open(browser, alice);
    const row = await until("it is found", async () => {
      const { id } = await alice.ask("/searches", { query: evilPage });
      return until("rows", async () => {
        const state = await alice.ask(`/searches/${id}`);
        return state.end && (state.rows[0] ?? "none");
      }).then((row) => row !== "none" && row);
    });
    await alice.ask("/downloads", { from: "link", link: `gannet:${row.content}?name=page.html&peer=${row.sources[0].peer}` });
    await until("it has come", async () => (await alice.ask("/downloads")).items.some((/** @type {any} */ one) => one.content === row.content && one.state === "complete"));
    const saving = page.waitForEvent("download");
    await page.goto(`${alice.origin}/api/v1/contents/${row.content}?name=page.html`).catch(() => {});
    assert.equal((await saving).suggestedFilename(), "page.html");
    assert.equal(page.url(), `${alice.origin}/`);
    await context.close();
  });

  test("a browser that was not let in sees nothing", async () => {
    const { browser, alice } = await stage();
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(alice.origin);
    await page.locator("h1", { hasText: "This browser has not been let in" }).waitFor();
    const link = await alice.link();
    await page.goto(link);
    await page.waitForURL(`${alice.origin}/`);
    const again = await (await browser.newContext()).newPage();
    await again.goto(link);
    await again.locator("#says", { hasText: "used already" }).waitFor();
    await again.context().close();
    await context.close();
  });

  test("the death of the only hub is told, and its return", async () => {
    const { browser } = await stage();
    const network = new Network();
    try {
      const hub = await network.add("hub", []);
      const only = ["--overlay", "hub", "--hub", hub.address];
      await network.add("up", only, (peer) => peer.share("lonely rock.txt", 1000));
      const eve = await network.add("up", only);
      const { page, context, wrong } = await open(browser, eve);
      await until("it is found", async () => {
        await search(page, "lonely");
        return row(page, "g-search", "lonely rock").waitFor({ timeout: 1_500 }).then(() => true, () => false);
      });
      await hub.kill();
      await page.locator(".problems", { hasText: /No hub is connected/ }).waitFor({ timeout: 30_000 });
      await page.locator(".note.bad", { hasText: "hub is lost" }).waitFor();
      await search(page, "lonely");
      await page.locator("g-search .empty h2", { hasText: "Nothing was found" }).waitFor();
      await page.locator("g-search .empty", { hasText: /could not|not connected/i }).waitFor();
      const port = hub.address.split(":").pop();
      await hub.start(["--listen", `127.0.0.1:${port}`]);
      await page.locator(".problems").waitFor({ state: "hidden", timeout: 40_000 });
      assert.deepEqual(wrong, []);
      await context.close();
    } finally {
      await network.end();
    }
  });
}
