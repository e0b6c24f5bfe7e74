/**
 * Uploads with progress. They use XMLHttpRequest, since fetch does not report how much of a body
 * has been sent.
 */

import { ServiceError, problem } from "./api.js";
import { authorization } from "./api-key.js";
import { EventStream, parseJson } from "./event-stream.js";

/** @typedef {{sent?: number, seconds?: number}} Progress share sent; seconds of sound analysed */

/** A form of these fields; lists become repeated ones.
 * @param {Record<string, any>} fields values: texts, files, or lists of these */
export function formData(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const item of [value].flat()) body.append(name, item);
  }
  return body;
}

/**
 * Post a form, and return the answer. Throws ServiceError, and AbortError once `signal` aborts.
 *
 * @param {string} address
 * @param {Record<string, any>} fields
 * @param {{signal: AbortSignal, onProgress: (progress: Progress) => void}} options
 * @returns {Promise<any>}
 */
export function upload(address, fields, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const stream = new EventStream();
    call.open("POST", address);
    call.setRequestHeader("Accept", "text/event-stream");
    for (const [name, value] of Object.entries(authorization())) call.setRequestHeader(name, value);
    const readEvents = () => {
      for (const { event, data } of stream.read(call.responseText)) {
        if (event === "progress") onProgress(data);
        if (event === "result") resolve(data);
        if (event === "problem") reject(problem(data.status, data));
      }
    };
    call.upload.onprogress = ({ loaded, total }) => onProgress({ sent: loaded / total });
    call.onprogress = readEvents;
    call.onload = () => {
      if (call.status === 200) {
        readEvents();
        reject(unreachable()); // no effect after a result
      } else {
        reject(problem(call.status, parseJson(call.responseText), call.getResponseHeader("Retry-After")));
      }
    };
    call.onerror = () => reject(unreachable());
    signal.addEventListener("abort", () => {
      call.abort();
      reject(new DOMException("cancelled", "AbortError"));
    });
    call.send(formData(fields));
  });
}

const unreachable = () => new ServiceError("The service cannot be reached.",
  "Check that it is running and that you are connected. The sound is still here.", true);
