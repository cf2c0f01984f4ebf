// Files that outlive who shares them: what others keep for this peer, and what it
// holds for them.

import { read, write } from "./api.js";
import { attempt, count, facts, fill, h, icon, iconButton, say, short, size, span } from "./dom.js";
import { list } from "./list.js";
import { closer } from "./search.js";

/** @typedef {import("../../../tests/browser/api").KeptFile} KeptFile
 * @typedef {import("../../../tests/browser/api").HeldFile} HeldFile
 * @typedef {import("../../../tests/browser/api").Refused} Refused
 * @typedef {import("../../../tests/browser/api").Status} Status */

const PAGE = 1000;
const COPIES = 8;
const DAYS = 30;

/** Why there are fewer copies than wanted. @param {KeptFile} file */
function why(file) {
  if (file.copies_online >= file.copies) return "";
  if (file.refused) return `others refuse: ${file.refused}`;
  return file.copies_possible < file.copies ? `${count(file.copies_possible, "other peer")} on the ring` : "on their way";
}

/** A form that has others keep a file of this peer.
 * @param {string} link @param {string} name @param {() => unknown} then @param {KeptFile} [now] */
export function keeping(link, name, then, now) {
  const number = (/** @type {number} */ value, /** @type {number} */ max) => h("input", { type: "number", min: 1, max, value, required: true });
  const left = now ? Math.max(1, Math.ceil(now.seconds_left / 86400)) : DAYS;
  const [copies, days] = [number(now?.copies ?? COPIES, 32), number(left, 366)];
  const keep = async () => {
    const file = { from: "link", link };
    await attempt(() => write("POST", "/kept", { file, copies: Number(copies.value), days: Number(days.value) }), `Others keep ${name}`);
    await then();
  };
  return h("form", { class: "keeping", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void keep(); } },
    h("label", { class: "field" }, "Copies", copies), h("label", { class: "field" }, "Days", days), h("button", {}, now ? "Change" : "Keep"));
}

/** @param {KeptFile} file */
async function release(file) {
  if (!confirm(`Have others keep “${file.name}” no more? They may delete it; the file here stays.`)) return;
  await attempt(() => write("DELETE", `/kept?content=${file.content}`), `${file.name} is kept no more`);
}

/** @param {Refused} what @param {string} name @param {string} warning */
async function refuse(what, name, warning) {
  if (confirm(warning)) await attempt(() => write("POST", "/held/refused", what), `${name} is refused`);
}

/** A list beside the details of what is chosen in it.
 * @template {{content: string}} T */
class Kept extends HTMLElement {
  /** @type {T[]} */
  items = [];
  /** @type {((item: T) => void) | undefined} */
  update = undefined;
  side = h("aside", { class: "side", "aria-label": "Details of the file", hidden: true });
  empty = h("div", { class: "empty" });
  state = h("p", { class: "state", role: "status" });
  /** @type {import("./list.js").List<T>} */
  list;

  /** @param {string} label @param {import("./list.js").Column[]} columns */
  constructor(label, columns) {
    super();
    this.list = list(label, { columns, make: () => this.row(), key: (item) => item.content, onchoose: (item) => this.show(item), onopen: (item) => this.show(item),
      onpress: (key, item) => { if (key === "Delete") void this.end(item); return key === "Delete"; } });
  }

  connectedCallback() {
    this.append(h("div", { class: "pane" }, h("div", { class: "rest" }, this.list, this.empty), this.side), this.state);
  }

  /** @param {T[]} items */
  arrange(items) {
    this.items = items;
    this.list.hidden = items.length === 0;
    this.empty.hidden = items.length > 0;
    this.list.setItems(items);
    const chosen = items.find((item) => item.content === this.list.selected);
    if (chosen) this.update?.(chosen);
    else if (!this.side.hidden) this.list.select(undefined);
  }

  /** A button in a row; the keyboard's way is a key or the details.
   * @param {string} label */
  ending(label) {
    return iconButton("cancel", label, (event) => { const item = this.list.itemAt(event); if (item) void this.end(item); }, { tabindex: -1 });
  }

  /** @param {T | undefined} item */
  show(item) {
    this.side.hidden = !item;
    this.update = undefined;
    if (item) this.details(item);
  }

