"use strict";
// Words of the viewer's tools: our own in both languages, and Japanese for what the viewer has in English only.
(() => {
  const buttons = {
    "Window Level": "ウィンドウ", "Advanced Window Level": "ウィンドウ（数値）", "Zoom": "拡大", "Pan": "移動",
    "Stack Scroll": "画像送り", "Length": "長さ", "Length Tool": "長さ", "Bidirectional": "長径と短径",
    "Bidirectional Tool": "長径と短径", "Angle": "角度", "Cobb Angle": "Cobb角", "Ellipse": "楕円ROI", "Ellipse ROI": "楕円ROI",
    "Rectangle": "矩形ROI", "Rectangle ROI": "矩形ROI", "Circle": "円ROI", "Circle Tool": "円ROI", "Freehand ROI": "自由曲線ROI",
    "Probe": "画素値", "Rotate Right": "右へ90°回転", "Rotate +90": "右へ90°回転", "Flip Horizontal": "左右反転",
    "Flip Horizontally": "左右反転", "Invert": "白黒反転", "Invert Colors": "白黒反転", "Cine": "シネ再生", "Reset View": "表示を戻す",
    "Reference Lines": "参照線", "Show Reference Lines": "参照線", "Image Overlay": "オーバーレイ", "Toggle Image Overlay": "オーバーレイ",
    "Zoom-in": "虫めがね", "Window Level Region": "範囲で階調", "Crosshairs": "十字線", "Click to toggle on or off": "押すたびに入切",
    "Select an MPR viewport to enable this tool": "MPRの画面を選ぶと使えます", "Orientation": "断面の向き",
    "Axial": "軸位断", "Sagittal": "矢状断", "Coronal": "冠状断", "Acquired": "撮影面", "Reformat": "再構成面", "Layout": "画面分割",
    "More": "その他", "Cancel": "やめる", "Save": "保存", "Reset": "戻す",
    "Adjust window/level presets and customize image contrast settings": "ウィンドウの既定値",
    "Change viewport orientation between axial, sagittal, coronal and reformat planes": "軸位断・矢状断・冠状断を切り替える",
  };
  const japanese = {
    Buttons: buttons,
    Common: { "Layout": "画面分割", "More": "その他", "Image": "画像", "Images": "画像", "Close": "閉じる", "Loading": "読み込み中", "Reset": "戻す" },
    StudyBrowser: { "Studies": "検査", "Primary": "この検査", "Recent": "最近", "All": "すべて", "Series": "シリーズ", "Instances": "画像" },
    SidePanel: { "Studies": "シリーズ", "Measurements": "計測" },
    ToolbarLayoutSelector: { "Custom": "分割数", "Common": "よく使う分割", "Advanced": "断面", "Hover to select rows and columns": "行と列を選びます", "Click to apply": "押すと適用" },
    CineDialog: { "Play": "再生", "Stop": "停止", "Next image": "次の画像", "Previous image": "前の画像", "FPS": "枚/秒" },
    WindowLevelActionMenu: { "Window Presets": "ウィンドウの既定値", "Modality Window Presets": "{{modality}}の既定値", "Back": "戻る" },
    ViewportOverlay: { "Loading...": "読み込み中" },
  };
  // key → [Japanese, English]
  const own = {
    "window.own": ["元の値", "As stored"], "window.lung": ["肺", "Lung"], "window.mediastinum": ["縦隔", "Mediastinum"],
    "window.bone": ["骨", "Bone"], "window.brain": ["脳", "Brain"],
    "tool.mpr": ["MPR（3断面）", "MPR (three planes)"],
    "overlay.date": ["検査日", "Study date"], "overlay.series": ["シリーズ", "Series"],
    "masked": ["施設で隠した部分", "Masked at the facility"],
    "alone": ["画像は、症例の画面から開いてください。", "Open the images from the page of their case."],
  };
  const column = document.documentElement.dataset.language === "ja-JP" ? 0 : 1;
  globalThis.teleread = {
    japanese,
    own,
    word: (key) => own[key][column],
    isJapanese: column === 0,
  };
})();
