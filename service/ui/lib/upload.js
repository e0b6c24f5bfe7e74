/**
 * A sound sent to the service, and what it hears: how far that is, a way to stop it, the answer.
 *
 * XMLHttpRequest, since fetch does not tell how much of a body has been sent.
 */

import { Trouble, trouble } from "./api.js";
import { clock, make, size } from "./dom.js";
import { authorization } from "../components/api-key.js";

const SHOWN_AFTER_MS = 400; // shorter waits would only flicker

export const aborted = () => new DOMException("stopped", "AbortError");

/** The fields of a form; lists become repeated ones. */
export function form(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const each of [value].flat()) body.append(name, each);
  }
  return body;
}

/** The service's answer. `told`: {sent} from 0 to 1, then {seconds} heard. Throws Trouble. */
function listen(address, fields, { signal, told }) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const events = new Events();
    call.open("POST", address);
    call.setRequestHeader("Accept", "text/event-stream");
    for (const pair of Object.entries(authorization())) call.setRequestHeader(...pair);
    call.upload.onprogress = ({ loaded, total }) => told({ sent: loaded / total });
    call.onprogress = () => {
      for (const { event, data } of events.read(call.responseText)) {
        if (event === "progress") told(data);
        if (event === "result") resolve(data);
        if (event === "problem") reject(trouble({ ...data, headers: new Headers() }, data));
      }
    };
    call.onload = () => {
      if (call.status === 200) call.onprogress();
      const { status } = call;
      const headers = { get: (name) => call.getResponseHeader(name) };
      reject(status === 200 ? lost() : trouble({ status, headers }, parsed(call.responseText)));
    };
    call.onerror = () => reject(lost());
    signal.addEventListener("abort", () => {
      call.abort();
      reject(aborted());
    });
    call.send(form(fields));
  });
}

const lost = () => new Trouble("The service cannot be reached.",
  "Is it still running, and are you connected? The sound is still here.", true);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** Server-sent events, out of a text that grows. */
class Events {
  #read = 0;

  read(text) {
    const end = text.lastIndexOf("\r\n\r\n");
    const fresh = text.slice(this.#read, Math.max(this.#read, end));
    this.#read = Math.max(this.#read, end);
    return fresh.split("\r\n\r\n").map((block) => {
      const lines = block.trim().split("\r\n");
      const of = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      return { event: of("event"), data: parsed(of("data") ?? "") };
    });
  }
}

/** Listens to one sound at a time, and shows in `place` how far it is. */
export class Listener {
  #pending = new AbortController();
  #place;

  constructor(place) {
    this.#place = place;
  }

  stop() {
    this.#pending.abort();
  }

  #leave() {
    const focused = this.#place.contains(document.activeElement);
    this.#place.replaceChildren();
    if (focused) this.#place.focus();
  }

  /** The answer of the service that hears a sound of one's own. `slow` is called where it takes
   * a while. Throws Trouble, AbortError. */
  async ask(address, { file, control }, fields = {}, slow = () => {}) {
    this.stop();
    const pending = (this.#pending = new AbortController());
    const shown = new Shown(control, () => pending.abort());
    const timer = setTimeout(() => {
      this.#place.replaceChildren(shown.node);
      slow();
    }, SHOWN_AFTER_MS);
    try {
      return await listen(address, { ...fields, file },
        { signal: pending.signal, told: (far) => shown.tell(far) });
    } catch (error) {
      throw kinder(error);
    } finally {
      clearTimeout(timer);
      if (pending === this.#pending) this.#leave();
    }
  }
}

/** The service's limits, as people would say them. */
function kinder(error) {
  const [, bytes] = /at most (\d+) bytes/.exec(error.detail) ?? [];
  if (bytes) error.detail = `Up to ${size(Number(bytes))} can be sent. A part of it may do as well.`;
  const [, seconds] = /at most ([\d.]+) s of sound/.exec(error.detail) ?? [];
  if (seconds) {
    error.message = "This sound is too long.";
    error.detail = `Up to ${clock(Number(seconds))} can be heard. A part of it may do as well.`;
  }
  if (/at least .* of sound/.test(error.detail)) error.message = "This sound is too short.";
  return error;
}

/** How far it is, as people see it. */
class Shown {
  constructor(control, stop) {
    this.control = control; // which learns the length meanwhile
    this.text = make("span", { class: "number" }, "Sending…");
    this.bar = make("progress", { "aria-label": "Listening" });
    this.node = make("div", { class: "listening" }, this.text, this.bar,
      make("button", { type: "button", class: "plain", onclick: stop }, "Cancel"));
  }

  tell({ sent, seconds }) {
    if (sent !== undefined) {
      this.text.textContent = sent < 1 ? `Sending… ${Math.round(100 * sent)} %` : "Waiting its turn…";
      if (sent < 1) this.bar.value = sent;
      else this.bar.removeAttribute("value");
    }
    if (seconds === undefined) return;
    const { duration } = this.control;
    const heard = duration ? Math.min(seconds, duration) : seconds;
    this.text.textContent = `Listening… ${clock(heard)}${duration ? ` of ${clock(duration)}` : ""}`;
    if (duration) this.bar.value = heard / duration;
  }
}
