// The frame: which part is shown, how the peer is, and what keys do.

import "./search.js";
import "./downloads.js";
import "./library.js";
import "./network.js";
import "./settings.js";
import { follow, read } from "./api.js";
import { capital, count, drawAlong, fill, h, icon, one, put, rate, say, tell } from "./dom.js";

/** @typedef {HTMLElement & {enter?: () => void, leave?: () => void, onStatus?: (status: Status) => void}} View
 * @typedef {import("../../../tests/browser/api").Status} Status
 * @typedef {import("../../../tests/browser/api").NodeEvent} NodeEvent */

const PARTS = ["search", "downloads", "library", "network", "settings"];
const STATUS_MS = 2000;

const main = one("main");
/** @type {Map<string, View>} */
const views = new Map();
/** @type {Map<string, HTMLElement>} */
const links = new Map();
const badge = h("b", { class: "badge", hidden: true });
const state = h("p", { class: "peer-state", role: "status" });
const speeds = h("p", { class: "speeds" });
const problems = h("div", { class: "problems", role: "status", hidden: true });
let shown = "";
let said = "";

function build() {
  const nav = one("nav");
  for (const part of PARTS) {
    const link = h("a", { href: `#${part}` }, icon(part), h("span", {}, capital(part)), part === "downloads" ? badge : null);
    links.set(part, link);
    nav.append(link);
    const view = /** @type {View} */ (document.createElement(`g-${part}`));
    view.hidden = true;
    view.setAttribute("aria-label", capital(part));
    view.setAttribute("role", "region");
    view.append(h("h1", { class: "unseen" }, capital(part)));
    views.set(part, view);
  }
  one("#peer").append(state, speeds);
  main.append(problems, ...views.values());
}

function route() {
  const wanted = location.hash.slice(1);
  const part = PARTS.includes(wanted) ? wanted : PARTS[0];
  if (part === shown) return;
  views.get(shown)?.leave?.();
  shown = part;
  for (const [name, view] of views) {
    view.hidden = name !== part;
    if (name === part) links.get(name)?.setAttribute("aria-current", "page");
    else links.get(name)?.removeAttribute("aria-current");
  }
  document.title = `${capital(part)} – Gannet`;
  views.get(part)?.enter?.();
  if (last) views.get(part)?.onStatus?.(last);
}

/** @type {Status | undefined} */
let last;

const showLast = () => last && show(last);

async function look() {
  if (!document.hidden) {
    try {
      last = /** @type {Status} */ (await read("/status"));
      // While something is fetched, there is a frame every second anyway.
      if (last.traffic.downloads_active) drawAlong(showLast);
      else showLast();
    } catch (error) {
      if (!(error instanceof Error && "status" in error && error.status === 401)) {
        say(state, "The peer does not answer");
        state.className = "peer-state bad";
        warn(["The peer does not answer: does it still run? This page goes on asking."]);
      }
    }
  }
  setTimeout(look, STATUS_MS);
}

/** @param {Status} status */
function show(status) {
  const { traffic, peers_connected: peers } = status;
  const good = peers > 0 && !status.problems.length;
  put(state, "class", `peer-state ${good ? "good" : peers ? "soso" : "bad"}`);
  say(state, peers ? `Connected to ${count(peers, "peer")}` : "Not connected");
  say(speeds, `↓ ${rate(traffic.down_bytes_per_second) || "0 B/s"}   ↑ ${rate(traffic.up_bytes_per_second) || "0 B/s"}`);
  badge.hidden = traffic.downloads_active === 0;
  say(badge, String(traffic.downloads_active));
  put(badge, "aria-label", `${traffic.downloads_active} active`);
  warn(status.problems);
  for (const [name, view] of views) if (name === shown) view.onStatus?.(status);
}

/** @param {string[]} texts */
function warn(texts) {
  const all = texts.join("\n");
  if (all === said) return;
  said = all;
  problems.hidden = texts.length === 0;
  fill(problems, texts.map((text) => h("p", {}, capital(text))));
}

/** @param {NodeEvent} event */
function onEvent(event) {
  if (event.type === "download_complete") tell(`Finished: ${event.path.split(/[/\\]/).pop()}`);
  else if (event.type === "download_changed" && event.state === "failed") tell(`A download failed: ${event.reason ?? "no reason is known"}`, true);
  else if (event.type === "hub_down") tell(`The hub is lost: ${event.reason}`, true);
  else if (event.type === "source_banned") tell("A source sent wrong bytes and is not asked again");
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape" && !one("dialog[open]")) one("g-" + shown + " .side:not([hidden]) .close")?.click();
  // A dialog that has closed may keep the focus until the page is drawn again.
  if (event.altKey || event.ctrlKey || event.metaKey || target.closest("input, textarea, select, dialog[open]")) return;
  const part = PARTS[Number(event.key) - 1];
  if (part) location.hash = part;
  else if (event.key === "/") {
    location.hash = "search";
    views.get("search")?.enter?.();
  } else if (event.key === "?") /** @type {HTMLDialogElement} */ (one("#keys")).showModal();
  else return;
  event.preventDefault();
}

addEventListener("locked", () => {
  fill(main, h("div", { class: "empty locked" }, icon("settings"), h("h1", {}, "This browser has not been let in"),
    h("p", {}, "Type ", h("code", {}, "gannet open"), " in a terminal: it opens this page with a link that works once.")));
}, { once: true });

build();
addEventListener("hashchange", route);
addEventListener("keydown", onKey);
route();
performance.mark("ready");
void look();
follow("/events", (kind, data) => { if (kind === "event") onEvent(data); }, () => {});
