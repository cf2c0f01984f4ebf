// Whether a download is slower while the page is open: the same file again and
// again, each time by a new peer, in turns with nothing open, with what the page
// asks but no browser, and with the page.
//
// All of it is on one machine: a browser that draws takes cores from the two peers.
// The second way, and the processor time that the fetching peer used, show what the
// peer itself pays.

import { readFileSync } from "node:fs";
import { follow } from "./follow.js";
import { launch, open } from "./browser.js";
import { Network, until } from "./network.js";

const ROUNDS = 5;
const MEGABYTES = 1000;
const LONG_MS = 300_000;
/** Ticks of /proc in a second, as Linux tells every program. */
const TICKS = 100;
/** How long a browser that has just opened the page is busy with itself. */
const SETTLE_MS = 2_500;

/** @typedef {{done: () => Promise<void>}} Watcher */

/** What watches a peer. @type {Record<string, (peer: import("./network.js").Peer, browser: import("playwright-core").Browser) => Promise<Watcher>>} */
const WATCHERS = {
  nobody: async () => ({ done: async () => {} }),
  streams: async (peer) => ({ done: follow(peer) }),
  page: async (peer, browser) => {
    const { page, context } = await open(browser, peer);
    await page.click("nav a[href='#downloads']");
    return { done: () => context.close() };
  },
};

/** @param {number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What a process has used of the processor, in seconds. @param {number | undefined} pid */
function used(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** One download by a new peer: megabytes a second, and what that took of the processor.
 * @param {Network} network @param {{link: string, bytes: number}} file @param {(peer: import("./network.js").Peer) => Promise<Watcher>} watch */
async function fetchOnce(network, { link, bytes }, watch) {
  const peer = await network.add("up", []);
  const watcher = await watch(peer);
  await new Promise((go) => setTimeout(go, SETTLE_MS));
  const before = used(peer.process?.pid);
  await peer.ask("/downloads", { from: "link", link });
  const info = await until("it is complete", async () => {
    const info = (await peer.ask("/downloads")).items[0];
    await new Promise((go) => setTimeout(go, 200));
    return info?.state === "complete" && info;
  }, LONG_MS);
  const cpu = used(peer.process?.pid) - before;
  await watcher.done();
  await network.remove(peer);
  return { rate: Math.round(bytes / info.elapsed_ms / 1000), cpu: Number(cpu.toFixed(2)) };
}

/** @param {number} [rounds] @param {number} [megabytes] */
export async function slowed(rounds = ROUNDS, megabytes = MEGABYTES) {
  const network = new Network();
  const browser = await launch();
  try {
    const bytes = megabytes * 1_000_000;
    const source = await network.add("up", [], (peer) => peer.share("large.bin", bytes));
    const file = await until("it is shared", async () => (await source.ask("/files")).files[0], LONG_MS);
    /** @type {Record<string, number[]>[]} */
    const [rates, cpus] = [{}, {}];
    // The first one warms the disk's cache and counts for nothing.
    for (let round = -1; round < rounds; round += 1) {
      for (const [name, watch] of Object.entries(WATCHERS)) {
        const { rate, cpu } = await fetchOnce(network, { link: file.link, bytes }, (peer) => watch(peer, browser));
        if (round < 0) continue;
        (rates[name] ??= []).push(rate);
        (cpus[name] ??= []).push(cpu);
      }
    }
    const mediansOf = (/** @type {Record<string, number[]>} */ all) => Object.fromEntries(Object.entries(all).map(([name, values]) => [name, median(values)]));
    const medians = mediansOf(rates);
    const slower = (/** @type {string} */ name) => Number(((1 - medians[name] / medians.nobody) * 100).toFixed(1));
    console.log(JSON.stringify({ megabytes, rounds, megabytes_per_second: rates, medians, peer_cpu_seconds: mediansOf(cpus), slower_percent: { streams: slower("streams"), page: slower("page") } }));
  } finally {
    await browser.close();
    await network.end();
  }
}
