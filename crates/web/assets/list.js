// A long list of which only the rows in sight exist.

import { draw, h, put, s } from "./dom.js";

let lists = 0;

/** @typedef {{name: string, label: string, sorts?: boolean}} Column */

/** A grid with one tab stop; arrows move the selection.
 * @template T */
export class List extends HTMLElement {
  /** @type {T[]} */
  items = [];
  /** @type {Column[]} */
  columns = [];
  /** @type {(item: T) => unknown} */
  key = (item) => item;
  /** @type {(item: T) => unknown} Changes when an item has to be drawn again. */
  version = (item) => item;
  /** Makes the cells of a row, and what shows an item in them.
   * @type {() => {cells: Node[], show: (item: T) => void}} */
  make = () => ({ cells: [], show: () => {} });
  /** @type {(name: string) => void} */
  onsort = () => {};
  /** @type {(item: T | undefined) => void} */
  onchoose = () => {};
  /** @type {(item: T) => void} */
  onopen = () => {};
  /** @type {(key: string, item: T) => boolean} Whether a key meant something. */
  onpress = () => false;
  /** @type {unknown} */
  selected = undefined;
  /** @type {{element: HTMLElement, show: (item: T) => void, item?: T, version?: unknown, index: number}[]} */
  pool = [];
  number = ++lists;
  rowHeight = 0;
  /** As last measured: asking again while drawing would lay the page out twice. */
  height = 0;
  top = 0;
  body = h("div", { class: "rows", role: "rowgroup" });
  head = h("div", { class: "row head", role: "row", "aria-rowindex": 1 });

  connectedCallback() {
    if (this.head.parentNode) return;
    this.setAttribute("role", "grid");
    this.tabIndex = 0;
    for (const column of this.columns) {
      const cell = h("div", { class: `cell ${column.name}`, role: "columnheader" });
      if (column.sorts) {
        cell.setAttribute("aria-sort", "none");
        cell.append(h("button", { type: "button", tabindex: -1, onclick: () => this.onsort(column.name) }, column.label,
          s("svg", { class: "arrow", viewBox: "0 0 8 8", "aria-hidden": "true" }, s("path", { d: "M1 3l3 3 3-3" }))));
      } else {
        cell.append(h("span", { class: column.label ? "" : "unseen" }, column.label || "Actions"));
      }
      this.head.append(cell);
    }
    this.append(h("div", { role: "rowgroup", class: "heads" }, this.head), this.body);
    this.addEventListener("scroll", () => {
      this.top = this.scrollTop;
      this.draw();
    }, { passive: true });
    this.addEventListener("keydown", (event) => this.onKey(event));
    this.addEventListener("click", (event) => this.onClick(event, false));
    this.addEventListener("dblclick", (event) => this.onClick(event, true));
    new ResizeObserver(() => {
      this.rowHeight = 0;
      [this.height, this.top] = [this.clientHeight, this.scrollTop];
      this.draw();
    }).observe(this);
  }

  /** Shows which column the list is sorted by.
   * @param {string} name @param {boolean} down */
  showSort(name, down) {
    for (const [at, cell] of [...this.head.children].entries()) {
      if (!this.columns[at].sorts) continue;
      const mine = this.columns[at].name === name;
      put(cell, "aria-sort", mine ? (down ? "descending" : "ascending") : "none");
    }
  }

  /** @param {T[]} items */
  setItems(items) {
    this.items = items;
    put(this, "aria-rowcount", items.length + 1);
    this.draw();
  }

  /** Draws with the next frame, once. */
  draw() {
    draw(this.drawNow);
  }

