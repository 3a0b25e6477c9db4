/* How text is set on this computer: size, width, columns and the like. Applied as attributes of <html> before the first paint
   (hence a classic script in the head), so that nothing moves; reading.css does the rest. Other scripts call `readingSettings`. */
(() => {
  const STORE = "reading";
  /** @type {Record<string, string[]>} the first of each is what holds where nothing was chosen, and sets no attribute */
  const CHOICES = {
    size: ["0", "-2", "-1", "1", "2", "3", "4"],
    layout: ["auto", "columns", "stacked"],
    measure: ["normal", "narrow", "wide"],
    lines: ["normal", "wide"],
    face: ["sans", "serif"],
    raw: ["no", "yes"],
    passages: ["auto", "open", "closed"],
  };
  const root = document.documentElement;

  /** @returns {Record<string, string>} what was chosen and is still a choice */
  function stored() {
    try {
      const found = JSON.parse(localStorage.getItem(STORE) || "{}");
      return Object.fromEntries(Object.entries(CHOICES).map(([name, values]) => [name, values.includes(found?.[name]) ? found[name] : values[0]]));
    } catch {
      return Object.fromEntries(Object.entries(CHOICES).map(([name, values]) => [name, values[0]]));
    }
  }

  let now = stored();

  function apply() {
    for (const [name, values] of Object.entries(CHOICES)) {
      if (now[name] === values[0]) root.removeAttribute(`data-${name}`);
      else root.setAttribute(`data-${name}`, now[name]);
    }
  }

  const readingSettings = {
    /** @param {string} name */
    get: (name) => now[name],
    /** @param {string} name @param {string} value @returns {boolean} whether it changed */
    set(name, value) {
      if (!CHOICES[name]?.includes(value) || now[name] === value) return false;
      now = { ...now, [name]: value };
      try {
        localStorage.setItem(STORE, JSON.stringify(now));
      } catch {
        // Storage is closed to us: it holds until the page is left.
      }
      apply();
      document.dispatchEvent(new CustomEvent("readingchange", { detail: { name, value } }));
      return true;
    },
  };
  Object.assign(globalThis, { readingSettings });
  apply();
  addEventListener("storage", (event) => {
    if (event.key !== STORE) return;
    now = stored();
    apply();
    document.dispatchEvent(new CustomEvent("readingchange", { detail: {} }));
  });
})();
