"use strict";
// How the images are read: tools, windows, keys, corners. Made from the viewer's basic mode, without what would
// change sizes, keep files or leave the case.
(() => {
  const { teleread } = globalThis;
  const { word } = teleread;
  const KEEP = /default|extension-cornerstone\.|dicom-pdf|dicom-sr|dicom-seg/;
  // Usual windows in Hounsfield units; the first is the file's own. Other modalities have no common scale.
  const WINDOWS = [
    { key: "1", name: "window.own" },
    { key: "2", name: "window.lung", width: 1500, center: -600 },
    { key: "3", name: "window.mediastinum", width: 400, center: 40 },
    { key: "4", name: "window.bone", width: 2000, center: 400 },
    { key: "5", name: "window.brain", width: 80, center: 40 },
  ];
  const hotkey = (commandName, label, keys, commandOptions) => ({ commandName, label, keys: [keys], isEditable: false, ...(commandOptions && { commandOptions }) });
  const HOTKEYS = [
    hotkey("nextImage", "Next Image", "down"), hotkey("previousImage", "Previous Image", "up"),
    hotkey("firstImage", "First Image", "home"), hotkey("lastImage", "Last Image", "end"),
    hotkey("updateViewportDisplaySet", "Previous Series", "pageup", { direction: -1 }),
    hotkey("updateViewportDisplaySet", "Next Series", "pagedown", { direction: 1 }),
    hotkey("incrementActiveViewport", "Next Image Viewport", "right"), hotkey("decrementActiveViewport", "Previous Image Viewport", "left"),
    hotkey("scaleUpViewport", "Zoom In", "+"), hotkey("scaleDownViewport", "Zoom Out", "-"), hotkey("fitViewportToWindow", "Zoom to Fit", "="),
    hotkey("rotateViewportCW", "Rotate Right", "r"), hotkey("rotateViewportCCW", "Rotate Left", "l"),
    hotkey("flipViewportHorizontal", "Flip Horizontally", "h"), hotkey("flipViewportVertical", "Flip Vertically", "v"),
    hotkey("invertViewport", "Invert", "i"), hotkey("toggleCine", "Cine", "c"), hotkey("resetViewport", "Reset", "space"),
    hotkey("teleread.tool", "Zoom", "z", { toolName: "Zoom" }), hotkey("teleread.tool", "Pan", "p", { toolName: "Pan" }),
    hotkey("teleread.tool", "Window Level", "w", { toolName: "WindowLevel" }), hotkey("teleread.tool", "Length", "d", { toolName: "Length" }),
    hotkey("teleread.tool", "Angle", "a", { toolName: "Angle" }), hotkey("teleread.tool", "Ellipse ROI", "e", { toolName: "EllipticalROI" }),
    hotkey("teleread.mpr", "MPR", "m"),
    hotkey("cancelActiveOperation", "Cancel Measurement", "esc"), hotkey("undo", "Undo", "ctrl+z"), hotkey("redo", "Redo", "ctrl+y"),
    ...WINDOWS.map((one) => hotkey("teleread.window", word(one.name), one.key, { key: one.key })),
  ];

  teleread.commands = (commands) => {
    const run = (name, options) => commands.runCommand(name, options, "CORNERSTONE");
    // The window as stored in the image; of several the first, as the modality shows it.
    const stored = () => {
      const { viewportGridService, cornerstoneViewportService } = teleread.services;
      const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
      const lut = teleread.bridge.cornerstone().metaData.get("voiLutModule", viewport?.getCurrentImageId?.());
      const first = (value) => Number(Array.isArray(value) ? value[0] : value);
      return { width: first(lut?.windowWidth), center: first(lut?.windowCenter) };
    };
    const isCT = () => {
      const { viewportGridService, displaySetService } = teleread.services;
      const [uid] = viewportGridService.getDisplaySetsUIDsForViewport(viewportGridService.getActiveViewportId()) ?? [];
      return displaySetService.getDisplaySetByUID(uid)?.Modality === "CT";
    };
    return {
      "teleread.window": ({ key }) => {
        const preset = WINDOWS.find((one) => one.key === key);
        const { width, center } = preset.width ? preset : stored();
        if (!Number.isFinite(width) || !Number.isFinite(center)) return;
        if (preset.width && !isCT()) return;
        run("setWindowLevel", { windowWidth: width, windowCenter: center });
      },
      "teleread.tool": ({ toolName }) => run("setToolActiveToolbar", { toolName, itemId: toolName, value: toolName, toolGroupIds: ["default", "mpr"] }),
      "teleread.mpr": () => commands.runCommand("toggleHangingProtocol", { protocolId: "mpr" }, "DEFAULT"),
    };
  };

  const button = (id, icon, label, commandsOf) => ({
    id, uiType: "ohif.toolButton", props: { icon, label, tooltip: label, commands: commandsOf, evaluate: "evaluate.action" },
  });
  const BUTTONS = [
    { id: "teleread.windows", uiType: "ohif.toolButtonList", props: { buttonSection: true } },
    ...WINDOWS.map((one) => button(`teleread.window.${one.key}`, "tool-window-level", `${one.key}  ${word(one.name)}`,
      [{ commandName: "teleread.window", commandOptions: { key: one.key } }])),
    button("teleread.mpr", "layout-advanced-mpr", word("tool.mpr"), "teleread.mpr"),
  ];
  const SECTIONS = {
    "primary": ["WindowLevel", "teleread.windows", "Zoom", "Pan", "StackScroll", "MeasurementTools", "rotate-right", "invert", "Cine", "teleread.mpr", "Crosshairs", "Layout", "Reset", "MoreTools"],
    "teleread.windows": WINDOWS.map((one) => `teleread.window.${one.key}`),
    "MeasurementTools": ["Length", "Bidirectional", "Angle", "CobbAngle", "EllipticalROI", "CircleROI", "RectangleROI", "PlanarFreehandROI", "Probe"],
    "MoreTools": ["flipHorizontal", "ReferenceLines", "ImageOverlayViewer", "Magnify", "WindowLevelRegion"],
    "viewportActionMenu.topLeft": ["orientationMenu"],
    "viewportActionMenu.topRight": [],
    "viewportActionMenu.bottomLeft": ["windowLevelMenu"],
    "viewportActionMenu.bottomMiddle": [],
    "AdvancedRenderingControls": [],
  };

  const date = (text) => (/^\d{8}$/.test(text ?? "") ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : "");
  const item = (id, title, attribute, format) => ({
    id, inheritsFrom: "ohif.overlayItem", label: "", title,
    condition: ({ referenceInstance }) => Boolean(referenceInstance?.[attribute]),
    contentF: ({ referenceInstance }) => format(referenceInstance[attribute]),
  });
  const customizations = [{
    "ohif.hotkeyBindings": { $set: HOTKEYS },
    "ohif.tours": { $set: [] },
    "cornerstone.windowLevelPresets": { $set: { CT: WINDOWS.filter((one) => one.width).map((one) => ({ id: one.name, description: word(one.name), window: String(one.width), level: String(one.center) })) } },
    "viewportOverlay.topLeft": { $set: [
      item("StudyDate", word("overlay.date"), "StudyDate", date),
      item("SeriesDescription", word("overlay.series"), "SeriesDescription", String),
    ] },
    "layoutSelector.advancedPresetGenerator": { $set: () => [] },
    "studyBrowser.studyMode": { $set: "primary" },
  }];

  function make(basic) {
    const instance = basic.modeInstance;
    const layout = instance.routes[0].layoutInstance;
    const extensions = {
      "@ohif/extension-default": "^3", "@ohif/extension-cornerstone": "^3", "@ohif/extension-cornerstone-dicom-sr": "^3",
      "@ohif/extension-cornerstone-dicom-seg": "^3", "@ohif/extension-dicom-pdf": "^3",
    };
    const mode = {
      ...instance,
      id: "teleread",
      routeName: "viewer",
      hide: false,
      isValidMode: () => ({ valid: true }),
      extensions,
      sopClassHandlers: instance.sopClassHandlers.filter((handler) => KEEP.test(handler)),
      toolbarButtons: [{ $reference: "cornerstone.toolbarButtons" }, ...BUTTONS],
      toolbarSections: [{ $reference: "cornerstone.toolbarSections" }, SECTIONS],
      routes: [{
        ...instance.routes[0],
        path: "teleread",
        layoutInstance: { ...layout, props: { ...layout.props, rightPanels: [], viewports: layout.props.viewports.filter((one) => KEEP.test(one.namespace)) } },
      }],
    };
    return { id: "teleread", modeFactory: () => mode, modeInstance: mode, extensionDependencies: extensions, customizations: basic.customizations };
  }

  teleread.mode = { make, customizations, HOTKEYS, WINDOWS };
})();
