/* The annotator's desk: one page on which sheets come and go. What is sent goes by way of the outbox, so that nobody waits for
   the server and nothing is lost when it is away. Every form on the page works without this file. */

import { fill, gettext } from "../webapp/words.js";
import { build, startAhead } from "./ahead.js";
import { startClock } from "./clock.js";
import { startDrafts } from "./drafts.js";
import { focusAgain, keepFocus } from "./focus.js";
import { openJournal } from "./journal.js";
import { listenForFlags } from "./flag.js";
import { listenForKeys, showWhetherOn } from "./keys.js";
import { startOutbox } from "./outbox.js";
import { pressReading } from "./reading.js";
import { listenForReasons } from "./reasons.js";
import { ask } from "./post.js";
import { showReturned } from "./returned.js";
import { startSession } from "./session.js";
import { startSheet } from "./sheet.js";
import { clockTime, startStanding } from "./standing.js";
import { startWatch } from "./watch.js";

/** @typedef {import("./journal.js").Entry} Entry */
/** @typedef {import("./sheet.js").Fields} Fields */
/** @typedef {{fields?: Fields|null, replaces?: string}} Again what a sheet that is opened again was left with */

const frame = /** @type {HTMLElement} */ (document.querySelector("[data-frame]"));
const place = /** @type {HTMLElement} */ (frame.querySelector("[data-sheet]"));
const live = /** @type {HTMLElement} */ (frame.querySelector("[data-say]"));
const lastLink = /** @type {HTMLAnchorElement} */ (frame.querySelector("[data-key-last]"));
const skipLink = /** @type {HTMLElement} */ (frame.querySelector("[data-key-skip]"));
const home = frame.dataset.home || "";
const user = frame.dataset.user || "";

/** @param {string} text */
const say = (text) => (live.textContent = text);
const worked = startClock();
const session = startSession(frame);
const journal = openJournal(user, frame.dataset.project || "");
const drafts = startDrafts(journal, session);
const standing = startStanding(frame);
listenForFlags(say, note, session.token);
listenForReasons();

/** @typedef {NonNullable<typeof now>} Now */
/** What lies on the desk. */
let now = /** @type {ReturnType<typeof lay>|null} */ (null);
/** The last submission of this page, and the sheet that it was made on. @type {{entry: Entry, html: string}|null} */
let previous = null;
/** Whether the sheet on the desk is done with, and nothing has come to take its place. */
let stalled = false;
/** Whether the next sheet to arrive shall lie there at once. */
let wanting = false;

const outbox = startOutbox({ journal, session, saved, refused, changed: tell });
const ahead = startAhead({ url: frame.dataset.ahead || "", depth: 2, shown, token: session.renew, arrived: presentIfWanted });
const watch = startWatch({ worked, frame, user, renew, minutes: () => now?.minutes || 60, back: () => now?.bench.focus() });

/** The assignments that this page has before it or on their way. */
function shown() {
  return [...(now ? [now.id] : []), ...outbox.waiting().map((entry) => entry.assignment)];
}

async function renew() {
  const { standing: who, kept } = await session.check(shown(), ahead.ids());
  if (kept) ahead.keepOnly(kept);
  return who === "ok" && Boolean(kept && now && kept.includes(now.id));
}

/** Says beside it what happened. @param {string} text */
function note(text) {
  standing.note(text);
  tell();
}

/** Shows where one's work is. */
function tell() {
  standing.show(outbox.waiting().length, outbox.state());
  const returned = /** @type {HTMLElement} */ (frame.querySelector("[data-returned]"));
  showReturned(returned, outbox.entries().filter((entry) => entry.refused), { open: openAgain, discard });
  if (stalled && outbox.waiting().length && outbox.state() === "silent") {
    now?.hold(gettext("Your answer is kept on this computer. The next item comes when the server answers again."));
  }
}

/**
 * Takes possession of a sheet that stands in the page.
 * @param {HTMLElement} element a `[data-item]` @param {string} html it, as it came @param {Again} again
 */
