/**
 * The page: views, chosen by the address. `?q=…` finds sounds, `#tag` tags one, and so on.
 *
 * A view is a section of its name and a module: `start(go)` is called once, `show()` whenever the
 * address leads to it, `hide()` when it leads elsewhere; `title` names it, `focus` is the id of what
 * gets the focus when a link leads there.
 */

import * as api from "./lib/api.js";
import * as classify from "./views/classify.js";
import { find } from "./lib/dom.js";
import * as library from "./views/library.js";
import * as map from "./views/map.js";
import { pause } from "./components/player.js";
import * as searching from "./views/find.js";
import * as tag from "./views/tag.js";

const VIEWS = { find: searching, tag, classify, map, library };
let shown = "";

const viewOfAddress = () => {
  const name = location.hash.slice(1);
  return name in VIEWS ? name : "find";
};

function showView() {
  const name = viewOfAddress();
  if (shown !== name) {
    pause();
    VIEWS[shown]?.hide?.();
    for (const each of Object.keys(VIEWS)) {
      find(each).hidden = each !== name;
      if (each === name) find(`to-${each}`).setAttribute("aria-current", "page");
      else find(`to-${each}`).removeAttribute("aria-current");
    }
    document.body.dataset.view = name;
    shown = name;
  }
  if (VIEWS[name].title) document.title = `${VIEWS[name].title} – Earmark`;
  VIEWS[name].show();
}

/** Lead to an address of this page. */
function go(address) {
  if (new URL(address, location).href !== location.href) history.pushState(null, "", address);
  showView();
}

/** Follow links between views and to searches here; others, and new tabs, are the browser's. */
function followLink(event) {
  const link = event.target.closest("a[data-go]");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
  scrollTo(0, 0);
  const { focus } = VIEWS[shown];
  find(typeof focus === "function" ? focus() : focus)?.focus({ preventScroll: true });
}

async function showModel() {
  const { name, vocabulary } = await api.model();
  find("model").textContent = `Model: ${name}, ${vocabulary} tags`;
}

document.addEventListener("click", followLink);
addEventListener("popstate", showView);
for (const view of Object.values(VIEWS)) view.start(go);
showView();
showModel().catch(() => {}); // the searches will say what is wrong
