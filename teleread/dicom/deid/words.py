"""Words that a patient may be called by and that mean something else in most texts.

Two kinds. `CLINICAL` words alone name nobody: a patient Long does not make *long axis* identity, and 陽子線治療 is proton
therapy whoever is called 陽子. `COMMON` words alone are in doubt: they are never cut, and a text that has one is held.
Beside another part of the name, or a title, both kinds name the patient like any other.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Of phantoms and test objects, of protocols, of the body, and of the prose of reports.
CLINICAL = _words(
    """
    abdomen above acute adult aged air anon anonymised anonymized anonymous and angle apex are arch area arm armed art artery
    aspect axial axis back ball band base beam bed bent best black blood blunt body bolus bone both bowel brain break breast
    bright broad bypass calf canal cap care case cast center centre chest chin chronic clear clip close cold colon cone contrast
    cord core coronal cortex cough count cranium crest cross cup cut dark date day dead deep delay demo dense diet disc disk dome
    dose down drain drop dual dummy dura ear early edge elbow end era exam exp eye face fall fat feet female field film fine
    first flair flat flow fold follow foot for fore free from frame front full gap gas gate gene girdle gland good graft grand
    gray great grey grid groin gross growth gut hair half hand hard head heart heel helical hide high hilar hip hole hot hour
    ill image images inc index iliac inner ion iris iron jaw joint knee lamina large last late lateral lead left leg lens level
    light limb line lip liver lobe localizer locale long loop loss low lower lumen lung main male man marrow mask mass matter
    mean median medical men metal mid mild mine minor mode mono more motion mouth name nape narrow neck nema nerve new nice nil no
    node none normal nose note null oblique old one open oral organ out outer pad pain pan part past patent patient pelvis phantom
    phase pin plain plan plane plate point pole pool poor port pose post power pre prone pulse pump qa qc raise rate ray rear rect
    region removed rest rib right ring rise root round sac sagittal same sample sane scale scan scar scout screen seal second
    section sella septum series sharp shift shin short shoulder shunt side signal sinus site size skin skull slice slight slow
    small snow soft sole solid son sore sound space spin spine spot stain stent step stone strain strip stroke strong study sub
    sun super supine sure surface swift tail take tame taken tall ten test text the thick thin thorax time tin tip to toe tome tone
    top total trace track tract trunk tube tumor type under unknown upper valve vein view void volume wall warm wash water weak
    wedge well wet white whole wide wing with wrist xray young zone
    name made mate mono note site here hire
    """
)

#: Family and given names that are words of every day, and are seldom about the body.
COMMON = _words(
    """
    abbey able adam alder amber amen angel anna april archer ash aster august aurora autumn baker banks barber barn baron bay
    bean bear beck bell berry bill bird bishop bloom blossom bond booth bow brook brooks brown bud buck bull bunny bush butler carpenter
    carter cash castle chance chase cherry china christian church clay cliff cloud coal cole comfort constant cook cooper coral cotton
    cox crane crisp crow curry daisy dale dawn dean dell dew dick dove drew drake duke earl east eden elder ever faith farmer fern finch
    fisher fish flower flowers ford forest forester fort fortune fountain fox frank franks frost fuller garden gardener garland
    gates gem gift gill ginger glass glen glory gold golden golf grace grant grass graves green guy hall han harbor hardy harmony
    harper hart hawk hay hazel heath heather heaven hedge henna herb hill hills hiro holly hong honey hood hook hope horn house hunt
    hunter hurt ice ivory ivy jack jade jasmine jay jean jewel job joy judge july june just kay keen keeper kidd kim king kings
    kite knight koala lake lamb lan land lane lark lea leaf leather lee lemon lily lim lime lin lion lion lock lord love luck lucky
    lynch mace major mann maple march mark marks marble marsh marshal martini mason master may mayor meadow melody mercy mew
    mild mill miller mills min mist moon moore morning moss mount myrtle nan noble norm north oak oakes ocean olive opal orange
    page paige palm paris park parks parson patience peace peach peacock pearl penny pepper perry petal piper pitt plum pond pope
    poppy post potter pound powers precious price priest prime prince proper pure queen quick rain raven read reed reeves reid
    rice rich ridge river rivers robin rock roman rome rosa rose rosemary rowan royal ruby rue rush rust sage saint salmon sales
    sand sands sandy savage sawyer sea self sera serena sharp shaw sheep shepherd shin shore silver silk singer sky slater smart
    smith snow south spark sparrow spear spence spencer spring stand star stark steel stern stewart still stock storm story strange
    street strong summer summers sung swan sweet swift talent tan taylor temple thorn tiger timber ting tong tower towers town tree
    trinity true tucker turner vale valentine valley van velvet venus vine violet wade waiter wages wan wang ward ware watch waters
    way weaver webb weeks welch west wheat wheeler will willow winter wise wolf wong wood woods worth wright wren yes yew yong yoo
    """
)  # fmt: skip

#: The same in Japanese, folded: 光子 and 陽子 are particles, ハナ is a nose and カタ a shoulder.
CLINICAL_JA = _words(
    """
    光子 陽子 中子 電子 原子 分子 因子 素子 正中 中央 左右 上下 前後 内側 外側 平面 水平 安静 正常 海馬 松果 中部 上部 下部 内部 外部
    前方 後方 石灰 結石 小児 成人 本人 門脈 胸部 両面 安定 健康 発生
    ハナ カタ ムネ アシ コシ ミミ クチ ノド ハラ セナカ ヒザ ヒジ クビ メマイ キズ ホネ スジ カゼ セキ アセ ネツ オナカ イタミ マエ アト
    ウエ シタ ナカ ソト ミギ ヒダリ カオ
    """
)

#: What stands before or behind a name and makes a doubtful word one (folded).
TITLES_BEFORE = (
    "mr", "mrs", "ms", "miss", "mister", "pt", "patient", "name", "patient name", "pat", "患者", "患者名", "氏名", "名前", "患者氏名",
    "本名", "旧姓", "母", "父", "姓", "名",
)  # fmt: skip
TITLES_BEHIND = ("様", "サン", "サマ", "氏", "殿", "君", "クン", "チヤン", "先生", "夫人", "嬢", "san", "sama", "kun", "chan", "-san", " san", " 様", " 殿", " 氏", " サン", " 君")  # fmt: skip
NUMBER_BEFORE = (
    "id",
    "no",
    "#",
    "番号",
    "患者id",
    "患者番号",
    "カルテ",
    "カルテ番号",
    "診察券",
    "mrn",
    "pid",
    "number",
)
BORN = ("生", "born", "生年月日", "dob", "birth")
