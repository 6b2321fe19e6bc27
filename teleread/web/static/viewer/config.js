"use strict";
// Starts the viewer: inside the page of its case, and nowhere else.
(() => {
  const { teleread } = globalThis;
  const page = document.documentElement.dataset;
  // Number of the module that holds the viewer's texts in this build; the set-up has checked it.
  const I18NEXT = 26104;

  async function addTexts() {
    let load = null;
    globalThis.rspackChunk.push([["teleread"], {}, (found) => { load = found; }]);
    const i18next = load?.(I18NEXT)?.A;
    if (!i18next) return;
    await i18next.initializing;
    for (const [name, texts] of Object.entries(teleread.japanese)) i18next.addResourceBundle("ja-JP", name, texts, true, true);
    await i18next.changeLanguage(page.language);
  }

  if (!teleread.bridge.isFramed()) {
    document.body.className = "tr-alone";
    document.body.textContent = teleread.word("alone");
    return;
  }

  window.config = async ({ peerImport }) => {
    await addTexts();
    window.modes.length = 0;
    window.extensions.splice(0, Infinity, "@ohif/extension-default", "@ohif/extension-cornerstone");
    const basic = await peerImport("@ohif/mode-basic");
    return {
      routerBasename: "/viewer",
      showStudyList: false,
      showPatientInfo: "disabled",
      disableConfirmationPrompts: true,
      investigationalUseDialog: { option: "never" },
      showWarningMessageForCrossOrigin: false,
      showCPUFallbackMessage: false,
      showLoadingIndicator: true,
      experimentalStudyBrowserSort: false,
      maxNumberOfWebWorkers: 3,
      whiteLabeling: { createLogoComponentFn: (React) => React.createElement("span", { className: "tr-no-logo" }) },
      customizationService: teleread.mode.customizations,
      httpErrorHandler: teleread.bridge.dataFailed,
      extensions: [teleread.bridge.extension],
      modes: [teleread.mode.make(basic)],
      defaultDataSourceName: "case",
      dataSources: [{
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "case",
        configuration: {
          friendlyName: page.case,
          name: "case",
          qidoRoot: page.root,
          wadoRoot: page.root,
          wadoUriRoot: page.root,
          imageRendering: "wadors",
          thumbnailRendering: "wadors",
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          omitQuotationForMultipartRequest: true,
          bulkDataURI: { enabled: true },
        },
      }],
    };
  };

  const bundle = document.createElement("script");
  bundle.src = page.bundle;
  document.head.append(bundle);
})();
