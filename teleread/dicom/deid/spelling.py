"""One form for all the ways in which one name is written: widths, kana, variant characters, accents, romaji.

Comparison happens in the folded form only; what is cut is cut where it stood in the text as it came, so each folded
character knows its place there.
"""

import re
import unicodedata
from functools import lru_cache

_HIRAGANA_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}

#: Old machines have no small kana (ｷﾖｳｺ), and people do not agree on ヂ and ヅ.
_SAME_SOUND = dict(
    zip(map(ord, "ァィゥェォッャュョヮヵヶヂヅヰヱ"), "アイウエオツヤユヨワカケジズイエ", strict=True)
)

#: Forms of one character that stand in names on different documents; the last of each group stands for all.
_VARIANTS = (
    "髙高", "﨑嵜碕崎", "邊邉邊辺", "齋齊斎斉", "澤沢", "濵濱浜", "廣広", "國国", "櫻桜", "與与", "瀨瀬", "𠮷吉", "德徳", "嶋嶌島",
    "冨富", "嶽岳", "龍竜", "瀧滝", "藪薮", "槇槙", "眞真", "惠恵", "榮栄", "澁渋", "黑黒", "淺浅", "曾曽", "圓円", "靜静", "壽寿",
    "條条", "彌弥", "實実", "寬寛", "淸清", "晴晴", "靑青", "敎教", "惣總総", "萬万", "豐豊", "檜桧", "鷗鴎", "鄕鄉郷", "關関", "驛駅",
    "學学", "會会", "藝芸", "應応", "歸帰", "繩縄", "將将", "莊荘", "增増", "藏蔵", "聰聡", "遙遥", "堯尭", "亞亜", "爲為", "逸逸", "榎榎",
    "祐祐", "祥祥", "福福", "神神", "禎禎", "穗穂", "薰薫", "諸諸", "賴頼", "都都", "隆隆", "館舘館", "凜凛", "埜野", "峯峰", "杦杉",
    "桒桑", "梁簗梁", "栁柳", "籔薮", "脇𦚰脇", "舩船", "葛葛", "蓮蓮", "逢逢", "辻辻", "祇祇", "鯖鯖", "塚塚", "巽巽", "﨟臈", "濟済",
    "燈灯", "狹狭", "獨独", "當当", "畫画", "發発", "盡尽", "禮礼", "稻稲", "緖緒", "縣県", "聲声", "臺台", "舊旧", "號号", "覺覚", "譽誉",
    "豫予", "釋釈", "鐵鉄", "險険", "雙双", "靈霊", "顯顕", "鷄鶏", "麥麦", "黃黄", "齒歯", "龜亀", "來来", "佛仏", "傳伝", "價価", "兒児",
    "勳勲", "區区", "單単", "嚴厳", "囑嘱", "圍囲", "壹壱", "奧奥", "孃嬢", "對対", "巖巌岩", "廳庁", "彥彦", "戀恋", "戶戸", "敕勅", "晉晋",
    "曉暁", "楠楠", "樂楽", "櫟櫟", "步歩", "氣気", "渚渚", "潔潔", "濕湿", "瑤瑶", "甁瓶", "瘦痩", "碩碩", "祿禄", "稅税", "繪絵", "纖繊",
)  # fmt: skip
_ONE_CHARACTER = {ord(form): group[-1] for group in _VARIANTS for form in group[:-1] if form != group[-1]}

