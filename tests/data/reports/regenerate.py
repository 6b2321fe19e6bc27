"""Makes the signed reports that the gateway's tests start from, with the real renderer and the real signature.

    python tests/data/reports/regenerate.py

The gateway's tests run where no renderer is installed, so what it makes is committed: two reports under a pseudonym
(synthetic), the certificate that their reader's signature is trusted by, and what the package says of each. The keys
are not kept.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from teleread.rendering.context import ReportContent
from teleread.rendering.report_pdf import render_report
from teleread.rendering.signature import issue_reader_certificate, make_ca, sign_report

HERE = Path(__file__).resolve().parent
CENTURY = 36500

COMMON = {
    "case_number": "4MZ09D83",
    "study_instance_uid": "2.25.171742921381237405862173456108914523",
    "pseudonym": "C36PV-4K2M7",
    "study_date": "20261123",
    "study_time": "162000",
    "modality": "CT",
    "accession": "A4Q0Z8K2M7PV3",
    "image_count": 576,
    "sex": "F",
    "age": "067Y",
    "signed_at_text": "2026-11-23T17:52:00+00:00",
}
SHORT = ReportContent(
    **COMMON,
    language="ja",
    facility_name="あさひ岬クリニック",
    department="内科",
    doctor="例示 五郎",
    examination="胸部 単純",
    signer_name="例示 太郎",
    signer_licence="第000000号",
    signer_title="放射線診断専門医",
    centre_name="みどり画像診断センター（例示）",
    sections={
        "clinical_question": "右肺上葉結節の増大の有無。",
        "technique": "胸部単純CT。1.0 mm厚。",
        "comparison": "2026年3月18日 胸部CT。",
        "findings": "右肺上葉S2に 12.4×11.0 mm の充実性結節を認める。前回は 8.1 mm であり、増大している。",
        "impression": "右肺上葉S2の結節は増大しており、原発性肺癌を疑う。",
        "recommendation": "PET-CT を推奨する。",
    },
)
LONG = ReportContent(
    **COMMON,
    language="en",
    facility_name="Asahi Cape Clinic",
    examination="Chest, plain",
    signer_name="Taro Example",
    centre_name="Midori Imaging Centre (example)",
    sections={
        "findings": "\n".join(
            f"{number}. Solid nodule in the right upper lobe, unchanged in every respect."
            for number in range(1, 40)
        ),
        "impression": "No change.",
    },
)


def main() -> None:
    """Write the reports, their packages' facts and the certificate beside this file."""
    at = datetime(2026, 11, 23, tzinfo=UTC)
    authority = make_ca("Example reading centre CA", at=at, days=CENTURY)
    (HERE / "reader-ca.pem").write_bytes(authority.certificate_pem)
    for name, content in (("short-ja", SHORT), ("long-en", LONG)):
        reader = issue_reader_certificate(content.signer_name, authority, at=at, days=CENTURY)
        rendered = render_report(content)
        signed = sign_report(
            rendered.pdf,
            key_pem=reader.key_pem,
            passphrase=None,
            certificate_pem=reader.certificate_pem,
            ca_pem=authority.certificate_pem,
            reason="final",
            name=content.signer_name,
        )
        (HERE / f"{name}.pdf").write_bytes(signed)
        facts = {"content": content.to_json(), "content_sha256": content.digest(), "pages": rendered.pages}
        (HERE / f"{name}.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
