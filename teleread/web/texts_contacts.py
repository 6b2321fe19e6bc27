"""Words of the pages on which a facility's contacts are kept."""

from __future__ import annotations

#: key → (Japanese, English)
TEXTS: dict[str, tuple[str, str]] = {
    "nav.contacts": ("連絡先", "Contacts"),
    "contacts.title": ("緊急所見の連絡先", "Contacts for critical findings"),
    "contacts.lead": (
        "依頼の責任医師につながらないときに連絡する、施設の職員です。患者の情報は書きません。",
        "Staff of the facility to be told when the doctor of the order cannot be reached. Nothing about patients.",
    ),
    "contacts.people": ("登録", "People"),
    "contacts.by_mail": ("うちメールあり", "With mail"),
    "contacts.nobody": ("登録なし", "nobody"),
    "contacts.change": ("見る・変更", "See, change"),
    "contacts.no_facilities": ("まだ施設がありません。", "No facility yet."),
    "contacts.ladder": (
        "番号の順に電話します。期限を過ぎるたびに、次の人までメールと呼出で知らせます。",
        "They are called in this order. Each time a limit runs out, mail and pager reach one person more.",
    ),
    "contacts.none_yet": (
        "まだ連絡先がありません。少なくとも一人を登録してください。",
        "Nobody yet. Enter at least one person.",
    ),
    "contacts.position": ("順番", "Order"),
    "contacts.name": ("氏名・役割", "Name or duty"),
    "contacts.department": ("部署", "Department"),
    "contacts.phone": ("電話", "Telephone"),
    "contacts.mail": ("メール", "Mail"),
    "contacts.second": ("第2連絡先", "Second person"),
    "contacts.no_second": ("第2連絡先を決めない", "No second person"),
    "contacts.remove": ("外す", "Remove"),
    "contacts.hint": (
        "第2連絡先には、期限を過ぎたものすべてを順番に関係なく知らせます。メールには症例番号・区分・優先度・残り時間・リンクだけが入ります。空の行は保存されません。",
        "The second person is told of everything that is late, whatever the order. A mail holds case number, category, priority, minutes left and a link, and nothing else. Empty lines are not kept.",
    ),
    "contacts.save": ("保存する", "Save"),
    "contacts.saved": ("保存しました。", "Saved."),
    "contacts.changed": (
        "ほかの人が先に変更しました。いまの内容を表示しています。もう一度入力してください。",
        "Somebody else changed this first. You now see what is there; enter it again.",
    ),
    "contacts.refused": (
        "保存していません。{row}行目の「{field}」:",
        "Not saved. Line {row}, {field}:",
    ),
    "contacts.problem.missing": ("入力してください。", "is needed."),
    "contacts.problem.too_long": ("長すぎます。", "is too long."),
    "contacts.problem.unprintable": ("使えない文字があります。", "has characters that cannot be used."),
    "contacts.problem.no_number": ("1～99の数字です。", "is a number from 1 to 99."),
    "contacts.problem.no_phone": ("電話番号として読めません。", "is not a telephone number."),
    "contacts.problem.no_mail": ("メールアドレスを1つ入力してください。", "has to be one mail address."),
    "contacts.problem.twice": ("同じものがあります。", "is there twice."),
    "contacts.problem.too_many": ("多すぎます。", "There are too many."),
}