#: Letters that do not fall apart into a plain one and an accent.
_PLAIN_LETTERS = {ord(a): b for a, b in zip("øæœłđðþıŋ", ("o", "ae", "oe", "l", "d", "d", "th", "i", "n"), strict=True)}  # fmt: skip
_ONE_DASH = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－⁃"), "-") | dict.fromkeys(map(ord, "’‘ʼ´`"), "'")

#: Voicing marks that stand as characters of their own would be parted from their kana by NFKC.
_JOINING = {0x309B: "\u3099", 0x309C: "\u309a"}
#: Characters that show nothing: zero width, soft hyphen, direction marks, variation selectors.
_UNSEEN = dict.fromkeys([
    0xAD, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0xFE00, 0xFE10),
    *range(0xE0100, 0xE01F0),
])  # fmt: skip
_BEFORE = _JOINING | _UNSEEN
_AFTER = (
    _HIRAGANA_TO_KATAKANA
    | _SAME_SOUND
    | {code: _SAME_SOUND[code + 0x60] for code in _HIRAGANA_TO_KATAKANA if code + 0x60 in _SAME_SOUND}
    | _ONE_CHARACTER
    | _ONE_DASH
)
#: Accents and points; the voicing marks of kana are not among them.
_ACCENTS = re.compile("[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]+")
_FOLLOWS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1160-\u11ff\u3099-\u309c\uff9e\uff9f"
    "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
)


def fold(text: str) -> str:
    """Return a text in the one form that comparisons use.

    Full width, katakana of full size, one character for its variants (髙 and 高), one dash, no accents, no case, nothing
    that cannot be seen.
    """
    return text.lower() if text.isascii() else _folded(text)


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_BEFORE)).translate(_AFTER)
    text = text.casefold().translate(_PLAIN_LETTERS)
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart))


def folded_with_origin(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the folded text and, for each of its characters, the start and end of what it came from.

    Folding may join characters (ｶ and ﾞ) or part one (㈱), so a place in the folded text is no place in the text.
    """
    if text.isascii():
        return text.lower(), [(at, at + 1) for at in range(len(text))]
    pieces: list[str] = []
    origin: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and _FOLLOWS.match(text[end]):
            end += 1
        piece = fold(text[start:end])
        pieces.append(piece)
        origin.extend([(start, end)] * len(piece))
        start = end
    return "".join(pieces), origin


def half_width(text: str) -> str:
    """Return katakana in half width (JIS X 0201), everything else as it is."""
    return "".join(_HALF_WIDTH.get(character, character) for character in unicodedata.normalize("NFD", text))


_HALF_WIDTH = {
    unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF61, 0xFF9E)
} | {"\u3099": "\uff9e", "\u309a": "\uff9f"}  # fmt: skip


def hiragana(text: str) -> str:
    """Return katakana as hiragana, everything else as it is."""
    return "".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in text)


def is_kana(text: str) -> bool:
    """Whether a folded text is katakana throughout."""
    return bool(text) and all("ァ" <= character <= "ヺ" or character == "ー" for character in text)


# --- Romaji -----------------------------------------------------------------------------------------------------------
# Hepburn, Kunrei-shiki and Nihon-shiki differ in a dozen sounds, and passports, old modalities and people in how they
# write long vowels. One pattern for each sound holds all of them.

_VOWELS = dict(zip("アイウエオ", "aiueo", strict=True))
_ROWS = {
    "k": "カキクケコ", "s": "サシスセソ", "t": "タチツテト", "n": "ナニヌネノ", "h": "ハヒフヘホ", "m": "マミムメモ", "r": "ラリルレロ",
    "g": "ガギグゲゴ", "z": "ザジズゼゾ", "d": "ダ××デド", "b": "バビブベボ", "p": "パピプペポ",
}  # fmt: skip
_SOUNDS: dict[str, tuple[str, str]] = {
    kana: (consonant, vowel)
    for consonant, row in _ROWS.items()
    for kana, vowel in zip(row, "aiueo", strict=True)
    if kana != "×"
} | {
    "ヤ": ("y", "a"), "ユ": ("y", "u"), "ヨ": ("y", "o"), "ワ": ("w", "a"), "ヲ": ("w?", "o"), "ヴ": ("[vb]", "u"),
    "シ": ("sh?", "i"), "チ": ("(?:ch|t)", "i"), "ツ": ("ts?", "u"), "フ": ("[fh]", "u"), "ジ": ("[jzd]", "i"),
    "ズ": ("d?z", "u"),
} | {kana: ("", vowel) for kana, vowel in _VOWELS.items()}  # fmt: skip

#: What stands for a sound of the i row before ヤ, ユ, ヨ: as one sound (しゃ) or as two (しや).
_BEFORE_Y = {"シ": "s[hiy]{1,3}", "チ": "(?:ch[iy]{0,2}|[tc][iy]{1,2})", "ジ": "(?:j[iy]{0,2}|[zd][iy]{1,2})"}
_LONG = {"a": "[ah]?", "i": "[ih]?", "u": "[uh]?", "e": "[eih]?", "o": "[ouh]?"}


def romaji_pattern(kana: str, *, length_unknown: bool = False) -> str:
    """Return a regular expression for every usual romaji of a folded katakana word; empty when there is none.

    `length_unknown`: the kana were read from romaji, which does not say which vowels are long.
    """
    pieces: list[str] = []
    vowel = ""
    at = 0
    while at < len(kana):
        character, following = kana[at], kana[at + 1 : at + 2]
        if character == "ー" or (vowel and _lengthens(vowel, character)):
            pieces.append(_LONG.get(vowel, ""))
            vowel = ""
        elif character == "ン":
            pieces.append("(?:n[n'-]?|m)")
            vowel = ""
        elif (
            character == "ツ"
            and following in _SOUNDS
            and _SOUNDS[following][0]
            and following not in "ヤユヨラリルレロ"
        ):
            pieces.append("(?:ts?u|[kstpcgdbjz])")
            vowel = ""
        elif character in _SOUNDS:
            consonant, vowel = _SOUNDS[character]
            if vowel == "i" and consonant and following in ("ヤ", "ユ", "ヨ"):
                vowel = _SOUNDS[following][1]
                pieces.append(_BEFORE_Y.get(character, f"{consonant}i?y") + vowel)
                at += 1
            elif character in "シチジフ" and following and following in "アエオ":
                pieces.append(f"{consonant}{vowel}?")
                vowel = ""
            else:
                pieces.append(consonant + vowel)
            if length_unknown and vowel in ("o", "u"):
                pieces.append(_LONG[vowel])
        else:
            return ""
        at += 1
    return "".join(pieces)


_KUNREI = {"シ": "s", "チ": "t", "ツ": "t", "フ": "h", "ジ": "z", "ズ": "z", "ヲ": "", "ヴ": "v"}
_HEPBURN = {"シ": "sh", "チ": "ch", "ツ": "ts", "フ": "f", "ジ": "j", "ズ": "z", "ヲ": "", "ヴ": "v"}


def romaji_of(kana: str) -> set[str]:
    """Return a folded katakana word in Hepburn and in Kunrei-shiki, with and without its long vowels."""
    found: set[str] = set()
    for consonants in (_HEPBURN, _KUNREI):
        for keep_long in (True, False):
            letters = ""
            for at, character in enumerate(kana):
                vowel = letters[-1:] if letters[-1:] in ("o", "u") else ""
                if character == "ー" or (vowel and _lengthens(vowel, character)):
                    letters += _VOWELS.get(character, "") if keep_long else ""
                elif character == "ン":
                    letters += "n"
                elif (
                    character == "ツ"
                    and kana[at + 1 : at + 2]
                    and kana[at + 1] not in "ヤユヨラリルレロアイウエオー"
                ):
                    letters += (consonants.get(kana[at + 1], "") or _SOUNDS.get(kana[at + 1], ("", ""))[0])[
                        :1
                    ]
                elif character in "ヤユヨ" and letters.endswith("i") and letters[:-1]:
                    plain = letters[:-1].endswith(("sh", "ch", "j"))
                    letters = letters[:-1] + ("" if plain else "y") + _SOUNDS[character][1]
                elif character in _SOUNDS:
                    consonant, sound = _SOUNDS[character]
                    letters += consonants.get(character, consonant) + sound
            found.add(letters)
    return found


def _lengthens(vowel: str, character: str) -> bool:
    return character in {"o": "ウオ", "u": "ウ", "e": "イエ", "i": "イ", "a": "ア"}[vowel]


_SYLLABLES: dict[str, str] = {}
for _kana, (_consonant, _vowel) in _SOUNDS.items():
    if not set(_consonant) - set("kstnhmrgzdbpyw"):
        _SYLLABLES[_consonant + _vowel] = _kana
_SYLLABLES |= {
    "shi": "シ", "si": "シ", "chi": "チ", "ti": "チ", "tsu": "ツ", "tu": "ツ", "fu": "フ", "hu": "フ", "ji": "ジ", "zi": "ジ", "di": "ジ",
    "zu": "ズ", "du": "ズ", "dzu": "ズ", "vu": "ヴ", "wo": "ヲ",
}  # fmt: skip
for _head, _kana in {
    "ky": "キ", "sh": "シ", "sy": "シ", "ch": "チ", "ty": "チ", "cy": "チ", "ny": "ニ", "hy": "ヒ", "my": "ミ", "ry": "リ", "gy": "ギ",
    "j": "ジ", "jy": "ジ", "zy": "ジ", "by": "ビ", "py": "ピ",
}.items():  # fmt: skip
    for _vowel, _small in zip("auo", "ヤユヨ", strict=True):
        _SYLLABLES[_head + _vowel] = _kana + _small
_SYLLABLE = re.compile(
    "|".join(
        [
            *(f"(?P<s{len(key)}{key}>{key})" for key in sorted(_SYLLABLES, key=len, reverse=True)),
            r"(?P<long>(?<=o)h(?=[^aiueoy]|$))",
            r"(?P<double>(?P<d>[kstpgdbjz])(?=(?P=d))|t(?=ch))",
            r"(?P<n>n['-](?=[aiueoy])|n(?=[^aiueoy]|$)|m(?=[bmp]))",
        ]
    )
)


@lru_cache(maxsize=1024)
def kana_of(romaji: str) -> str:
    """Return a romaji word as folded katakana; empty when it is not written by the rules of any romaji."""
    kana: list[str] = []
    at = 0
    while at < len(romaji):
        found = _SYLLABLE.match(romaji, at)
        if found is None:
            return ""
        kind = found.lastgroup or ""
        if kind == "long":
            kana.append("ウ")
        elif kind == "double":
            kana.append("ツ")
        elif kind == "n":
            kana.append("ン")
        else:
            kana.append(_SYLLABLES[found.group()])
        at = found.end()
    return "".join(kana)
