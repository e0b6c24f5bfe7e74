/** The API key: kept until the tab is closed, or as long as the page where storage is refused. */

import { readText, writeText } from "./storage.js";

const NAME = "earmark-key";
let key = readText("sessionStorage", NAME) ?? "";

export const currentKey = () => key;

/** @param {string} text empty: forget the key */
export function setKey(text) {
  key = text;
  writeText("sessionStorage", NAME, text);
}

/** The request header that carries the key, if there is one. @returns {Record<string, string>} */
export const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});
