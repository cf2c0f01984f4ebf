// What this peer shares, with whom, and how far looking it through is.

import { read, write } from "./api.js";
import { attempt, capital, chips, copy, count, facts, fill, h, icon, iconButton, rate, renew, say, short, size, span, tell } from "./dom.js";
import { ByOthers, ForOthers, keeping } from "./kept.js";
import { list } from "./list.js";
import { address, isViewable, play } from "./player.js";
import { closer } from "./search.js";

/** @typedef {import("../../../tests/browser/api").SharedFile} SharedFile
 * @typedef {import("../../../tests/browser/api").SharedFiles} SharedFiles
 * @typedef {import("../../../tests/browser/api").KeptFile} KeptFile
 * @typedef {import("../../../tests/browser/api").ShareInfo} Share
 * @typedef {import("../../../tests/browser/api").UploadInfo} Upload
 * @typedef {import("../../../tests/browser/api").Status} Status */

const PAGE = 1000;
const FILES_MAX = 100_000;

/** @param {SharedFile} file */
const nameOf = (file) => file.entry.path.slice(file.entry.path.lastIndexOf("/") + 1);

class Library extends HTMLElement {
  /** @type {SharedFile[]} */
  files = [];
  words = "";
  timer = 0;
  known = "";
  loading = false;
  chosen = "shared";
  kept = new ByOthers();
  held = new ForOthers();
  folders = h("ul", { class: "folders" });
  scan = h("p", { class: "state", role: "status" });
  path = h("input", { name: "path", placeholder: "A whole path, such as /srv/music", "aria-label": "Folder to share", spellcheck: "false" });
  served = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Who fetches from this peer" });
  filter = h("input", { type: "search", class: "narrow", placeholder: "Narrow down", "aria-label": "Narrow the files down by words",
    oninput: () => { this.words = this.filter.value.toLowerCase(); this.arrange(); } });
  side = h("aside", { class: "side", "aria-label": "Details of the file", hidden: true });
  shared = h("div", { class: "pane" });
  empty = h("div", { class: "empty" }, icon("library"), h("h2", {}, "Nothing is shared yet"), h("p", {}, "Name a folder above: what is in it can be found by others, and is served from where it lies."));
  /** @type {import("./list.js").List<SharedFile>} */
  list = list("Shared files", {
    columns: [{ name: "name", label: "Name" }, { name: "size", label: "Size" }, { name: "act", label: "" }],
    key: (file) => file.entry.path,
    onchoose: (file) => this.show(file),
    onopen: (file) => this.show(file),
    make: () => {
      const [name, more, bytes] = [h("b"), h("small"), h("span")];
      const link = iconButton("copy", "Copy link", (event) => { const file = this.list.itemAt(event); if (file) void copy(file.link, "Link"); }, { tabindex: -1 });
      return { cells: [h("div", {}, name, more), bytes, link], show: (/** @type {SharedFile} */ file) => {
        say(name, nameOf(file));
        say(more, file.entry.path);
        say(bytes, size(file.entry.size));
      } };
    },
  });

