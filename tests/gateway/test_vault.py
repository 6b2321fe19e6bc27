"""The vault: who is who, sealed, and never two people in one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.vault import LinkDoubt, Vault, VaultStudy
from teleread.dicom.deid.identity import PatientIdentity
from teleread.errors import InvalidInput, NotFound

KEY = bytes(range(32))
IDENTITY = PatientIdentity(
    patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
    patient_name_raw=b"Yamada^Tarou=\x1b$B;3ED\x1b(B",
    patient_id="0012345",
    birth_date="19590314",
    sex="M",
    study_instance_uid="1.2.3",
)
ENTRY = VaultStudy("C36PV-4K2M7", "2.25.1", "A0123456789AB", IDENTITY)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = Vault(tmp_path / "vault.sqlite3", KEY)
    yield vault
    vault.close()


def test_a_link_comes_back_whole_with_the_original_bytes(vault: Vault) -> None:
    vault.link(ENTRY)
    vault.link(ENTRY)
    assert vault.study("2.25.1") == ENTRY
    assert vault.counts() == (1, 1)
    with pytest.raises(NotFound):
        vault.study("2.25.2")


def test_the_files_of_the_vault_tell_nothing_without_the_key(vault: Vault, tmp_path: Path) -> None:
    vault.link(ENTRY)
    data = b"".join(path.read_bytes() for path in tmp_path.glob("vault.sqlite3*"))
    for trace in (b"Yamada", "山田".encode(), b"0012345", b"19590314", b"1.2.3\x00"):
        assert trace not in data
    other = Vault(tmp_path / "vault.sqlite3", bytes(32))
    with pytest.raises(InvalidInput):
        other.study("2.25.1")
    other.close()


@pytest.mark.parametrize("change", [{"birth_date": "19700101"}, {"sex": "F"}])
def test_a_known_id_with_another_birth_date_or_sex_is_a_doubt(vault: Vault, change: dict[str, str]) -> None:
    vault.link(ENTRY)
    with pytest.raises(LinkDoubt) as caught:
        vault.link(replace(ENTRY, centre_study_uid="2.25.2", identity=replace(IDENTITY, **change)))
    assert caught.value.code == "other_patient"
    assert vault.counts() == (1, 1)


def test_what_one_study_leaves_open_another_fills_and_then_counts(vault: Vault) -> None:
    vault.link(replace(ENTRY, identity=replace(IDENTITY, birth_date="")))
    vault.link(replace(ENTRY, centre_study_uid="2.25.2"))
    with pytest.raises(LinkDoubt):
        vault.link(
            replace(ENTRY, centre_study_uid="2.25.3", identity=replace(IDENTITY, birth_date="19700101"))
        )


def test_a_study_of_two_patients_is_a_doubt(vault: Vault) -> None:
    vault.link(ENTRY)
    with pytest.raises(LinkDoubt) as caught:
        vault.link(replace(ENTRY, pseudonym="00000-00000", identity=replace(IDENTITY, patient_id="99")))
    assert caught.value.code == "two_patients"
    assert vault.counts() == (1, 1)


def test_two_patients_never_share_a_pseudonym(vault: Vault) -> None:
    vault.link(ENTRY)
    with pytest.raises(LinkDoubt) as caught:
        vault.link(replace(ENTRY, centre_study_uid="2.25.2", identity=replace(IDENTITY, patient_id="99")))
    assert caught.value.code == "pseudonym_taken"


def test_the_same_id_of_two_issuers_is_two_patients(vault: Vault) -> None:
    vault.link(ENTRY)
    other = replace(IDENTITY, issuer_of_patient_id="OTHER", birth_date="19700101")
    vault.link(replace(ENTRY, pseudonym="00000-00000", centre_study_uid="2.25.2", identity=other))
    assert vault.counts() == (2, 2)


def test_a_lost_vault_comes_back_from_its_backup_and_nothing_newer_is_changed(
    vault: Vault, tmp_path: Path
) -> None:
    vault.link(ENTRY)
    vault.backup(tmp_path / "backup")
    assert not list(tmp_path.glob("backup?*"))
    fresh = Vault(tmp_path / "fresh.sqlite3", KEY)
    assert fresh.restore(tmp_path / "backup") == 1
    assert fresh.restore(tmp_path / "backup") == 0
    assert fresh.study("2.25.1") == ENTRY
    fresh.close()


def test_a_backup_of_another_key_or_no_backup_at_all_is_refused(vault: Vault, tmp_path: Path) -> None:
    vault.link(ENTRY)
    vault.backup(tmp_path / "backup")
    other = Vault(tmp_path / "other.sqlite3", bytes(32))
    (tmp_path / "letter").write_text("dear vault")
    for source in ("backup", "letter", "nothing"):
        with pytest.raises(InvalidInput):
            other.restore(tmp_path / source)
    assert other.counts() == (0, 0)
    other.close()
