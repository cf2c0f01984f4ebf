// Finding: rows as they come, filters and order without asking again, searches
// that are kept and tell only what is new.

import { Refused, stream, write } from "./api.js";
import { capital, chips, copy, count, facts, fill, h, icon, iconButton, one, say, short, size, span, tell } from "./dom.js";
import { list } from "./list.js";
import { isPlayable, play } from "./player.js";

/** @typedef {import("../../../tests/browser/api").SearchRow} SearchRow
 * @typedef {import("../../../tests/browser/api").SearchEnd} SearchEnd
 * @typedef {import("../../../tests/browser/api").DownloadInfo} DownloadInfo
 * @typedef {{row: SearchRow, name: string, fast: number, version: number, got?: boolean}} Item
 * @typedef {{query: string, seen: string[], fresh: number}} Kept */

const KINDS = ["all", "audio", "video", "image", "document", "archive", "program", "other"];
const ROWS = 1000;
const KEPT = "gannet-kept";
const KEPT_MAX = 20;
const SEEN_MAX = 3000;
const AGAIN_MS = 300_000;

/** @param {SearchRow} row */
export const linkOf = (row) => `gannet:${row.content}?name=${encodeURIComponent(row.name)}&size=${row.size}`
  + row.sources.slice(0, 4).map((source) => `&peer=${source.peer}`).join("");

/** @type {Record<string, (a: Item, b: Item) => number>} */
const ORDERS = {
  found: (a, b) => a.row.number - b.row.number,
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  size: (a, b) => a.row.size - b.row.size,
  sources: (a, b) => a.row.holders - b.row.holders,
  by: (a, b) => a.fast - b.fast,
};

class Search extends HTMLElement {
  /** @type {Map<number, Item>} */
  rows = new Map();
  /** @type {Item[]} */
  fresh = [];
  /** @type {Item[]} */
  shown = [];
  query = "";
  /** @type {number | undefined} */
  search = undefined;
  order = "found";
  down = false;
  kind = "all";
  words = "";
  timer = 0;
  moved = false;
  /** @type {Set<string> | undefined} Contents seen before, if only new ones are shown. */
  seen = undefined;
  turn = new AbortController();
  /** @type {Kept[]} */
  kept = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
  /** @type {Item | undefined} */
  showing = undefined;
  update = () => {};
  box = h("input", { type: "search", name: "q", autocomplete: "off", spellcheck: "false", "aria-label": "Search for files", placeholder: "Search for files, or paste a gannet: link" });
  star = iconButton("star", "Keep this search", () => this.keep(), { disabled: true });
  keptList = h("div", { class: "kept", role: "group", "aria-label": "Kept searches" });
  state = h("p", { class: "state", role: "status" });
  narrow = h("input", { type: "search", class: "narrow", placeholder: "Narrow down", "aria-label": "Narrow the rows down by words", oninput: () => { this.words = this.narrow.value.toLowerCase(); this.arrange(); } });
  sorting = h("select", { class: "phone", "aria-label": "Order", onchange: () => this.sortBy(this.sorting.value) },
    Object.entries({ found: "As found", name: "Name", size: "Size", sources: "Sources", by: "Fastest" }).map(([value, text]) => h("option", { value }, text)));
  filters = h("div", { class: "bar", hidden: true }, chips("Kind", KINDS.map((kind) => [kind, capital(kind)]), (kind) => { this.kind = kind; this.arrange(); }), this.narrow, this.sorting);
  empty = h("div", { class: "empty" }, icon("search"), h("h2", {}, "What are you looking for?"),
    h("p", {}, "All words must match. ", h("code", {}, '"a phrase"'), " keeps words together, ", h("code", {}, "-word"), " leaves out, ", h("code", {}, "word*"), " matches beginnings, ",
      h("code", {}, "type:audio"), ", ", h("code", {}, "ext:flac"), " and ", h("code", {}, "size:>10MB"), " filter."));
  end = h("div", { class: "end", hidden: true });
  side = h("aside", { class: "side", "aria-label": "Details of the file", hidden: true });
  /** @type {import("./list.js").List<Item>} */
  list = list("Found files", {
    columns: [{ name: "name", label: "Name", sorts: true }, { name: "size", label: "Size", sorts: true }, { name: "sources", label: "Sources", sorts: true }, { name: "by", label: "Found by", sorts: true }, { name: "act", label: "" }],
    key: (item) => item.row.number,
    version: (item) => item.version,
    make: () => this.makeRow(),
    onsort: (name) => this.sortBy(name),
    onchoose: (item) => this.show(item),
    onopen: (item) => { this.show(item); void this.get(item); },
  });