  connectedCallback() {
    this.append(
      h("div", { class: "cards" },
        h("section", { class: "card" }, h("h2", {}, "Shared folders"), this.folders,
          h("form", { class: "inline", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void this.add(false); } }, this.path, h("button", { class: "main" }, "Share")), this.scan),
        h("section", { class: "card" }, h("h2", {}, "Who fetches from me"), this.served)),
      h("div", { class: "bar" }, chips("Which files", [["shared", "Shared files"], ["kept", "Kept by others"], ["held", "Held for others"]], (part) => this.choose(part)), this.filter),
      this.shared, this.kept, this.held);
    this.shared.append(h("div", { class: "rest" }, this.list, this.empty), this.side);
    this.choose(this.chosen);
  }

  /** @param {string} part */
  choose(part) {
    this.chosen = part;
    this.filter.hidden = this.shared.hidden = part !== "shared";
    this.kept.hidden = part !== "kept";
    this.held.hidden = part !== "held";
    // It measures itself only when it is seen.
    this.list.draw();
    void this.lookAtPart().catch(() => {});
  }

  /** How what others keep, or this peer for them, is now. */
  async lookAtPart() {
    if (this.chosen === "kept") await this.kept.look();
    else if (this.chosen === "held") await this.held.look();
  }

  enter() {
    const look = async () => {
      if (!document.hidden) await this.look().catch(() => {});
      this.timer = setTimeout(look, 1500);
    };
    void look();
  }

  leave() {
    clearTimeout(this.timer);
  }

  /** @param {Status} status */
  onStatus(status) {
    const { files, bytes, ready, scanning } = status.shares;
    this.held.onStatus(status);
    say(this.scan, typeof ready === "number" ? `${ready} of ${count(files, "file")} found so far` : scanning ? `Looking through them: ${count(scanning.files_seen, "file")} seen, ${size(scanning.bytes_hashed)} read, ${size(scanning.bytes_left)} to go`
      : files ? `${count(files, "file")}, ${size(bytes)}` : "");
    const known = `${files} ${bytes} ${status.address}`;
    if (known !== this.known && !this.hidden && !this.loading) {
      this.known = known;
      void this.load();
    }
  }

  async look() {
    const [shares, uploads] = await Promise.all([read("/shares"), read("/uploads"), this.lookAtPart()]);
    const folders = /** @type {Share[]} */ (shares.items);
    // Only if it is another list: buttons keep the focus.
    const shown = JSON.stringify(folders);
    if (this.folders.dataset.shown !== shown) {
      this.folders.dataset.shown = shown;
      fill(this.folders, folders.map((share) => h("li", {}, icon("library"),
        h("div", {}, h("b", {}, share.name), h("small", { class: share.problem ? "failed" : "" }, share.problem ?? `${share.path} · ${count(share.files, "file")}, ${size(share.bytes)}`)),
        iconButton("cancel", `Share ${share.name} no more`, () => void this.unshare(share)))));
    }
    const served = /** @type {Upload[]} */ (uploads.items);
    renew(this.served, served.length ? h("table", {}, h("thead", {}, h("tr", {}, ["Peer", "File", "State", "Sent"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, served.map((one) => h("tr", {}, h("td", {}, h("code", {}, short(one.peer))), h("td", {}, one.name),
        h("td", {}, one.queue_position ? `waits, ${one.queue_position}` : rate(one.bytes_per_second) || "served"), h("td", {}, size(one.bytes))))))
      : h("p", {}, "Nobody at the moment."));
  }

  async load() {
    this.loading = true;
    try {
      /** @type {SharedFile[]} */
      const files = [];
      for (let total = 1; files.length < Math.min(total, FILES_MAX);) {
        const part = /** @type {SharedFiles} */ (await read(`/files?offset=${files.length}&limit=${PAGE}`));
        total = part.total;
        if (!part.files.length) break;
        files.push(...part.files);
        // The first ones are shown while the others come.
        if (files.length === PAGE || files.length >= total) { this.files = files; this.arrange(); }
      }
      this.files = files;
      this.arrange();
    } catch {
      this.known = "";
    }
    this.loading = false;
  }

  arrange() {
    const words = this.words.split(" ");
    const shown = this.words ? this.files.filter((file) => { const path = file.entry.path.toLowerCase(); return words.every((word) => path.includes(word)); }) : this.files;
    this.list.hidden = this.files.length === 0;
    this.empty.hidden = this.files.length > 0;
    this.list.setItems([...shown]);
  }

  /** @param {boolean} force */
  async add(force) {
    const path = this.path.value.trim();
    if (!path) return;
    await attempt(async () => {
      const share = /** @type {Share} */ (await write("POST", "/shares", { path, force }));
      this.path.value = "";
      tell(`${share.name} is shared; its files are looked through now`);
      await this.look();
    });
  }

  /** @param {Share} share */
  async unshare(share) {
    if (!confirm(`Share ${share.path} no more? No file is touched.`)) return;
    await write("DELETE", `/shares?path=${encodeURIComponent(share.path)}`).catch((error) => tell(capital(error.message), true));
    await this.look();
  }

  /** @param {SharedFile | undefined} file */
  show(file) {
    this.side.hidden = !file;
    if (!file) return;
    const { content, size: bytes, path, media } = file.entry;
    const name = nameOf(file);
    const kept = h("div");
    void this.showKept(file, kept);
    fill(this.side, closer(() => this.list.select(undefined)), h("h2", {}, name), h("div", { class: "actions" },
      isViewable(name) ? h("button", { type: "button", class: "main", onclick: () => play(content, name) }, "Open") : h("a", { class: "button main", href: address(content, name), download: name }, "Save a copy"),
      h("button", { type: "button", onclick: () => void copy(file.link, "Link") }, "Copy link")),
    facts([["Title", media.title ?? ""], ["Artist", media.artist ?? ""], ["Album", media.album ?? ""], ["Size", size(bytes)], ["Path", path], ["Content", h("code", {}, content)]]),
    h("h3", {}, "Link for others"), h("p", { class: "link" }, file.link), h("h3", {}, "Have others keep it"), kept);
  }

  /** Whether others keep a shared file, and a form that has them do so.
   * @param {SharedFile} file @param {HTMLElement} place */
  async showKept(file, place) {
    const page = await read("/kept?limit=1000").catch(() => ({ items: [] }));
    const now = /** @type {KeptFile[]} */ (page.items).find((one) => one.content === file.entry.content);
    fill(place, h("p", { class: "state" }, now ? `${now.copies_kept} of ${now.copies} copies, ${now.copies_online} online, ${span(now.seconds_left)} left` : "Then it can be fetched when this peer is off, too."),
      keeping(file.link, nameOf(file), () => this.showKept(file, place), now));
  }
}
customElements.define("g-library", Library);
