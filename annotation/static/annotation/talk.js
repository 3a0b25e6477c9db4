/* A conversation with a model. Choosing between two answers is a sheet with one question, as at the desk; saying something
   goes in the background, because the model takes its time, and can be cancelled. Every form works without this file. */

import { fill, gettext } from "../webapp/words.js";
import { startClock } from "./clock.js";
import { listenForKeys } from "./keys.js";
import { startSheet } from "./sheet.js";

const talk = /** @type {HTMLElement|null} */ (document.querySelector("[data-talk]"));
const live = /** @type {HTMLElement|null} */ (talk?.querySelector("[data-say]") || null);
/** @param {string} text */
const say = (text) => live && (live.textContent = text);

/** What somebody is writing, kept in this browser until the model has answered it. @param {string} address */
function startKeeping(address) {
  const name = `talk ${address}`;
  return {
    get: () => localStorage.getItem(name) || "",
    /** @param {string} text */
    set(text) {
      try {
        if (text) localStorage.setItem(name, text);
        else localStorage.removeItem(name);
      } catch {
        // A full store costs the copy, not what is on the screen.
      }
    },
  };
}

/** @param {HTMLFormElement} form */
function startSaying(form) {
  const area = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
  const send = /** @type {HTMLButtonElement} */ (form.querySelector("[data-send]"));
  const waiting = /** @type {HTMLElement} */ (form.querySelector("[data-waiting]"));
  const waited = /** @type {HTMLElement} */ (form.querySelector("[data-waited]"));
  const problem = /** @type {HTMLElement} */ (form.querySelector("[data-problem]"));
  const kept = startKeeping(location.pathname);
  const longest = Number(area.dataset.longest);
  /** @type {AbortController|null} */
  let asking = null;

  /** @param {string} text */
  function tell(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  /** @param {boolean} now whether the model is writing */
  function setWaiting(now) {
    waiting.hidden = !now;
    area.readOnly = now;
    send.toggleAttribute("aria-disabled", now);
    form.setAttribute("aria-busy", String(now));
  }

  /** The answers are on the server when this ends well. @returns {Promise<string>} where they are shown */
  async function ask() {
    const answer = await fetch(form.action, {
      method: "POST", body: new FormData(form), headers: { Accept: "application/json" }, redirect: "manual", signal: asking?.signal,
    });
    if (answer.type === "opaqueredirect") throw new Error(gettext("You are signed out. Sign in in another tab, then send it again."));
    const json = (answer.headers.get("Content-Type") || "").startsWith("application/json");
    const data = json ? await answer.json() : {};
    if (!answer.ok) throw new Error(data.error || gettext("The server did not take it. Try again in a minute."));
    return String(data.url);
  }

  async function submit() {
    if (asking) return;
    if (!area.value.trim()) return tell(gettext("Write what you want to say to the model first."));
    if ([...area.value].length > longest) return tell(fill(gettext("One turn takes at most %(longest)s characters."), { longest }));
    asking = new AbortController();
    tell("");
    setWaiting(true);
    say(talk?.dataset.sending || "");
    const began = performance.now();
    const clock = setInterval(show, 1000);
    function show() {
      waited.textContent = fill(gettext("The model is writing … %(seconds)s s"), { seconds: Math.round((performance.now() - began) / 1000) });
    }
    show();
    try {
      const url = await ask();
      kept.set("");
      location.assign(url);
      return; // stays busy until the next page is there
    } catch (error) {
      const cancelled = asking.signal.aborted;
      tell(cancelled ? "" : error instanceof TypeError ? gettext("The server does not answer. What you wrote is still here; send it again.") : String(error instanceof Error ? error.message : error));
      if (cancelled) say(gettext("Cancelled. What you wrote is still here."));
      asking = null;
      setWaiting(false);
      area.focus();
    } finally {
      clearInterval(clock);
    }
  }

  if (kept.get() && !talk?.querySelector("[data-desk]")) area.value = area.value || kept.get();
  area.addEventListener("input", () => kept.set(area.value));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation(); // else it would also choose an answer
    submit();
  });
  form.querySelector("[data-cancel]")?.addEventListener("click", () => asking?.abort());
}

/** @param {HTMLElement} root a `[data-desk]` */
function startChoosing(root) {
  const worked = startClock();
  const enter = matchMedia("(pointer: coarse)").matches ? gettext("Tap “Go on”") : gettext("Press Enter");
  const sheet = startSheet(root, { say, enter });
  let sent = false;
  sheet.form.addEventListener("submit", (event) => {
    if (sent || !sheet.ready()) return event.preventDefault();
    sent = true;
    sheet.write();
    /** @type {HTMLInputElement} */ (sheet.form.elements.namedItem("active_ms")).value = String(worked());
  });
  addEventListener("pageshow", (event) => event.persisted && (sent = false));
  listenForKeys((key, event) => {
    if (sheet.press(key, event)) return true;
    if (key !== "Enter") return false;
    if (!sheet.next()) sheet.form.requestSubmit();
    return true;
  });
}

const desk = /** @type {HTMLElement|null} */ (talk?.querySelector("[data-desk]") || null);
const form = /** @type {HTMLFormElement|null} */ (talk?.querySelector("[data-say-form]") || null);
if (desk) startChoosing(desk);
if (form) startSaying(form);
for (const element of document.querySelectorAll("[data-needs-script]")) element.removeAttribute("hidden");
const said = document.querySelector(".said");
if (said) said.scrollTop = said.scrollHeight;
