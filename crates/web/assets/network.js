// Where this peer is among the others, drawn from what it says; and a self-test.

import { follow, read, write } from "./api.js";
import { capital, count, fill, h, icon, put, renew, s, say, short, size, span } from "./dom.js";
import { list } from "./list.js";

/** @typedef {import("../../../tests/browser/api").PeerInfo} Peer
 * @typedef {import("../../../tests/browser/api").RingMap} RingMap
 * @typedef {import("../../../tests/browser/api").SelfTest} SelfTest
 * @typedef {import("../../../tests/browser/api").Status} Status */

/** What a peer is to this one, the most telling first. @param {Peer} peer */
function roles(peer) {
  const ties = { primary: "my supernode", backup: "backup supernode", leaf: "leaf of mine", link: "supernode" };
  return [peer.is_hub && "hub", peer.tie && ties[peer.tie], peer.is_neighbour && "neighbour", peer.is_ring_neighbour && "next on the ring"].filter(Boolean).join(", ");
}

/** The overlay whose colour a peer has. @param {Peer} peer */
const shade = (peer) => (peer.is_hub ? "hub" : peer.tie ? "supernode" : peer.is_neighbour ? "flood" : peer.is_ring_neighbour ? "dht" : "none");

const SECTORS = ["hub", "supernode", "flood", "dht", "none"];
const DRAWN_MAX = 120;
/** More than this since the last look is drawn as a busy connection. */
const BUSY_BYTES = 50_000;

/** @param {number} turns @param {number} radius @returns {[number, number]} */
const at = (turns, radius) => [Math.sin(turns * 2 * Math.PI) * radius, -Math.cos(turns * 2 * Math.PI) * radius];

class Network extends HTMLElement {
  /** @type {Map<string, Peer>} */
  peers = new Map();
  /** @type {Map<string, number>} Bytes at the last look. */
  bytes = new Map();
  /** @type {Set<string>} Whose bytes have become many more since the look before. */
  busy = new Set();
  /** @type {RingMap} */
  ring = { position: null, places: [] };
  /** @type {Status | undefined} */
  status = undefined;
  due = 0;
  timer = 0;
  end = () => {};
  around = s("svg", { viewBox: "-172 -168 344 336", role: "img", "aria-label": "Peers around this one", onclick: (/** @type {Event} */ event) => this.choose(event) });
  circle = s("svg", { viewBox: "-172 -158 344 316", role: "img", "aria-label": "The ring", onclick: (/** @type {Event} */ event) => this.choose(event) });
  legend = h("p", { class: "legend" });
  ringSays = h("p", { class: "legend" });
  checks = h("ul", { class: "checks", "aria-live": "polite" });
  button = h("button", { type: "button", class: "main", onclick: () => void this.test() }, "Test now");
  ways = h("ul", { class: "ways" });
  empty = h("div", { class: "empty" }, icon("network"), h("h2", {}, "Nobody is connected"), h("p", {}, "Name a hub in the settings, or start with --peer; peers on this network find each other by themselves."));
  /** @type {import("./list.js").List<Peer>} */
  list = list("Connected peers", {
    columns: [{ name: "name", label: "Peer" }, { name: "role", label: "Role" }, { name: "speed", label: "Latency" }, { name: "left", label: "Received" }, { name: "sources", label: "Sent" }],
    key: (peer) => peer.peer,
    onchoose: () => this.draw(),
    make: () => {
      const [name, more, dot, role, latency, came, went] = [h("code"), h("small"), h("span"), h("span"), h("span"), h("span"), h("span")];
      return { cells: [h("div", { class: "named" }, dot, h("div", {}, name, more)), role, latency, came, went], show: (/** @type {Peer} */ peer) => {
        dot.className = `dot ${shade(peer)}`;
        say(name, short(peer.peer));
        say(more, [peer.relayed ? "through a relay" : peer.address, peer.agent, span(peer.connected_seconds)].filter(Boolean).join(" · "));
        say(role, capital(roles(peer)));
        say(latency, peer.round_trip_ms == null ? "" : `${peer.round_trip_ms} ms`);
        say(came, size(peer.received_bytes));
        say(went, size(peer.sent_bytes));
      } };
    },
  });

