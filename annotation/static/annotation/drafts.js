/* Keeps what is entered and not sent yet: in this browser at once, on the server after a moment of quiet, so that it is there
   after a reload, a crash, and in another browser. */

import { ask } from "./post.js";

const QUIET_MS = 1500;

/**
 * @typedef {import("./sheet.js").Fields} Fields
 * @typedef {{id: number, url: string, expects: string, fields: () => Fields}} Drafted what a sheet tells
 */

/**
 * @param {import("./journal.js").Journal} journal
 * @param {ReturnType<typeof import("./session.js").startSession>} session
 */
export function startDrafts(journal, session) {
  let timer = 0;
  /** When the server's copy of the sheet at hand was written, in its own milliseconds. */
  let base = 0;
  let safe = true;
  /** @type {Drafted|null} */
  let waiting = null;

  /** @param {Drafted} of @param {Fields} fields */
  async function send(of, fields) {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) form.append(name, one);
    form.set("expects", of.expects);
    form.set("csrfmiddlewaretoken", session.token());
    const outcome = await ask(of.url, { form });
    if (!("ok" in outcome) || !outcome.data.saved_at) return;
    const kept = journal.draft(of.id);
    if (kept) journal.putDraft(of.id, { ...kept, base: outcome.data.saved_at });
    if (waiting === null || waiting.id === of.id) {
      base = outcome.data.saved_at;
      safe = true;
    }
  }

  function sendNow() {
    clearTimeout(timer);
    if (!waiting) return;
    const of = waiting;
    waiting = null;
    send(of, of.fields());
  }

  // Somebody who leaves the page in a hurry may have typed within the last moment.
  document.addEventListener("visibilitychange", () => document.hidden && sendNow());

  return {
    /** Whether everything entered is kept somewhere. */
    safe: () => safe,
    /**
     * The draft that a sheet begins with: the newer of the server's and this browser's.
     * @param {number} id @param {string} fromServer JSON, or empty @returns {{fields: Fields, at: number}|null}
     */
    open(id, fromServer) {
      sendNow();
      safe = true;
      const theirs = fromServer ? /** @type {{fields: Fields, saved_at: number}} */ (JSON.parse(fromServer)) : null;
      const ours = journal.draft(id);
      base = theirs?.saved_at ?? 0;
      if (ours && (!theirs || theirs.saved_at <= ours.base || ours.at > theirs.saved_at)) return ours;
      return theirs && { fields: theirs.fields, at: theirs.saved_at };
    },
    /** @param {Drafted} of */
    touched(of) {
      safe = journal.putDraft(of.id, { fields: of.fields(), at: Date.now(), base });
      waiting = of;
      clearTimeout(timer);
      timer = setTimeout(sendNow, QUIET_MS);
    },
    /** It was sent, or begun again: nothing of it is left. @param {Drafted} of @param {boolean} tell whether to tell the server */
    drop(of, tell) {
      clearTimeout(timer);
      waiting = null;
      safe = true;
      journal.dropDraft(of.id);
      if (tell) send(of, {});
    },
    flush: sendNow,
  };
}
