// What may change while the peer runs, and what it is.

import { read, write } from "./api.js";
import { attempt, chips, copy, facts, fill, h, size, span, tell } from "./dom.js";

/** @typedef {import("../../../tests/browser/api").Settings} Values
 * @typedef {import("../../../tests/browser/api").Status} Status */

/** @type {Record<string, number>} */
const UNITS = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

/** Bytes a second as people write them; nothing is no limit.
 * @param {string} text */
function parse(text) {
  const found = /^([\d.]+)\s*([kmg]?)b?(\/s)?$/i.exec(text.trim());
  if (!text.trim() || /^(no limit|none|unlimited)$/i.test(text.trim())) return 0;
  return found ? Math.round(Number(found[1]) * UNITS[found[2].toLowerCase()]) : NaN;
}

class Settings extends HTMLElement {
  /** @param {string} name @param {string} placeholder */
  static input = (name, placeholder) => h("input", { name, placeholder, autocomplete: "off" });
  up = Settings.input("limit_up", "no limit");
  down = Settings.input("limit_down", "no limit");
  slots = h("input", { name: "upload_slots", type: "number", min: 1, max: 100, required: true });
  hubs = h("textarea", { name: "hubs", rows: 3, spellcheck: "false", placeholder: "one a line: PEER@ADDRESS:PORT" });
  about = h("div");

  connectedCallback() {
    /** @param {string} text @param {HTMLElement} input @param {string} help */
    const field = (text, input, help) => h("label", { class: "field" }, text, input, h("small", {}, help));
    this.append(h("div", { class: "cards" },
      h("form", { class: "card", onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); void this.save(); } }, h("h2", {}, "While it runs"),
        field("Most bytes a second received", this.down, "All downloads together: 500K, 20M, or empty for no limit"),
        field("Most bytes a second sent", this.up, "All peers together"),
        field("Upload slots", this.slots, "How many peers are served at once, 1 to 100"),
        field("Hubs", this.hubs, "Where this peer registers and asks"),
        h("button", { class: "main" }, "Save"), h("small", {}, "Holds at once and over restarts, until the configuration says something new.")),
      h("section", { class: "card" }, h("h2", {}, "Appearance"), this.themes(), h("h2", {}, "This peer"), this.about),
      h("section", { class: "card" }, h("h2", {}, "Access"),
        h("p", {}, "This page is for this machine. Another browser needs a link of its own, which works once."),
        h("div", { class: "actions" }, h("button", { type: "button", onclick: () => void this.link() }, "Link for another browser"),
          h("button", { type: "button", onclick: () => void this.leaveBrowser() }, "Log this browser out"),
          h("button", { type: "button", class: "danger", onclick: () => void this.stop() }, "Stop the peer")),
        h("p", {}, h("a", { href: "/api/" }, "Try the API"), " · ", h("a", { href: "/metrics" }, "Figures for Prometheus")))));
  }

  themes() {
    const chosen = localStorage.getItem("gannet-theme") ?? "system";
    const group = chips("Theme", [["system", "As the system"], ["light", "Light"], ["dark", "Dark"]], (theme) => {
      localStorage.setItem("gannet-theme", theme);
      document.documentElement.dataset.theme = theme;
    });
    for (const button of group.children) button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.value === chosen));
    return group;
  }

  enter() {
    void read("/settings").then((values) => this.show(values), () => {});
  }

  /** @param {Values} values */
  show(values) {
    const text = (/** @type {number} */ bytes) => (bytes ? size(bytes).replace(/ ?B$/, "").replace(".0 ", " ").replace(" k", "K").replace(" ", "") : "");
    this.up.value = text(values.limit_up);
    this.down.value = text(values.limit_down);
    this.slots.value = String(values.upload_slots);
    this.hubs.value = values.hubs.join("\n");
  }

  /** @param {Status} status */
  onStatus(status) {
    if (this.hidden) return;
    fill(this.about, facts([["Peer", h("code", {}, status.peer)], ["Address", h("span", {}, h("code", {}, status.address), " ", h("button", { type: "button", class: "small", onclick: () => void copy(status.address, "Address") }, "Copy"))],
      ["Program", status.agent], ["Network", status.private ? `${status.network}, private` : status.network], ["Running for", span(status.uptime_seconds)],
      ["Ways to find", status.overlays.join(", ")], ["Data", h("code", {}, status.data_dir)], ["Downloads", h("code", {}, status.download_dir)],
      ["Received", size(status.traffic.received_bytes)], ["Sent", size(status.traffic.sent_bytes)]]));
  }

  async save() {
    const [up, down] = [parse(this.up.value), parse(this.down.value)];
    if (Number.isNaN(up) || Number.isNaN(down)) return tell("A limit is written like 500K or 20M", true);
    await attempt(async () => {
      const hubs = this.hubs.value.split(/\s+/).filter(Boolean);
      this.show(/** @type {Values} */ (await write("POST", "/settings", { limit_up: up, limit_down: down, upload_slots: Number(this.slots.value), hubs })));
    }, "Saved");
  }

  async link() {
    const { link } = /** @type {{link: string}} */ (await write("POST", "/session/link"));
    await copy(link, "Link");
  }

  async leaveBrowser() {
    await write("DELETE", "/session");
    location.reload();
  }

  async stop() {
    if (!confirm("Stop the peer? Downloads go on when it is started again.")) return;
    await write("POST", "/shutdown").catch(() => {});
    tell("The peer has stopped");
  }
}
customElements.define("g-settings", Settings);