function lay(element, html, again) {
  const id = Number(element.dataset.assignment);
  const bench = /** @type {HTMLElement} */ (element.querySelector("[data-desk]"));
  const form = /** @type {HTMLFormElement} */ (element.querySelector("[data-judgement]"));
  const save = /** @type {HTMLButtonElement} */ (form.querySelector("[data-save]"));
  const unsaved = /** @type {HTMLElement} */ (form.querySelector("[data-unsaved]"));
  const cover = element.querySelector("[data-cover]");
  const saveText = [...save.childNodes];
  /** The page that one came from to correct this, if it was another. */
  const back = /** @type {HTMLElement|null} */ (form.querySelector("[data-back]"))?.dataset.back || "";
  const workedBefore = worked();
  const drafted = { id, url: form.dataset.draftUrl || "", expects: field("expects").value, fields: () => sheet.fields() };
  const draft = again.fields ? { fields: again.fields, at: 0 } : drafts.open(id, form.dataset.draft || "");
  const label = saveText[0]?.textContent?.trim() || "";
  const enter = matchMedia("(pointer: coarse)").matches ? fill(gettext("Tap “%(button)s”"), { button: label }) : gettext("Press Enter");
  const sheet = startSheet(bench, { say, enter, touched: () => drafts.touched(drafted), draft: draft?.fields });

  /** @param {string} name @returns {HTMLInputElement} */
  function field(name) {
    return /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
  }

  if (again.fields) {
    field("key").value = newKey();
    field("replaces").value = again.replaces || "";
    drafts.touched(drafted);
  }
  showDraft();
  showWhetherOn(element);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (element.dataset.closed !== undefined) hold(gettext("The time to correct this answer is over."));
    else if (!stalled && sheet.ready()) submit();
  });
  for (const skip of /** @type {NodeListOf<HTMLFormElement>} */ (element.querySelectorAll("[data-skip]"))) wireSkip(skip);
  element.querySelector("[data-uncover]")?.addEventListener("click", (event) => {
    event.preventDefault();
    uncover();
  });
  element.querySelector("[data-key-back]")?.addEventListener("click", (event) => {
    if (back) return;
    event.preventDefault();
    advance();
  });
  if (bench.querySelectorAll("[data-answer]").length >= 7) {
    for (const key of document.querySelectorAll("[data-key-guidelines] kbd, [data-key-name=g]")) key.textContent = fill(gettext("Shift %(key)s"), { key: "g" });
  }
  const sizes = [watchHeight("[data-dock]", "--dock"), watchHeight("[data-bar]", "--bar")];
  for (const hint of element.querySelectorAll("[data-needs-script]")) hint.removeAttribute("hidden");

  /** Tells the style sheet how high something is, so that nothing comes to lie under it. @param {string} selector @param {string} name */
  function watchHeight(selector, name) {
    const part = bench.querySelector(selector);
    const watcher = new ResizeObserver(() => part && document.documentElement.style.setProperty(name, `${part.clientHeight}px`));
    if (part) watcher.observe(part);
    return watcher;
  }

  function showDraft() {
    const box = /** @type {HTMLElement|null} */ (element.querySelector("[data-draft-note]"));
    if (!box || !draft || !draft.at) return;
    const text = /** @type {HTMLElement} */ (box.querySelector("[data-draft-time]"));
    text.textContent = fill(gettext("Your draft from %(time)s is here."), { time: clockTime(draft.at) });
    const [startOver, throwAway, keepIt] = ["start-over", "throw-away", "keep"].map((name) => /** @type {HTMLButtonElement} */ (box.querySelector(`[data-draft-${name}]`)));
    box.hidden = false;
    /** @param {boolean} asking */
    const setAsking = (asking) => {
      startOver.hidden = asking;
      throwAway.hidden = keepIt.hidden = !asking;
      (asking ? keepIt : startOver).focus();
    };
    startOver.addEventListener("click", () => setAsking(true));
    keepIt.addEventListener("click", () => setAsking(false));
    throwAway.addEventListener("click", () => {
      box.hidden = true;
      drafts.drop(drafted, true);
      sheet.startOver();
      say(gettext("Started over."));
    });
  }

  /** @param {HTMLFormElement} skip */
  function wireSkip(skip) {
    skip.addEventListener("submit", (event) => {
      event.preventDefault();
      if (stalled) return;
      skip.closest("dialog")?.close();
      const reason = skip.querySelector("input:checked + span")?.textContent || "";
      standing.note(gettext("Skipped; “Back” (u) takes it back"));
      send(entryOf(skip, "skip", fill(gettext("Skipped: %(reason)s"), { reason })));
    });
  }

  /** @param {HTMLFormElement} from @param {"judgement"|"skip"} kind @param {string} said @returns {Entry} */
  function entryOf(from, kind, said) {
    const fields = /** @type {[string, string][]} */ ([...new FormData(from)].filter(([name]) => name !== "csrfmiddlewaretoken"));
    const key = kind === "skip" ? newKey() : field("key").value;
    return { key, kind, assignment: id, url: from.action, own: form.dataset.own || "", fields, said, at: journal.now() };
  }

  function submit() {
    sheet.write();
    field("active_ms").value = String(worked() - workedBefore);
    send(entryOf(form, "judgement", sheet.said()));
  }

  /** @param {Entry} entry */
  async function send(entry) {
    const kept = outbox.put(entry);
    drafts.drop(drafted, false);
    previous = { entry, html };
    offerLast(entry.own);
    if (kept && !back) {
      advance();
      outbox.flush();
      return;
    }
    // This browser keeps nothing, or another page shall show it: the server has to have it before anything else happens.
    setSending(true);
    const settled = outbox.settled(entry.key);
    outbox.flush();
    if (await settled) back ? leave(back) : advance();
    else {
      outbox.take(entry.key);
      keep(gettext("Not saved: the server does not answer. Your answer is still here; try again."));
    }
  }

  /** @param {boolean} sending whether the answer is on its way: nothing may change it meanwhile */
  function setSending(sending) {
    stalled = sending;
    form.setAttribute("aria-busy", String(sending));
    if (sending) {
      save.setAttribute("aria-disabled", "true");
      save.textContent = save.dataset.saving || "…";
      unsaved.hidden = true;
    } else {
      save.removeAttribute("aria-disabled");
      save.replaceChildren(...saveText);
    }
  }

  /** @param {string} why */
  function keep(why) {
    setSending(false);
    sheet.setChanged();
    hold(why);
  }

  /** @param {string} why */
  function hold(why) {
    if (unsaved.textContent !== why) unsaved.textContent = why;
    unsaved.hidden = false;
  }

  function uncover() {
    cover?.remove();
    bench.hidden = false;
    show();
  }

  function show() {
    document.dispatchEvent(new CustomEvent("sheetshown", { detail: { root: bench, element } }));
  }

  return {
    id, html, element, sheet, form, bench, save, setSending, hold, uncover,
    minutes: Number(element.dataset.lease) || 60,
    correcting: element.dataset.correcting !== undefined,
    covered: () => Boolean(cover?.isConnected),
    /** Where the focus begins. */
    start: () => (cover?.isConnected ? /** @type {HTMLElement} */ (cover) : bench),
    show,
    close() {
      for (const dialog of element.querySelectorAll("dialog")) dialog.close();
      for (const size of sizes) size.disconnect();
      sheet.close();
    },
  };
}

