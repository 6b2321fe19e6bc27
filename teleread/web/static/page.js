"use strict";
// What every page does: the clock, copying a case number, forgetting the tab's texts at sign-out.
(() => {
  for (const clock of document.querySelectorAll("[data-clock]")) {
    const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: clock.dataset.clock });
    const show = () => { clock.textContent = format.format(new Date()); };
    show();
    setInterval(show, 5000);
  }
  for (const plate of document.querySelectorAll("h1 .plate, .case-bar .plate")) {
    plate.addEventListener("click", () => navigator.clipboard?.writeText(plate.dataset.case));
  }
  for (const form of document.querySelectorAll("[data-sign-out]")) {
    form.addEventListener("submit", () => sessionStorage.clear());
  }
})();
