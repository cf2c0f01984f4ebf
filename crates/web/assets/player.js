// Looking at a file, whole or still coming, without leaving the page.

import { fill, h, iconButton, one } from "./dom.js";

const SOUND = /\.(mp3|m4a|aac|flac|ogg|oga|opus|wav)$/i;
const FILM = /\.(mp4|m4v|webm|ogv|mov|mkv)$/i;
const PICTURE = /\.(png|jpe?g|gif|webp|avif|bmp)$/i;
const TEXT = /\.(txt|md|log|csv|json|nfo|srt|toml|ya?ml)$/i;
const TEXT_BYTES = 65536;

/** @param {string} name */
export const isPlayable = (name) => SOUND.test(name) || FILM.test(name);

/** @param {string} name */
export const isViewable = (name) => isPlayable(name) || PICTURE.test(name) || TEXT.test(name);

/** Where the bytes of a content are. @param {string} content @param {string} name */
export const address = (content, name) => `/api/v1/contents/${content}?name=${encodeURIComponent(name)}`;

/** Opens a content. @param {string} content @param {string} name */
export function play(content, name) {
  const src = address(content, name);
  const says = h("p", { role: "status" });
  /** @type {HTMLElement} */
  let shown;
  if (SOUND.test(name) || FILM.test(name)) {
    const media = h(SOUND.test(name) ? "audio" : "video", { controls: true, src, "aria-label": name });
    media.addEventListener("error", () => { says.textContent = media.error?.message || "The browser cannot play this."; });
    media.addEventListener("waiting", () => { says.textContent = "Waiting for this part to come…"; });
    media.addEventListener("playing", () => { says.textContent = ""; });
    // A user's click is behind it; if the browser still minds, there is the button.
    media.play().catch(() => {});
    shown = media;
  } else if (PICTURE.test(name)) {
    shown = h("img", { src, alt: name });
  } else {
    shown = h("pre", { tabindex: 0 }, "…");
    void fetch(src, { headers: { Range: `bytes=0-${TEXT_BYTES - 1}` } }).then(async (answer) => {
      shown.textContent = answer.ok ? await answer.text() : "It cannot be read.";
    });
  }
  const dialog = /** @type {HTMLDialogElement} */ (one("#viewer"));
  const close = () => dialog.close();
  fill(dialog, h("header", {}, h("h2", {}, name), iconButton("cancel", "Close", close)), shown, says,
    h("p", {}, h("a", { href: src, download: name, class: "button" }, "Save a copy")));
  dialog.addEventListener("close", () => {
    // So that nothing goes on asking for its bytes.
    if (shown instanceof HTMLMediaElement) {
      shown.pause();
      shown.removeAttribute("src");
      shown.load();
    }
    fill(dialog);
  }, { once: true });
  dialog.showModal();
}
