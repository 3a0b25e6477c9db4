/* The critique: marks in the answers, each with what is wrong and perhaps what should stand there instead. The hidden field
   `spans` is the truth; `now` holds the mark in the making, so that a draft brings it back too. */

import { fill, gettext, ngettext } from "../../webapp/words.js";
import { asShown, asStored, codePoints, codeUnits, replacedIn, storedText } from "./stored.js";
import { startSurface } from "./surface.js";

/** @typedef {{answer: number, start: number, end: number, text: string, category: string, severity: string|null, note: string, fix: string|null}} Mark places in code points */

/** @param {HTMLInputElement} field @returns {any} */
function readJson(field) {
  try {
    return JSON.parse(field.value || "null");
  } catch {
    return null;
  }
}

/** @param {string} text @param {number} [most] */
const short = (text, most = 60) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** @type {import("./widget.js").StartWidget} */
export function startCritique(desk) {
  /** @param {string} name @returns {any} */
  const find = (name) => desk.section.querySelector(`[data-${name}]`);
  const [spans, now, fine] = /** @type {HTMLInputElement[]} */ ([find("spans"), find("now"), find("fine")]);
  const picks = /** @type {HTMLButtonElement[]} */ ([...find("pick").querySelectorAll("button")]);
  const texts = picks.map(storedText);
  const hidden = picks.map(replacedIn);
  const surface = /** @type {HTMLElement} */ (find("surface"));
  const form = /** @type {HTMLFieldSetElement} */ (find("mark"));
  const title = /** @type {HTMLElement} */ (find("mark-title"));
  const quote = /** @type {HTMLElement} */ (find("quote"));
  const categories = /** @type {HTMLInputElement[]} */ ([...desk.section.querySelectorAll("[data-category]")]);
  const severities = /** @type {HTMLInputElement[]} */ ([...desk.section.querySelectorAll("[data-severity]")]);
  const note = /** @type {HTMLTextAreaElement|null} */ (find("note"));
  const fixes = /** @type {HTMLInputElement|null} */ (find("fixes"));
  const fixBox = /** @type {HTMLElement|null} */ (find("fix-box"));
  const fix = /** @type {HTMLTextAreaElement|null} */ (find("fix"));
  const wrong = /** @type {HTMLElement} */ (find("mark-error"));
  const undo = /** @type {HTMLElement} */ (find("undo"));
  const list = /** @type {HTMLElement} */ (find("marks"));
  const none = /** @type {HTMLElement} */ (find("no-marks"));
  const mustFix = fix?.dataset.asked === "required";
  let shown = 0;
  /** The mark in the making, and which of the list it replaces. @type {{range: import("./stored.js").Range, instead: number|null}|null} */
  let making = null;
  /** What `spans` held before each change. @type {string[]} */
  const before = [];

  /** @returns {Mark[]} */
  const marks = () => readJson(spans) || [];
  /** @param {HTMLInputElement[]} boxes */
  const checked = (boxes) => boxes.find((box) => box.checked)?.value ?? null;
  /** @param {HTMLInputElement[]} boxes @param {string|null} name @returns {string} what people read for it */
  const titleOf = (boxes, name) => boxes.find((box) => box.value === name)?.closest("label")?.querySelector("span")?.textContent ?? name ?? "";
  /** Whether somebody put work into the mark in the making: a mere selection can go without a word. */
  const begun = () => making !== null && Boolean(making.instead !== null || checked(categories) || note?.value.trim() || fix?.value && fixes?.checked && fix.value !== quote.dataset.whole);

  /** @param {Mark[]} next @param {boolean} [counts] whether it can be undone */
  function store(next, counts = true) {
    if (counts) before.push(spans.value);
    spans.value = next.length ? JSON.stringify(next) : "";
    if (next.length) fine.checked = false;
    desk.touched();
    show();
  }

  /** Where a mark stands in the text that is shown, as JavaScript counts. @param {Mark} mark */
  function inUnits(mark) {
    const { start, end } = asShown(mark, hidden[mark.answer]);
    return { start: codeUnits(texts[mark.answer], start), end: codeUnits(texts[mark.answer], end) };
  }

  /** Where a stretch of the shown text stands in the stored one; null where a part of it is hidden. @param {import("./stored.js").Range} range */
  const inStored = ({ start, end }) => asStored({ start: codePoints(texts[shown], start), end: codePoints(texts[shown], end) }, hidden[shown]);

  function show() {
    const all = marks();
    const here = all.flatMap((mark, index) => (mark.answer === shown ? [{ ...inUnits(mark), number: index + 1, fix: mark.fix }] : []));
    picks.forEach((pick, index) => {
      pick.setAttribute("aria-pressed", String(index === shown));
      const count = all.filter((mark) => mark.answer === index).length;
      /** @type {HTMLElement} */ (pick.querySelector("[data-number]")).textContent = count ? `(${count})` : "";
    });
    surface.setAttribute("aria-label", fill(gettext("Answer %(letter)s, to mark in"), { letter: desk.letters[shown] }));
    surfaceOf.show(texts[shown], here);
    list.replaceChildren(...all.map(entry));
    none.hidden = all.length > 0;
    undo.hidden = !before.length;
    desk.read(all.length ? fill(ngettext("%(n)s mark", "%(n)s marks", all.length), { n: all.length }) : fine.checked ? gettext("Nothing is wrong") : "");
  }

  /** @param {Mark} mark @param {number} index @returns {HTMLElement} */
  function entry(mark, index) {
    const item = document.createElement("li");
    const head = document.createElement("p");
    const said = [desk.letters[mark.answer], titleOf(categories, mark.category), mark.severity && titleOf(severities, mark.severity)];
    head.append(Object.assign(document.createElement("strong"), { textContent: said.filter(Boolean).join(" · ") }));
    const words = document.createElement("p");
    words.dir = "auto";
    words.append(Object.assign(document.createElement("q"), { textContent: short(mark.text, 200) }));
    item.append(head, words);
    if (mark.fix !== null) {
      const right = document.createElement("p");
      right.dir = "auto";
      if (mark.fix) right.append(`${gettext("Instead:")} `, Object.assign(document.createElement("ins"), { textContent: short(mark.fix, 200) }));
      else right.textContent = gettext("To be removed");
      item.append(right);
    }
    if (mark.note) item.append(Object.assign(document.createElement("p"), { textContent: short(mark.note, 300), className: "muted", dir: "auto" }));
    const row = Object.assign(document.createElement("p"), { className: "row" });
    row.append(
      makeButton(gettext("Edit"), fill(gettext("Edit mark %(n)s"), { n: index + 1 }), () => edit(index)),
      makeButton(gettext("Remove"), fill(gettext("Remove mark %(n)s"), { n: index + 1 }), () => remove(index)),
    );
    item.append(row);
    return item;
  }

  /** @param {string} text @param {string} label @param {() => void} press */
  function makeButton(text, label, press) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button compact quiet", textContent: text });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", press);
    return button;
  }

  /** @param {string} [text] */
  function complain(text = "") {
    wrong.textContent = text;
    wrong.hidden = !text;
  }

  /** Puts the form on a place in the text, empty or with the mark that stands there.
   * @param {import("./stored.js").Range} range @param {number|null} instead @param {Mark|null} mark */
  function make(range, instead, mark) {
    making = { range, instead };
    const words = texts[shown].slice(range.start, range.end);
    form.disabled = false;
    title.textContent = fill(gettext("In answer %(letter)s"), { letter: desk.letters[shown] });
    quote.textContent = short(words, 300);
    quote.dataset.whole = words.replace(/\r\n?/g, "\n");
    for (const box of categories) box.checked = box.value === mark?.category;
    for (const box of severities) box.checked = box.value === mark?.severity;
    if (note) note.value = mark?.note ?? "";
    if (fixes) fixes.checked = mustFix || (mark?.fix ?? null) !== null;
    if (fix) fix.value = mark?.fix ?? quote.dataset.whole;
    if (fixBox) fixBox.hidden = !fixes?.checked;
    complain();
    keep();
  }

  /** The field `now` follows the form. */
  function keep() {
    now.value = begun() && making ? JSON.stringify({ ...made(making.range), instead: making.instead }) : "";
  }

  /** @param {import("./stored.js").Range} range @returns {Mark} */
  function made({ start, end }) {
    return {
      answer: shown, ...(inStored({ start, end }) ?? { start: 0, end: 0 }), text: texts[shown].slice(start, end),
      category: checked(categories) ?? "", severity: checked(severities), note: note?.value.trim() ?? "",
      fix: fix && fixes?.checked ? fix.value : null,
    };
  }

  function drop() {
    making = null;
    form.disabled = true;
    title.textContent = title.dataset.none || "";
    quote.textContent = "";
    for (const box of [...categories, ...severities]) box.checked = false;
    if (note) note.value = "";
    if (fix) fix.value = "";
    if (fixes) fixes.checked = mustFix;
    if (fixBox) fixBox.hidden = true;
    complain();
    now.value = "";
    surfaceOf.clear();
  }

  /** What the mark in the making still lacks. @returns {string} */
  function lacking() {
    if (!making) return "";
    const mark = made(making.range);
    if (!mark.category) return gettext("Choose what is wrong with it.");
    if (severities.length && !mark.severity) return gettext("Choose how bad it is.");
    if (note?.dataset.asked === "required" && !mark.note) return gettext("Say in a note what is wrong.");
    if (mark.fix !== null && mark.fix === quote.dataset.whole) return mustFix ? gettext("Change the words to what should stand there.") : gettext("Change the words to what should stand there, or untick “Put it right”.");
    const instead = making.instead;
    const clash = mark.fix !== null && marks().find((other, index) => index !== instead && other.answer === mark.answer && other.fix !== null && other.start < mark.end && mark.start < other.end);
    if (clash) return fill(gettext("“%(text)s” is put right already, and two corrections cannot overlap. Edit that one, or untick “Put it right”."), { text: short(clash.text, 40) });
    return "";
  }

  /** Keeps the mark in the making. @returns {boolean} */
  function add() {
    if (!making) return false;
    const lacks = lacking();
    if (lacks) {
      complain(lacks);
      const first = !checked(categories) ? categories[0] : severities.length && !checked(severities) ? severities[0] : fixes?.checked && fix ? fix : note;
      first?.focus();
      return false;
    }
    const next = marks();
    const mark = made(making.range);
    if (making.instead === null) next.push(mark);
    else next[making.instead] = mark;
    drop();
    store(next);
    desk.say(fill(gettext("Marked: %(text)s, %(category)s"), { text: short(mark.text), category: titleOf(categories, mark.category) }));
    return true;
  }

  /** @param {number} index */
  function edit(index) {
    const mark = marks()[index];
    if (!mark) return;
    if (shown !== mark.answer) pick(mark.answer);
    make(inUnits(mark), index, mark);
    surfaceOf.highlight(inUnits(mark));
    focusForm();
  }

  /** @param {number} index */
  function remove(index) {
    const mark = marks()[index];
    if (making?.instead !== undefined && making?.instead !== null) drop();
    store(marks().filter((_, at) => at !== index));
    desk.say(fill(gettext("Removed: %(text)s"), { text: short(mark.text) }));
    const left = /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("li p.row button:last-child"));
    (left[Math.min(index, left.length - 1)] ?? undo).focus();
  }

  function takeBack() {
    const last = before.pop();
    if (last === undefined) return;
    drop();
    spans.value = last;
    if (last) fine.checked = false;
    desk.touched();
    show();
    desk.say(gettext("Undone."));
    if (undo.hidden) surface.focus({ preventScroll: true });
  }

  function focusForm() {
    (categories.find((box) => box.checked) ?? categories[0]).focus({ preventScroll: true });
    form.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} index */
  function pick(index) {
    if (begun()) return complain(gettext("Keep this mark or drop it first."));
    drop();
    shown = index;
    show();
    surface.scrollTop = 0;
  }

  const surfaceOf = startSurface(surface, {
    chosen(range) {
      if (!range) return;
      if (begun()) return complain(gettext("Keep this mark or drop it first."));
      if (!inStored(range)) {
        drop();
        form.disabled = false;
        return complain(gettext("A part of this is hidden here and cannot be marked. Select less."));
      }
      make(range, null, null);
      desk.say(texts[shown].slice(range.start, range.end));
    },
    mark() {
      if (making) focusForm();
      return making !== null;
    },
    open: (number) => !begun() && edit(number - 1),
    leave() {
      if (making && !begun()) drop();
      desk.section.tabIndex = -1;
      desk.section.focus({ preventScroll: true });
    },
  });

  picks.forEach((button, index) => button.addEventListener("click", () => pick(index)));
  form.addEventListener("input", () => {
    if (fixBox) fixBox.hidden = !fixes?.checked;
    complain();
    keep();
    desk.touched();
  });
  fixes?.addEventListener("change", () => {
    if (!fixes.checked || !fix) return;
    fix.focus();
    fix.select();
  });
  form.addEventListener("keydown", (event) => {
    const box = event.target instanceof HTMLInputElement;
    if (event.key === "Escape" && !event.isComposing) {
      drop();
      surfaceOf.enter();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey || box)) {
      if (add()) surfaceOf.enter();
    } else if (/^[1-9]$/.test(event.key) && box && categories[Number(event.key) - 1]) {
      const chosen = categories[Number(event.key) - 1];
      chosen.checked = true;
      chosen.focus();
      chosen.dispatchEvent(new Event("input", { bubbles: true }));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  find("add").addEventListener("click", () => add() && surfaceOf.enter());
  find("drop").addEventListener("click", () => {
    drop();
    surface.focus({ preventScroll: true });
  });
  undo.addEventListener("click", takeBack);
  fine.addEventListener("change", () => {
    if (fine.checked && marks().length) {
      const count = marks().length;
      store([]);
      fine.checked = true;
      desk.say(fill(ngettext("%(n)s mark removed; undo brings it back.", "%(n)s marks removed; undo brings them back.", count), { n: count }));
    }
    desk.touched();
    show();
  });

  return {
    empty: () => !marks().length && !fine.checked && !begun(),
    complete: () => (marks().length > 0 || fine.checked) && !begun(),
    mayLeaveOut: () => false,
    missing() {
      if (begun()) return lacking() || gettext("Keep this mark or drop it first.");
      return gettext("Mark what is wrong, or tick that nothing is.");
    },
    write: () => (now.value = ""),
    focus: () => surfaceOf.enter(),
    /** @param {string} key @param {KeyboardEvent} event @returns {boolean} */
    press(key, event) {
      if (event.shiftKey) return false;
      const index = desk.letters.findIndex((one) => one.toLowerCase() === key);
      if (index >= 0) {
        pick(index);
        surfaceOf.enter();
      } else if (key === "m") surfaceOf.enter();
      else if (key === "n") fine.click();
      else if (key === "z" && before.length) takeBack();
      else return false;
      return true;
    },
    start() {
      find("marking").hidden = false;
      find("pick").hidden = picks.length < 2;
      const pending = readJson(now);
      if (pending && texts[pending.answer] !== undefined) shown = pending.answer;
      show();
      if (pending && texts[pending.answer] !== undefined) make(inUnits(pending), pending.instead ?? null, pending);
    },
  };
}