  connectedCallback() {
    this.append(
      h("div", { class: "cards" },
        h("section", { class: "card picture" }, h("h2", {}, "Around me"), this.around, this.legend),
        h("section", { class: "card picture" }, h("h2", {}, "The ring"), this.circle, this.ringSays),
        h("section", { class: "card" }, h("h2", {}, "Am I being found?"), this.checks, this.button, h("h2", {}, "Ways to find"), this.ways)),
      h("div", { class: "bar" }, h("h2", {}, "Connected peers")),
      h("div", { class: "pane" }, h("div", { class: "rest" }, this.list, this.empty)));
  }

  enter() {
    this.end = follow("/peers/events", (kind, data) => {
      if (kind === "item") this.peers.set(data.peer, data);
      else if (kind === "gone") this.peers.delete(data.key);
      if (!this.due) this.due = setTimeout(() => { this.due = 0; this.arrange(); }, 100);
    }, () => this.peers.clear());
    const look = async () => {
      if (!document.hidden) this.ring = await read("/ring").catch(() => this.ring);
      this.drawRing();
      this.timer = setTimeout(look, 4000);
    };
    void look();
  }

  leave() {
    this.end();
    clearTimeout(this.timer);
  }

  /** @param {Status} status */
  onStatus(status) {
    this.status = status;
    if (this.hidden) return;
    const { hubs, flood, supernode, dht } = status;
    /** @type {[string, string | undefined | false | null][]} */
    const ways = [
      ["hub", status.overlays.includes("hub") && (hubs.length ? hubs.map((hub) => (hub.connected ? `${short(hub.hub)}: ${count(hub.registered, "file")} registered` : `${short(hub.hub)}: ${hub.problem ?? "not connected"}`)).join("; ") : "none is named")],
      ["supernode", supernode && (supernode.problem ?? (supernode.role === "supernode" ? `I am one: ${count(supernode.leaves, "leaf").replace("leafs", "leaves")}, ${count(supernode.links, "link")}` : `I am a leaf of ${supernode.homes.filter((home) => home.is_live).length}`))],
      ["flood", flood && (flood.problem ?? `${count(flood.neighbours, "neighbour")} of ${flood.neighbours_target}, ${count(flood.questions, "question")} answered`)],
      ["dht", dht && (dht.problem ?? (dht.joined ? `on a ring of about ${count(dht.peers_estimated, "peer")}, ${count(dht.published, "file")} listed` : "on no ring yet"))],
    ];
    renew(this.ways, ways.map(([name, text]) => h("li", {}, h("span", { class: `tag ${name}` }, name), h("span", {}, text || "switched off"))));
  }

  arrange() {
    const order = (/** @type {Peer} */ peer) => SECTORS.indexOf(shade(peer));
    const peers = [...this.peers.values()].sort((a, b) => order(a) - order(b) || (a.peer < b.peer ? -1 : 1));
    this.list.hidden = peers.length === 0;
    this.empty.hidden = peers.length > 0;
    this.list.setItems(peers);
    this.busy.clear();
    for (const { peer, sent_bytes: sent, received_bytes: received } of peers) {
      const bytes = sent + received;
      if (bytes - (this.bytes.get(peer) ?? bytes) > BUSY_BYTES) this.busy.add(peer);
      this.bytes.set(peer, bytes);
    }
    this.draw();
  }