  drawNow = () => {
    if (!this.height) this.height = this.clientHeight;
    if (!this.height) return;
    if (!this.rowHeight) this.rowHeight = parseFloat(getComputedStyle(this).getPropertyValue("--row")) || 48;
    const row = this.rowHeight;
    this.stretch();
    const first = Math.max(0, Math.min(Math.floor(this.top / row), this.items.length - Math.floor(this.height / row)) - 2);
    const last = Math.min(this.items.length, first + Math.ceil(this.height / row) + 5);
    while (this.pool.length < last - first) this.addRow();
    const size = this.pool.length;
    let active = "";
    const seen = new Set();
    for (let index = first; index < last; index += 1) {
      const slot = this.pool[index % size];
      seen.add(slot);
      const item = this.items[index];
      const { element } = slot;
      const version = this.version(item);
      if (slot.item !== item || slot.version !== version) {
        slot.show(item);
        slot.item = item;
        slot.version = version;
      }
      if (slot.index !== index) {
        slot.index = index;
        element.style.transform = `translateY(${index * row}px)`;
        element.setAttribute("aria-rowindex", String(index + 2));
      }
      element.hidden = false;
      const mine = this.key(item) === this.selected;
      if (mine) active = element.id;
      put(element, "aria-selected", String(mine));
    }
    for (const slot of this.pool) if (!seen.has(slot)) slot.element.hidden = true;
    if (active) put(this, "aria-activedescendant", active);
    else this.removeAttribute("aria-activedescendant");
  };

  /** Gives the rows the room of all items. */
  stretch() {
    this.body.style.height = `${this.items.length * (this.rowHeight || 48)}px`;
  }

  addRow() {
    const { cells, show } = this.make();
    const element = h("div", { class: "row", role: "row", id: `row-${this.number}-${this.pool.length}`, "aria-selected": "false" });
    for (const [at, content] of cells.entries()) {
      element.append(h("div", { class: `cell ${this.columns[at].name}`, role: "gridcell" }, content));
    }
    this.pool.push({ element, show, index: -1 });
    this.body.append(element);
    // Every row may have another place now.
    for (const slot of this.pool) slot.index = -1;
  }

  /** @param {T} [item] */
  select(item) {
    this.selected = item === undefined ? undefined : this.key(item);
    this.draw();
    this.onchoose(item);
  }

  /** The item of an event's row. @param {Event} event @returns {T | undefined} */
  itemAt(event) {
    const element = /** @type {Element} */ (event.target).closest(".row");
    return this.pool.find((slot) => slot.element === element)?.item;
  }

  /** @param {Event} event @param {boolean} opens */
  onClick(event, opens) {
    if (/** @type {Element} */ (event.target).closest("button, a")) return;
    const item = this.itemAt(event);
    if (item === undefined) return;
    if (opens) this.onopen(item);
    else this.select(item);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== this) return;
    const at = this.items.findIndex((item) => this.key(item) === this.selected);
    const page = Math.max(1, Math.floor(this.clientHeight / (this.rowHeight || 48)) - 2);
    /** @type {Record<string, number>} */
    const moves = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.items.length - 1 };
    if (event.key in moves && this.items.length) {
      const to = Math.min(this.items.length - 1, Math.max(0, moves[event.key]));
      this.reveal(to);
      this.select(this.items[to]);
    } else if (at >= 0 && event.key === "Enter") {
      this.onopen(this.items[at]);
    } else if (at < 0 || !this.onpress(event.key, this.items[at])) {
      return;
    }
    event.preventDefault();
  }

  /** Scrolls until a row is in sight. @param {number} index */
  reveal(index) {
    const row = this.rowHeight || 48;
    // Items may have come since the last frame: nothing scrolls into room that is not there yet.
    this.stretch();
    const head = this.head.offsetHeight;
    const room = this.clientHeight - head;
    if (index * row < this.scrollTop) this.scrollTo(0, index * row);
    else if ((index + 1) * row > this.scrollTop + room) this.scrollTo(0, (index + 1) * row - room);
  }
}
customElements.define("g-list", List);

/** A list of this kind of items, ready to be filled.
 * @template T @param {string} label
 * @param {Partial<Pick<List<T>, "columns" | "key" | "make" | "version" | "onsort" | "onchoose" | "onopen" | "onpress">>} how
 * @returns {List<T>} */
export function list(label, how) {
  const made = /** @type {List<T>} */ (new List());
  Object.assign(made, how);
  made.setAttribute("aria-label", label);
  return made;
}
