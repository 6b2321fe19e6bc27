"use strict";
// The one dialog of the style guide.
document.querySelector("[data-open-dialog]").addEventListener("click", () => { document.querySelector("[data-dialog]").showModal(); });