  /** Me in the middle; others in the sector of what they are, the further the later they answer. */
  draw() {
    const peers = this.list.items.slice(0, DRAWN_MAX);
    const [links, dots] = [s("g"), s("g")];
    for (const [n, peer] of peers.entries()) {
      const far = 62 + Math.min(92, Math.log2(1 + (peer.round_trip_ms ?? 0)) * 14) + (n % 2) * 14;
      const [x, y] = at(n / peers.length, far);
      links.append(s("path", { d: `M0 0L${x.toFixed(1)} ${y.toFixed(1)}`, class: `link ${shade(peer)}${this.busy.has(peer.peer) ? " busy" : ""}` }));
      const big = peer.is_hub ? 11 : peer.tie && peer.tie !== "leaf" ? 9 : 6;
      const chosen = this.list.selected === peer.peer ? " chosen" : "";
      dots.append(s("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: big, class: `peer ${shade(peer)}${chosen}`, "data-peer": peer.peer },
        s("title", {}, `${short(peer.peer)}: ${roles(peer) || "connected"}, ${peer.round_trip_ms ?? "?"} ms`)));
      if (peers.length <= 14) dots.append(s("text", { x: x.toFixed(1), y: (y + big + 13).toFixed(1) }, short(peer.peer).slice(0, 6)));
    }
    renew(this.around, s("circle", { r: 62, class: "guide" }), s("circle", { r: 110, class: "guide" }), s("circle", { r: 158, class: "guide" }),
      links, dots, s("circle", { r: 19, class: "me" }), s("text", { y: 4, class: "me" }, "me"));
    /** @type {Record<string, number>} */
    const by = {};
    for (const peer of peers) by[shade(peer)] = (by[shade(peer)] ?? 0) + 1;
    const names = { hub: "hub", supernode: "supernodes and leaves", flood: "neighbours", dht: "next on the ring", none: "others" };
    renew(this.legend, Object.entries(names).filter(([name]) => by[name]).map(([name, text]) => h("span", {}, h("span", { class: `dot ${name}` }), `${text} `)));
    put(this.around, "aria-label", `${count(peers.length, "peer")} around this one; the list below has them all`);
  }

  /** The ring with this peer on top. */
  drawRing() {
    const { position, places } = this.ring;
    const on = this.status?.dht;
    const turn = (/** @type {string} */ text) => parseInt(text.slice(0, 12), 16) / 16 ** 12;
    const me = position ? turn(position) : 0;
    const [links, dots] = [s("g"), s("g")];
    for (const { peer, position: place, pointer } of places) {
      const [x, y] = at(turn(place) - me, 130);
      const [cx, cy] = pointer === "finger" ? [x / 3, y / 3 - 50] : [x * 1.12, (y - 130) * 0.62];
      links.append(s("path", { d: `M0 -130Q${cx.toFixed(1)} ${cy.toFixed(1)} ${x.toFixed(1)} ${y.toFixed(1)}`, class: `link ${pointer}` }));
      dots.append(s("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: pointer === "finger" ? 5 : 7, class: `peer ${pointer}`, "data-peer": peer },
        s("title", {}, `${short(peer)}: ${pointer}`)));
    }
    renew(this.circle, s("circle", { r: 130, class: "guide ring" }), links, dots,
      position ? s("circle", { cy: -130, r: 12, class: "me" }) : null,
      s("text", { y: -4, class: "large" }, on?.joined ? `about ${on.peers_estimated}` : "not on a ring"), on?.joined ? s("text", { y: 16 }, "peers on the ring") : null);
    put(this.circle, "aria-label", `The ring: ${count(places.length, "pointer")} to others`);
    renew(this.ringSays, places.length ? ["predecessor", "successor", "finger"].map((name) => h("span", {}, h("span", { class: `dot ${name}` }), `${name} `))
      : on ? "Alone on it so far." : "Start with --overlay hub,supernode,flood,dht to take part.");
  }

  /** Selects the peer that was pressed in a picture, if it is connected. @param {Event} event */
  choose(event) {
    const id = /** @type {Element} */ (event.target).closest("[data-peer]")?.getAttribute("data-peer");
    const index = this.list.items.findIndex((one) => one.peer === id);
    if (index < 0) return;
    this.list.reveal(index);
    this.list.select(this.list.items[index]);
  }

  async test() {
    this.button.disabled = true;
    fill(this.checks, h("li", {}, "Testing…"));
    try {
      const { checks } = /** @type {SelfTest} */ (await write("POST", "/self-test"));
      fill(this.checks, checks.map((check) => h("li", { class: check.verdict }, h("b", {}, check.question), h("span", { class: `tag ${check.verdict}` }, check.verdict), h("p", {}, check.answer))));
    } catch (error) {
      fill(this.checks, h("li", {}, String(error instanceof Error ? error.message : error)));
    }
    this.button.disabled = false;
  }
}
customElements.define("g-network", Network);
