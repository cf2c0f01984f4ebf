// Whether a download is slower while the page is open: the same file again and
// again, each time by a new peer, in turns with nothing open, with what the page
// asks but no browser, with a browser that shows an empty page, and with the page.
//
// All of it is on one machine: a browser that draws takes cores from the two peers.
// Rates vary from one download to the next by far more than a page costs, above all if
// the machine does something else, too. What varies less is told besides: the processor
// time that both peers and the browser used. How much more of it a page takes is how
// much slower the download is where nothing but the processor limits it.

import { readFileSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { follow } from "./follow.js";
import { launch, open } from "./browser.js";
import { Network, until } from "./network.js";

const ROUNDS = 7;
const MEGABYTES = 3000;
const LONG_MS = 300_000;
/** Ticks of /proc in a second, as Linux tells every program. */
const TICKS = 100;
/** What is warmed before a download, as a multiple of its file: some is in use for other things. */
const WARM = 1.2;
/** How long a browser that has just opened the page is busy with itself. */
const SETTLE_MS = 2_500;

/** @typedef {{done: () => Promise<void>}} Watcher */

/** What watches a peer. @type {Record<string, (peer: import("./network.js").Peer, browser: import("playwright-core").Browser) => Promise<Watcher>>} */
const WATCHERS = {
  nobody: async () => ({ done: async () => {} }),
  streams: async (peer) => ({ done: follow(peer) }),
  blank: async (_, browser) => {
    const context = await browser.newContext();
    await (await context.newPage()).goto("about:blank");
    return { done: () => context.close() };
  },
  page: async (peer, browser) => {
    const { page, context } = await open(browser, peer, { reducedMotion: "no-preference" });
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

const round = (/** @type {number} */ value) => Number(value.toFixed(2));

/** The name of a process, its parent, and what it has used of the processor in seconds.
 * @param {number | undefined} pid */
function look(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const end = text.lastIndexOf(")");
  const fields = text.slice(end + 2).split(" ");
  return { name: text.slice(text.indexOf("(") + 1, end), parent: Number(fields[1]), used: (Number(fields[11]) + Number(fields[12])) / TICKS };
}

/** What all processes of the browser have used. */
function usedByBrowser() {
  /** @type {Map<number, ReturnType<typeof look>>} */
  const all = new Map();
  for (const pid of readdirSync("/proc").map(Number).filter(Boolean)) {
    try {
      all.set(pid, look(pid));
    } catch {
      // It has ended since.
    }
  }
  /** @param {number} pid @returns {boolean} */
  const isMine = (pid) => pid === process.pid || (pid > 1 && isMine(all.get(pid)?.parent ?? 0));
  return [...all].filter(([pid, { name }]) => name.startsWith("chrom") && isMine(pid)).reduce((sum, [, { used }]) => sum + used, 0);
}

/** One download by a new peer: megabytes a second, and what that took of the processor
 * in seconds, by the peers and by the browser; the latter as a part of all cores, too.
 * @param {Network} network @param {{link: string, bytes: number, limit: string}} file @param {(peer: import("./network.js").Peer) => Promise<Watcher>} watch */
async function fetchOnce(network, { link, bytes, limit }, watch) {
  const [source] = network.peers;
  const peer = await network.add("up", ["--limit-down", limit]);
  const watcher = await watch(peer);
  await new Promise((go) => setTimeout(go, SETTLE_MS));
  await network.warm(Math.ceil(bytes * WARM));
  const usedByPeers = () => look(source.process?.pid).used + look(peer.process?.pid).used;
  const [peersBefore, browserBefore, start] = [usedByPeers(), usedByBrowser(), performance.now()];
  await peer.ask("/downloads", { from: "link", link });
  const info = await until("it is complete", async () => {
    const info = (await peer.ask("/downloads")).items[0];
    await new Promise((go) => setTimeout(go, 200));
    return info?.state === "complete" && info;
  }, LONG_MS);
  const cores = (availableParallelism() * (performance.now() - start)) / 1000;
  const [peers, browser] = [usedByPeers() - peersBefore, usedByBrowser() - browserBefore];
  await watcher.done();
  await network.remove(peer);
  return { megabytes_per_second: Math.round(bytes / info.elapsed_ms / 1000), peers_cpu_seconds: round(peers), browser_cpu_seconds: round(browser), cpu_seconds: round(peers + browser), browser_percent_of_cores: round((browser / cores) * 100) };
}

/** A limit is as `--limit-down` takes it: such as 500M.
 * @param {number} [rounds] @param {number} [megabytes] @param {string} [limit] */
export async function slowed(rounds = ROUNDS, megabytes = MEGABYTES, limit = "unlimited") {
  const network = new Network();
  const browser = await launch();
  try {
    const bytes = megabytes * 1_000_000;
    const source = await network.add("up", [], (peer) => peer.share("large.bin", bytes));
    const file = await until("it is shared", async () => (await source.ask("/files")).files[0], LONG_MS);
    /** @type {Record<string, Awaited<ReturnType<typeof fetchOnce>>[]>} */
    const seen = {};
    const ways = Object.entries(WATCHERS);
    // The first one warms the disk's cache and counts for nothing.
    for (let turn = -1; turn < rounds; turn += 1) {
      // Each way comes first and last equally often.
      for (const at of ways.keys()) {
        const [name, watch] = ways[(at + turn + ways.length) % ways.length];
        const one = await fetchOnce(network, { link: file.link, bytes, limit }, (peer) => watch(peer, browser));
        if (turn >= 0) (seen[name] ??= []).push(one);
      }
    }
    /** @param {string} name @param {keyof typeof seen.nobody[0]} figure */
    const middle = (name, figure) => median(seen[name].map((one) => one[figure]));
    // Within rounds: the machine is not the same all the time.
    /** @param {string} name @param {keyof typeof seen.nobody[0]} figure */
    const ratio = (name, figure) => median(seen[name].map((one, turn) => one[figure] / seen.nobody[turn][figure]));
    const slower = (/** @type {string} */ name) => round((1 - ratio(name, "megabytes_per_second")) * 100);
    const dearer = (/** @type {string} */ name) => round((ratio(name, "cpu_seconds") - 1) * 100);
    for (const [name, all] of Object.entries(seen)) {
      const medians = Object.fromEntries(Object.keys(all[0]).map((figure) => [figure, middle(name, /** @type {keyof typeof all[0]} */ (figure))]));
      console.log(JSON.stringify({ watched_by: name, megabytes, limit, rounds, medians, rates: all.map((one) => one.megabytes_per_second), slower_percent: slower(name), more_cpu_percent: dearer(name) }));
    }
  } finally {
    await browser.close();
    await network.end();
  }
}
