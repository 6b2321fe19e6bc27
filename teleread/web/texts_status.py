"""Words of the doctor's status page: what has not arrived, and why a facility holds images back.

A gateway tells the kind of reason and the count, never what a person wrote.
"""

from __future__ import annotations

from teleread.dicom.deid.deidentify import HELD_REASONS

#: key → (Japanese, English)
TEXTS: dict[str, tuple[str, str]] = {
    "status.arrived": ("{images} / {expected}枚が到着", "{images} of {expected} have arrived"),
    "status.missing": (
        "{count}枚が届いていません。院内コンソールで送信の状況を確かめてください。",
        "{count} have not arrived. See at the facility's console what became of them.",
    ),
    "status.withheld": ("施設で保留", "Withheld at the facility"),
    "status.withheld_total": ("{count}枚を施設で保留", "{count} withheld at the facility"),
    "status.withheld_why": ("{count}枚: {reason}", "{count}: {reason}"),
    # Reasons that only a gateway can have, beside those of de-identification.
    "withheld.two_patients": ("一つの検査に二つの患者IDがあります", "One study has two patient IDs."),
    "withheld.pseudonym_taken": ("仮名が別の患者と重なりました", "Another patient has the same pseudonym."),
    "withheld.crashed": ("処理が異常終了しました", "De-identification ended abnormally on it."),
    "withheld.file_unreadable": (
        "受信したファイルをディスクから読めません",
        "The received file is gone, or the disk cannot read it.",
    ),
    "withheld.refused_by_centre": ("センターが受け取りを拒否しました", "The centre refused it."),
    "withheld.other": ("その他の理由", "Another reason."),
}
TEXTS |= {f"withheld.{code}": (words["ja"], words["en"]) for code, words in HELD_REASONS.items()}
