/* The labels that one answer, or the item, can have: which are open, which are found, where the focus is. */

import { fill, gettext, ngettext } from "../../webapp/words.js";

/** @typedef {{element: HTMLElement, name: string, parent: string, title: string, input: HTMLInputElement|null, twist: HTMLButtonElement|null}} Branch one label */

/** @param {string} text */
const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** @param {HTMLElement} element @returns {Branch} */
function makeBranch(element) {
  const { label: name = "", parent = "" } = element.dataset;
  const twist = element.querySelector("button");
  const input = element.querySelector("input");
  const title = (element.querySelector("[data-title]") || twist)?.textContent?.trim() || name;
  for (const key of element.querySelectorAll("kbd")) key.hidden = false;
  return { element, name, parent, title, input, twist };
}

/** @param {HTMLElement} element a `[data-of]` @param {{take: (input: HTMLInputElement) => void, say: (text: string) => void}} outside */
export function makeTree(element, { take, say }) {
  const branches = /** @type {HTMLElement[]} */ ([...element.querySelectorAll("[data-label]")]).map(makeBranch);
  const inputs = branches.flatMap((branch) => branch.input || []);
  const filter = /** @type {HTMLInputElement|null} */ (element.querySelector("[data-filter]"));
  const matches = element.querySelector("[data-matches]");
  /** @type {Set<string>} */
  const closed = new Set(filter ? branches.filter((branch) => branch.twist).map((branch) => branch.name) : []);

  /** @param {string} name @param {string} above whether `name` stands in it, at any depth */
  const inside = (name, above) => name.startsWith(`${above}/`);

  /** A list this long that is searched shows what fits, and what that stands in. @param {string} words */
  function find(words) {
    const fits = branches.filter((branch) => plain(`${branch.title} ${branch.name}`).includes(words));
    for (const branch of branches) branch.element.hidden = !fits.some((one) => one === branch || inside(one.name, branch.name));
    const found = fits.filter((branch) => branch.input).length;
    if (matches) matches.textContent = fill(ngettext("%(count)s label fits", "%(count)s labels fit", found), { count: found });
  }

  function show() {
    const words = plain(filter?.value.trim() || "");
    if (words) find(words);
    else {
      for (const branch of branches) branch.element.hidden = [...closed].some((above) => inside(branch.name, above));
      if (matches) matches.textContent = "";
    }
    for (const branch of branches) branch.twist?.setAttribute("aria-expanded", String(!closed.has(branch.name) || Boolean(words)));
    for (const branch of branches) branch.element.classList.toggle("chosen", Boolean(branch.input?.checked));
    for (const branch of branches) branch.element.classList.toggle("holds-chosen", branches.some((one) => one.input?.checked && inside(one.name, branch.name)));
  }

  /** @param {Branch} branch @param {boolean} open */
  function setOpen(branch, open) {
    if (open) closed.delete(branch.name);
    else closed.add(branch.name);
    show();
  }

  /** What can have the focus now, from first to last. @returns {HTMLElement[]} */
  const stops = () => branches.filter((branch) => !branch.element.hidden).flatMap((branch) => branch.input || branch.twist || []);
  const here = () => branches.find((branch) => branch.element.contains(document.activeElement));

  for (const branch of branches) {
    branch.twist?.addEventListener("click", () => setOpen(branch, closed.has(branch.name)));
  }
  element.querySelector("[data-filter-box]")?.removeAttribute("hidden");
  filter?.addEventListener("input", show);
  filter?.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") stops()[0]?.focus();
    else if (event.key === "Escape" && filter.value) {
      filter.value = "";
      show();
    } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && filter.value.trim()) {
      const words = plain(filter.value.trim());
      const first = branches.find((branch) => branch.input && !branch.element.hidden && plain(`${branch.title} ${branch.name}`).includes(words));
      if (!first?.input) return say(gettext("No label fits."));
      filter.value = "";
      take(first.input);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const branch of branches) if (branch.input?.checked) open(branch.name);

  /** @param {string} name */
  function open(name) {
    for (const above of [...closed]) if (inside(name, above)) closed.delete(above);
  }

  return {
    element, inputs, filter, show,
    letter: element.dataset.letter || "",
    chosen: () => inputs.filter((input) => input.checked),
    titles: () => branches.filter((branch) => branch.input?.checked).map((branch) => branch.title).join(", "),
    /** Opens what a label stands in. @param {HTMLInputElement} input */
    reveal: (input) => open(input.value),
    /** To the label before or after. @param {number} by @returns {boolean} whether there was one */
    step(by) {
      const list = stops();
      const now = list.findIndex((stop) => stop === document.activeElement);
      const next = list[now < 0 ? 0 : now + by];
      next?.focus();
      return Boolean(next);
    },
    /** Opens a label, or closes it or goes to what it stands in. @param {boolean} forth @returns {boolean} whether there was anything to do */
    turn(forth) {
      const branch = here();
      if (!branch) return false;
      if (branch.twist && closed.has(branch.name) === forth) {
        setOpen(branch, forth);
        return true;
      }
      if (forth || !branch.parent) return false;
      const above = branches.find((one) => one.name === branch.parent);
      (above?.input || above?.twist)?.focus();
      return Boolean(above);
    },
    focus() {
      const stop = inputs.find((input) => input.checked) || (filter ?? stops()[0]);
      stop?.focus({ preventScroll: true });
    },
  };
}
