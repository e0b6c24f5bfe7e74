/** Waveforms: peaks of a file, decoded in the browser, and their outline as an SVG path. */

/** @typedef {[number, number]} Peak least and greatest value, from -127 to 127 */

const SAMPLE_RATE = 22_050; // Hz
const MAX_BYTES = 60e6; // larger files would fill the memory
const SLICE = 500_000; // samples between pauses that keep the page responsive
const FAINTEST = 8; // quieter sounds are drawn no larger than this makes them

/**
 * The peaks and the duration in seconds of an audio file; null where it cannot be decoded.
 *
 * @param {File} file
 * @param {number} points
 */
export async function waveformOfFile(file, points) {
  if (file.size > MAX_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, SAMPLE_RATE);
    const sound = await context.decodeAudioData(await file.arrayBuffer());
    return { peaks: await peaksOf(sound, points), duration: sound.duration };
  } catch {
    return null;
  }
}

/**
 * The extremes over all channels in `points` equal parts of a sound.
 *
 * @param {Pick<AudioBuffer, "length" | "numberOfChannels" | "copyFromChannel">} sound
 * @param {number} points
 * @returns {Promise<Peak[]>}
 */
export async function peaksOf(sound, points) {
  const samples = new Float32Array(Math.max(1, Math.ceil(sound.length / points)));
  /** @type {Peak[]} */
  const peaks = [];
  let sincePause = 0;
  for (let point = 0; point < points; point += 1) {
    const from = Math.floor(point * sound.length / points);
    const length = Math.max(1, Math.floor((point + 1) * sound.length / points) - from);
    let [low, high] = [0, 0];
    for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
      sound.copyFromChannel(samples, channel, from);
      for (let place = 0; place < length; place += 1) {
        if (samples[place] < low) low = samples[place];
        else if (samples[place] > high) high = samples[place];
      }
    }
    peaks.push([Math.max(-127, 127 * low), Math.min(127, 127 * high)]);
    if ((sincePause += length * sound.numberOfChannels) > SLICE) {
      sincePause = 0;
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  return peaks;
}

/** The outline of peaks as an SVG path: one unit a peak, 100 high. @param {Peak[]} peaks */
export function outlinePath(peaks) {
  const loudest = Math.max(FAINTEST, ...peaks.flat().map(Math.abs));
  /** @param {0 | 1} side @param {number} margin */
  const line = (side, margin) => peaks.map((peak, x) => `${x} ${50 * (1 - peak[side] / loudest) + margin}`);
  return `M${[...line(1, -0.7), ...line(0, 0.7).reverse()].join("L")}Z`;
}
