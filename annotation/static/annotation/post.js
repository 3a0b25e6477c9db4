/* One request to our own server, and what became of it. Nothing here throws: whoever asks decides what each outcome means. */

import { gettext } from "../webapp/words.js";

const PATIENCE_MS = 30_000;

/**
 * @typedef {{ok: true, data: any, html: string}} Taken data of a JSON answer, html of a page's part; both empty for "nothing"
 * @typedef {{refused: string, status: number}} Refused with the server's reason
 * @typedef {{signedOut: true} | {silent: true}} Unheard signed out, or no answer that means anything
 * @typedef {Taken | Refused | Unheard} Outcome
 */

/**
 * @param {string} url @param {{form?: FormData, signal?: AbortSignal, accept?: string}} [how] with a form it is a POST
 * @returns {Promise<Outcome>}
 */
export async function ask(url, { form, signal, accept = "application/json" } = {}) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    const answer = await fetch(url, {
      method: form ? "POST" : "GET",
      body: form,
      headers: { Accept: accept },
      redirect: "manual",
      signal: signal ? AbortSignal.any([patience, signal]) : patience,
    });
    // Without a session every address leads to the page where one signs in; nothing else that is asked here leads elsewhere.
    if (answer.type === "opaqueredirect") return { signedOut: true };
    const json = (answer.headers.get("Content-Type") || "").startsWith("application/json");
    const text = await answer.text();
    const data = json ? JSON.parse(text) : {};
    if (answer.ok) return { ok: true, data, html: json ? "" : text };
    if (answer.status >= 500 || answer.status === 429) return { silent: true };
    return { refused: String(data.error || why(answer.status)), status: answer.status };
  } catch {
    return { silent: true };
  }
}

/** @param {number} status @returns {string} */
function why(status) {
  if (status === 413) return gettext("This is more than the server takes at once. Make it shorter.");
  if (status === 404) return gettext("This item, or the project, is not yours any more.");
  return gettext("The server did not take it.");
}
