// Boxes over a held image: drawn, moved and deleted by mouse or by keys alone. The page works without this file: the
// boxes are lines of four numbers in a field, and this file writes into that field.
"use strict";
(() => {
  const form = document.querySelector("[data-held]");
  const cover = form && form.querySelector("figure.main svg.boxes");
  if (!cover) return;
  const field = form.querySelector("textarea[name=boxes]");
  const copies = [...form.querySelectorAll("svg.boxes")].filter((one) => one !== cover);
  const columns = cover.viewBox.baseVal.width;
  const rows = cover.viewBox.baseVal.height;
  const step = Math.max(1, Math.round(columns / 100));
  const most = 32;
  const tools = Object.fromEntries([...form.querySelectorAll("[data-tool]")].map((one) => [one.dataset.tool, one]));
  for (const one of Object.values(tools)) one.hidden = false;
  let boxes = [];
  let chosen = -1;

  const clamp = (value, low, high) => Math.min(Math.max(Math.round(value), low), high);
  function fitted(box) {
    const width = clamp(box.width, 1, columns);
    const height = clamp(box.height, 1, rows);
    return { x: clamp(box.x, 0, columns - width), y: clamp(box.y, 0, rows - height), width, height };
  }
  function read() {
    boxes = (field ? field.value : "").split(/[;\n]/).map((line) => line.trim().split(/\s*,\s*/).map(Number))
      .filter((four) => four.length === 4 && four.every(Number.isInteger) && four[2] > 0 && four[3] > 0)
      .map(([x, y, width, height]) => ({ x, y, width, height }));
    chosen = Math.min(chosen, boxes.length - 1);
  }
  function rectangle(box, isChosen) {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("class", isChosen ? "box chosen" : "box");
    for (const name of ["x", "y", "width", "height"]) rect.setAttribute(name, box[name]);
    return rect;
  }
  function draw() {
    cover.replaceChildren(...boxes.map((box, index) => rectangle(box, index === chosen)));
    if (chosen >= 0) {
      const grip = rectangle({ x: boxes[chosen].x + boxes[chosen].width - step, y: boxes[chosen].y + boxes[chosen].height - step, width: step * 2, height: step * 2 }, false);
      grip.setAttribute("class", "grip");
      cover.append(grip);
    }
    for (const copy of copies) copy.replaceChildren(...boxes.map((box) => rectangle(box, false)));
    if (tools.delete) tools.delete.disabled = chosen < 0;
  }
  function write() {
    field.value = boxes.map((box) => `${box.x},${box.y},${box.width},${box.height}`).join("\n");
    const masked = form.querySelector('input[value="release_masked"]');
    if (boxes.length && masked && !form.querySelector("input[name=way]:checked")) choose(masked);
    draw();
  }
  function choose(radio) {
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
  }

  const add = (box) => {
    if (!field || boxes.length >= most) return;
    boxes.push(fitted(box));
    chosen = boxes.length - 1;
    write();
  };
  const remove = () => {
    if (!field || chosen < 0) return;
    boxes.splice(chosen, 1);
    chosen = boxes.length - 1;
    write();
  };
  function bare(on) {
    const wasBare = form.classList.contains("bare");
    form.classList.toggle("bare", on);
    if (tools.bare) tools.bare.setAttribute("aria-pressed", String(on));
    if (on && !wasBare) {
      const body = new URLSearchParams({ csrf_token: form.querySelector("[name=csrf_token]").value });
      fetch(form.dataset.uncovered, { method: "POST", body }).catch(() => {});
    }
  }

  // By mouse: draw on free ground, move a box, pull its lower right corner.
  let drag = null;
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(cover.getScreenCTM().inverse());
  cover.addEventListener("pointerdown", (event) => {
    if (!field || event.button !== 0) return;
    event.preventDefault();
    cover.setPointerCapture(event.pointerId);
    const point = at(event);
    const inside = (box) => point.x >= box.x && point.x <= box.x + box.width && point.y >= box.y && point.y <= box.y + box.height;
    if (event.target.classList.contains("grip")) drag = { kind: "size", box: boxes[chosen] };
    else if (boxes.findLastIndex(inside) >= 0) {
      chosen = boxes.findLastIndex(inside);
      drag = { kind: "move", from: point, start: { ...boxes[chosen] } };
    } else drag = { kind: "new", from: point };
    draw();
  });
  cover.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const point = at(event);
    if (drag.kind === "new") {
      const box = { x: Math.min(drag.from.x, point.x), y: Math.min(drag.from.y, point.y), width: Math.abs(point.x - drag.from.x), height: Math.abs(point.y - drag.from.y) };
      if (box.width < 3 || box.height < 3) return;
      add(box);
      drag = { kind: "pull", from: drag.from };
    } else if (drag.kind === "pull") {
      boxes[chosen] = fitted({ x: Math.max(Math.min(drag.from.x, point.x), 0), y: Math.max(Math.min(drag.from.y, point.y), 0), width: Math.abs(clamp(point.x, 0, columns) - drag.from.x), height: Math.abs(clamp(point.y, 0, rows) - drag.from.y) });
    } else if (drag.kind === "size") {
      const box = boxes[chosen];
      boxes[chosen] = { ...box, width: clamp(point.x - box.x, 1, columns - box.x), height: clamp(point.y - box.y, 1, rows - box.y) };
    } else boxes[chosen] = fitted({ ...drag.start, x: drag.start.x + point.x - drag.from.x, y: drag.start.y + point.y - drag.from.y });
    write();
  });
  for (const end of ["pointerup", "pointercancel"]) cover.addEventListener(end, () => { drag = null; });

  // By keys alone; never while somebody types.
  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const isTyping = (target) => target.closest("textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox])") !== null;
  function arrow([across, down], isSize) {
    const box = boxes[chosen];
    boxes[chosen] = isSize
      ? { ...box, width: clamp(box.width + across * step, 1, columns - box.x), height: clamp(box.height + down * step, 1, rows - box.y) }
      : fitted({ ...box, x: box.x + across * step, y: box.y + down * step });
    write();
  }
  const newBox = () => add({ x: columns / 20, y: rows / 20, width: columns / 3, height: Math.max(rows / 14, 12) });
  addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
    const key = event.key.toLowerCase();
    const move = MOVES[event.key];
    if (move && chosen >= 0 && field && event.target.type !== "radio") arrow(move, event.shiftKey);
    else if (key === "b") newBox();
    else if (event.key === "Delete" || event.key === "Backspace") remove();
    else if (key === "n" && boxes.length) { chosen = (chosen + 1) % boxes.length; draw(); }
    else if (key === "o") { if (!event.repeat) bare(true); }
    else if (/^[1-4]$/.test(key)) {
      const radio = form.querySelectorAll("input[name=way]")[Number(key) - 1];
      if (radio) choose(radio);
    } else return;
    event.preventDefault();
  });
  addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "o") bare(false); });
  addEventListener("blur", () => bare(false));
  if (tools.add) tools.add.addEventListener("click", newBox);
  if (tools.delete) tools.delete.addEventListener("click", remove);
  if (tools.bare) tools.bare.addEventListener("click", () => bare(!form.classList.contains("bare")));
  if (field) field.addEventListener("input", () => { read(); draw(); });

  // The button says what it is going to do, and with how many.
  const buttons = [...form.querySelectorAll("button[data-count]")];
  function label() {
    const radio = form.querySelector("input[name=way]:checked");
    if (!radio) return;
    for (const button of buttons) (button.querySelector("span") || button).textContent = radio.dataset.act.replace("{n}", button.dataset.count);
  }
  form.addEventListener("change", (event) => { if (event.target.name === "way") label(); });

  const slider = form.querySelector("[data-frame]");
  if (slider) {
    const image = form.querySelector("figure.main img");
    slider.addEventListener("change", () => { image.src = image.dataset.frames.replace(/frame=0$/, `frame=${slider.value}`); });
    slider.addEventListener("input", () => { slider.nextElementSibling.textContent = slider.value; });
  }

  read();
  draw();
  label();
})();
