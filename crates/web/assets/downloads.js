// Fetching: how far each file is, from whom, and what to do about it.

import { follow, write } from "./api.js";
import { attempt, chips, copy, count, draw, facts, fill, h, icon, iconButton, pieceMap, put, rate, renew, say, short, size, span } from "./dom.js";
import { list } from "./list.js";
import { address, isPlayable, isViewable, play } from "./player.js";
import { closer } from "./search.js";

/** @typedef {import("../../../tests/browser/api").DownloadInfo} Download */

const ORDER = ["active", "waiting", "diskfull", "paused", "failed", "complete"];
/** @type {Record<string, string>} */
const WORDS = { active: "Fetching", waiting: "Waiting", diskfull: "Disk full", paused: "Paused", failed: "Failed", complete: "Finished" };
/** @type {Record<string, (state: string) => boolean>} */
const PARTS = { all: () => true, open: (state) => state !== "complete", done: (state) => state === "complete" };

/** @param {Download} one */
const isFolder = (one) => typeof one.files === "number";
/** Whether there is something to look at: a folder is not one file. @param {Download} one */
const canWatch = (one) => !isFolder(one) && (one.state === "complete" ? isViewable(one.name) : isPlayable(one.name));
/** @param {Download} one */
const percent = (one) => (one.state === "complete" ? 100 : one.size ? Math.floor((one.have_bytes / one.size) * 100) : 0);

/** @param {Download} one */
const runs = (one) => ["active", "waiting", "diskfull"].includes(one.state);

class Downloads extends HTMLElement {
  /** @type {Map<number, Download>} */
  all = new Map();
  chosen = "all";
  end = () => {};
  side = h("aside", { class: "side", "aria-label": "Details of the download", hidden: true });
  empty = h("div", { class: "empty" }, icon("downloads"), h("h2", {}, "Nothing is being fetched"), h("p", {}, "What you get from a search appears here."));
  state = h("span", { role: "status" });
  /** Of all together; not read out, as it is another one every second. */
  speed = h("span", { "aria-hidden": "true" });
  /** @type {import("./list.js").List<Download>} */
  list = list("Downloads", {
    columns: [{ name: "name", label: "Name" }, { name: "progress", label: "Progress" }, { name: "speed", label: "Speed" },
      { name: "left", label: "Time left" }, { name: "sources", label: "Sources" }, { name: "act", label: "" }],
    key: (one) => one.number,
    make: () => this.makeRow(),
    onchoose: (one) => this.show(one),
    onopen: (one) => this.open(one),
    onpress: (key, one) => {
      if (key === "Delete") void this.cancel(one);
      else if (key === " ") void this.change(one, runs(one) ? "pause" : "resume");
      else return false;
      return true;
    },
  });
  /** @type {((one: Download) => void) | undefined} */
  update = undefined;

  connectedCallback() {
    this.append(h("div", { class: "bar" }, chips("Which downloads", [["all", "All"], ["open", "Unfinished"], ["done", "Finished"]], (part) => { this.chosen = part; this.arrange(); }),
      h("a", { href: "#settings", class: "button bare" }, "Limits…")),
    h("div", { class: "pane" }, h("div", { class: "rest" }, this.list, this.empty), this.side), h("p", { class: "state" }, this.state, this.speed));
    this.arrange();
  }

  enter() {
    this.end = follow("/downloads/events", (kind, data) => {
      if (kind === "item") this.all.set(data.number, data);
      else if (kind === "gone") this.all.delete(data.key);
      draw(this.arrange);
    }, () => this.all.clear());
  }

  leave() {
    this.end();
  }

  /** @param {Download} one @param {string} what @param {unknown} [how] */
  change(one, what, how) {
    return attempt(async () => {
      const now = /** @type {Download} */ (await write("POST", `/downloads/${one.number}/${what}`, how));
      // Shown at once; the stream will say the same.
      if (what === "cancel") this.all.delete(one.number);
      else this.all.set(one.number, now);
      this.arrange();
    });
  }

  /** @param {Download} one */
  async cancel(one) {
    if (one.state === "complete" || confirm(`Give up “${one.name}” and delete what has come?`)) await this.change(one, "cancel");
  }

