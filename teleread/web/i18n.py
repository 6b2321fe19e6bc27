"""Every word that a person sees at the centre, in both languages.

`TEXTS` is the one table; a test compares the two columns, looks for keys that no page uses, and
searches the templates for words that did not come through here.
"""

from __future__ import annotations

from teleread.web import (
    texts_audit,
    texts_board,
    texts_console,
    texts_contacts,
    texts_design,
    texts_live,
    texts_locks,
    texts_status,
)

LANGUAGES = ("ja", "en")
DEFAULT_LANGUAGE = "ja"

#: key → (Japanese, English)
TEXTS: dict[str, tuple[str, str]] = {
    # Everywhere
    "brand": ("teleread", "teleread"),
    "skip": ("本文へ", "Skip to content"),
    "nav.label": ("メニュー", "Menu"),
    "nav.worklist": ("読影リスト", "Worklist"),
    "nav.coordination": ("調整", "Coordination"),
    "nav.status": ("依頼の状況", "Status"),
    "nav.admin": ("管理", "Administration"),
    "sign_out": ("サインアウト", "Sign out"),
    "language.ja": ("日本語", "日本語"),
    "language.en": ("English", "English"),
    "theme.light": ("明るい画面", "Light"),
    "theme.dark": ("暗い画面", "Dark"),
    "none": ("なし", "None"),
    "unknown": ("不明", "Unknown"),
    "pseudonym": ("仮名", "pseudonym"),
    # Sign-in
    "sign_in.title": ("サインイン", "Sign in"),
    "sign_in.lead": (
        "パスワードと、認証アプリの6桁で確認します。",
        "Your password, and six digits from your authenticator app.",
    ),
    "sign_in.promise": ("画像は届き、氏名は院内に残る。", "Images travel. Names stay home."),
    "sign_in.act": ("サインイン", "Sign in"),
    "sign_in.note": (
        "画像も文章も、この端末には保存しません。",
        "Neither images nor texts are stored on this machine.",
    ),
    "sign_in.refused": (
        "サインインできませんでした。6桁は一度しか使えません。新しい6桁でもう一度どうぞ。何度も続いたときは15分待ってください。",
        "That did not work. Each six-digit code works once; use a new one. After many tries, wait 15 minutes.",
    ),
    "field.username": ("利用者名", "User name"),
    "field.password": ("パスワード", "Password"),
    "field.totp": ("6桁の確認コード", "Six-digit code"),
    # States and priorities (ui.md, section 6)
    "state.received": ("受信中", "Received"),
    "state.ready": ("読影待ち", "Ready"),
    "state.assigned": ("割当済", "Assigned"),
    "state.reading": ("読影中", "Reading"),
    "state.held": ("保留", "Held"),
    "state.preliminary": ("仮報告", "Preliminary"),
    "state.final": ("確定", "Final"),
    "state.delivery_held": ("確定・配信停止中", "Final, delivery stopped"),
    "state.delivery_failed": ("確定・配信失敗", "Final, not delivered"),
    "state.delivered": ("配信済", "Delivered"),
    "state.acknowledged": ("確認済", "Acknowledged"),
    "state.addended": ("追記あり", "Addended"),
    "state.cancelled": ("取消", "Cancelled"),
    "state.quarantined": ("隔離", "Quarantined"),
    "state.unknown": ("不明", "Unknown"),
    "priority.stroke": ("脳卒中", "Stroke"),
    "priority.trauma": ("外傷", "Trauma"),
    "priority.stat": ("緊急", "STAT"),
    "priority.urgent": ("至急", "Urgent"),
    "priority.routine": ("通常", "Routine"),
    "priority.screening": ("健診", "Screening"),
    # Times
    "time.minutes": ("{minutes}分", "{minutes} min"),
    "time.late": ("{minutes}分 超過", "{minutes} min late"),
    "time.left": ("あと {words}", "{words} left"),
    "time.due": ("期限 {time}", "due {time}"),
    "age.years": ("{number}歳", "{number} y"),
    "age.months": ("{number}か月", "{number} mo"),
    "age.weeks": ("{number}週", "{number} wk"),
    "age.days": ("{number}日", "{number} d"),
    "sex.M": ("男", "male"),
    "sex.F": ("女", "female"),
    "sex.O": ("その他", "other"),
    # Worklist
    "worklist.title": ("読影リスト", "Worklist"),
    "worklist.views": ("保存した絞り込み", "Saved views"),
    "worklist.modality": ("モダリティ", "Modality"),
    "worklist.facility": ("依頼施設", "Facility"),
    "worklist.view.mine": ("自分の担当", "Mine"),
    "worklist.view.pinned": ("脳卒中・緊急", "Stroke, STAT"),
    "worklist.view.soon": ("60分以内", "Within 60 min"),
    "worklist.view.open": ("読める症例すべて", "All open"),
    "worklist.view.signed": ("確定済", "Signed"),
    "worklist.group.pinned": ("脳卒中・緊急（常に先頭）", "Stroke and STAT (always first)"),
    "worklist.group.due": ("期限が近い順", "By time left"),
    "worklist.empty": (
        "担当の症例はありません。次の症例は届くと自動でここに出ます。",
        "No cases are waiting for you. The next one appears here by itself.",
    ),
    "worklist.empty_filter": (
        "この条件に当たる症例はありません。条件を外すと {count}件あります。",
        "Nothing matches. There are {count} without the filter.",
    ),
    "worklist.clear": ("条件を外す", "Clear the filter"),
    "worklist.open": ("開いて読影する", "Open and read"),
    "worklist.show": ("症例を見る", "Show the case"),
    "worklist.pick": ("行を選ぶと、ここに要点が出ます。", "Choose a row to see the essentials here."),
    "column.time": ("残り時間", "Time left"),
    "column.priority": ("優先度", "Priority"),
    "column.case": ("症例番号・患者", "Case, patient"),
    "column.examination": ("検査・依頼施設", "Examination, facility"),
    "column.question": ("検査目的", "Question"),
    "column.images": ("画像", "Images"),
    "column.state": ("状態・担当", "State, reader"),
    "column.act": ("操作", "Act"),
    "column.received": ("受信", "Received"),
    "badge.incomplete": ("未完了", "Incomplete"),
    "badge.withheld": ("施設で保留 {count}", "{count} withheld"),
    "badge.conflicts": ("内容の不一致 {count}枚", "{count} instances in conflict"),
    "badge.late_images": ("遅着画像", "Late images"),
    "me": ("自分", "me"),
    "key.move": ("移動", "move"),
    "key.open": ("開く", "open"),
    "list.still": ("ポインターの下の行は動きません", "Rows under the pointer do not move"),
    # Case page
    "case.title": ("症例 {case_number}", "Case {case_number}"),
    "case.list": ("リスト", "List"),
    "case.claim": ("引き受けて読影する", "Claim and read"),
    "case.claim_first": (
        "引き受けると、レポートを書けます。",
        "Claim the case to write its report.",
    ),
    "case.waiting": (
        "まだ画像が届いている途中です。揃うと引き受けられます。",
        "Images are still arriving. You can claim the case when all are here.",
    ),
    "case.held": (
        "この検査は隔離されています。センターが確認するまで、引き受けられません。",
        "This study is held. It cannot be claimed until the centre has looked into it.",
    ),
    "case.on_hold": (
        "この症例は保留中です。再開は担当者かコーディネーターが行います。",
        "This case is on hold. Its reader or a coordinator takes it up again.",
    ),
    "case.taken": (
        "この症例は {name} さんが引き受けています。",
        "{name} has claimed this case.",
    ),
    "case.release": ("担当を外れる", "Release"),
    "case.release_reason": ("理由", "Reason"),
    "case.changed": (
        "ほかの人が先に変更しました。新しい内容を表示しています。",
        "Someone changed this first. You now see the new state.",
    ),
    "case.signed_link": ("確定したレポート", "Signed report"),
    "case.signed_before": ("署名済みの版 {count}", "Signed versions {count}"),
    "kind.report": ("報告書", "Report"),
    "kind.addendum": ("追記", "Addendum"),
    "kind.correction": ("訂正", "Correction"),
    "version.preliminary": ("仮報告", "preliminary"),
    "version.final": ("確定", "final"),
    "version.superseded": ("後の版あり", "a later version exists"),
    "version.entered_in_error": ("取り消し", "retracted"),
    "case.images": ("{number}枚", "{number} images"),
    "viewer.label": ("症例 {case_number} の画像", "Images of case {case_number}"),
    "viewer.presets": ("ウィンドウ", "Window"),
    "viewer.series": ("シリーズ", "Series"),
    "viewer.series_number": ("シリーズ {number}", "Series {number}"),
    "viewer.no_images": ("表示できる画像はまだありません。", "There are no images to show yet."),
    "viewer.held": (
        "この検査は隔離されているため、画像を表示しません。",
        "The study is held, so its images are not shown.",
    ),
    "viewer.images_gone": ("表示できる画像はありません。", "There are no images to show."),
    "viewer.cannot": (
        "この画像を表示できません（形式）。",
        "This image cannot be shown (format).",
    ),
    "viewer.others_can": ("ほかの画像は表示できます。", "Others of this series can."),
    "viewer.line": (
        "画像を取り出せませんでした。送り直すと、もう一度試します。",
        "The image did not arrive. Scroll away and back to try again.",
    ),
    "viewer.position": ("{index} / {count}", "{index} / {count}"),
    "viewer.not_for_you": ("画像の表示は読影医だけができます。", "Only readers see the images."),
    "viewer.starting": ("画像を開いています", "Opening the images"),
    "viewer.loading": (
        "画像 {loaded} / {of} 枚を読み込み中（手前から）",
        "Images {loaded} of {of}, nearest first",
    ),
    "viewer.loaded": ("画像 {of} 枚を読み込みました", "All {of} images loaded"),
    "viewer.failed": (
        "{failed}枚を表示できません（全{held}枚）。",
        "{failed} of {held} images cannot be shown.",
    ),
    "viewer.failed_named": (
        "{failed}枚を表示できません（全{held}枚、番号 {numbers}）。",
        "{failed} of {held} images cannot be shown (no. {numbers}).",
    ),
    "viewer.fewer": (
        "センターにある{held}枚のうち、{shown}枚だけが並んでいます。",
        "Only {shown} of the {held} images at the centre are listed.",
    ),
    "viewer.no_answer": ("センターから画像を受け取れません。", "The centre does not send the images."),
    "viewer.signed_out": (
        "時間が経ったため、サインインが必要です。",
        "Your session has ended. Sign in again.",
    ),
    "viewer.late": (
        "画像がまだ出ません。画像が出るまで、レポートは書けません。",
        "No image is shown yet. The report stays shut until one is.",
    ),
    "viewer.without": ("画像なしで書く", "Write without images"),
    "viewer.covered": ("別の検査の画像です", "Images of another study"),
    "viewer.other_study": (
        "この症例ではない検査の画像が出たため、画像とレポートを閉じました。",
        "An image that is not of this case was shown, so images and report were shut.",
    ),
    "viewer.other_case": (
        "別の症例の画像が開いたため、画像とレポートを閉じました。",
        "Images of another case were opened, so images and report were shut.",
    ),
    "viewer.reopen": ("この症例を開き直す", "Open this case again"),
    "viewer.keys_images": ("いまのキー: 画像（Alt W でレポートへ）", "Keys go to the images (Alt W: report)"),
    "viewer.keys_report": ("いまのキー: レポート（Alt I で画像へ）", "Keys go to the report (Alt I: images)"),
    "viewer.doubt_silent": (
        "画像の画面が答えません。表示中の画像がこの症例のものか確かめられません。",
        "The viewer does not answer: whether it shows this case cannot be checked.",
    ),
    "viewer.doubt_not_shown": (
        "この症例の画像がいま表示されていません。",
        "No image of this case is shown at this moment.",
    ),
    "viewer.doubt_failed": (
        "{failed}枚の画像を表示できませんでした。",
        "{failed} images could not be shown.",
    ),
    "viewer.doubt_failed_some": ("表示できなかった画像があります。", "Some images could not be shown."),
    "viewer.doubt_confirm": ("承知して確認へ進む", "Go on all the same"),
    "viewer.keys": ("画像を送る", "scroll images"),
    "window.default": ("既定", "Default"),
    "window.lung": ("肺野", "Lung"),
    "window.mediastinum": ("縦隔", "Mediastinum"),
    "window.bone": ("骨", "Bone"),
    "window.brain": ("脳", "Brain"),
    "section.clinical_question": ("検査目的", "Clinical question"),
    "section.technique": ("検査方法", "Technique"),
    "section.comparison": ("比較", "Comparison"),
    "section.findings": ("所見", "Findings"),
    "section.impression": ("診断", "Impression"),
    "section.recommendation": ("推奨", "Recommendation"),
    "section.required": ("必須", "required"),
    "question.none": ("依頼に検査目的の記載がありません。", "The order gives no clinical question."),
    "report.label": ("レポート", "Report"),
    "report.review": ("確定へ進む", "Review and sign"),
    "report.history": ("下書きの履歴 {count}", "Draft history {count}"),
    "report.revision": ("第{revision}稿 {time}", "Draft {revision}, {time}"),
    "save.saved": ("保存済 {time}", "Saved {time}"),
    "save.unsaved": ("未保存の変更があります", "Changes are not saved yet"),
    "save.saving": ("保存しています", "Saving"),
    "save.none": ("まだ書いていません", "Nothing written yet"),
    "save.offline": (
        "接続が切れています。書いた内容はこのタブに残っています。",
        "Offline. Your text is kept in this tab.",
    ),
    "save.signed_out": (
        "サインインの時間が切れました。書いた内容はこのタブに残っています。",
        "Your session has ended. What you wrote is kept in this tab.",
    ),
    "save.sign_in_again": ("サインインして続ける", "Sign in and go on"),
    "save.restored": (
        "このタブに残っていた内容を戻しました。保存して続けられます。",
        "What was kept in this tab is back. It will be saved.",
    ),
    "save.refused": (
        "この症例には保存できません（{message}）。内容はこのタブに残っています。",
        "The centre does not take this ({message}). Your text is kept in this tab.",
    ),
    "conflict.title": (
        "別のタブの方が新しい内容です。両方を並べて選べます。",
        "The other tab is newer. You can see both and choose.",
    ),
    "conflict.mine": ("このタブの内容", "This tab"),
    "conflict.theirs": ("新しい内容", "The newer text"),
    "conflict.keep_mine": ("このタブの内容で保存", "Save this tab's text"),
    "conflict.take_theirs": ("新しい内容を使う", "Use the newer text"),
    # Review and sign
    "review.title": ("確定（署名）", "Sign"),
    "review.what": ("表示中のこのPDFに署名します", "You sign the PDF shown here"),
    "review.version": ("版", "Version"),
    "review.version_value": ("第{version}版", "Version {version}"),
    "review.reader": ("読影医", "Reader"),
    "review.pages": ("頁数", "Pages"),
    "review.digest": ("PDFの指紋", "Digest of the PDF"),
    "review.rendering": ("PDFを作っています。", "The PDF is being made."),
    "review.failed": (
        "PDFを作れませんでした。編集に戻って、もう一度お試しください。",
        "The PDF could not be made. Go back to the text and try again.",
    ),
    "review.frame": ("署名するPDF", "The PDF to be signed"),
    "review.deliver": ("届け先", "Where it goes"),
    "review.deliver_text": (
        "{facility}の元の検査へ。氏名・患者IDは、施設内のゲートウェイが空欄に記入します。センターには保存されません。",
        "To the original study at {facility}. The facility's gateway fills in name and patient ID; the centre never holds them.",
    ),
    "review.identity": ("本人確認", "Confirm it is you"),
    "review.identity_text": (
        "署名後の文章は変更できません（追記・訂正は新しい版）。全角の数字も使えます。",
        "A signed text cannot be changed; an addendum or correction is a new version.",
    ),
    "review.back": ("編集に戻る", "Back to the text"),
    "review.sign": ("署名して確定", "Sign"),
    "review.seen_pages": ("全{pages}頁を見ました", "I have looked at all pages ({pages})"),
    "review.seen_first": (
        "最後の頁まで見てから印を付けると、署名できます。",
        "Look through to the last page and tick the box; then you can sign.",
    ),
    "review.pages_unseen": (
        "全ての頁を見たという印がありません。署名はしていません。",
        "The box for having looked at all pages was not ticked. Nothing was signed.",
    ),
    "review.missing_glyphs": (
        "報告書の書体にない文字があり、PDFに表示できません: {characters}　本文に戻って書き換えてください。",
        "The report's typeface lacks these characters, so the PDF cannot show them: {characters} Write them otherwise.",
    ),
    "review.not_ready": ("PDFが表示されると署名できます", "You can sign when the PDF is shown"),
    "review.refused": (
        "本人確認ができませんでした。6桁は一度しか使えません。新しい6桁でもう一度どうぞ。",
        "That did not work. Each six-digit code works once; use a new one. Nothing was signed.",
    ),
    "review.changed": (
        "表示していたPDFと違う内容になりました。新しいPDFを確認してください。",
        "The text has changed since. Look at the new PDF.",
    ),
    "review.required_missing": (
        "必須の欄が空です。書いてから確定へ進んでください。",
        "A required section is empty. Write it first.",
    ),
    "review.images_added": (
        "開いた後に画像が届きました。見てから、下の確認に印を付けてください。",
        "Images arrived after you opened the case. Look at them, then tick the box below.",
    ),
    "review.acknowledge_images": ("届いた画像を見ました", "I have seen the added images"),
    "review.study_incomplete": (
        "検査の画像が揃っていません。確定するには理由が必要です。",
        "The study is not complete. Signing it needs a reason.",
    ),
    "review.incomplete_reason": ("揃わないまま確定する理由", "Why it is signed incomplete"),
    "review.study_quarantined": (
        "この検査は隔離されています。解除されるまで確定できません。",
        "This study is quarantined. It cannot be signed until it is cleared.",
    ),
    "signed.title": ("確定したレポート", "Signed report"),
    "signed.done": ("署名しました。レポートは施設へ向かいます。", "Signed. The report is on its way."),
    "signed.sealing": (
        "署名を付けたPDFを作っています。",
        "The signed PDF is being made.",
    ),
    "signed.signer": ("署名者", "Signed by"),
    "signed.at": ("署名日時", "Signed at"),
    "signed.delivery": ("配信", "Delivery"),
    "signed.next": ("リストへ", "To the worklist"),
    "delivery.pending": ("準備中", "being prepared"),
    "delivery.ready": ("施設の受け取り待ち", "waiting for the facility"),
    "delivery.in_transit": ("施設へ配信中", "on its way"),
    "delivery.retrying": ("再試行中", "trying again"),
    "delivery.held": ("照合で停止", "stopped: identity check"),
    "delivery.failed": ("失敗", "failed"),
    "delivery.delivered": ("配信済", "delivered"),
    "delivery.acknowledged": ("確認済", "acknowledged"),
    "delivery.superseded": ("新しい版に置き換え", "replaced by a newer version"),
    # Facility's status page
    "status.title": ("依頼の状況", "Status of your studies"),
    "status.lead": (
        "氏名は表示されません。症例番号でお問い合わせください。",
        "No names are shown here. Please ask by case number.",
    ),
    "status.empty": ("まだ検査は届いていません。", "No study has arrived yet."),
    # Coordination
    "coordination.title": ("調整", "Coordination"),
    "coordination.empty": ("調整する症例はありません。", "There is no case to coordinate."),
    "coordination.assign": ("割り当てる", "Assign"),
    "coordination.reader": ("読影医", "Reader"),
    "coordination.release": ("割当を外す", "Release"),
    "coordination.reason": ("理由", "Reason"),
    "coordination.accept": ("揃わないまま読影へ", "Read as it is"),
    "coordination.deliveries": ("届いていないレポート", "Reports that have not arrived"),
    "coordination.retry": ("もう一度配信", "Deliver again"),
    "coordination.attempts": ("{count}回失敗", "failed {count} times"),
    "column.report": ("レポート・施設", "Report, facility"),
    "column.delivery": ("配信", "Delivery"),
    "column.since": ("いつから", "Since"),
    "column.reason": ("理由", "Reason"),
    # Administration
    "admin.title": ("管理", "Administration"),
    "admin.facilities": ("施設", "Facilities"),
    "admin.gateways": ("ゲートウェイ", "Gateways"),
    "admin.users": ("利用者", "Users"),
    "admin.audit": ("監査記録", "Audit trail"),
    "admin.audit_check": ("監査記録を検査", "Check the audit trail"),
    "admin.audit_good": (
        "監査記録 {count}件に、変更や欠けはありません。",
        "{count} audit records: none changed, none missing.",
    ),
    "admin.audit_bad": ("監査記録に異常があります（{count}件）。", "The audit trail has {count} faults."),
    "admin.no_facilities": (
        "まだ施設がありません。招待コードを作ると始められます。",
        "No facility yet. Create an invitation code to begin.",
    ),
    "admin.code": ("コード", "Code"),
    "admin.name": ("名称", "Name"),
    "admin.quiet": ("静止時間（秒）", "Quiet time (s)"),
    "admin.language": ("言語", "Language"),
    "admin.facility": ("施設", "Facility"),
    "admin.last_seen": ("最後の応答", "Last sign of life"),
    "admin.version": ("版", "Version"),
    "admin.queue": ("待ち", "Queue"),
    "admin.held": ("保留", "Held"),
    "admin.revoked": ("失効", "Revoked"),
    "admin.username": ("利用者名", "User name"),
    "admin.display_name": ("表示名", "Name shown"),
    "admin.roles": ("役割", "Roles"),
    "admin.active": ("有効", "Active"),
    "admin.yes": ("はい", "yes"),
    "admin.no": ("いいえ", "no"),
    "admin.never": ("まだ", "never"),
    "role.reader": ("読影医", "Reader"),
    "role.coordinator": ("調整担当", "Coordinator"),
    "role.administrator": ("管理者", "Administrator"),
    "role.facility": ("施設", "Facility"),
    "role.privacy_officer": ("個人情報管理者", "Privacy officer"),
    "role.medical_director": ("医療責任者", "Medical director"),
    # Refusals (ui.md, section 11)
    "error.home": ("最初の画面へ", "Go to your first page"),
    "error.field": ("項目: {field}", "Field: {field}"),
    "error.number": ("番号 {number}", "Quote {number}"),
    "error.400.title": ("受け付けられない内容です", "This could not be taken"),
    "error.400.text": (
        "画面を開き直して、もう一度お試しください。何も変更していません。",
        "Open the page again and repeat. Nothing was changed.",
    ),
    "error.401.title": ("サインインが必要です", "Sign in first"),
    "error.401.text": ("時間が経ったため、サインインが必要です。", "Your session has ended."),
    "error.403.title": ("この操作はできません", "You may not do this"),
    "error.403.text": (
        "あなたの役割では行えません。必要なときは管理者へ連絡してください。",
        "Your role does not allow it. Ask the administrator if you need it.",
    ),
    "error.404.title": ("見つかりません", "Not found"),
    "error.404.text": (
        "この症例は見つからないか、閲覧できません。最後の文字は検査文字です。",
        "This case does not exist, or you may not see it. Its last character is a check digit.",
    ),
    "error.no_page.title": ("このページはありません", "No such page"),
    "error.no_page.text": (
        "この番地のページはありません。上の一覧から選んでください。",
        "There is no page at this address. Choose one from the top of the page.",
    ),
    "error.409.title": ("先に変更されました", "Changed meanwhile"),
    "error.409.text": (
        "ほかの人が先に変更しました。画面を開き直すと新しい内容が出ます。",
        "Someone changed this first. Open the page again to see the new state.",
    ),
    "error.413.title": ("大きすぎます", "Too large"),
    "error.413.text": (
        "送られた内容が大きすぎます。何も変更していません。",
        "That was too much at once. Nothing was changed.",
    ),
    "error.500.title": ("センターで問題が起きました", "Something failed at the centre"),
    "error.500.text": (
        "入力は保存されています。下の番号をお知らせください。",
        "Your input is kept. Quote the number below.",
    ),
    "error.503.title": ("いまは応じられません", "Not available right now"),
    "error.503.text": ("少し待って、もう一度お試しください。", "Wait a moment and try again."),
    "error.507.title": ("保存場所が足りません", "No space left"),
    "error.507.text": ("調整室へ連絡してください。", "Tell the coordination room."),
    "error.other.title": ("この操作はできませんでした", "That did not work"),
    "error.other.text": ("画面を開き直して、もう一度お試しください。", "Open the page again and repeat."),
}
TEXTS |= texts_design.TEXTS
TEXTS |= texts_audit.TEXTS

TEXTS |= texts_live.TEXTS
TEXTS |= texts_board.TEXTS
TEXTS |= texts_contacts.TEXTS

TEXTS |= texts_locks.TEXTS

TEXTS |= texts_console.TEXTS
TEXTS |= texts_status.TEXTS


def text(language: str, key: str, **values: object) -> str:
    """Return the text for `key` with `values` filled in.

    Raises
    ------
    KeyError
        If the table has no such key: a page with a hole is a fault, not a fallback.
    """
    return TEXTS[key][LANGUAGES.index(language)].format(**values)


def texts(language: str, prefix: str) -> dict[str, str]:
    """Return all texts below a prefix, unfilled, for the scripts of a page."""
    column = LANGUAGES.index(language)
    return {key: row[column] for key, row in TEXTS.items() if key.startswith(prefix)}
