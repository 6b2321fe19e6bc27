"use strict";
// Keys of the case page that are nobody else's: back to the list, and the sheet of keys.
(() => {
  const sheet = document.querySelector("[data-keys]");
  const back = document.querySelector("[data-back]");
  const show = () => { if (!sheet.open) sheet.showModal(); };
  document.querySelector("[data-open-keys]").addEventListener("click", show);
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.getModifierState("AltGraph")) return;
    // Leaving hides the page, and the editor saves what is hidden.
    if (event.altKey && !event.ctrlKey && event.code === "KeyL") { event.preventDefault(); back.click(); }
    if (event.key === "?" && !event.altKey && !event.ctrlKey && !event.target.closest?.("input, textarea, select")) { event.preventDefault(); show(); }
  });
})();
