// Elements and words. Texts of strangers become text nodes, never markup.

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";
/** A little longer than what is told once a second takes to come. */
const ALONE_MS = 1200;

/** Sets attributes and, for names with on, listeners.
 * @param {Element} element @param {Record<string, any>} props */
function set(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
}

/** Makes an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Record<string, any>} [props] @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]} */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  set(element, props);
  fill(element, ...children);
  return element;
}

/** Makes an SVG element.
 * @param {string} tag @param {Record<string, any>} [props] @param {...(Child | Child[])} children */
export function s(tag, props = {}, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  set(element, props);
  fill(element, ...children);
  return element;
}

/** Replaces what is in an element.
 * @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  const nodes = children.flat().filter((child) => child != null && child !== false);
  element.replaceChildren(.../** @type {(Node | string)[]} */ (nodes.map((node) => (typeof node === "number" ? String(node) : node))));
  return element;
}

/** Changes a text only if it is another.
 * @param {Node} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Changes an attribute only if it is another: what is set to what it was costs style and paint again.
 * @param {Element} element @param {string} name @param {string | number} value */
export function put(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** What the next frame draws. */
const undrawn = new Set();
let frame = 0;
let alone = 0;

function drawAll() {
  clearTimeout(alone);
  alone = 0;
  try {
    // What is added on the way is drawn, too.
    for (const what of undrawn) {
      undrawn.delete(what);
      what();
    }
  } finally {
    frame = 0;
  }
}

/** Draws with the next frame, however often this is asked.
 * @param {() => void} what */
export function draw(what) {
  undrawn.add(what);
  frame ||= requestAnimationFrame(drawAll);
}

/** Draws together with what is drawn next, or alone somewhat later: each frame costs
 * more than what is drawn in it.
 * @param {() => void} what */
export function drawAlong(what) {
  undrawn.add(what);
  if (!frame && !alone) alone = setTimeout(() => (frame ||= requestAnimationFrame(drawAll)), ALONE_MS);
}

/** Makes an element hold this, and touches only what is other than before. Listeners stay
 * as they are: what is in it may have none.
 * @param {Element} element @param {...(Child | Child[])} children */
export function renew(element, ...children) {
  become(element, fill(document.createElement("div"), ...children));
}

/** @param {Element} old @param {Element} fresh */
function become(old, fresh) {
  const [before, now] = [[...old.childNodes], [...fresh.childNodes]];
  for (const [at, node] of now.entries()) {
    const there = before[at];
    if (!there) old.append(node);
    else if (there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (!(there instanceof Element && node instanceof Element)) say(there, node.textContent ?? "");
    else {
      for (const name of there.getAttributeNames()) if (!node.hasAttribute(name)) there.removeAttribute(name);
      for (const name of node.getAttributeNames()) put(there, name, node.getAttribute(name) ?? "");
      become(there, node);
    }
  }
  for (const node of before.slice(now.length)) node.remove();
}

/** @param {string} selector @returns {HTMLElement} */
export const one = (selector) => /** @type {HTMLElement} */ (document.querySelector(selector));

/** @type {Record<string, string>} */
const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  downloads: "M12 3v12m-5-5 5 5 5-5M4 20h16",
  library: "M4 5h6l2 3h8v11H4z",
  network: "M12 4v5m0 0-6 8m6-8 6 8M12 4h.01M5 19h2m10 0h2M12 9h.01",
  settings: "M4 7h9m5 0h2M4 17h3m5 0h8M15.500 4.500v5M9.500 14.500v5",
  pause: "M8 5v14M16 5v14",
  resume: "M7 4l13 8-13 8z",
  cancel: "M6 6l12 12M18 6 6 18",
  star: "M12 4l2.500 5.200 5.700.700-4.200 3.900 1.100 5.700L12 16.700 6.900 19.500 8 13.800 3.800 9.900l5.700-.700z",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  audio: "M9 18V6l11-2v12M9 18a3 3 0 1 1-6 0 3 3 0 0 1 6 0zm11-2a3 3 0 1 1-6 0 3 3 0 0 1 6 0z",
  video: "M3 6h12v12H3zM15 10l6-3v10l-6-3",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  document: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  archive: "M4 4h16v5H4zM5 9v11h14V9M10 13h4",
  program: "M3 5h18v14H3zM7 10l3 2-3 2M13 14h4",
  other: "M6 3h8l4 4v14H6zM14 3v4h4",
  check: "M4 12l5 5L20 6",
  up: "M12 20V5m-6 6 6-6 6 6",
};

/** A drawing that says nothing by itself. @param {string} name */
export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: ICONS[name] ?? ICONS.other }));
}

