// A headless Chromium from the system's packages.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const PATHS = [process.env.CHROMIUM ?? "", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch() {
  const executablePath = PATHS.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("there is no Chromium: apt-get install chromium");
  return chromium.launch({ executablePath, args: [
    // A container's root has no other choice; nothing but the peers' own page is opened.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--mute-audio", "--autoplay-policy=no-user-gesture-required",
  ] });
}

/** A page that was let in. What goes wrong in it fails the test that asks.
 * @param {import("playwright-core").Browser} browser @param {import("./network.js").Peer} peer
 * @param {import("playwright-core").BrowserContextOptions & {script?: () => void}} [options] */
export async function open(browser, peer, { script, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  /** @type {string[]} */
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    // Answers that are refusals are said on the page.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(peer.origin)) wrong.push(`asks for ${request.url()}`);
  });
  if (script) await page.addInitScript(script);
  await page.goto(await peer.link());
  await page.waitForURL(`${peer.origin}/`);
  await page.waitForSelector("g-search input[name=q]");
  return { page, context, wrong };
}

/** @param {import("playwright-core").Page} page @param {string} words */
export async function search(page, words) {
  await page.fill("g-search input[name=q]", words);
  await page.press("g-search input[name=q]", "Enter");
}

/** Until a part of the page has this text: it is drawn with one of the next frames, and grows.
 * @param {import("playwright-core").Locator} part @param {string | RegExp} text */
export const shows = (part, text) => part.filter({ hasText: text }).waitFor();

/** The row of a list with this text. @param {import("playwright-core").Page} page @param {string} view @param {string} text */
export const row = (page, view, text) => page.locator(`${view} .rows .row:not([hidden])`).filter({ hasText: text });