  makeRow() {
    const name = h("b");
    const state = h("small");
    const { map, show } = pieceMap();
    const bar = h("div", { class: "bar-of", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, map);
    const [done, speed, left, sources] = [h("small"), h("span"), h("span"), h("span")];
    /** @param {(one: Download) => void} act */
    const on = (act) => (/** @type {Event} */ event) => { const one = this.list.itemAt(event); if (one) act(one); };
    const hold = iconButton("pause", "Pause", on((one) => void this.change(one, "pause")), { tabindex: -1 });
    const go = iconButton("resume", "Resume", on((one) => void this.change(one, "resume")), { tabindex: -1 });
    const watch = iconButton("video", "Play or look at it", on((one) => play(one.content, one.name)), { tabindex: -1 });
    const off = iconButton("cancel", "Cancel", on((one) => void this.cancel(one)), { tabindex: -1 });
    return {
      cells: [h("div", {}, name, state), h("div", {}, bar, done), speed, left, sources, h("div", {}, watch, hold, go, off)],
      show: (/** @type {Download} */ one) => {
        say(name, one.name);
        say(state, one.reason ? `${WORDS[one.state]}: ${one.reason}` : WORDS[one.state]);
        put(state, "class", one.state);
        put(bar, "data-state", one.state);
        put(bar, "aria-valuenow", percent(one));
        put(bar, "aria-label", `Progress of ${one.name}`);
        show(one.state === "complete" ? "f".repeat(64) : one.pieces);
        say(done, one.state === "complete" ? size(one.size) : `${percent(one)} % of ${size(one.size)}`);
        say(speed, rate(one.bytes_per_second));
        say(left, one.state === "active" ? span(one.seconds_left) : "");
        const sending = one.sources.filter((source) => source.state === "sending").length;
        say(sources, one.state === "complete" ? "" : `${sending} of ${one.sources.length}`);
        hold.hidden = !runs(one);
        go.hidden = runs(one) || one.state === "complete";
        for (const name of ["title", "aria-label"]) {
          put(go, name, one.state === "failed" ? "Try again" : "Resume");
          put(off, name, one.state === "complete" ? "Take off the list" : "Cancel");
        }
        watch.hidden = !canWatch(one);
      },
    };
  }

  arrange = () => {
    const rank = (/** @type {Download} */ one) => ORDER.indexOf(one.state);
    const shown = [...this.all.values()].filter((one) => PARTS[this.chosen](one.state))
      .sort((a, b) => rank(a) - rank(b) || b.priority - a.priority || a.number - b.number);
    this.list.hidden = shown.length === 0;
    this.empty.hidden = shown.length > 0;
    this.list.setItems(shown);
    const open = [...this.all.values()].filter((one) => one.state !== "complete");
    const speed = open.reduce((sum, one) => sum + one.bytes_per_second, 0);
    say(this.state, this.all.size ? `${open.length} unfinished, ${this.all.size - open.length} finished` : "");
    say(this.speed, speed ? `, ${rate(speed)}` : "");
    const chosen = this.all.get(/** @type {number} */ (this.list.selected));
    if (chosen) this.update?.(chosen);
    else if (!this.side.hidden) this.show(undefined);
  };

  /** @param {Download} one */
  open(one) {
    this.show(one);
    if (canWatch(one)) play(one.content, one.name);
  }

  /** @param {Download | undefined} one */
  show(one) {
    this.side.hidden = !one;
    this.update = undefined;
    if (!one) return;
    const now = () => this.all.get(one.number) ?? one;
    const { map, show } = pieceMap();
    const [known, peers] = [h("div"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Sources" })];
    /** @param {string} text @param {() => void} onclick @param {string} [style] */
    const button = (text, onclick, style = "") => h("button", { type: "button", class: style, onclick }, text);
    const [hold, go] = [button("Pause", () => void this.change(now(), "pause")), button("Resume", () => void this.change(now(), "resume"), "main")];
    const watch = button("Play", () => play(one.content, one.name), "main");
    const open = h("a", { class: "button main", href: address(one.content, one.name), download: one.name }, "Save a copy");
    const big = h("div", { class: "big" }, map);
    const off = button("Cancel", () => void this.cancel(now()));
    const order = h("select", { onchange: () => void this.change(now(), "priority", { priority: Number(order.value) }) },
      [["2", "First"], ["1", "Soon"], ["0", "Normal"]].map(([value, text]) => h("option", { value }, text)));
    const field = h("label", { class: "field" }, "Order among waiting downloads", order);
    fill(this.side, closer(() => this.list.select(undefined)), h("h2", {}, one.name),
      h("div", { class: "actions" }, watch, open, hold, go, off,
        button("Copy link", () => void copy(`gannet:${one.content}?${isFolder(one) ? "kind=folder&" : ""}name=${encodeURIComponent(one.name)}${one.size ? `&size=${one.size}` : ""}`, "Link"))),
      big, known, field, h("h3", {}, "Sources"), peers);
    this.update = (info) => {
      const over = info.state === "complete";
      show(over ? "f".repeat(64) : info.pieces);
      hold.hidden = over || info.state === "paused" || info.state === "failed";
      go.hidden = over || !hold.hidden;
      say(go, info.state === "failed" ? "Try again" : "Resume");
      watch.hidden = !canWatch(info);
      say(watch, over && !isPlayable(info.name) ? "Open" : over ? "Play" : "Play while it comes");
      open.hidden = !over || isFolder(info);
      field.hidden = over;
      put(big, "data-state", info.state);
      say(off, over ? "Take off the list" : "Cancel");
      if (document.activeElement !== order) order.value = String(Math.min(2, info.priority));
      renew(known, facts([["State", info.reason ? `${WORDS[info.state]}: ${info.reason}` : WORDS[info.state]],
        ["Here", `${size(info.have_bytes)} of ${size(info.size)}`], ["Speed", rate(info.bytes_per_second)],
        ["Time left", info.state === "active" ? span(info.seconds_left) : ""], ["Took", over ? span(Math.round(info.elapsed_ms / 1000)) : ""],
        ["File", info.path ? h("code", {}, info.path) : ""], ["Content", h("code", {}, info.content)]]));
      renew(peers, info.sources.length ? h("table", {}, h("thead", {}, h("tr", {}, ["Peer", "State", "Speed", "Sent"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, info.sources.map((source) => h("tr", {}, h("td", {}, h("code", {}, short(source.peer))),
          h("td", { title: source.reason ?? "" }, source.queue_position ? `queued, ${source.queue_position}` : source.state, source.reason ? h("small", {}, source.reason) : null),
          h("td", {}, rate(source.bytes_per_second)), h("td", {}, size(source.bytes)))))) : h("p", {}, `${count(0, "source")} known`));
    };
    this.update(now());
  }
}
customElements.define("g-downloads", Downloads);
