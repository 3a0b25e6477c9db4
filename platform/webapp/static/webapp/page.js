/* Small comforts for every page: menus that close, dialogs that open over the page. All of it works without this file. */

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.removeAttribute("open");
  }
  const opener = event.target.closest("a[data-dialog]");
  const dialog = opener && document.querySelector(opener.getAttribute("href") || "");
  if (dialog instanceof HTMLDialogElement) {
    event.preventDefault();
    dialog.showModal();
    const first = dialog.querySelector("[data-focus]");
    if (first instanceof HTMLElement) first.focus();
  }
  const closer = event.target.closest("dialog [data-close]");
  // A click beside an open dialog lands on the dialog itself, for its own box is filled by its children.
  const around = event.target instanceof HTMLDialogElement && event.target.open ? event.target : null;
  const open = closer ? closer.closest("dialog") : around;
  if (open instanceof HTMLDialogElement && open.open) {
    event.preventDefault();
    open.close();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.removeAttribute("open");
    event.preventDefault();
    const summary = menu.querySelector("summary");
    if (summary && menu.contains(document.activeElement)) summary.focus();
  }
});

for (const opener of document.querySelectorAll("a[data-dialog]")) {
  opener.setAttribute("role", "button");
  opener.setAttribute("aria-haspopup", "dialog");
}

// A link with the role of a button has to answer to the space bar as a button does.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !(event.target instanceof HTMLAnchorElement) || !event.target.matches("a[data-dialog]")) return;
  event.preventDefault();
  event.target.click();
});

/** Code and tables that are wider than their column scroll, so the keyboard has to be able to reach them. */
function makeScrollersReachable() {
  for (const box of document.querySelectorAll(".prose :is(pre, table, .formula), pre.log")) {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) box.setAttribute("tabindex", "0");
  }
}

/** On a phone a row of a table becomes a card: each cell then needs its column's title, and the roles that such a layout takes away. */
function titleCells() {
  for (const table of document.querySelectorAll(".table > table:not(.matrix)")) {
    const titles = [...table.querySelectorAll("thead :is(th, td)")].map((cell) => (cell.querySelector(".sr-only") ? "" : cell.textContent?.trim() || ""));
    if (!titles.length || table.classList.contains("titled")) continue;
    table.setAttribute("role", "table");
    for (const part of table.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
    for (const cell of table.querySelectorAll("thead th")) cell.setAttribute("role", "columnheader");
    for (const row of table.querySelectorAll("tr")) row.setAttribute("role", "row");
    for (const row of table.querySelectorAll("tbody tr")) {
      let column = 0;
      for (const cell of /** @type {HTMLTableRowElement} */ (row).cells) {
        cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
        if (cell.colSpan === 1 && titles[column] && cell.tagName === "TD") cell.dataset.title = titles[column];
        column += cell.colSpan;
      }
    }
    table.classList.add("titled");
  }
}
titleCells();

// On a phone the tab of this page may lie beyond the edge.
for (const link of document.querySelectorAll(":is(.tabs, .mainnav) [aria-current]")) {
  const row = /** @type {HTMLElement} */ (link.parentElement);
  const [here, around] = [link.getBoundingClientRect(), row.getBoundingClientRect()];
  row.scrollLeft += here.left - around.left - (around.width - here.width) / 2;
}

// Where a page is nothing but a password to choose, one can type at once.
const password = document.querySelector(".page.narrow input[type=password]");
if (password instanceof HTMLInputElement && (!document.activeElement || document.activeElement === document.body)) password.focus();

makeScrollersReachable();
addEventListener("resize", makeScrollersReachable);
document.addEventListener("toggle", makeScrollersReachable, true);
document.addEventListener("contentshown", () => (makeScrollersReachable(), titleCells()));
