"""Why the gateway holds something back, in the words of the facility's people."""

from gateway.reidentify import DOUBTS
from teleread.dicom.deid.deidentify import HELD_REASONS

# Reasons that only the gateway can have, beside those of de-identification.
GATEWAY_REASONS: dict[str, dict[str, str]] = {
    "other_patient": {
        "ja": "この患者IDは別の生年月日または性別で登録されています",
        "en": "This patient ID is known with another birth date or sex.",
    },
    "two_patients": {
        "ja": "一つの検査に二つの患者IDがあります",
        "en": "One study has two patient IDs.",
    },
    "pseudonym_taken": {
        "ja": "仮名が別の患者と重なりました",
        "en": "Another patient has the same pseudonym.",
    },
    "crashed": {
        "ja": "処理が異常終了しました",
        "en": "De-identification ended abnormally on this file.",
    },
    "file_unreadable": {
        "ja": "受信したファイルをディスクから読めません",
        "en": "The received file is gone, or the disk cannot read it.",
    },
    "refused_by_centre": {
        "ja": "センターが受け取りを拒否しました",
        "en": "The centre refused it.",
    },
    "unknown_study": {
        "ja": "このレポートの検査は当施設の記録にありません",
        "en": "The report is of a study that the vault does not know.",
    },
}

REASONS: dict[str, dict[str, str]] = HELD_REASONS | GATEWAY_REASONS


def text_of(reason: str, language: str) -> str:
    """Return the sentence of a reason in `ja` or `en`; the code itself where the table has none."""
    return REASONS.get(reason, {}).get(language, reason)


def doubt_text(reason: str, language: str) -> str:
    """Return the sentence of a reason to hold a report in `ja` or `en`."""
    if reason in DOUBTS:
        return DOUBTS[reason][0 if language == "ja" else 1]
    return text_of(reason, language)
