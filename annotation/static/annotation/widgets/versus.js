/* Two answers of a ranking beside each other, and the buttons and keys to say which is better. It shows what it is given;
   what follows from a decision is insertion.js's. */

import { fill, gettext } from "../../webapp/words.js";

/** @typedef {import("./insertion.js").Verdict} Verdict */
/** @typedef {NonNullable<ReturnType<typeof import("./insertion.js").question>>} Question */

/** @param {string} text @param {string} key @returns {(string|Node)[]} */
const withKey = (text, key) => [`${text} `, Object.assign(document.createElement("kbd"), { textContent: key })];

/**
 * @param {HTMLElement} box what holds the question and the buttons
 * @param {HTMLElement[]} cards
 * @param {string[]} letters
 * @param {{decide: (verdict: Verdict) => void, back: () => void}} outside
 */
export function startVersus(box, cards, letters, { decide, back }) {
  const panel = /** @type {HTMLElement} */ (box.querySelector("[data-versus]"));
  const asking = /** @type {HTMLElement} */ (panel.querySelector("[data-versus-question]"));
  const buttons = /** @type {HTMLButtonElement[]} */ ([...box.querySelectorAll("[data-verdict]")]);
  /** @type {Question|null} */
  let now = null;
  /** Whether nothing is ranked yet: then there is no rank to compare with. */
  let first = false;

  /** @returns {[number, number]} the two that are asked about, as they are shown */
  const pair = () => (now ? [Math.min(now.placing, now.beside), Math.max(now.placing, now.beside)] : [-1, -1]);
  /** @param {number} index @returns {Verdict} */
  const betterIs = (index) => (index === now?.placing ? "better" : "worse");

  /** @param {string} name */
  function press(name) {
    if (name === "back") back();
    else if (!now) return;
    else if (name === "first" || name === "second") decide(betterIs(pair()[name === "first" ? 0 : 1]));
    else if (name === "equal" || name === "out") decide(name);
  }

  for (const button of buttons) {
    button.addEventListener("click", (event) => {
      press(button.dataset.verdict || "");
      // After a press with the mouse, Enter should save and not decide about the next two; and a button may have gone.
      if (event.detail || button.hidden || button.disabled) asking.focus({ preventScroll: true });
    });
  }

  /** Everything that is not asked about steps aside, so that the two stand side by side. */
  function showCards() {
    const shown = pair();
    const focused = document.activeElement;
    cards[0]?.parentElement?.classList.toggle("two-shown", now !== null);
    cards.forEach((card, index) => {
      card.hidden = now !== null && !shown.includes(index);
      card.classList.toggle("placing", index === now?.placing);
    });
    if (focused?.closest("[data-answer]")?.hasAttribute("hidden")) asking.focus({ preventScroll: true });
    const upper = cards[shown[0]];
    if (upper && upper.getBoundingClientRect().top < 0) upper.scrollIntoView({ block: "start" });
  }

  function sentence() {
    if (!now) return gettext("Every answer has its place.");
    const [one, other] = pair().map((index) => letters[index]);
    if (first) return fill(gettext("Which is better, %(one)s or %(other)s?"), { one, other });
    const tier = now.tier.map((index) => letters[index]).join(" = ");
    return fill(gettext("Is %(letter)s better than #%(rank)s (%(tier)s)?"), { letter: letters[now.placing], rank: now.rank, tier });
  }

  function showButtons() {
    const [left, right] = pair();
    for (const button of buttons) {
      const name = button.dataset.verdict;
      if (name === "back") continue;
      button.hidden = !now;
      if (!now) continue;
      if (name === "first") button.replaceChildren(...withKey("", "←"), ...withKey(fill(gettext(" %(letter)s is better"), { letter: letters[left] }), letters[left].toLowerCase()));
      if (name === "second") button.replaceChildren(...withKey(fill(gettext("%(letter)s is better"), { letter: letters[right] }), letters[right].toLowerCase()), ...withKey("", "→"));
      if (name === "out") button.replaceChildren(...withKey(fill(gettext("Leave %(letter)s out"), { letter: letters[now.placing] }), "x"));
    }
  }

  return {
    /**
     * @param {Question|null} question
     * @param {{on: boolean, canGoBack: boolean, nothingSaid: boolean}} how on: whether two at a time is the way
     */
    show(question, { on, canGoBack, nothingSaid }) {
      first = nothingSaid;
      now = on ? question : null;
      panel.hidden = !on;
      asking.textContent = on ? sentence() : "";
      box.classList.toggle("two-at-a-time", on);
      for (const button of buttons) {
        if (button.dataset.verdict !== "back") continue;
        button.hidden = !on;
        button.disabled = !canGoBack;
      }
      showButtons();
      showCards();
    },
    said: sentence,
    /** Whether there is a question, and this answer is one of the two. @param {number} [index] */
    asks: (index) => now !== null && (index === undefined || pair().includes(index)),
    /** @param {number} index */
    choose: (index) => decide(betterIs(index)),
    /** @param {string} key @returns {boolean} whether it was an answer to the question */
    press(key) {
      if (!now) return false;
      const small = key.toLowerCase();
      const index = letters.findIndex((letter) => letter.toLowerCase() === small);
      if (index >= 0 && pair().includes(index)) decide(betterIs(index));
      else if (index >= 0) return true; // an answer that is not asked about now
      else if (key === "ArrowLeft") press("first");
      else if (key === "ArrowRight") press("second");
      else if (key === "=" || small === "x") {
        const wanted = key === "=" ? "equal" : "out";
        if (buttons.some((button) => button.dataset.verdict === wanted)) press(wanted);
      } else return false;
      return true;
    },
  };
}
