/* Applies the chosen theme before the first paint (hence a classic script in the head) and lets a button change it.
   "auto" stores nothing: the page then follows the system. */
(() => {
  const root = document.documentElement;
  const order = ["auto", "light", "dark"];

  /** @returns {string} what was chosen earlier; "auto" where storage is closed to us */
  function chosen() {
    try {
      const name = localStorage.getItem("theme");
      return name && order.includes(name) ? name : "auto";
    } catch {
      return "auto";
    }
  }

  /** @param {string} name */
  function apply(name) {
    if (name === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = name;
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      const text = button.getAttribute(`data-${name}`) || name;
      button.setAttribute("aria-label", text);
      button.setAttribute("title", text);
      button.setAttribute("data-now", name);
      button.removeAttribute("hidden");
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  apply(chosen());
  document.addEventListener("DOMContentLoaded", () => apply(chosen()));
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-theme-toggle]");
    if (!button) return;
    const next = order[(order.indexOf(chosen()) + 1) % order.length];
    try {
      if (next === "auto") localStorage.removeItem("theme");
      else localStorage.setItem("theme", next);
    } catch {
      root.dataset.theme = next;
    }
    apply(next);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(chosen()));
})();
