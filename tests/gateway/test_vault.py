"""The vault: who is who, sealed, and never two people in one."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import keys as keys_module
from gateway import vault as vault_module
from gateway.daemon import alone
from gateway.durable import connect
from gateway.keys import GatewayKeys, keys_on_sheet, sheet_of, take_keys
from gateway.layout import Layout
from gateway.main import main
from gateway.vault import LinkDoubt, Vault, VaultStudy
from teleread.dicom.deid.identity import PatientIdentity
from teleread.errors import InvalidInput, NotFound, Unavailable
from tests.gateway.facility import layout_of, settings_of

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


# Keys


UIDS = {f"1.2.392.200036.9116.2.5.1.{number}" for number in range(21)}


class PowerCut(BaseException):
    """Not an error that anybody could handle."""


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setattr(vault_module, "_ROWS_OF_UIDS", 4)
    layout = layout_of(settings_of(tmp_path / "box"))
    settings_of(tmp_path / "box").write()
    with closing(Vault.of(layout, GatewayKeys.make(layout))) as vault:
        for uid in sorted(UIDS):
            vault.link(ENTRY, [uid])
        vault.keep_form("O1", {"name": "山田"})
    return layout


def reopened(layout: Layout) -> closing[Vault]:
    return closing(Vault.of(layout, GatewayKeys.load(layout)))


def assert_whole(layout: Layout) -> None:
    with reopened(layout) as vault:
        assert vault.study("2.25.1") == ENTRY
        assert vault.uids("2.25.1") == UIDS
        assert vault.form("O1") == {"name": "山田"}
        # The patient is found again by the ID, so a doubt is still a doubt.
        with pytest.raises(LinkDoubt):
            vault.link(replace(ENTRY, centre_study_uid="2.25.2", identity=replace(IDENTITY, sex="F")))


def test_original_uids_come_back_and_lie_close_together(layout: Layout) -> None:
    assert_whole(layout)
    with closing(connect(layout.vault_database)) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM uids").fetchone()
        assert rows <= 4
    data = layout.vault_database.read_bytes()
    assert b"200036.9116" not in data


def test_a_new_key_opens_everything_and_the_old_one_nothing(layout: Layout, tmp_path: Path) -> None:
    before = GatewayKeys.load(layout)
    with reopened(layout) as vault:
        vault.backup(tmp_path / "backup")
        assert vault.rotate(layout) > 3
        vault.link(replace(ENTRY, centre_study_uid="2.25.3"))
    after = GatewayKeys.load(layout)
    assert after.vault != before.vault
    assert (after.uid, after.pseudonym) == (before.uid, before.pseudonym)
    assert_whole(layout)
    with pytest.raises(InvalidInput):
        Vault.of(layout, before)
    # A backup of the time before is still one.
    layout.vault_database.unlink()
    with reopened(layout) as vault:
        assert vault.restore(tmp_path / "backup", keys=after.other_vault_keys) == 1
    assert_whole(layout)


@pytest.mark.parametrize("step", range(8))
def test_a_change_of_keys_that_is_cut_off_leaves_a_vault_that_opens(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    steps = iter(range(100))

    def or_a_power_cut(function: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            if next(steps) == step:
                raise PowerCut
            return function(*arguments, **named)

        return called

    with monkeypatch.context() as patch:
        patch.setattr(keys_module, "write_file", or_a_power_cut(keys_module.write_file))
        patch.setattr(keys_module, "sync_folder", or_a_power_cut(keys_module.sync_folder))
        patch.setattr(vault_module, "settle_vault_key", or_a_power_cut(vault_module.settle_vault_key))
        patch.setattr(vault_module, "next_vault_key", or_a_power_cut(vault_module.next_vault_key))
        patch.setattr(Vault, "_seal_all", or_a_power_cut(Vault._seal_all))
        with suppress(PowerCut), reopened(layout) as vault:
            vault.rotate(layout)
    assert_whole(layout)
    with reopened(layout) as vault:
        vault.settle_keys(layout, GatewayKeys.load(layout))
        vault.rotate(layout)
    assert_whole(layout)
    assert not (layout.keys / "vault-next.key").exists()


def test_a_vault_that_somebody_else_gave_another_key_is_not_written_by_the_old_one(layout: Layout) -> None:
    with reopened(layout) as running, reopened(layout) as vault:
        vault.rotate(layout)
        with pytest.raises(Unavailable):
            running.link(replace(ENTRY, centre_study_uid="2.25.2"))


def test_a_fresh_machine_takes_backup_and_keys_by_command(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tmp_path / "words"
    words.write_text("three plain words\n")
    files = [str(tmp_path / "backup"), "--keys", str(tmp_path / "sheet"), "--passphrase-file", str(words)]
    settings_of(tmp_path / "fresh").write()
    fresh = layout_of(settings_of(tmp_path / "fresh"))
    GatewayKeys.make(fresh)
    assert main(["vault", "rotate", "--data", str(layout.data)]) == 0
    assert main(["vault", "backup", *files, "--data", str(layout.data)]) == 0
    assert b"three plain" not in (tmp_path / "sheet").read_bytes()
    assert main(["vault", "restore", *files, "--data", str(fresh.data)]) == 0
    assert "1 studies came back" in capsys.readouterr().out
    assert GatewayKeys.load(fresh) == GatewayKeys.load(layout)
    assert_whole(fresh)
    words.write_text("three other words")
    assert main(["vault", "restore", *files, "--data", str(fresh.data)]) == 1
    assert "passphrase" in capsys.readouterr().err


def test_keys_that_were_used_are_never_replaced(layout: Layout, tmp_path: Path) -> None:
    other = layout_of(settings_of(tmp_path / "other"))
    before = GatewayKeys.make(other)
    (tmp_path / "sheet").write_bytes(sheet_of(layout, "three plain words"))
    content = keys_on_sheet(tmp_path / "sheet", "three plain words")
    with pytest.raises(InvalidInput):
        take_keys(other, content, nothing_linked=False)
    assert GatewayKeys.load(other) == before
    with pytest.raises(InvalidInput):
        sheet_of(layout, "short")


def test_rotation_waits_for_a_gateway_that_stands_still(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone(layout, "work", threading.Event()):
        assert main(["vault", "rotate", "--data", str(layout.data)]) == 1
    assert "work" in capsys.readouterr().err