  /** @returns {{cells: Node[], show: (item: T) => void}} */
  row() {
    return { cells: [], show: () => {} };
  }

  /** @param {T} _item */
  details(_item) {}

  /** @param {T} _item */
  async end(_item) {}
}

/** @extends {Kept<KeptFile>} */
export class ByOthers extends Kept {
  constructor() {
    super("Kept by others", [{ name: "name", label: "Name" }, { name: "size", label: "Size" }, { name: "copies", label: "Copies" }, { name: "left", label: "Time left" }, { name: "act", label: "" }]);
    fill(this.empty, icon("star"), h("h2", {}, "Others keep nothing for you"), h("p", {}, "Choose a shared file and have it kept: it can be found and fetched even when this peer is off."));
  }

  row() {
    const [name, more, bytes, copies, online, left] = [h("b"), h("small"), h("span"), h("span"), h("small"), h("span")];
    return { cells: [h("div", {}, name, more), bytes, h("div", {}, copies, online), left, this.ending("Keep no more")], show: (/** @type {KeptFile} */ file) => {
      say(name, file.name);
      say(more, why(file) || file.path);
      say(bytes, size(file.size));
      say(copies, `${file.copies_kept} of ${file.copies}`);
      say(online, `${file.copies_online} online`);
      online.className = file.copies_online >= file.copies_possible ? "good" : "partly";
      say(left, span(file.seconds_left));
    } };
  }

  async look() {
    const page = /** @type {{items: KeptFile[]}} */ (await read(`/kept?limit=${PAGE}`));
    this.arrange(page.items);
    const whole = page.items.filter((file) => file.copies_online >= file.copies_possible).length;
    say(this.state, page.items.length ? `${count(page.items.length, "file")}, ${whole} with all copies there can be` : "");
  }

  /** @param {KeptFile} file */
  details(file) {
    const known = h("div");
    const link = `gannet:${file.content}?name=${encodeURIComponent(file.name)}&size=${file.size}`;
    fill(this.side, closer(() => this.list.select(undefined)), h("h2", {}, file.name), known, h("h3", {}, "Other copies, other days"),
      keeping(link, file.name, () => this.look(), file), h("div", { class: "actions" }, h("button", { type: "button", class: "danger", onclick: () => void this.end(file) }, "Keep no more")));
    this.update = (/** @type {KeptFile} */ now) => void fill(known, facts([["Copies", `${now.copies_kept} of ${now.copies}`], ["Online", `${now.copies_online} of ${now.copies_possible} possible`],
      ["Why not more", why(now)], ["Parts", `${now.blocks_kept} of ${now.blocks} with all copies`], ["Time left", span(now.seconds_left)],
      ["Until", new Date(now.expires_unix_seconds * 1000).toLocaleString()], ["Size", size(now.size)], ["Path", now.path], ["Content", h("code", {}, now.content)]]));
    this.update(file);
  }

  /** @param {KeptFile} file */
  async end(file) {
    await release(file);
    await this.look();
  }
}
customElements.define("g-kept", ByOthers);

/** @extends {Kept<HeldFile>} */
export class ForOthers extends Kept {
  grant = h("progress", { "aria-label": "Granted space that is taken" });
  refused = h("ul", { class: "folders" });
  no = h("details", { hidden: true }, h("summary", {}, "What is refused"), this.refused);

  constructor() {
    super("Held for others", [{ name: "name", label: "Name" }, { name: "size", label: "Takes" }, { name: "copies", label: "Parts" }, { name: "left", label: "Time left" }, { name: "act", label: "" }]);
    fill(this.empty, icon("library"), h("h2", {}, "Nothing is held for others"), h("p", {}, "What others want kept comes by itself, as long as there is room in the space granted to them."));
  }

  connectedCallback() {
    super.connectedCallback();
    this.prepend(h("div", { class: "bar" }, this.grant, this.state), this.no);
  }

