/** The page: views, chosen by the address. `?q=…` finds sounds, `#tag` tags one, and so on. */

import { askForKey } from "./components/api-key-form.js";
import * as downloads from "./components/downloads.js";
import { pause } from "./components/player.js";
import * as spectrogram from "./components/spectrogram.js";
import { getModel, reading } from "./lib/api.js";
import { find } from "./lib/dom.js";
import * as classify from "./views/classify.js";
import * as searching from "./views/find.js";
import * as library from "./views/library.js";
import * as map from "./views/map.js";
import * as review from "./views/review.js";
import * as tag from "./views/tag.js";

/**
 * A view is a section with its name as id, and a module.
 *
 * @typedef {object} View
 * @property {(go: (address: string) => void) => void} start called once
 * @property {() => void} show called whenever the address leads to it
 * @property {() => void} [hide] called when the address leads elsewhere
 * @property {string} [title] of the page
 * @property {string | (() => string)} focus id of what gets the focus when a link leads there
 */

/** @type {Record<string, View>} */
const VIEWS = { find: searching, tag, classify, map, review, library };
const READING = "Reading this library needs an API key. The operator of the service can give you one.";
let current = "";

const viewOfAddress = () => {
  const name = location.hash.slice(1);
  return name in VIEWS ? name : "find";
};

function showView() {
  const name = viewOfAddress();
  if (current !== name) {
    pause();
    VIEWS[current]?.hide?.();
    for (const other of Object.keys(VIEWS)) {
      find(other).hidden = other !== name;
      if (other === name) find(`to-${other}`).setAttribute("aria-current", "page");
      else find(`to-${other}`).removeAttribute("aria-current");
    }
    document.body.dataset.view = name;
    current = name;
  }
  if (VIEWS[name].title) document.title = `${VIEWS[name].title} – Earmark`;
  VIEWS[name].show();
}

/** Lead to an address of this page. @param {string} address */
function go(address) {
  if (new URL(address, location.href).href !== location.href) history.pushState(null, "", address);
  showView();
}

/** Follow links within the page; other links, and new tabs, are left to the browser.
 * @param {MouseEvent} event */
function followLink(event) {
  const link = event.target instanceof Element ? event.target.closest("a[data-go]") : null;
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href") ?? "");
  scrollTo(0, 0);
  const { focus } = VIEWS[current];
  find(typeof focus === "function" ? focus() : focus).focus({ preventScroll: true });
}

async function showModel() {
  const { name, vocabulary } = await getModel();
  find("model").textContent = `Model: ${name}, ${vocabulary} tags`;
}

reading.askForKey = () => askForKey(find("page-problem"), READING);
downloads.start();
spectrogram.start();
document.addEventListener("click", followLink);
addEventListener("popstate", showView);
for (const view of Object.values(VIEWS)) view.start(go);
showView();
showModel().catch(() => {}); // the view shows what is wrong