/** A button with an icon; its name is for those who do not see it.
 * @param {string} name @param {string} label @param {(event: MouseEvent) => void} onclick
 * @param {Record<string, any>} [more] */
export function iconButton(name, label, onclick, more = {}) {
  return h("button", { type: "button", class: "bare", "aria-label": label, title: label, onclick, ...more }, icon(name));
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes == null) return "unknown";
  let unit = 0;
  let value = bytes;
  for (; value >= 999.5 && unit < UNITS.length - 1; unit += 1) value /= 1000;
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** @param {number} bytes */
export const rate = (bytes) => (bytes > 0 ? `${size(bytes)}/s` : "");

/** @param {number | null | undefined} seconds */
export function span(seconds) {
  if (seconds == null) return "";
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return seconds < 8640000 ? `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h` : "very long";
}

/** @param {number} count @param {string} what */
export const count = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** The beginning of an id, as the command line shows it. @param {string} id */
export const short = (id) => id.slice(0, 10);

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Says something to everybody, in sight and to screen readers.
 * @param {string} text @param {boolean} [bad] */
export function tell(text, bad = false) {
  const note = h("p", { class: bad ? "note bad" : "note" }, text);
  one("#notes").append(note);
  setTimeout(() => note.remove(), bad ? 9000 : 4500);
}

/** Does something, and says what came of it, or why not.
 * @param {() => Promise<unknown>} what @param {string} [done] */
export async function attempt(what, done) {
  try {
    await what();
    if (done) tell(done);
  } catch (error) {
    tell(capital(/** @type {Error} */ (error).message), true);
  }
}

/** @param {string} text @param {string} what */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    tell(`${what} copied`);
  } catch {
    prompt(`${what}:`, text);
  }
}

/** Facts as a list of terms. @param {[string, Child][]} facts */
export function facts(facts) {
  const known = facts.filter(([, value]) => value != null && value !== "" && value !== false);
  return h("dl", { class: "facts" }, known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A set of buttons of which one is pressed.
 * @param {string} label @param {[string, string][]} choices @param {(choice: string) => void} onchoose */
export function chips(label, choices, onchoose) {
  const group = h("div", { class: "chips", role: "group", "aria-label": label });
  for (const [value, text] of choices) {
    group.append(h("button", { type: "button", "aria-pressed": String(value === choices[0][0]), "data-value": value, onclick: () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (other).dataset.value === value));
      onchoose(value);
    } }, text));
  }
  return group;
}

/** How much of each part is here, drawn. */
export function pieceMap() {
  const some = s("path", { class: "some" });
  const all = s("path", { class: "all" });
  const map = s("svg", { class: "pieces", viewBox: "0 0 64 1", preserveAspectRatio: "none", "aria-hidden": "true" }, some, all);
  /** @param {string} pieces */
  const show = (pieces) => {
    let [part, whole] = ["", ""];
    for (let at = 0; at < pieces.length; at += 1) {
      const digit = pieces[at];
      let end = at + 1;
      while (digit === "f" && pieces[end] === "f") end += 1;
      if (digit === "f") whole += `M${at} 0h${end - at}v1H${at}z`;
      else if (digit !== "0") part += `M${at} 0h1v1H${at}z`;
      at = end - 1;
    }
    put(some, "d", part);
    put(all, "d", whole);
  };
  return { map, show };
}
