/** Spectrograms of clips, under their outlines: shown for all sounds or for none, as the user likes. */

import { getFile, isAbort } from "../lib/api.js";
import { find, make } from "../lib/dom.js";
import { lengthOf, shareOf } from "../lib/span.js";
import { readText, writeText } from "../lib/storage.js";
import { whenVisible } from "./waveforms.js";

/** @import { Span } from "../lib/span.js" */
/** @import { Outline } from "./outline.js" */
/** @typedef {{picture: HTMLImageElement, span: Span}} Drawing */

const STORED_AS = "spectrograms"; // "on"
const WIDTHS = [400, 800, 1600]; // pixels: few, so that the service need not draw each anew
const HEIGHT = 160; // pixels
const DELAY_MS = 250; // what is in view for less is not read
const MAX_SCALE = 1000; // a picture is drawn no larger than so many times the view
const LABELS = [500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]; // Hz

let isShown = readText("localStorage", STORED_AS) === "on";

export function start() {
  find("spectrograms").addEventListener("click", toggleSpectrograms);
  apply();
}

export function toggleSpectrograms() {
  isShown = !isShown;
  writeText("localStorage", STORED_AS, isShown ? "on" : "");
  apply();
  for (const track of document.querySelectorAll(".track")) track.dispatchEvent(new Event("view"));
}

function apply() {
  document.body.classList.toggle("spectral", isShown);
  find("spectrograms").setAttribute("aria-pressed", String(isShown));
}

/** Where a frequency is drawn: 0 at the bottom, 1 at half the sample rate. @param {number} hertz
 * @param {number} sampleRate */
const height = (hertz, sampleRate) => Math.log1p(hertz / 700) / Math.log1p(sampleRate / 1400);

/** Hertz as 500 or as 2k. @param {number} hertz */
const short = (hertz) => (hertz < 1000 ? String(hertz) : `${hertz / 1000}k`);

export class Spectrogram {
  #outline;
  #address;
  #isAwaited = false; // until it is in view
  /** @type {Drawing | null} */
  #whole = null;
  /** @type {Drawing | null} */
  #close = null; // of a stretch
  #reading = new AbortController();

  /** @param {Outline} outline that it is under @param {string} address @param {number} sampleRate Hz */
  constructor(outline, address, sampleRate) {
    this.#outline = outline;
    this.#address = address;
    this.pictures = make("div", {
      role: "img", "aria-label": `Spectrogram of ${outline.title}, up to ${short(sampleRate / 2)} Hz`,
    });
    this.note = make("p", { class: "quiet" });
    this.node = make("div", { class: "spectrogram" }, this.pictures, this.note,
      ...LABELS.filter((hertz) => hertz < 0.48 * sampleRate).map((hertz) => {
        const label = make("span", { "aria-hidden": true }, short(hertz));
        label.style.insetBlockEnd = `${100 * height(hertz, sampleRate)}%`;
        return label;
      }));
    outline.svg.after(this.node);
    outline.node.addEventListener("view", () => this.#draw());
    this.#draw();
  }

  /** Draw what is there, and read what is not, once it is in view. */
  #draw() {
    if (!isShown) return this.#reading.abort();
    for (const drawing of [this.#whole, this.#close]) if (drawing) this.#place(drawing);
    if (this.#isAwaited) return;
    this.#isAwaited = true;
    whenVisible(this.#outline.node, () => {
      this.#isAwaited = false;
      this.#read();
    });
  }

  /** @param {Drawing} drawing */
  #place({ picture, span }) {
    const { view } = this.#outline;
    const scale = lengthOf(span) / lengthOf(view);
    picture.hidden = scale > MAX_SCALE;
    picture.style.insetInlineStart = `${100 * shareOf(view, span.start)}%`;
    picture.style.inlineSize = `${100 * scale}%`;
  }

  async #read() {
    const { view, isZoomed, duration, node } = this.#outline;
    const known = isZoomed ? this.#close : this.#whole;
    this.#reading.abort();
    if (!isShown || !duration || (known?.span.start === view.start && known.span.end === view.end)) return;
    const { signal } = (this.#reading = new AbortController());
    try {
      await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
      if (signal.aborted || !node.isConnected) return;
      const width = WIDTHS.find((pixels) => pixels >= node.clientWidth) ?? 1600;
      const stretch = isZoomed ? `&start=${view.start}&end=${view.end}` : "";
      const { url } = await getFile(`${this.#address}?width=${width}&height=${HEIGHT}${stretch}`, signal);
      const picture = make("img", { src: url, alt: "" });
      await picture.decode().finally(() => URL.revokeObjectURL(url));
      if (!signal.aborted) this.#show({ picture, span: { ...view } }, isZoomed);
    } catch (error) {
      if (!isAbort(error)) this.note.textContent = "The spectrogram cannot be read.";
    }
  }

  /** @param {Drawing} drawing @param {boolean} isClose */
  #show(drawing, isClose) {
    if (isClose) this.#close = drawing;
    else [this.#whole, this.#close] = [drawing, null];
    this.#place(drawing);
    this.note.textContent = "";
    this.pictures.replaceChildren(...[this.#whole, this.#close].flatMap((one) => one?.picture ?? []));
  }
}
