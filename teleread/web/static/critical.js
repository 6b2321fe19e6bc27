"use strict";
// Alt+C leads from the case to its critical findings; the viewer hands the key on.
(() => {
  const link = document.querySelector("[data-critical]");
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.getModifierState("AltGraph")) return;
    if (link && event.altKey && event.code === "KeyC") { event.preventDefault(); link.click(); }
  });
})();
