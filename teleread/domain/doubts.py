"""Why a report was not given its name: words for both ends. None of them names a patient."""

#: Code of a doubt -> what people read, Japanese and English.
DOUBTS: dict[str, tuple[str, str]] = {
    "pdf_changed": ("届いたPDFが配信票のものと一致しません", "The PDF is not the one that the package names"),
    "pdf_unreadable": ("PDFを読めません", "The PDF cannot be read"),
    "signature": ("読影医の署名を確認できません", "The reader's signature is not valid over the whole file"),
    "content_changed": (
        "署名された内容が配信票と一致しません",
        "The signed content is not the one that the package names",
    ),
    "case_number": ("症例番号が一致しません", "The case numbers differ"),
    "version": ("版・種別・状態が一致しません", "Version, kind or status differ"),
    "pseudonym": ("仮名が一致しません", "The pseudonyms differ"),
    "study": ("検査が一致しません", "The studies differ"),
    "accession": ("受付番号が一致しません", "The accession numbers differ"),
    "sex": ("性別が一致しません", "The sexes differ"),
    "age": ("年齢が一致しません", "The ages differ"),
    "birth_year": ("生まれた年が一致しません", "The years of birth differ"),
    "no_patient_id": ("患者IDが保管庫にありません", "The vault has no patient ID"),
    "vault_entry": (
        "保管庫の記録が施設の鍵と一致しません",
        "The vault's entry is not what the facility's keys make of the patient",
    ),
    "not_printable": (
        "患者情報に印字できない文字があります",
        "The identity has a character that cannot be printed",
    ),
    "not_filled": ("PDFの記入欄に記入できません", "The fields of the PDF cannot be filled"),
    "named_report": ("記入後の確認に失敗しました", "The finished report did not pass its check"),
    "unknown_study": (
        "このレポートの検査は施設の記録にありません",
        "The facility's vault does not know the report's study",
    ),
}