  connectedCallback() {
    this.list.hidden = true;
    this.append(
      h("form", { class: "searchbox", role: "search", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void this.go(); } },
        icon("search"), this.box, this.star, h("button", { class: "main" }, "Search")),
      this.keptList, this.filters, h("div", { class: "pane" }, h("div", { class: "rest" }, this.list, this.empty, this.end), this.side), this.state);
    this.showKept();
    setInterval(() => { if (!document.hidden) void this.lookAgain(); }, AGAIN_MS);
    void this.lookAgain();
  }

  enter() {
    this.box.focus();
    this.box.select();
  }

  makeRow() {
    const name = h("b");
    const more = h("small");
    const kind = h("span", { class: "kind" });
    const bytes = h("span");
    const sources = h("span");
    const by = h("span", { class: "found" });
    const button = iconButton("downloads", "Get", (event) => { const item = this.list.itemAt(event); if (item) void this.get(item); }, { tabindex: -1 });
    const have = h("span", { class: "tag good" }, icon("check"), "Shared");
    let shown = "";
    return {
      cells: [h("div", { class: "named" }, kind, h("div", {}, name, more)), bytes, sources, by, h("div", {}, button, have)],
      show: (/** @type {Item} */ { row, got }) => {
        say(name, row.name);
        say(more, describe(row));
        say(bytes, size(row.size));
        say(sources, `${row.holders}`);
        if (shown !== row.kind) fill(kind, icon(row.kind));
        shown = row.kind;
        fill(by, foundBy(row).map(([overlay, ms]) => h("span", { class: `tag ${overlay}` }, overlay, h("i", {}, ` ${ms} ms`))));
        button.hidden = row.have || got === true;
        have.hidden = !button.hidden;
        say(have.lastChild ?? have, row.have ? "Shared" : "Added");
      },
    };
  }

  async go() {
    const query = this.box.value.trim();
    if (!query) return;
    if (query.startsWith("gannet:")) {
      await start({ from: "link", link: query });
      this.box.value = "";
      return;
    }
    await this.ask(query);
  }

  /** @param {string} query @param {Set<string>} [seen] */
  async ask(query, seen) {
    this.turn.abort();
    const turn = new AbortController();
    this.turn = turn;
    Object.assign(this, { query, seen, search: undefined, fresh: [], shown: [], });
    this.rows.clear();
    this.show(undefined);
    this.list.setItems([]);
    this.list.scrollTo(0, 0);
    this.end.hidden = true;
    this.star.disabled = false;
    this.markStar();
    this.say("Searching…");
    const from = performance.now();
    try {
      await stream("/searches", (kind, data) => {
        if (turn.signal.aborted) return;
        if (kind === "started") this.search = data.id;
        else if (kind === "row") this.take(data, from);
        else if (kind === "end") this.finish(data, performance.now() - from);
      }, { signal: turn.signal, body: { query, limit: ROWS } });
    } catch (error) {
      if (turn.signal.aborted) return;
      this.nothing("That did not work", String(error instanceof Error ? error.message : error));
      this.say("");
    }
  }

  /** @param {SearchRow} row @param {number} from */
  take(row, from) {
    if (this.seen?.has(row.content)) return;
    const fast = row.found_by.reduce((least, by) => Math.min(least, by.milliseconds), Infinity);
    const known = this.rows.get(row.number);
    if (known) {
      Object.assign(known, { row, fast, version: known.version + 1 });
      this.moved ||= this.order === "sources" || this.order === "by";
    } else {
      const item = { row, fast, name: row.name.toLowerCase(), version: 0 };
      this.rows.set(row.number, item);
      this.fresh.push(item);
      if (this.rows.size === 1) performance.measure("first-row", { start: from, end: performance.now() });
    }
    if (!this.timer) this.timer = setTimeout(() => this.flush(), this.rows.size < 50 ? 0 : 120);
  }

  /** Shows what has come since the last time. */
  flush() {
    this.timer = 0;
    const order = this.compare();
    const came = this.fresh.filter((item) => this.passes(item)).sort(order);
    this.fresh = [];
    if (this.moved) {
      this.moved = false;
      this.shown.sort(order);
    }
    if (came.length) this.shown = merge(this.shown, came, order);
    this.showRows();
    if (!this.end.hidden) return;
    this.say(`Searching… ${count(this.rows.size, "file")} so far`);
  }

  compare() {
    const order = ORDERS[this.order];
    const sign = this.down ? -1 : 1;
    return (/** @type {Item} */ a, /** @type {Item} */ b) => sign * order(a, b) || a.row.number - b.row.number;
  }

  /** @param {Item} item */
  passes({ row, name }) {
    return (this.kind === "all" || row.kind === this.kind) && (!this.words || this.words.split(" ").every((word) => name.includes(word)));
  }

  /** Filters and sorts everything anew. */
  arrange() {
    this.shown = [...this.rows.values()].filter((item) => this.passes(item)).sort(this.compare());
    this.fresh = [];
    this.showRows();
  }

  /** @param {string} name */
  sortBy(name) {
    // Most sources and biggest first; names and answers from the least on.
    this.down = this.order === name ? !this.down : name === "size" || name === "sources";
    this.order = name;
    this.list.showSort(name, this.down);
    this.sorting.value = name;
    this.arrange();
  }

  showRows() {
    const any = this.rows.size > 0;
    this.list.hidden = !any;
    this.filters.hidden = !any;
    this.empty.hidden = any;
    this.list.setItems(this.shown);
    const chosen = this.list.selected;
    const item = chosen === undefined ? undefined : this.rows.get(/** @type {number} */ (chosen));
    if (item && this.showing === item) this.update();
  }

  /** @param {string} text */
  say(text) {
    say(this.state, text);
  }

  /** @param {SearchEnd} end @param {number} took */
  finish(end, took) {
    if (this.timer) clearTimeout(this.timer);
    this.flush();
    const rows = this.rows.size;
    const many = end.total > rows && !this.seen ? ` of ${end.total.toLocaleString("en")}` : "";
    this.say(`${count(rows, this.seen ? "new file" : "file")}${many} in ${(took / 1000).toFixed(1)} s`);
    const ways = end.overlays.filter((part) => part.used).map((part) => h("li", {},
      h("span", { class: `tag ${part.overlay}` }, part.overlay), h("span", {}, part.outcome), h("i", {}, `${part.found} found, ${part.milliseconds} ms`)));
    const how = h("ul", { class: "ways" }, ways);
    if (rows) {
      {
        this.end.hidden = false;
        fill(this.end, h("details", {}, h("summary", {}, capital(end.explanation)), how));
      }
    } else if (this.seen) {
      this.nothing("Nothing new", "What this search finds was here the last time already.");
    } else {
      this.nothing(end.complete ? "Nobody has it" : "Nothing was found", `${capital(end.explanation)}.`, how,
        end.complete ? h("p", {}, "Try fewer or other words, or the beginning of a word with a star: ", h("code", {}, "harr*"), ".") : null);
    }
    const kept = this.kept.find((one) => one.query === this.query);
    if (kept) this.remember(kept, [...this.rows.values()].map((item) => item.row.content));
  }

  /** @param {string} title @param {string} text @param {...(Node | null)} more */
  nothing(title, text, ...more) {
    this.list.hidden = true;
    {
      this.empty.hidden = false;
      fill(this.empty, icon("search"), h("h2", {}, title), h("p", {}, text), ...more);
    }
  }

  /** @param {Item} item */
  async get(item) {
    if (item.row.have || item.got) return;
    const row = item.row;
    const request = this.search === undefined ? { from: "link", link: linkOf(row) } : { from: "row", search: this.search, number: row.number };
    if (await start(request, linkOf(row))) {
      item.got = true;
      item.version += 1;
      this.list.draw();
      if (this.showing === item) this.show(item);
    }
  }

  /** @param {Item | undefined} item */
  show(item) {
    const side = this.side;
    this.showing = item;
    side.hidden = !item;
    this.update = () => {};
    if (!item) return;
    const row = item.row;
    const sources = h("ul", { class: "sources" });
    const title = h("h2", {});
    const got = item.got || row.have;
    fill(side, closer(() => this.list.select(undefined)), title,
      h("div", { class: "actions" },
        got ? h("a", { class: "button", href: "#downloads" }, "Show downloads") : h("button", { class: "main", type: "button", onclick: () => void this.get(item) }, "Get"),
        isPlayable(row.name) && !row.have ? h("button", { type: "button", onclick: async () => { await this.get(item); play(row.content, row.name); } }, "Play while it comes") : null,
        h("button", { type: "button", onclick: () => void copy(linkOf(row), "Link") }, "Copy link")),
      facts([["Title", row.media.title ?? ""], ["Artist", row.media.artist ?? ""], ["Album", row.media.album ?? ""],
        ["Length", span(row.media.duration_seconds)],
        ["Picture", row.media.dimensions ? `${row.media.dimensions.width} × ${row.media.dimensions.height}` : ""],
        ["Size", `${size(row.size)} (${row.size.toLocaleString("en")} bytes)`], ["Content", h("code", {}, row.content)]]),
      h("h3", {}, "Who has it"), sources);
    this.update = () => {
      const now = item.row;
      say(title, now.name);
      const rest = now.holders - now.sources.length;
      fill(sources, now.sources.map((source) => h("li", {}, h("code", {}, short(source.peer)), h("span", {}, source.path))),
        rest > 0 ? h("li", {}, `and ${rest} more`) : null,
        now.found_by.map((by) => h("li", { class: "via" }, h("span", { class: `tag ${by.overlay}` }, by.overlay),
          `through ${short(by.via)}, ${count(by.hops, "hop")}, ${by.milliseconds} ms`)));
    };
    this.update();
  }

  keep() {
    if (!this.query) return;
    const at = this.kept.findIndex((one) => one.query === this.query);
    if (at >= 0) {
      this.kept.splice(at, 1);
      tell("The search is not kept any more");
    } else {
      this.kept = [{ query: this.query, seen: [], fresh: 0 }, ...this.kept].slice(0, KEPT_MAX);
      this.remember(this.kept[0], [...this.rows.values()].map((item) => item.row.content));
      tell("Kept: it is asked again now and then, and tells only what is new");
    }
    this.save();
  }

  /** @param {Kept} kept @param {string[]} contents */
  remember(kept, contents) {
    kept.seen = [...new Set([...contents, ...kept.seen])].slice(0, SEEN_MAX);
    kept.fresh = 0;
    this.save();
  }

  save() {
    localStorage.setItem(KEPT, JSON.stringify(this.kept));
    this.showKept();
  }

  markStar() {
    const kept = this.kept.some((one) => one.query === this.query);
    this.star.setAttribute("aria-pressed", String(kept));
    this.star.setAttribute("aria-label", kept ? "Keep this search no more" : "Keep this search");
  }

  showKept() {
    this.markStar();
    const list = this.keptList;
    list.hidden = this.kept.length === 0;
    fill(list, this.kept.map((kept) => h("button", { type: "button", class: kept.fresh ? "fresh" : "", onclick: () => {
      this.box.value = kept.query;
      void this.ask(kept.query, kept.fresh ? new Set(kept.seen) : undefined);
    } }, icon("star"), kept.query, kept.fresh ? h("b", {}, `${kept.fresh} new`) : null)));
  }

  /** Asks the kept searches again, one after the other. */
  async lookAgain() {
    for (const kept of [...this.kept]) {
      /** @type {Set<string>} */
      const found = new Set();
      try {
        await stream("/searches", (kind, data) => { if (kind === "row" && !data.have) found.add(data.content); }, { body: { query: kept.query, limit: ROWS, aside: true } });
      } catch {
        return;
      }
      const before = new Set(kept.seen);
      const fresh = [...found].filter((content) => !before.has(content)).length;
      if (fresh > kept.fresh) tell(`${count(fresh, "new file")} for “${kept.query}”`);
      if (fresh !== kept.fresh) {
        kept.fresh = fresh;
        this.save();
      }
    }
  }
}
customElements.define("g-search", Search);

