"""Words of administration, of the own account and of the locked page."""

from __future__ import annotations

#: key → (Japanese, English)
TEXTS: dict[str, tuple[str, str]] = {
    "nav.users": ("利用者", "Users"),
    "nav.audit": ("監査記録", "Audit"),
    "sign_in.step1": ("利用者とパスワード", "Who you are"),
    "sign_in.step2": ("本人確認", "That it is you"),
    "sign_in.key": ("セキュリティキーを使う", "Use a security key"),
    "sign_in.key_refused": (
        "セキュリティキーを確認できませんでした。もう一度キーを使うか、6桁を入力してください。",
        "The security key was not accepted. Use it again, or type a six-digit code.",
    ),
    "sign_in.ended.expired": (
        "時間が経ったため、サインインが必要です。書いた内容はこのタブに残っています。",
        "Your session has ended. What you wrote is kept in this tab.",
    ),
    "sign_in.ended.locked": (
        "しばらく操作がなかったため、サインインが必要です。書いた内容はこのタブに残っています。",
        "Your session has ended: nobody was here for a while. What you wrote is kept in this tab.",
    ),
    "sign_in.ended.elsewhere": (
        "{at}に別のブラウザーでサインインしたため、ここでのサインインは終わりました。下書きは保存済みです。心当たりがなければ、サインインしてパスワードを変更してください。",
        "You signed in in another browser at {at}, so this session has ended. Your draft is saved. If that was not you, sign in and change your password.",
    ),
    "sign_in.ended.password": (
        "パスワードを変更したため、サインインが必要です。下書きは保存済みです。",
        "Your password was changed, so sign in with the new one. Your draft is saved.",
    ),
    "sign_in.ended.account": (
        "管理者がアカウントを変更したため、サインインが必要です。下書きは保存済みです。",
        "An administrator changed your account, so sign in again. Your draft is saved.",
    ),
    "elsewhere.was": (
        "別のブラウザー（{places}）のサインインを終えました。そこで書いた下書きは保存済みです。心当たりがなければ、パスワードを変更してください。",
        "You were signed in in another browser too ({places}); that session has ended, and its draft is saved. If it was not you, change your password.",
    ),
    "elsewhere.place": ("{from_where}、{since}から", "{from_where}, since {since}"),
    "elsewhere.change": ("パスワードを変更", "Change password"),
    "ended.title": ("サインインが終わりました", "Your session has ended"),
    "ended.text": (
        "このため画面を隠しました。書いた内容はこのタブに残っています。",
        "So the page is hidden. What you wrote is kept in this tab.",
    ),
    "ended.elsewhere": (
        "別のブラウザーでサインインしたため、画面を隠しました。下書きは保存済みです。ここで続けるには、もう一度サインインします。",
        "You signed in in another browser, so this page is hidden. Your draft is saved. To go on here, sign in again.",
    ),
    "save.elsewhere": (
        "別のブラウザーでサインインしたため、ここからは保存できません。書いた内容はこのタブに残っています。",
        "You signed in in another browser, so this one cannot save. What you wrote is kept in this tab.",
    ),
    "idle.title": ("画面をロックしました", "This page is locked"),
    "idle.text": (
        "しばらく操作がなかったため、画面を隠しました。書いた内容はこのタブに残っています。",
        "Nobody was here for a while, so the page is hidden. What you wrote is kept in this tab.",
    ),
    # Own account
    "account.title": ("アカウント", "Your account"),
    "account.initial": (
        "このパスワードはほかの人も見ています。先に自分のパスワードに変えてください。",
        "Somebody else has seen this password. Choose one of your own first.",
    ),
    "account.code": ("6桁の確認コード、または予備コード", "Six-digit code, or a recovery code"),
    "account.refused": (
        "パスワードかコードが違います。6桁は一度しか使えません。新しい6桁でもう一度どうぞ。何も変更していません。",
        "Password or code was not right. Each six-digit code works once; use a new one. Nothing was changed.",
    ),
    "account.password_rule": (
        "13文字以上。長ければ定期的な変更は要りません。よくある語、流出した語、自分の名前は使えません。",
        "13 characters or more; then it need not be changed at intervals. No common or leaked words, not your name.",
    ),
    "account.password_changed": ("最後の変更: {at}", "Last changed: {at}"),
    "account.new": ("新しいパスワード", "New password"),
    "account.again": ("新しいパスワード（もう一度）", "New password, again"),
    "account.change_password": ("パスワードを変更", "Change password"),
    "account.password_next": (
        "ほかの端末のサインインはすべて終わります。",
        "You are signed out everywhere else.",
    ),
    "account.password_short": (
        "13文字以上にしてください。何も変更していません。",
        "It needs 13 characters or more. Nothing was changed.",
    ),
    "account.password_long": ("200文字までです。", "200 characters at most."),
    "account.password_name": (
        "利用者名や名前は使えません。",
        "It may not contain your user name or your name.",
    ),
    "account.password_common": (
        "推測されやすいパスワードです。別の言葉を組み合わせてください。",
        "It is easy to guess. Combine other words.",
    ),
    "account.password_same": ("今と同じパスワードです。", "It is the password that you have now."),
    "account.password_differs": ("2つの入力が違います。", "The two entries differ."),
    "account.factors": ("2つ目の確認方法", "Second factors"),
    "account.kinds": (
        "サインインには、知っているもの（パスワード）と、持っているもの（認証アプリ、セキュリティキー、予備コード）の両方が要ります。",
        "Signing in needs something you know (the password) and something you have (app, security key or recovery code).",
    ),
    "account.factor": ("方法", "Factor"),
    "account.added": ("登録", "Added"),
    "account.used": ("最後の使用", "Last used"),
    "account.app": ("認証アプリ", "Authenticator app"),
    "account.replace": ("別のアプリに替える", "Use another app"),
    "account.replace_app": (
        "新しい鍵を表示（今のアプリは無効）",
        "Show a new secret (the present app stops working)",
    ),
    "account.secret_once": (
        "認証アプリに登録してください。この画面でしか表示しません。",
        "Add this to your authenticator app. It is shown here once.",
    ),
    "account.remove": ("削除", "Remove"),
    "account.remove_key": ("このキーを削除", "Remove this key"),
    "account.codes_left": ("予備コード 残り{count}", "Recovery codes, {count} left"),
    "account.make": ("作り直す", "Make new ones"),
    "account.make_codes": ("10個作る（古いものは無効）", "Make ten (older ones stop working)"),
    "account.codes_once": (
        "印刷して鍵のかかる所に保管してください。1つにつき1回使えます。この画面でしか表示しません。",
        "Print these and lock them away. Each works once. They are shown here once.",
    ),
    "account.key_name": ("キーの呼び名", "Name for the key"),
    "account.add_key": ("セキュリティキーを登録", "Add a security key"),
    "account.key_refused": (
        "セキュリティキーを確認できませんでした。新しい6桁で、もう一度どうぞ。",
        "The security key was not accepted. Try again with a new six-digit code.",
    ),
    "account.keys_many": ("キーは10個までです。", "Ten keys at most."),
    "account.no_keys_here": (
        "このセンターには番号の住所しかないため、セキュリティキーは使えません。ホスト名が要ります。",
        "Security keys need a host name; this centre has an address only.",
    ),
    "account.sessions": ("サインイン中の端末", "Where you are signed in"),
    "account.from_where": ("接続元", "From"),
    "account.since": ("開始", "Since"),
    "account.seen": ("最後の操作", "Last seen"),
    "account.this": ("この端末", "This browser"),
    "account.end": ("終了", "End"),
    "account.look": ("表示", "Appearance"),
    "account.theme": ("画面の明るさ", "Theme"),
    "account.size": ("文字の大きさ", "Size of text"),
    "account.keep": ("保存", "Keep"),
    "account.done.password": (
        "パスワードを変更しました。ほかの端末のサインインは終わりました。",
        "Password changed. You are signed out everywhere else.",
    ),
    "account.done.key": ("セキュリティキーを登録しました。", "Security key added."),
    "account.done.key_removed": ("セキュリティキーを削除しました。", "Security key removed."),
    "account.done.session": ("その端末のサインインを終えました。", "That session has ended."),
    # Administration
    "admin.first_run": ("最初のレポートまで", "The way to the first report"),
    "admin.first_run_left": (
        "最初のレポートまで、あと{count}段階です。",
        "{count} steps are left to the first report.",
    ),
    "admin.refused": (
        "この内容は登録できません（項目: {field}）。何も変更していません。",
        "This could not be taken (field: {field}). Nothing was changed.",
    ),
    "admin.refused_oneself": (
        "自分のアカウントはほかの管理者が変更します（{field}）。",
        "Another administrator has to change your own account ({field}).",
    ),
    "admin.add_facility": ("施設を追加", "Add facility"),
    "admin.no_gateways": ("まだゲートウェイがありません。", "No gateway yet."),
    "admin.gateway_name": ("ゲートウェイの名前", "Name of the gateway"),
    "admin.invite": ("招待コードを作る", "Make a one-time code"),
    "admin.code_once": (
        "招待コード。24時間、1回だけ使えます。この画面でしか表示しません。",
        "One-time code, good once within 24 hours. It is shown here once.",
    ),
    "admin.code_next": (
        "施設で実行: teleread-gateway enrol {url} コード --data フォルダー",
        "At the facility: teleread-gateway enrol {url} CODE --data DIR",
    ),
    "admin.days": ("証明書の残り日数", "Certificate, days"),
    "admin.revoke": ("失効", "Revoke"),
    "admin.revoke_next": (
        "次の通信から受け付けません。戻すには新しい招待コードが要ります。",
        "It is refused from the next request on. A new one-time code is needed to come back.",
    ),
    "admin.revoke_act": ("{name} を失効させる", "Revoke {name}"),
    "admin.factors": ("確認方法", "Factors"),
    "admin.keys": ("セキュリティキー {count}", "Security keys: {count}"),
    "admin.licence": ("医籍登録番号", "Licence number"),
    "admin.add_user": ("利用者を追加", "Add user"),
    "admin.change": ("変更", "Change"),
    "admin.change_roles": ("役割を変更（サインインは終わります）", "Change roles (ends their sessions)"),
    "admin.reset": ("確認方法を作り直す", "Reset password and factors"),
    "admin.reset_next": (
        "今のパスワード、認証アプリ、キー、予備コードはすべて無効になります。本人を確認してから行います。",
        "Password, app, keys and recovery codes stop working. Make sure who is asking first.",
    ),
    "admin.disable": ("停止", "Disable"),
    "admin.disable_next": ("サインインはすぐに終わります。", "Their sessions end at once."),
    "admin.enable": ("再開", "Enable"),
    "admin.secret": ("認証アプリの鍵", "Secret for the app"),
    "admin.user_once": (
        "本人に渡してください。この画面でしか表示しません。",
        "Hand these over to the person. They are shown here once.",
    ),
    "admin.user_next": (
        "最初のサインインで、自分のパスワードに変えます。",
        "At the first sign-in a password of their own has to be chosen.",
    ),
    "audit.since": ("開始日", "From day"),
    "audit.until": ("終了日", "To day"),
    "audit.who": ("だれ", "Who"),
    "audit.act": ("操作", "Act"),
    "audit.at": ("日時", "Time"),
    "audit.from_where": ("接続元", "From"),
    "audit.search": ("検索", "Search"),
    "audit.export": ("{count}行をCSVで書き出す", "Export {count} rows as CSV"),
    "audit.found": ("{count}件中 {shown}件を表示", "{shown} of {count} shown"),
    # First run
    "first_run.lead": (
        "各段階は、センターにある記録で確かめます。",
        "Each step is proved by what the centre has recorded.",
    ),
    "first_run.done": ("確認済", "Done"),
    "first_run.open": ("これから", "To do"),
    "first_run.keys": ("センターの鍵", "Keys of the centre"),
    "first_run.keys.how": (
        "最初の起動で作られます。別の場所に控えを置いてください。",
        "Made at the first start. Keep a copy elsewhere.",
    ),
    "first_run.user": ("読影医のサインイン", "A reader, signed in"),
    "first_run.user.how": (
        "読影医を追加し、2つの確認方法でサインインすると完了します。",
        "Add a reader; done when somebody has signed in with two factors.",
    ),
    "first_run.facility": ("施設", "A facility"),
    "first_run.facility.how": (
        "最初の依頼施設を追加し、緊急所見の連絡先を登録します。",
        "Add the first referring facility, and whom to tell there about critical findings.",
    ),
    "first_run.gateway": ("ゲートウェイ", "A gateway"),
    "first_run.gateway.how": (
        "招待コードを作り、施設の機器に入力します。最初の応答で完了します。",
        "Make a one-time code and enter it on the box. Done at its first sign of life.",
    ),
    "first_run.study": ("試験検査", "A test study"),
    "first_run.study.how": (
        "PACSからゲートウェイへ1検査を送ります。全画像が届くと完了します。",
        "Send one study from the PACS to the gateway. Done when all its images are here.",
    ),
    "first_run.report": ("最初のレポート", "The first report"),
    "first_run.report.how": ("読影医が確定すると完了します。", "Done when a reader has signed."),
}
