"use strict";
// What every page does: the clock, copying a case number, forgetting the tab's texts at sign-out.
(() => {
  for (const clock of document.querySelectorAll("[data-clock]")) {
    const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: clock.dataset.clock });
    const show = () => { clock.textContent = format.format(new Date()); };
    show();
    setInterval(show, 5000);
  }
  const SAID_MS = 1500;
  for (const plate of document.querySelectorAll("[data-copy]")) {
    const shown = [...plate.childNodes];
    plate.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(plate.dataset.copy);
      plate.style.minWidth = `${plate.offsetWidth}px`;
      plate.textContent = plate.dataset.said;
      setTimeout(() => { plate.replaceChildren(...shown); }, SAID_MS);
    });
  }
  for (const form of document.querySelectorAll("[data-sign-out]")) {
    form.addEventListener("submit", () => sessionStorage.clear());
  }
})();
