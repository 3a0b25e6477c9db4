/* Sends the judgement without leaving the page, so that a server that does not answer costs nobody the work in hand.
   The form keeps its key, so sending it twice saves it once. */

const PATIENCE_MS = 30_000;

/** A page that was left open while somebody signed in again holds an old token. @param {HTMLFormElement} form */
async function freshToken(form) {
  const page = await fetch(form.dataset.next || "", { signal: AbortSignal.timeout(PATIENCE_MS) });
  const found = new DOMParser().parseFromString(await page.text(), "text/html").querySelector("[name=csrfmiddlewaretoken]");
  const ours = form.elements.namedItem("csrfmiddlewaretoken");
  if (found instanceof HTMLInputElement && ours instanceof HTMLInputElement) ours.value = found.value;
}

/**
 * @param {HTMLFormElement} form
 * @param {boolean} renew whether to ask for a fresh token first
 * @returns {Promise<{saved: string} | {refused: true} | {signedOut: string} | {silent: true}>} saved: where to go on
 */
export async function send(form, renew) {
  try {
    if (renew) await freshToken(form);
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), signal: AbortSignal.timeout(PATIENCE_MS) });
    await answer.text(); // leaving before the end would break the request off
    // Without a session every address leads to the page where one signs in.
    if (answer.ok && new URL(answer.url).pathname !== form.dataset.next) return { signedOut: answer.url };
    if (answer.ok) return { saved: answer.url };
    return answer.status < 500 ? { refused: true } : { silent: true };
  } catch {
    return { silent: true };
  }
}
