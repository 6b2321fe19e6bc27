"""Where devices print identity into their images, as published; see the notice below.

Taken as data from `deid/data/deid.dicom` of PyPI deid 0.4.13: rules collected there from the RSNA MIRC CTP project
("CTP"), by Susan Weber, and from users of two archives ("FFUR", "AMBR", "AMB"). Rules whose condition is not one of
the columns below, or that name no device, are left out. Positions are x, y, width, height in pixels.

Copyright (c) 2016-2022 Vanessa Sochat. MIT License: permission is hereby granted, free of charge, to any person
obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software without
restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense,
and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions: the above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE
OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

#: Name, who collected it; Modality; words of Manufacturer, of Manufacturer's Model Name, of Image Type, of Series
#: Description (any of them, in any case); Rows; Columns (none: any); boxes.
ROWS: tuple[
    tuple[str, str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[int, ...], tuple[int, ...], tuple[tuple[int, int, int, int], ...]], ...
] = (
    ("3D Lab reconstructions", "Susan Weber", "CT", (), ("SOMATOM Definition AS+",), (), ("3D",), (), (), ((450, 0, 222, 85),)),
    ("Dose Report", "CTP", "CT", ("GE",), (), (), ("Dose Report",), (), (), ((0, 0, 512, 110),)),
    ("AW Workstation", "CTP", "CT", ("GE MEDICAL",), (), (), ("AW electronic field",), (), (), ((0, 0, 512, 80),)),
    ("Screen Captures", "CTP", "CT", ("GE MEDICAL",), (), (), (), (512,), (), ((0, 0, 512, 25),)),
    ("Vessel analysis (screen capture)", "CTP", "CT", ("GE MEDICAL",), (), (), ("AVA Report",), (512,), (), ((0, 0, 200, 250),)),
    ("Volume Rendering - MRCP", "CTP", "CT", ("GE",), (), ("VOLREN",), (), (512,), (512,), ((350, 0, 162, 30), (390, 80, 122, 15))),
    ("screen captures", "CTP", "CT", ("GE",), (), (), (), (1024,), (), ((0, 0, 300, 150), (724, 0, 300, 150))),
    ("stent planning worksheet (VITREA)", "CTP", "CT", ("VITAL Images", "VITREA"), (), (), ("AAA", "Report"), (1041,), (), ((0, 0, 795, 150),)),
    ("CT Dose Series", "CTP", "CT", ("SIEMENS",), (), ("SECONDARY",), (), (860,), (), ((0, 0, 1132, 60),)),
    ("CT Dose Series", "CTP", "CT", ("PHILIPS",), (), ("DOSE",), (), (), (), ((0, 0, 512, 135),)),
    ("Siemens S2000", "CTP", "US", ("SIEMENS",), ("S2000",), (), (), (768,), (1024,), ((0, 0, 1024, 60),)),
    ("Philips PT", "CTP", "PT", ("Philips",), ("GEMINI",), (), (), (446,), (245,), ((0, 0, 125, 50),)),
    ("Philips PT", "CTP", "PT", ("Philips",), ("GEMINI",), (), (), (445,), (493,), ((0, 0, 140, 55),)),
    ("Philips PT", "CTP", "PT", ("Philips",), ("GEMINI",), (), (), (373,), (492,), ((0, 0, 100, 25),)),
    ("Logiq US (LOGIQ9)", "CTP", "US", ("GE",), ("LOGIQ9",), (), (), (), (), ((0, 0, 640, 30),)),
    ("Logiq US (LOGIQE9 or V830)", "CTP", "US", ("GE",), ("LOGIQE9", "V830"), (), (), (), (), ((0, 0, 960, 70),)),
    ("Logiq US LOGIQE", "AMBR", "US", ("GE",), ("LOGIQE",), (), (), (614,), (), ((0, 0, 1150, 75),)),
    ("Philips IU22", "CTP", "US", ("Philips",), ("iU22",), (), (), (480,), (), ((0, 0, 640, 47),)),
    ("Philips IU22", "CTP", "US", ("Philips",), ("iU22",), (), (), (786,), (), ((0, 0, 1024, 75),)),
    ("Philips IU22", "CTP", "US", ("Philips",), ("iU22",), (), (), (600,), (), ((0, 0, 800, 59),)),
    ("Philips Affiniti", "AMB", "US", ("Philips",), ("Affiniti 70G",), (), (), (768,), (), ((0, 0, 1024, 22),)),
    ("Philips Affiniti", "AMB", "US", ("Philips",), ("ClearVue 650",), (), (), (600,), (), ((0, 0, 1150, 22),)),
    ("Philips Affiniti", "AMB", "US", ("Philips",), ("Affiniti 70G",), (), (), (825,), (), ((0, 0, 1140, 70),)),
    ("EPIQ 7G", "CTP", "US", ("Philips",), ("EPIQ",), (), (), (600,), (), ((0, 0, 1024, 49),)),
    ("EPIQ 7G", "CTP", "US", ("Philips",), ("EPIQ",), (), (), (768,), (), ((0, 0, 1024, 49),)),
    ("EPIQ 7G", "FFUR", "US", ("Philips",), ("EPIQ",), (), (), (825,), (), ((0, 0, 800, 59),)),
    ("CX50", "CTP", "US", ("Philips",), ("CX50",), (), (), (), (), ((0, 0, 800, 59),)),
    ("EPIQ_7G", "CTP", "", ("EPIQ",), (), (), (), (600, 768), (), ((0, 0, 800, 59),)),
    ("Z_ONE", "CTP", "US", ("Zonare",), ("Z_ONE",), (), (), (600,), (), ((0, 0, 800, 65),)),
    ("Z_ONE", "FFUR", "US", ("Zonare",), ("ZS3",), (), (), (600,), (), ((0, 0, 1150, 55),)),
    ("ATL HDI 5000", "CTP", "US", ("ATL",), ("HDI 5000",), (), (), (476,), (640,), ((40, 0, 200, 40), (240, 0, 190, 16))),
    ("ATL HDI4000", "FFUR", "US", ("ATL",), ("HDI4000",), (), (), (480,), (), ((0, 0, 1140, 62),)),
    ("Siemens SC2000", "CTP", "US", ("Siemens",), ("SC2000",), ("SECONDARY",), (), (768,), (1024,), ((230, 50, 260, 370),)),
    ("Siemens Antares", "CTP", "US", ("Siemens",), ("Antares",), (), (), (768,), (1024,), ((0, 0, 1024, 60), (200, 60, 20, 20), (800, 65, 104, 14))),
    ("Siemens Acuson", "FFUR", "US", ("Siemens",), ("G40",), (), (), (600,), (), ((0, 0, 980, 45),)),
    ("Siemens Acuson", "FFUR", "US", ("Siemens",), ("ACUSON NX3",), (), (), (768,), (), ((0, 0, 1150, 58),)),
    ("Siemens Acuson", "FFUR", "US", ("Siemens",), ("X150",), (), (), (600,), (), ((0, 0, 1145, 50),)),
    ("Siemens Acuson", "FFUR", "US", ("Siemens",), ("S3000",), (), (), (768,), (), ((0, 0, 1040, 60),)),
    ("Siemens Acuson", "FFUR", "US", ("Siemens",), ("ACUSON",), (), (), (600,), (800,), ((0, 0, 800, 43), (128, 56, 16, 16))),
    ("Acuson Sequoia", "CTP", "US", ("ACUSON",), ("SEQUOIA",), (), (), (480,), (640,), ((0, 0, 640, 30),)),
    ("Toshiba Aplio 400 or 500", "CTP", "US", ("TOSHIBA",), ("A400", "A500"), (), (), (720,), (960,), ((0, 0, 960, 60),)),
    ("TOSHIBA", "FFUR", "US", ("TOSHIBA",), ("TUS-A300",), (), (), (632,), (), ((0, 0, 1150, 72),)),
    ("TOSHIBA", "FFUR", "US", ("TOSHIBA",), ("TUS-A300",), (), (), (720,), (), ((0, 0, 1150, 68),)),
    ("TOSHIBA", "FFUR", "US", ("TOSHIBA",), ("TUS-A500",), (), (), (903,), (), ((0, 0, 930, 50),)),
    ("TOSHIBA", "FFUR", "US", ("TOSHIBA",), ("TUS-A500",), (), (), (632,), (), ((0, 0, 1150, 60),)),
    ("Supersonic Imagine 5A", "CTP", "US", ("SuperSonic Imagine SA", "SuperSonic"), ("Aixplorer",), (), (), (1050,), (1400,), ((0, 0, 1400, 89),)),
    ("SENO", "CTP", "US", ("SENO",), (), (), (), (1058,), (1920,), ((161, 0, 1632, 50),)),
    ("SENO Cine", "CTP", "US", ("SENO",), (), (), (), (1056,), (1920,), ((161, 0, 1632, 50),)),
    ("Siemens NM", "CTP", "NM", ("Siemens",), ("CXD1",), ("SECONDARY",), (), (860,), (), ((0, 0, 1132, 90), (0, 780, 1132, 80))),
    ("Siemens NM", "CTP", "NM", ("Siemens",), (), ("SECONDARY",), (), (860,), (), ((0, 0, 1132, 90), (0, 780, 1132, 80))),
    ("Siemens NM", "CTP", "NM", ("Siemens",), (), ("SECONDARY",), (), (865,), (), ((0, 0, 1132, 35),)),
    ("Siemens NM", "CTP", "NM", ("Siemens",), (), ("SECONDARY",), (), (882,), (), ((0, 0, 1132, 65),)),
    ("ESAOTE", "FFUR", "US", ("ESAOTE",), ("6100",), (), (), (608,), (), ((0, 0, 790, 52),)),
    ("ESAOTE", "FFUR", "US", ("ESAOTE",), ("6150",), (), (), (804,), (), ((0, 0, 1030, 45),)),
    ("ESAOTE", "FFUR", "US", ("ESAOTE",), ("6150",), (), (), (608,), (), ((0, 0, 1140, 72),)),
    ("ESAOTE", "FFUR", "US", ("ESAOTE",), ("6150",), (), (), (555,), (), ((0, 0, 1140, 72),)),
    ("MEDISON", "FFUR", "US", ("MEDISON",), ("Accuvix V20",), (), (), (768,), (), ((0, 0, 1010, 65),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare Austria",), ("Voluson P8",), (), (), (727,), (), ((0, 0, 1150, 65),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("Voluson P8",), (), (), (727,), (), ((0, 0, 1150, 65),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("Voluson S",), (), (), (743,), (), ((0, 0, 925, 62),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("Voluson S10",), (), (), (852,), (), ((0, 0, 1040, 62),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("Voluson S10",), (), (), (600,), (), ((0, 0, 1040, 62),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("LOGIQS7",), (), (), (720,), (), ((0, 0, 1060, 67),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("LOGIQS8",), (), (), (873,), (), ((0, 0, 1160, 65),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("LOGIQS8",), (), (), (768,), (), ((0, 0, 1150, 60),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("LOGIQS8",), (), (), (819,), (), ((0, 0, 937, 57),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("LOGIQS8",), (), (), (720,), (), ((0, 0, 1140, 50),)),
    ("GE Healthcare", "FFUR", "US", ("GE Healthcare",), ("LOGIQP",), (), (), (614,), (), ((0, 0, 1060, 67),)),
    ("GE Healthcare", "AMBR", "US", ("GE Healthcare",), ("LOGIQ S6",), (), (), (768,), (), ((0, 0, 800, 80),)),
    ("GE Healthcare", "AMBR", "US", ("GE Healthcare",), ("LOGIQ7",), (), (), (989,), (), ((0, 0, 1150, 24),)),
    ("MINDRAY", "AMBR", "US", ("MINDRAY",), ("M6",), (), (), (600,), (), ((0, 0, 1050, 75),)),
    ("MINDRAY", "AMBR", "US", ("MINDRAY",), ("M7",), (), (), (600,), (), ((0, 0, 800, 50),)),
    ("MINDRAY", "AMBR", "US", ("MINDRAY",), ("M7",), (), (), (768,), (), ((0, 0, 1080, 80),)),
    ("MINDRAY", "AMBR", "US", ("MINDRAY",), ("Z5",), (), (), (600,), (), ((0, 0, 1130, 62),)),
    ("MINDRAY", "AMBR", "US", ("MINDRAY",), ("DC-8 PRO",), (), (), (900,), (), ((0, 0, 1150, 60),)),
    ("MINDRAY", "AMBR", "US", ("MINDRAY",), ("M9",), (), (), (910,), (), ((0, 0, 1150, 60),)),
    ("SIUI", "AMBR", "US", ("SIUI",), ("CTS-8800",), (), (), (), (), ((0, 0, 1360, 100),)),
    ("Kretztechnik", "AMBR", "US", ("Kretztechnik",), ("V730",), (), (), (600,), (), ((0, 0, 1140, 80),)),
    ("Hitachi", "AMBR", "US", ("Hitachi",), ("HI VISION Preirus",), (), (), (768,), (), ((0, 0, 1150, 60),)),
    ("Hitachi", "AMBR", "US", ("Hitachi",), ("HI VISION Avius",), (), (), (768,), (), ((0, 0, 1140, 74),)),
    ("Hitachi", "AMBR", "US", ("Hitachi",), ("ProSound F75",), (), (), (768,), (), ((0, 0, 1025, 50),)),
    ("Samsung", "AMBR", "US", ("Samsung",), ("UGEO H60",), (), (), (720,), (), ((0, 0, 1150, 70),)),
    ("Samsung", "AMBR", "US", ("Samsung",), ("SonoAce R7",), (), (), (768,), (), ((0, 0, 1024, 60),)),
    ("MEDISON", "AMBR", "US", ("MEDISON",), ("SonoAce R7",), (), (), (768,), (), ((0, 0, 1140, 60),)),
    ("Chison", "AMBR", "US", ("Chison",), ("q9-new",), (), (), (568,), (), ((0, 0, 1250, 80),)),
    ("Ultrasonix", "AMBR", "US", ("Ultrasonix",), ("SONIX",), (), (), (768,), (), ((0, 0, 970, 60),)),
    ("Ultrasonix", "AMBR", "US", ("Ultrasonix",), ("SONIX",), (), (), (600,), (), ((0, 0, 970, 60),)),
    ("Stanford Medical Center GE", "Roger Goldman", "", ("GE",), ("GE", "Stanford"), ("DERIVED+SECONDARY+SCREEN SAVE",), (), (), (), ((0, 0, 512, 121),)),
)