/** A sheet takes the place of the one that is there. @param {import("./ahead.js").Ready} ready @param {Again} [again] */
function present({ element, html }, again = {}) {
  now?.close();
  stalled = wanting = false;
  place.replaceChildren(element);
  now = lay(element, html, again);
  if (!now.correcting && location.pathname !== home) history.replaceState(null, "", home); // a reload brings this one again
  skipLink.hidden = now.correcting;
  lastLink.hidden = now.correcting || !lastLink.getAttribute("href");
  document.title = element.dataset.title || document.title;
  now.show();
  now.start().focus({ preventScroll: true });
  scrollTo(0, 0);
  const first = element.querySelector(".turn:last-of-type .prose, .turn .prose")?.textContent?.trim().slice(0, 90) || "";
  say(now.covered() ? gettext("The next item begins with a warning.") : fill(now.correcting ? gettext("You are correcting: %(prompt)s") : gettext("Next item: %(prompt)s"), { prompt: first }));
  watch.renewed();
}

/** On to the next sheet, at once if one is there. */
async function advance() {
  const next = ahead.take();
  if (next) {
    present(next);
    return;
  }
  now?.setSending(true);
  wanting = true;
  await outbox.flush();
  const answered = await ahead.fill();
  if (!wanting) return; // it has come, or something else was opened meanwhile
  presentIfWanted();
  if (!wanting) return;
  if (answered && !outbox.waiting().length && !outbox.entries().some((entry) => entry.refused)) leave(home);
  else if (answered && !outbox.waiting().length) now?.hold(gettext("There is no other item now. What was not saved is shown above."));
  else setTimeout(() => wanting && advance(), 2000);
}

function presentIfWanted() {
  const next = wanting ? ahead.take() : undefined;
  if (next) present(next);
}

/** @param {string} url */
function leave(url) {
  leaving = true;
  location.assign(url);
}
let leaving = false;

/** @param {string} url of the last one's own page */
function offerLast(url) {
  lastLink.href = url;
}

/** The server has one. @param {Entry} entry @param {any} answer */
function saved(entry, answer) {
  if (answer.saved_at) standing.saved(answer.saved_at);
  standing.progress(answer.progress);
  if (answer.correctable === false && previous?.entry.key === entry.key) {
    previous = null;
    lastLink.removeAttribute("href");
    lastLink.hidden = true;
  }
  ahead.fill();
}

/** @param {Entry} entry */
function refused(entry) {
  if (previous?.entry.key === entry.key) previous = null;
  say(fill(gettext("Not saved: %(why)s"), { why: entry.refused || "" }));
  tell();
}

/** @param {Entry} entry @returns {Fields} */
function fieldsOf(entry) {
  /** @type {Fields} */
  const fields = {};
  for (const [name, value] of entry.fields) if (name.includes(".")) fields[name] = name in fields ? [fields[name], value].flat() : value;
  return fields;
}

