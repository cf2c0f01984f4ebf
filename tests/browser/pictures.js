// The screenshots of the README: a small network with something going on.

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { launch, open, row, search } from "./browser.js";
import { Network, picture, sound, until } from "./network.js";

const ALBUM = ["Cliff", "First light", "Plunge", "Salt", "The long glide", "Nest of weed", "Northerly", "Bass Rock", "Grey water", "Home"];

/** @param {Network} network */
async function people(network) {
  const ways = ["--overlay", "hub,supernode,flood,dht"];
  const hub = await network.add("hub", ways);
  const flags = ["--hub", hub.address, "--peer", hub.address, ...ways];
  const film = sound(120);
  const music = ALBUM.map((_, n) => sound(3 + n));
  for (let n = 0; n < 7; n += 1) {
    await network.add("up", [...flags, "--limit-up", n < 3 ? "200K" : "20M"], (peer) => {
      if (n < 3) peer.share(`Films/Gannets of the north Atlantic${n === 1 ? " (2019)" : ""}.mp4`, film);
      if (n % 2) for (const [at, name] of ALBUM.entries()) peer.share(`Music/Gannet colony/${String(at + 1).padStart(2, "0")} ${name}.wav`, music[at]);
      if (n === 2) peer.share("Books/A year with gannets.epub", 2_400_000);
      if (n === 3) peer.share("Books/The gannet, a monograph.pdf", 18_300_000);
      if (n === 4) peer.share("Pictures/gannet-diving.bmp", picture(600, [30, 90, 120]));
      if (n === 5) peer.share("Data/gannet-tracks-2024.csv", 900_000);
      if (n === 6) peer.share("Data/gannet-census.tar.zst", 44_000_000);
    });
  }
  const me = await network.add("up", flags, (peer) => {
    for (const [at, name] of ["Harbour", "Fulmar", "Skerry", "Low tide"].entries()) peer.share(`Music/Shore recordings/${name}.wav`, sound(4 + at));
    peer.share("Documents/Notes on seabirds.txt", 12_000);
    peer.share("Pictures/kittiwakes.bmp", picture(300, [90, 120, 150]));
  });
  await until("they find each other", async () => {
    const { id } = await me.ask("/searches", { query: "gannet*", limit: 100 });
    const state = await until("it ends", async () => {
      const state = await me.ask(`/searches/${id}`);
      return state.end && state;
    });
    return state.rows.length >= 16;
  }, 60_000);
  return me;
}

/** @param {string} dir */
export async function pictures(dir) {
  const into = resolve(dir);
  mkdirSync(into, { recursive: true });
  const network = new Network();
  const browser = await launch();
  try {
    const me = await people(network);
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      const { page, context } = await open(browser, me, { colorScheme, viewport: { width: 1240, height: 780 }, deviceScaleFactor: 1.5 });
      const shoot = (/** @type {string} */ name) => page.screenshot({ path: join(into, `${name}-${colorScheme}.png`) });
      await search(page, "gannet*");
      await page.locator("g-search .end:not([hidden])").waitFor();
      if (colorScheme === "light") {
        for (const name of ["north Atlantic", "monograph", "census"]) {
          await page.fill("g-search .narrow", name.toLowerCase());
          await row(page, "g-search", name).locator("button[aria-label=Get]").click();
        }
        await page.fill("g-search .narrow", "");
        await page.locator(".note").first().waitFor({ state: "detached" });
      }
      await shoot("search");
      await row(page, "g-search", "north Atlantic").click();
      await page.waitForTimeout(400);
      await shoot("file");
      await page.click("nav a[href='#downloads']");
      await row(page, "g-downloads", "north Atlantic").click();
      await page.waitForTimeout(3000);
      await shoot("downloads");
      await page.click("nav a[href='#network']");
      await page.click("g-network button.main");
      await page.locator("g-network .checks li").nth(2).waitFor();
      await page.waitForTimeout(1500);
      await shoot("network");
      await page.click("nav a[href='#library']");
      await page.locator("g-library .rows .row").first().waitFor();
      await shoot("library");
      await page.click("nav a[href='#settings']");
      await page.waitForTimeout(2500);
      await shoot("settings");
      await page.goto(`${me.origin}/api/`);
      await page.locator("details").first().waitFor();
      await shoot("api");
      await context.close();
      const phone = await open(browser, me, { colorScheme, viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
      await search(phone.page, "gannet*");
      await phone.page.locator("g-search .end:not([hidden])").waitFor();
      await phone.page.screenshot({ path: join(into, `phone-search-${colorScheme}.png`) });
      await phone.page.locator("nav a[href='#downloads']").tap();
      await phone.page.waitForTimeout(800);
      await phone.page.screenshot({ path: join(into, `phone-downloads-${colorScheme}.png`) });
      await phone.context.close();
    }
  } finally {
    await browser.close();
    await network.end();
  }
}