  row() {
    const [name, more, bytes, parts, coming, left] = [h("b"), h("small"), h("span"), h("span"), h("small"), h("span")];
    return { cells: [h("div", {}, name, more), bytes, h("div", {}, parts, coming), left, this.ending("Refuse this file")], show: (/** @type {HeldFile} */ file) => {
      say(name, file.name);
      say(more, `for ${file.orders.map((order) => short(order.keeper)).join(", ") || "nobody now"}`);
      say(bytes, size(file.bytes));
      say(parts, `${file.blocks_held} of ${file.blocks}`);
      say(coming, file.blocks_coming ? `${file.blocks_coming} coming` : "");
      say(left, span(Math.max(0, ...file.orders.map((order) => order.seconds_left))));
    } };
  }

  /** @param {Status} status */
  onStatus({ dht }) {
    const { grant_bytes: granted, held_bytes: taken } = dht?.keeping ?? { grant_bytes: 0, held_bytes: 0 };
    this.grant.hidden = !granted;
    this.grant.max = Math.max(granted, 1);
    this.grant.value = Math.min(taken, granted);
    say(this.state, !dht ? "The dht overlay is off: nothing is held for others" : granted || taken ? `${size(taken)} of ${size(granted)} granted to others` : "No space is granted to others; --grant or the configuration gives some");
  }

  async look() {
    const [held, refused] = await Promise.all([read(`/held?limit=${PAGE}`), read(`/held/refused?limit=${PAGE}`)]);
    this.arrange(/** @type {HeldFile[]} */ (held.items));
    const no = /** @type {Refused[]} */ (refused.items);
    // Only if it is another list: buttons keep the focus.
    const shown = JSON.stringify(no);
    if (this.refused.dataset.shown === shown) return;
    this.refused.dataset.shown = shown;
    this.no.hidden = no.length === 0;
    fill(this.refused, no.map((one) => {
      const [what, id] = one.what === "keeper" ? ["Peer", one.keeper] : ["File", one.content];
      return h("li", {}, icon("cancel"), h("div", {}, h("b", {}, what), h("small", {}, h("code", {}, id))),
        h("button", { type: "button", "aria-label": `Allow ${what.toLowerCase()} ${short(id)} again`, onclick: () => void this.allow(`${one.what}=${id}`) }, "Allow again"));
    }));
  }

  /** @param {string} what */
  async allow(what) {
    await attempt(() => write("DELETE", `/held/refused?${what}`), "It may be held again");
    await this.look();
  }

  /** @param {HeldFile} file */
  details(file) {
    const [known, orders] = [h("div"), h("ul", { class: "folders" })];
    fill(this.side, closer(() => this.list.select(undefined)), h("h2", {}, file.name),
      h("div", { class: "actions" }, h("button", { type: "button", class: "danger", onclick: () => void this.end(file) }, "Refuse this file")), known, h("h3", {}, "For whom"), orders);
    let shown = "";
    this.update = (/** @type {HeldFile} */ now) => {
      fill(known, facts([["Parts", `${now.blocks_held} of ${now.blocks}${now.blocks_coming ? `, ${now.blocks_coming} coming` : ""}`], ["Takes", size(now.bytes)],
        ["Whole file", size(now.size)], ["Path", now.path], ["Content", h("code", {}, now.content)]]));
      const keepers = now.orders.map((order) => order.keeper).join();
      if (shown === keepers) return;
      shown = keepers;
      fill(orders, now.orders.map((order) => h("li", {}, h("div", {}, h("code", {}, short(order.keeper)), h("small", {}, `${order.copies === 1 ? "1 copy" : `${order.copies} copies`} wanted, until ${new Date(order.expires_unix_seconds * 1000).toLocaleDateString()}`)),
        h("button", { type: "button", class: "small", "aria-label": `Refuse everything of ${short(order.keeper)}`, onclick: () => void this.refuseKeeper(order.keeper) }, "Refuse this peer"))));
    };
    this.update(file);
  }

  /** @param {string} keeper */
  async refuseKeeper(keeper) {
    await refuse({ what: "keeper", keeper }, `Peer ${short(keeper)}`, `Hold nothing for ${short(keeper)} any more? What is held for it alone is deleted.`);
    await this.look();
  }

  /** @param {HeldFile} file */
  async end(file) {
    await refuse({ what: "content", content: file.content }, file.name, `Hold “${file.name}” for nobody any more? What is held of it is deleted.`);
    await this.look();
  }
}
customElements.define("g-held", ForOthers);
