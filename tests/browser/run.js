// The tests, against a network of twenty peers that all of them share.
//
//   node run.js                    all tests; times are told
//   node run.js --figures          the same, and times are demanded
//   node --test-name-pattern=NAME run.js   those with such names
//   node run.js --types            writes api.d.ts anew
//   node run.js --pictures DIR     makes the screenshots
//   node run.js --slowed [ROUNDS [MEGABYTES [LIMIT]]]   how much an open page slows a download

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { launch } from "./browser.js";
import { Network, until } from "./network.js";
import { declarations } from "./types.js";

const PEERS = 20;
const WAYS = ["--overlay", "hub,supernode,flood,dht"];
const EVIL = "<img src=x onerror=owned=true>\"'><script>owned=true<!--.mp3";
const EVIL_PAGE = "evilpagehere";

/** @typedef {Awaited<ReturnType<typeof build>>} Stage */

async function build() {
  const network = new Network();
  const [hub, browser] = await Promise.all([network.add("hub", WAYS), launch()]);
  const flags = ["--hub", hub.address, "--peer", hub.address, ...WAYS];
  const documentary = Buffer.alloc(12_000_000, "The gannet dives from thirty metres. ");
  const bob = await network.add("up", [...flags, "--limit-up", "3M"], (peer) => {
    peer.share("Seabird documentary.mp4", documentary);
    peer.share("Seabird atlas.pdf", 400_000);
    peer.share("gull chart.txt", 30_000);
  });
  await network.add("up", [...flags, "--limit-up", "3M"], (peer) => {
    peer.share("films/Seabird documentary.mp4", documentary);
    peer.share("heron.txt", 3_000);
  });
  await Promise.all(Array.from({ length: PEERS - 3 }, (_, n) => network.add("up", flags, (peer) => {
    peer.share(`common song of peer-${n}.flac`, 20_000 + n * 1000);
    peer.share(`common notes of peer-${n}.txt`, 2_000 + n * 100);
    if (n === 1) peer.share(EVIL, 5_000);
    if (n === 1) peer.share(`${EVIL_PAGE}.html`, Buffer.from("<script>document.title='owned'</script>"));
  })));
  const alice = await network.add("up", flags, (peer) => peer.share("diary of a gannet.txt", 2_000));
  await until("all are registered", async () => {
    const { id } = await alice.ask("/searches", { query: "common", limit: 1000 });
    const state = await until("it ends", async () => {
      const state = await alice.ask(`/searches/${id}`);
      return state.end && state;
    });
    return state.rows.length >= 2 * (PEERS - 3) && state.rows.length;
  }, 60_000);
  return { network, hub, bob, alice, browser, evil: EVIL, evilPage: EVIL_PAGE };
}

/** @type {Promise<Stage> | undefined} */
let built;
const stage = () => { built ??= build(); return built; };

async function end() {
  const all = await built?.catch(() => undefined);
  await all?.browser.close();
  await all?.network.end();
}

const [flag, value] = process.argv.slice(2);
if (flag === "--types") {
  const { alice } = await stage();
  writeFileSync(join(import.meta.dirname, "api.d.ts"), declarations(await alice.ask("/openapi.json")));
  await end();
} else if (flag === "--pictures") {
  const { pictures } = await import("./pictures.js");
  await pictures(value ?? "pictures");
} else if (flag === "--slowed") {
  const { slowed } = await import("./slowed.js");
  const [rounds, megabytes, limit] = process.argv.slice(3);
  await slowed(rounds ? Number(rounds) : undefined, megabytes ? Number(megabytes) : undefined, limit);
} else {
  after(end);
  test("twenty peers find each other", async () => { await stage(); });
  for (const part of ["source", "find", "fetch", "safety", "everyone", "kept", "speed"]) {
    const { tests } = await import(`./${part}.js`);
    tests(stage);
  }
}