/** Lays a sheet of the server's on the desk. @param {string} url @param {Again} again @param {FormData} [form] @returns {Promise<boolean>} */
async function fetchSheet(url, again, form) {
  const outcome = await ask(form ? url : `${url}?part=sheet`, { form, accept: form ? "application/json" : "text/html" });
  if (!("ok" in outcome)) {
    say("refused" in outcome ? outcome.refused : gettext("The server does not answer. Try again in a moment."));
    if (now) now.hold(live.textContent || "");
    return false;
  }
  setAside();
  if (outcome.html.includes("data-item")) present(build(outcome.html), again);
  else leave(form ? home : url); // something has to be read first
  return true;
}

/** What lies on the desk unsent comes next, with its draft. */
function setAside() {
  if (now && !stalled && !now.correcting) ahead.putBack(now.html);
  drafts.flush();
}

/** Back to the last one that was sent, even if it is still on its way. */
async function undo() {
  const last = previous;
  if (!last) return lastLink.getAttribute("href") ? fetchSheet(lastLink.href, {}) : false;
  const taken = outbox.waiting().some((entry) => entry.key === last.entry.key) && outbox.take(last.entry.key);
  if (taken) {
    setAside();
    previous = null;
    if (taken.kind === "skip") note(gettext("Taken back"));
    present(build(last.html), taken.kind === "skip" ? {} : { fields: fieldsOf(taken), replaces: taken.tried ? taken.key : "" });
    return true;
  }
  const form = new FormData();
  form.set("csrfmiddlewaretoken", session.token());
  const done = last.entry.kind === "skip" ? await fetchSheet(last.entry.url.replace(/skip\/$/, "unskip/"), {}, form) : await fetchSheet(last.entry.own, {});
  if (done) previous = null;
  if (done && last.entry.kind === "skip") note(gettext("Taken back"));
  return done;
}

/** @param {Entry} entry one that was refused */
async function openAgain(entry) {
  if (await fetchSheet(entry.own, { fields: fieldsOf(entry) })) outbox.take(entry.key);
}

/** @param {Entry} entry */
function discard(entry) {
  outbox.take(entry.key);
  now?.start().focus({ preventScroll: true });
}

/** A random UUID; crypto.randomUUID is there on secure addresses only. @returns {string} */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** @param {string} name @returns {boolean} */
function follow(name) {
  const link = document.querySelector(`[data-key-${name}]`);
  if (!(link instanceof HTMLElement) || link.hidden) return false;
  link.click();
  return true;
}

/** Letters of answers come first: with seven answers, g ranks G, and Shift+G opens the guidelines. @param {string} key @param {KeyboardEvent} event */
function press(key, event) {
  if (!now) return false;
  const small = key.toLowerCase();
  if (stalled) return small === "u" ? follow("last") : ["Enter", " "].includes(key);
  if (now.covered()) {
    if (key === "Enter") now.uncover();
    else if (small === "s") return follow("skip");
    else if (small === "u") return follow("last");
    else if (key === "!") return follow("flag");
    else return key === "?" && follow("keys");
    now.bench.focus({ preventScroll: true });
    return true;
  }
  if (now.sheet.press(key, event)) return true;
  if (key === "Enter") {
    if (!now.sheet.next()) now.form.requestSubmit();
    return true;
  }
  if (pressReading(key)) return true;
  if (key === "Escape") return !now.sheet.changed() && follow("back");
  if (key === "?") return follow("keys");
  if (key === "!") return follow("flag");
  if (small === "g") return follow("guidelines");
  else if (small === "u") return follow("last");
  else if (small === "s") return follow("skip");
  else return false;
  return true;
}

lastLink.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  undo();
});
addEventListener("beforeunload", (event) => {
  if (!leaving && (outbox.unsafe() || (now?.sheet.changed() && !stalled && !drafts.safe()))) event.preventDefault();
});
// Back brings the page as it was left; what lies on it may have been sent since.
addEventListener("pageshow", (event) => event.persisted && location.reload());
document.addEventListener("visibilitychange", () => document.hidden || watch.look());

// After a reload the first question has its turn again, and what says so stands at the top.
history.scrollRestoration = "manual";
for (const element of frame.querySelectorAll("[data-needs-script]")) element.removeAttribute("hidden");
const first = /** @type {HTMLElement} */ (place.querySelector("[data-item]"));
now = lay(first, first.outerHTML, {});
now.show();
document.documentElement.classList.remove("arriving");
focusAgain(now);
keepFocus(() => now);
listenForKeys(press);
if (outbox.waiting().some((entry) => entry.assignment === now?.id && !now?.correcting)) advance();
else ahead.fill();
outbox.flush();
tell();
