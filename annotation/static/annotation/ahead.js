/* Sheets fetched before they are needed, their pages built already, so that the next one stands at once. */

import { ask } from "./post.js";

/** @typedef {{id: number, html: string, element: HTMLElement}} Ready html: the sheet as it came, to build it anew */

/** @param {string} html a sheet's @returns {Ready} */
export function build(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const element = /** @type {HTMLElement} */ (template.content.querySelector("[data-item]"));
  document.adoptNode(element);
  return { id: Number(element.dataset.assignment), html, element };
}

/**
 * @param {{url: string, depth: number, shown: () => number[], token: (token: string|undefined) => void, arrived: () => void}} outside
 * shown: the assignments that the page has before it or on their way; arrived: one more sheet is ready
 */
export function startAhead({ url, depth, shown, token, arrived }) {
  /** @type {Ready[]} */
  let ready = [];
  /** @type {Promise<boolean>|null} */
  let filling = null;

  /** @returns {Promise<boolean>} */
  async function fetchMore() {
    while (ready.length < depth) {
      const held = ready.map((sheet) => sheet.id);
      const outcome = await ask(`${url}?shown=${shown().join()}&held=${held.join()}`, { accept: "text/html" });
      if (!("ok" in outcome)) return false;
      if (!outcome.html) return true;
      const sheet = build(outcome.html);
      token(/** @type {HTMLInputElement|null} */ (sheet.element.querySelector("[name=csrfmiddlewaretoken]"))?.value);
      if (ready.some((other) => other.id === sheet.id) || shown().includes(sheet.id)) continue;
      ready.push(sheet);
      arrived();
    }
    return true;
  }

  return {
    ids: () => ready.map((sheet) => sheet.id),
    /** @returns {Ready|undefined} */
    take: () => ready.shift(),
    /** @param {string} html of a sheet that was shown and gave way to another */
    putBack: (html) => (ready = [build(html), ...ready]),
    /** Forgets those that went to others meanwhile. @param {number[]} kept */
    keepOnly: (kept) => (ready = ready.filter((sheet) => kept.includes(sheet.id))),
    /** Fetches what is missing. @returns {Promise<boolean>} whether the server answered */
    fill() {
      filling ??= fetchMore().finally(() => (filling = null));
      return filling;
    },
  };
}
