"""Words of the live worklist, its filters and keys: key → (Japanese, English)."""

from __future__ import annotations

TEXTS: dict[str, tuple[str, str]] = {
    "live.on": ("接続中", "Live"),
    "live.as_of": ("{time} 時点", "as of {time}"),
    "live.signed_out": ("サインインが必要です", "Sign in again"),
    "live.door": ("新着 {new}件・変更 {changed}件を表示", "Show {new} new, {changed} changed"),
    "live.taken_in": ("一覧を更新しました。", "The list is up to date."),
    "live.left": ("この一覧から外れました", "no longer in this list"),
    "live.taken": ("{name} が引き受けました", "taken by {name}"),
    "worklist.state": ("状態", "State"),
    "worklist.priority": ("緊急度", "Priority"),
    "worklist.filter": ("絞り込み", "Filter"),
    "worklist.filter.off": ("この条件を外す: {words}", "Take away: {words}"),
    "worklist.search": ("症例番号・検査目的", "Case number, question"),
    "worklist.search.act": ("探す", "Search"),
    "worklist.keep": ("この絞り込みを保存", "Keep this filter"),
    "worklist.keep.name": ("名前", "Name"),
    "worklist.drop": ("保存した「{name}」を削除", "Forget “{name}”"),
    "worklist.shown": ("{total}件中 {shown}件", "{shown} of {total}"),
    "worklist.next": ("次の症例", "Next case"),
    "worklist.claim": ("引き受ける", "Claim"),
    "worklist.preview": ("要点", "Preview"),
    "keys.title": ("この画面のキー", "Keys of this page"),
    "keys.all": ("キー一覧", "All keys"),
    "keys.close": ("閉じる", "Close"),
    "keys.letters": ("文字1つのキーを使う", "Use single-letter keys"),
    "keys.move": ("上下の行へ", "Move by one row"),
    "keys.ends": ("最初・最後の行へ", "First and last row"),
    "keys.open": ("開く", "Open"),
}
