/** The outline of a sound that is not the library's: decoded here, in slices. */

const RATE = 22_050; // Hz
const MOST_BYTES = 60e6; // larger ones would fill the memory
const SLICE = 500_000; // samples between breaths, for the page to stay responsive

/** `points` pairs [least, greatest] from -127 to 127, and seconds; null where it cannot be read. */
export async function outlineOf(file, points) {
  if (file.size > MOST_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, RATE);
    const sound = await context.decodeAudioData(await file.arrayBuffer());
    return { peaks: await peaks(sound, points), duration: sound.duration };
  } catch {
    return null;
  }
}

async function peaks(sound, points) {
  const samples = new Float32Array(Math.max(1, Math.ceil(sound.length / points)));
  const found = [];
  let unbroken = 0;
  for (let point = 0; point < points; point += 1) {
    const from = Math.floor(point * sound.length / points);
    const count = Math.max(1, Math.floor((point + 1) * sound.length / points) - from);
    let [low, high] = [0, 0];
    for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
      sound.copyFromChannel(samples, channel, from);
      for (let place = 0; place < count; place += 1) {
        if (samples[place] < low) low = samples[place];
        else if (samples[place] > high) high = samples[place];
      }
    }
    found.push([Math.max(-127, 127 * low), Math.min(127, 127 * high)]);
    if ((unbroken += count * sound.numberOfChannels) > SLICE) {
      unbroken = 0;
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
  return found;
}
