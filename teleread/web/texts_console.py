"""Texts of the facility's pages at the centre, in both languages."""

TEXTS: dict[str, tuple[str, str]] = {
    "status.promised": ("報告の約束", "Report promised by"),
    "status.no_promise": ("画像がそろうと決まります", "Set when the images are complete"),
    "status.reader": ("読影医", "Reader"),
    "status.assigned": ("決まりました", "Assigned"),
    "status.not_assigned": ("まだ決まっていません", "Not assigned yet"),
    "status.patient": ("仮名・性別・年齢", "Pseudonym, sex, age"),
}
