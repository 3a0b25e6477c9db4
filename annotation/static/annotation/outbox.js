/* Submissions on their way: kept in this browser first, then sent in order, each until the server has answered. The server
   knows every one by its key, so sending one twice stores it once. */

import { ask } from "./post.js";

const LONGEST_WAIT_MS = 30_000;
/** A tab that is frozen may hold the lock for ever; after this long another one sends without it. */
const LOCK_MS = 8_000;

/**
 * @typedef {import("./journal.js").Entry} Entry
 * @typedef {"ok"|"sending"|"silent"|"signedOut"|"other"} State other: somebody else is signed in now
 * @typedef {object} Outside
 * @property {import("./journal.js").Journal} journal
 * @property {ReturnType<typeof import("./session.js").startSession>} session
 * @property {(entry: Entry, answer: any) => void} saved
 * @property {(entry: Entry) => void} refused
 * @property {() => void} changed the state, or how many wait
 */

/** @param {Outside} outside */
export function startOutbox({ journal, session, saved, refused, changed }) {
  /** @type {Map<string, Entry>} entries that this browser cannot keep */
  const unkept = new Map();
  /** @type {Map<string, (taken: boolean) => void>} */
  const settling = new Map();
  /** @type {State} */
  let state = "ok";
  let failures = 0;
  let running = false;
  let again = false;
  let timer = 0;
  /** @type {{key: string, stop: AbortController}|null} */
  let onItsWay = null;

  const entries = () => [...journal.entries(), ...unkept.values()].sort((a, b) => a.at - b.at);
  const waiting = () => entries().filter((entry) => !entry.refused);

  /** @param {Entry} entry @returns {boolean} */
  function store(entry) {
    if (!unkept.has(entry.key) && journal.put(entry)) return true;
    unkept.set(entry.key, entry);
    return false;
  }

  /** @param {string} key */
  function drop(key) {
    journal.drop(key);
    unkept.delete(key);
  }

  /** @param {string} key @param {boolean} taken */
  function settle(key, taken) {
    settling.get(key)?.(taken);
    settling.delete(key);
  }

  /** @param {State} next */
  function become(next) {
    state = next;
    changed();
  }

  /** @param {State} why */
  function wait(why) {
    failures += 1;
    clearTimeout(timer);
    timer = setTimeout(flush, Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures) * (0.75 + Math.random() / 2));
    for (const key of unkept.keys()) settle(key, false);
    become(why);
  }

  /** @param {Entry} entry @param {string} why */
  function refuse(entry, why) {
    const marked = { ...entry, refused: why };
    store(marked);
    settle(entry.key, false);
    refused(marked);
  }

  /** @param {Entry} entry @returns {Promise<import("./post.js").Outcome>} */
  function post(entry) {
    const form = new FormData();
    for (const [name, value] of entry.fields) form.append(name, value);
    form.set("csrfmiddlewaretoken", session.token());
    const stop = new AbortController();
    onItsWay = { key: entry.key, stop };
    return ask(entry.url, { form, signal: stop.signal }).finally(() => (onItsWay = null));
  }

  /** @returns {Promise<boolean>} whether there may be more to send */
  async function sendNext() {
    const entry = waiting()[0];
    if (!entry) {
      failures = 0;
      become("ok");
      return false;
    }
    // After a silence it may be another session, or another person's.
    if (state !== "ok" && state !== "sending") {
      const { standing } = await session.check();
      if (standing !== "ok") {
        wait(standing);
        return false;
      }
    }
    if (!entry.tried) store({ ...entry, tried: true });
    become("sending");
    let outcome = await post(entry);
    if ("refused" in outcome && [403, 404].includes(outcome.status)) {
      const { standing } = await session.check();
      if (standing !== "ok") {
        wait(standing);
        return false;
      }
      if (outcome.status === 403) outcome = await post(entry);
    }
    if (!waiting().some((other) => other.key === entry.key)) return true; // taken back, or sent by another tab
    if ("ok" in outcome) {
      failures = 0;
      drop(entry.key);
      settle(entry.key, true);
      saved(entry, outcome.data);
      return true;
    }
    if ("refused" in outcome) {
      refuse(entry, outcome.refused);
      return true;
    }
    wait("signedOut" in outcome ? "signedOut" : "silent");
    return false;
  }

  async function sendAll() {
    while (await sendNext());
  }

  /** One tab at a time. @param {() => Promise<void>} work */
  async function alone(work) {
    if (!navigator.locks) return work();
    let begun = false;
    try {
      await navigator.locks.request(journal.prefix, { signal: AbortSignal.timeout(LOCK_MS) }, () => {
        begun = true;
        return work();
      });
    } catch (error) {
      if (begun) throw error;
      await work();
    }
  }

  async function flush() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    clearTimeout(timer);
    try {
      do {
        again = false;
        await alone(sendAll);
      } while (again && state === "ok");
    } finally {
      running = false;
    }
  }

  /** Something happened that may have brought the server or the session back. */
  function wake() {
    failures = 0;
    if (waiting().length) flush();
  }
  addEventListener("online", wake);
  addEventListener("focus", wake);
  addEventListener("pageshow", wake);
  document.addEventListener("resume", wake);
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  addEventListener("storage", (event) => {
    if (event.key === null || event.key.startsWith(journal.prefix)) changed();
  });

  return {
    entries,
    waiting,
    state: () => state,
    /** Whether closing the page would lose something. */
    unsafe: () => unkept.size > 0,
    /** @param {Entry} entry @returns {boolean} whether this browser keeps it, so that one can go on at once */
    put(entry) {
      const kept = store(entry);
      changed();
      return kept;
    },
    /** Takes one out, so that it is not sent, or not sent again. @param {string} key @returns {Entry|undefined} */
    take(key) {
      const entry = entries().find((other) => other.key === key);
      if (onItsWay?.key === key) onItsWay.stop.abort();
      drop(key);
      changed();
      return entry;
    },
    flush,
    /** @param {string} key @returns {Promise<boolean>} whether it was taken by the server, once that is known */
    settled: (key) => new Promise((resolve) => settling.set(key, resolve)),
  };
}
