/* The ranking: type it, drag it, or press buttons. The selects of the form are the truth; the ladder shows and fills them. */

import { append, inList, inSigns, inWords, insert, placesOf, ranksOf, remove, toggleTie } from "./order.js";
import { makeRung } from "./rung.js";

/** A badge and a button in the head of an answer. @param {HTMLElement} head @param {string} letter */
function makeHead(head, letter) {
  const badge = Object.assign(document.createElement("span"), { className: "rank-badge", hidden: true });
  badge.dataset.rankBadge = letter;
  const button = Object.assign(document.createElement("button"), { className: "button compact", type: "button" });
  button.dataset.rankNext = letter;
  head.append(badge, button);
  return { badge, button };
}

/** @type {import("./widget.js").StartWidget} */
export function startRanking(desk) {
  const { cards, letters, section: root } = desk;
  const selects = cards.map((_, place) => /** @type {HTMLSelectElement} */ (desk.fields(`rank-${place}`)[0]));
  const heads = cards.map((card, index) => makeHead(/** @type {HTMLElement} */ (card.querySelector("[data-head]")), letters[index]));
  const ladder = /** @type {HTMLElement} */ (root.querySelector("[data-ladder]"));
  const pool = /** @type {HTMLElement} */ (root.querySelector("[data-pool]"));
  const clear = /** @type {HTMLElement} */ (root.querySelector("[data-clear]"));
  const hint = /** @type {HTMLElement} */ (root.querySelector("[data-ladder-hint]"));
  const tieHint = /** @type {HTMLElement} */ (root.querySelector("[data-tie-hint]"));
  /** Whether what is shown is an answer saved earlier: the first letter that is typed then begins a new one. */
  const given = desk.correcting;
  const rungs = letters.map((letter, index) => makeRung(letter, index));
  let tieNext = false;
  /** @type {import("./order.js").Place[]} */
  let latest = [];

  const ranks = () => selects.map((select) => (select.value ? Number(select.value) : null));
  const places = () => placesOf(ranks(), latest);
  /** @param {number} index */
  const isRanked = (index) => selects[index].value !== "";

  /** @param {(number|null)[]} next @param {boolean} [tie] whether a sign = stays typed */
  function store(next, tie = false) {
    next.forEach((rank, index) => (selects[index].value = rank === null ? "" : String(rank)));
    tieNext = tie;
    desk.touched();
    show();
    desk.say(inWords(places(), letters));
  }

  /** @param {import("./order.js").Place[]} next @param {boolean} [tie] */
  function arrange(next, tie = false) {
    latest = next;
    store(ranksOf(next, letters.length), tie);
  }

  function show() {
    const now = places();
    const shown = ranks();
    now.forEach((place, at) => {
      ladder.append(rungs[place.index].element);
      rungs[place.index].place(at, now.length, place.tied, at ? letters[now[at - 1].index] : "");
    });
    rungs.forEach((rung, index) => {
      if (!isRanked(index)) pool.append(rung.element);
      const card = cards[index];
      const { badge, button } = heads[index];
      badge.hidden = !isRanked(index);
      badge.textContent = isRanked(index) ? `#${shown[index]}` : "";
      badge.setAttribute("aria-label", `Rank ${shown[index]}`);
      card.classList.toggle("ranked", isRanked(index));
      button.classList.toggle("quiet", isRanked(index));
      button.textContent = isRanked(index) ? "Take out" : "Rank next ";
      button.setAttribute("aria-label", isRanked(index) ? `Take ${letters[index]} out` : `Rank ${letters[index]} next`);
      if (!isRanked(index)) button.append(Object.assign(document.createElement("kbd"), { textContent: letters[index].toLowerCase() }));
    });
    ladder.classList.toggle("tie-next", tieNext);
    pool.hidden = now.length === letters.length;
    clear.hidden = now.length === 0;
    hint.hidden = now.length > 0;
    tieHint.hidden = now.length < 2 || now.some((place) => place.tied);
    desk.read(inSigns(now, letters) + (tieNext ? " = …" : ""));
  }

  /** @param {number} index */
  function rankNext(index) {
    if (isRanked(index)) {
      desk.say(`${letters[index]} is ranked already.`);
      cards[index].classList.remove("nudged");
      requestAnimationFrame(() => cards[index].classList.add("nudged"));
      return;
    }
    arrange(append(places(), index, tieNext));
  }

  /** @param {number} index */
  function type(index) {
    if (!given || desk.changed()) return rankNext(index);
    arrange(append([], index, false));
    desk.say(`Started over. ${inWords(places(), letters)}`);
  }

  /** @param {number} index @param {string} what */
  function press(index, what) {
    const now = places();
    const at = now.findIndex((place) => place.index === index);
    if (what === "joint") arrange(toggleTie(now, at));
    else if (what === "better") arrange(insert(now, index, at - 1));
    else if (what === "worse") arrange(insert(now, index, at + 1));
    else if (what === "out") arrange(remove(now, index));
    else rankNext(index);
    rungs[index].keepFocus(what, pool, desk.save);
  }

  function wire() {
    ladder.tabIndex = -1;
    rungs.forEach((rung, index) => rung.element.addEventListener("click", (event) => {
      const button = event.target instanceof Element && event.target.closest("button");
      if (!button || button.disabled) return;
      press(index, button.dataset.does || "");
      // After a press with the mouse, Enter should save and not press the same button again.
      if (/** @type {MouseEvent} */ (event).detail) ladder.focus({ preventScroll: true });
    }));
    cards.forEach((card, index) => {
      const { button } = heads[index];
      button.addEventListener("click", (event) => {
        if (isRanked(index)) arrange(remove(places(), index));
        else rankNext(index);
        if (event.detail) card.focus({ preventScroll: true });
      });
    });
    for (const element of root.querySelectorAll(".rank-choices, .help")) element.setAttribute("hidden", "");
    root.querySelector("[data-ladder-box]")?.removeAttribute("hidden");
    clear.addEventListener("click", () => {
      arrange([]);
      cards[0].focus();
    });
    makeDraggable();
  }

  function makeDraggable() {
    const Sortable = /** @type {any} */ (globalThis).Sortable;
    if (!Sortable) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (const list of [ladder, pool]) {
      Sortable.create(list, {
        group: "ladder", handle: ".grip", draggable: ".rung", animation: still ? 0 : 120, forceFallback: true, fallbackTolerance: 4,
        delay: 120, delayOnTouchOnly: true, touchStartThreshold: 6, ghostClass: "ghost", fallbackClass: "carried",
        onEnd(/** @type {any} */ event) {
          const index = Number(event.item.dataset.index);
          arrange(event.to === pool ? remove(places(), index) : insert(places(), index, event.newDraggableIndex));
        },
      });
    }
  }

  wire();
  return {
    empty: () => !places().length,
    complete: () => selects.every((select) => select.value),
    mayLeaveOut: () => places().length > 1,
    missing() {
      const left = letters.filter((_, index) => !isRanked(index));
      return places().length > 1 ? `${desk.enter} again to save without ${inList(left)}; ${left.length > 1 ? "they count" : "it counts"} as not judged.` : "Rank the answers first: type their letters, best to worst.";
    },
    /** Equal numbers that were set one by one become competition ranks before they are sent. */
    write: () => ranksOf(places(), letters.length).forEach((rank, index) => (selects[index].value = rank === null ? "" : String(rank))),
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      const index = event.shiftKey ? -1 : letters.findIndex((letter) => letter.toLowerCase() === key.toLowerCase());
      const focused = event.target instanceof Element ? event.target.closest("[data-answer], [data-index]") : null;
      if (index >= 0) type(index);
      else if (key === "=" && places().length && places().length < letters.length) {
        tieNext = !tieNext;
        show();
        desk.say(tieNext ? "The next one ties with the one before." : "No tie.");
      } else if (key === "Backspace") {
        const last = places().at(-1);
        if (tieNext || !last) {
          tieNext = false;
          show();
        } else arrange(remove(places(), last.index), last.tied);
      } else if (key === "0") {
        if (places().length) arrange([]);
      } else if (/^[1-9]$/.test(key) && focused instanceof HTMLElement && Number(key) <= letters.length) {
        const at = Number(focused.dataset.answer ?? focused.dataset.index);
        store(ranks().map((rank, here) => (here === at ? Number(key) : rank)));
      } else return false;
      return true;
    },
    start: show,
  };
}
