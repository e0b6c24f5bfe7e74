/** The page: two views, chosen by the address. `?q=…` finds sounds, `#tag` tags one. */

import * as api from "./api.js";
import { find } from "./dom.js";
import { pause } from "./player.js";
import * as searching from "./search.js";
import * as tagging from "./tagging.js";

function showView() {
  const name = location.hash === "#tag" ? "tag" : "find";
  if (find(name).hidden) pause();
  for (const each of ["find", "tag"]) {
    find(each).hidden = each !== name;
    if (each === name) find(`to-${each}`).setAttribute("aria-current", "page");
    else find(`to-${each}`).removeAttribute("aria-current");
  }
  if (name === "find") searching.showAddress();
  else document.title = "Tag a sound – Earmark";
}

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
  const target = location.hash ? "file" : location.search ? "found" : "query";
  find(target).focus({ preventScroll: true });
}

async function showModel() {
  const { name, vocabulary } = await api.model();
  find("model").textContent = `Model: ${name}, ${vocabulary} tags`;
}

document.addEventListener("click", followLink);
addEventListener("popstate", showView);
searching.start();
tagging.start(() => go("#tag"));
showView();
showModel().catch(() => {}); // the searches will say what is wrong
