/**
 * Links that save a file. They can be dragged to a program of the desktop; where reading needs a
 * key, which a link cannot send, the page reads the file, and nothing can be dragged.
 */

import { getFile } from "../lib/api.js";
import { readsWithKey } from "../lib/api-key.js";
import { find, make, showError } from "../lib/dom.js";

const KEPT_MS = 60_000; // in which the browser takes what the page has read

/** @type {{href: string, type: string, name: string} | null} */
let pressed = null; // the link that may be dragged, and what it leads to

export function start() {
  document.addEventListener("pointerdown", look);
  document.addEventListener("dragstart", carry);
  document.addEventListener("click", save);
}

/** @param {Event} event */
const linkOf = ({ target }) => (target instanceof Element ? target.closest("a") : null);

/** The file's name, as the service says. @param {Headers} headers */
function nameOf(headers) {
  const disposition = headers.get("Content-Disposition") ?? "";
  const [, encoded] = disposition.match(/filename\*=utf-8''([^;]+)/i) ?? [];
  const [, plain] = disposition.match(/filename="([^"]+)"/) ?? [];
  return encoded ? decodeURIComponent(encoded) : plain ?? "sound";
}

/** Ask what a link leads to, in case that it is dragged. @param {PointerEvent} event */
async function look(event) {
  pressed = null;
  const link = linkOf(event);
  if (!link?.hasAttribute("download") || event.button || event.pointerType === "touch" || readsWithKey()) return;
  const { href } = link;
  const { ok, headers } = await fetch(href, { method: "HEAD" }).catch(() => Response.error());
  if (ok) pressed = { href, type: headers.get("Content-Type") ?? "", name: nameOf(headers) };
}

/** @param {DragEvent} event */
function carry(event) {
  const link = linkOf(event);
  if (!link?.hasAttribute("download") || !event.dataTransfer) return;
  if (readsWithKey()) return event.preventDefault();
  event.dataTransfer.effectAllowed = "copy";
  event.dataTransfer.setData("text/uri-list", link.href);
  event.dataTransfer.setData("text/plain", link.href);
  if (pressed?.href !== link.href) return;
  const type = pressed.type.split(";")[0];
  event.dataTransfer.setData("DownloadURL", `${type}:${pressed.name}:${link.href}`); // of Chromium
}

/** @param {Event} event */
async function save(event) {
  const link = linkOf(event);
  if (!link?.hasAttribute("download") || link.protocol === "blob:" || !readsWithKey()) return;
  event.preventDefault();
  try {
    const { url, headers } = await getFile(link.href);
    make("a", { href: url, download: nameOf(headers) }).click();
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  } catch (error) {
    showError(find("page-problem"), error, () => link.click());
  }
}