/** @param {() => void} onclose */
export const closer = (onclose) => iconButton("cancel", "Close the details", onclose, { class: "bare close" });

/** @param {SearchRow} row */
function describe(row) {
  const { title, artist, album, duration_seconds: seconds, dimensions } = row.media;
  return [[artist, title].filter(Boolean).join(" – "), album, span(seconds), dimensions ? `${dimensions.width} × ${dimensions.height}` : ""]
    .filter(Boolean).join(" · ");
}

/** The fastest answer of each overlay. @param {SearchRow} row @returns {[string, number][]} */
function foundBy(row) {
  /** @type {Map<string, number>} */
  const fastest = new Map();
  for (const { overlay, milliseconds } of row.found_by) fastest.set(overlay, Math.min(fastest.get(overlay) ?? Infinity, milliseconds));
  return [...fastest].sort((a, b) => a[1] - b[1]);
}

/** Two sorted lists as one.
 * @template T @param {T[]} a @param {T[]} b @param {(a: T, b: T) => number} order */
function merge(a, b, order) {
  if (!a.length || order(a[a.length - 1], b[0]) <= 0) return a.concat(b);
  const all = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) all.push(order(a[i], b[j]) <= 0 ? a[i++] : b[j++]);
  while (i < a.length) all.push(a[i++]);
  while (j < b.length) all.push(b[j++]);
  return all;
}

/** Starts a download. A search that the peer has forgotten is no matter: the link
 * says as much. @param {unknown} request @param {string} [link] @returns {Promise<boolean>} */
export async function start(request, link) {
  try {
    const info = /** @type {DownloadInfo} */ (await write("POST", "/downloads", request));
    tell(`Download started: ${info.name}`);
    return true;
  } catch (error) {
    if (link && error instanceof Refused && error.kind.startsWith("unknown-")) return start({ from: "link", link });
    tell(error instanceof Error ? capital(error.message) : "It could not be started", true);
    return error instanceof Refused && error.kind === "already-have";
  }
}
