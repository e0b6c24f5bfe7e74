/** The API key: kept until the tab is closed, or as long as the page where storage is refused. */

import { readText, writeText } from "./storage.js";

const NAME = "earmark-key";
const NAME_READING = "earmark-key-reads"; // "yes" once reading was refused without a key
let key = readText("sessionStorage", NAME) ?? "";
let reads = readText("sessionStorage", NAME_READING) === "yes";

export const currentKey = () => key;

/** Whether nothing can be read without the key: addresses alone lead nowhere. */
export const readsWithKey = () => reads && key !== "";

/** @param {string} text empty: forget the key */
export function setKey(text) {
  key = text;
  writeText("sessionStorage", NAME, text);
}

/** @param {string} text a key that is needed to read */
export function setReadingKey(text) {
  reads = true;
  writeText("sessionStorage", NAME_READING, "yes");
  setKey(text);
}

/** The request header that carries the key, if there is one. @returns {Record<string, string>} */
export const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});
