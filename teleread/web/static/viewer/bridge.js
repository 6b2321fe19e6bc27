"use strict";
// Between the viewer and the page of its case: facts go up, questions come down. Each message carries the case
// number, and each side looks at where a message comes from, so that no other tab or frame is ever believed.
(() => {
  const { teleread } = globalThis;
  const page = document.documentElement.dataset;
  const KEYS = new Set(["KeyA", "KeyC", "KeyG", "KeyI", "KeyK", "KeyL", "KeyM", "KeyN", "KeyO", "KeyP", "KeyQ", "KeyW"]);
  const shown = new Set();
  const loaded = new Set();
  const failed = new Map();
  const unsubscribe = [];
  let services = null;
  let commands = null;
  let cornerstone = null;
  let progressTimer = null;

  const isFramed = () => parent !== window;
  const send = (kind, facts = {}) => parent.postMessage({ teleread: 1, case: page.case, kind, ...facts }, location.origin);
  const instanceOf = (imageId) => (imageId && cornerstone ? cornerstone.metaData.get("instance", imageId) : undefined);

  // What a viewport shows: from the image that is drawn; a reformatted plane has none, so its series tell.
  function viewportFacts(viewportId) {
    const drawn = services.cornerstoneViewportService.getCornerstoneViewport(viewportId);
    const imageId = drawn?.getCurrentImageId?.();
    const instance = instanceOf(imageId);
    const uids = services.viewportGridService.getDisplaySetsUIDsForViewport(viewportId) ?? [];
    const sets = uids.map((uid) => services.displaySetService.getDisplaySetByUID(uid)).filter(Boolean)
      .map((set) => ({ study: set.StudyInstanceUID, series: set.SeriesInstanceUID, frames: set.numImageFrames ?? 0 }));
    return {
      viewport: viewportId,
      study: instance?.StudyInstanceUID ?? sets[0]?.study ?? null,
      series: instance?.SeriesInstanceUID ?? sets[0]?.series ?? null,
      sop: instance?.SOPInstanceUID ?? null,
      // An empty viewport is drawn too; what counts is that this image's pixels have come.
      isDrawn: loaded.has(imageId),
      sets,
    };
  }
  function state() {
    const grid = services.viewportGridService.getState();
    const viewports = [...grid.viewports.keys()].map(viewportFacts).filter((one) => one.study !== null);
    return {
      protocol: services.hangingProtocolService.getState().protocolId ?? null,
      viewports,
      studies: [...new Set(viewports.flatMap((one) => [one.study, ...one.sets.map((set) => set.study)]))],
      drawn: [...new Set(viewports.filter((one) => one.isDrawn).map((one) => one.study))],
      failed: failed.size,
    };
  }

  function displaySets() {
    const sets = services.displaySetService.getActiveDisplaySets().map((set) => ({
      study: set.StudyInstanceUID, series: set.SeriesInstanceUID, modality: set.Modality, frames: set.numImageFrames ?? 0,
    }));
    send("displaysets", { sets, frames: sets.reduce((sum, set) => sum + set.frames, 0) });
  }
  // A picture every 150 ms is often enough for a number that a person reads.
  function progress() {
    progressTimer ??= setTimeout(() => {
      progressTimer = null;
      if (!services) return;
      const sets = new Map(state().viewports.flatMap((one) => one.sets).map((set) => [set.series, set.frames]));
      send("progress", { loaded: loaded.size, of: [...sets.values()].reduce((sum, frames) => sum + frames, 0), failed: failed.size });
    }, 150);
  }
  function imageLoaded(event) {
    const imageId = event.detail?.image?.imageId;
    if (!imageId) return;
    loaded.add(imageId);
    failed.delete(imageId);
    progress();
  }
  function imageFailed(event) {
    const imageId = event.detail?.imageId ?? event.detail?.image?.imageId;
    if (!imageId || failed.has(imageId)) return;
    const instance = instanceOf(imageId);
    failed.set(imageId, instance?.InstanceNumber ?? null);
    send("load-failed", { failed: failed.size, of: loaded.size + failed.size, instances: [...failed.values()].slice(0, 10) });
  }
  function rendered(event) {
    const viewportId = event.detail?.viewportId;
    if (!services || !viewportId) return;
    const facts = viewportFacts(viewportId);
    if (!facts.study || !facts.isDrawn) return;
    const key = `${viewportId} ${facts.study} ${facts.series}`;
    if (shown.has(key)) return;
    shown.add(key);
    send("shown", facts);
  }

  // Where the facility has hidden pixels, the image says so itself; an outline keeps anybody from reading the flat
  // ground as a finding. Drawn anew with each picture, so it follows zoom, rotation and paging.
  const MASKED = /Pixels masked at the facility, x,y,width,height: ((?:\d+,\d+,\d+,\d+(?:; )?)+)/;
  const SVG = "http://www.w3.org/2000/svg";
  function maskedRegions(imageId) {
    const found = MASKED.exec(String(instanceOf(imageId)?.DerivationDescription ?? ""));
    return found ? found[1].split("; ").filter(Boolean).map((four) => four.split(",").map(Number)) : [];
  }
  function outline(event) {
    const { viewportId } = event.detail ?? {};
    const viewport = services && viewportId ? services.cornerstoneViewportService.getCornerstoneViewport(viewportId) : null;
    if (!viewport?.element) return;
    // A reformatted plane is no image of its own.
    const regions = viewport.type === "stack" ? maskedRegions(viewport.getCurrentImageId?.()) : [];
    const ground = viewport.canvas?.parentElement ?? viewport.element;
    let layer = ground.querySelector("svg.tr-masked");
    if (!layer && !regions.length) return;
    if (!layer) {
      layer = document.createElementNS(SVG, "svg");
      layer.setAttribute("class", "tr-masked");
      layer.setAttribute("role", "img");
      layer.setAttribute("aria-label", teleread.word("masked"));
      ground.append(layer);
    }
    const grid = regions.length ? viewport.getImageData()?.imageData : null;
    const at = (column, row) => viewport.worldToCanvas(grid.indexToWorld([column - 0.5, row - 0.5, 0]));
    layer.replaceChildren(...(grid ? regions : []).flatMap(([x, y, width, height]) => {
      const corners = [at(x, y), at(x + width, y), at(x + width, y + height), at(x, y + height)];
      const shape = document.createElementNS(SVG, "polygon");
      shape.setAttribute("points", corners.map((point) => point.map((one) => one.toFixed(1)).join(",")).join(" "));
      const label = document.createElementNS(SVG, "text");
      label.setAttribute("x", Math.min(...corners.map((point) => point[0])) + 4);
      label.setAttribute("y", Math.min(...corners.map((point) => point[1])) + 14);
      label.textContent = teleread.word("masked");
      return [shape, label];
    }));
  }
  document.addEventListener("CORNERSTONE_IMAGE_RENDERED", outline, true);

  // Keys of the case page work in the images too; they are taken before the viewer sees them.
  function combination(event) {
    if (event.isComposing || event.keyCode === 229 || event.metaKey || event.getModifierState("AltGraph")) return null;
    if (event.altKey && !event.ctrlKey && KEYS.has(event.code)) return `Alt+${event.code.slice(3)}`;
    if (event.ctrlKey && !event.altKey && event.key === "Enter") return "Ctrl+Enter";
    return null;
  }
  addEventListener("keydown", (event) => {
    const key = combination(event);
    if (!key) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!event.repeat) send("key", { key });
  }, true);
  // The drawing library keeps a click from moving the focus; without this, keys meant for the image would
  // go on typing into the report.
  addEventListener("pointerdown", () => window.focus(), true);
  addEventListener("focus", () => send("focus", { inside: true }));
  addEventListener("blur", () => send("focus", { inside: false }));
  document.addEventListener("CORNERSTONE_IMAGE_RENDERED", rendered, true);

  const ANSWERS = {
    state: (asked) => send("state", { id: asked.id, ready: services !== null, ...(services ? state() : { viewports: [], studies: [], drawn: [], failed: 0 }) }),
    layout: (asked) => commands?.runCommand("setHangingProtocol", { protocolId: asked.protocol === "mpr" ? "mpr" : "default" }),
  };
  addEventListener("message", (event) => {
    if (event.origin !== location.origin || event.source !== parent || event.data?.teleread !== 1) return;
    if (event.data.case !== page.case) return;
    ANSWERS[event.data.kind]?.(event.data);
  });

  const extension = {
    id: "teleread.bridge",
    version: "1.0.0",
    preRegistration({ servicesManager, commandsManager }) {
      teleread.services = servicesManager.services;
      commands = commandsManager;
    },
    getCommandsModule: () => ({ definitions: teleread.commands(commands), defaultContext: "CORNERSTONE" }),
    onModeEnter({ servicesManager, extensionManager }) {
      services = servicesManager.services;
      const common = extensionManager.getModuleEntry("@ohif/extension-cornerstone.utilityModule.common");
      cornerstone = common.exports.getCornerstoneLibraries().cornerstone;
      const { EVENTS, eventTarget } = { EVENTS: cornerstone.Enums.Events, eventTarget: cornerstone.eventTarget };
      for (const [name, hear] of [[EVENTS.IMAGE_LOADED, imageLoaded], [EVENTS.IMAGE_LOAD_FAILED, imageFailed], [EVENTS.IMAGE_LOAD_ERROR, imageFailed]]) {
        eventTarget.addEventListener(name, hear);
        unsubscribe.push(() => eventTarget.removeEventListener(name, hear));
      }
      const sets = services.displaySetService;
      for (const name of [sets.EVENTS.DISPLAY_SETS_ADDED, sets.EVENTS.DISPLAY_SETS_CHANGED]) {
        const subscription = sets.subscribe(name, displaySets);
        unsubscribe.push(() => subscription.unsubscribe());
      }
      send("ready");
    },
    onModeExit() {
      for (const end of unsubscribe.splice(0)) end();
      shown.clear();
      // Without this, "redo" could bring back a mark after the images have changed.
      const memo = cornerstone?.utilities.HistoryMemo?.DefaultHistoryMemo;
      if (memo) memo.size = memo.size;
    },
  };

  teleread.bridge = {
    extension,
    isFramed,
    cornerstone: () => cornerstone,
    dataFailed: (error) => send("data-failed", { status: error?.status ?? error?.request?.status ?? 0 }),
  };
})();
