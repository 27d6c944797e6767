"""What an operator may set, how mistakes are told, and that no secret is shown."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest

from app.settings import SETTINGS, Settings, SettingsError, load

KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()


def read(overrides=None, **environ: str):
    return load(
        {f"GATEBOOK_{name}": text for name, text in environ.items()},
        overrides or {},
        cores=4,
        terminal=False,
    )


def faults(overrides=None, **environ: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        read(overrides, **environ)
    for fault in caught.value.faults:
        assert f"{fault.name} {fault.problem}" in caught.value.detail
    return {fault.name.removeprefix("GATEBOOK_"): fault.problem for fault in caught.value.faults}


def test_without_any_variable_the_defaults_of_the_contract_hold():
    settings, sources = read()
    assert settings == Settings(
        database_url="sqlite:///gatebook.db",
        host="127.0.0.1",
        port=8000,
        workers=1,
        issuer="http://127.0.0.1:8000",
        audience="http://127.0.0.1:8000",
        access_token_ttl=3600,
        session_idle=30 * 86_400,
        session_max=365 * 86_400,
        refresh_rotation="on-request",
        refresh_retry_window=60,
        refresh_audit="sparse",
        signing_algorithm="ES256",
        key_max_age=90 * 86_400,
        jwks_max_age=300,
        master_key=None,
        master_key_previous=None,
        registration="open",
        registrations_per_hour=1000,
        secret_min_length=8,
        hash_memory_kib=19456,
        hash_time=2,
        hash_threads=4,
        trusted_proxies=(),
        cors_origins=(),
        log_format="json",
    )
    assert set(sources.values()) == {"default"}


def test_the_table_and_the_struct_name_the_same_settings():
    assert [setting.field for setting in SETTINGS] == list(Settings.__struct_fields__)
    for setting in SETTINGS:
        assert setting.meaning.endswith(".")
        assert setting.default is not None or setting.default_note


def test_every_default_that_is_written_down_can_be_read():
    for setting in SETTINGS:
        if setting.default is not None:
            setting.parse(setting.default)


def test_the_command_line_wins_over_the_environment_and_over_a_file(tmp_path):
    file = tmp_path / "host"
    file.write_text("localhost\n")
    settings, sources = read(
        {"GATEBOOK_PORT": "9000"}, PORT="9001", HOST_FILE=str(file), WORKERS="1"
    )
    assert (settings.port, settings.host) == (9000, "localhost")
    assert sources["GATEBOOK_PORT"] == "command line"
    assert sources["GATEBOOK_HOST"] == f"file {file}"
    assert sources["GATEBOOK_WORKERS"] == "environment"
    assert sources["GATEBOOK_ISSUER"] == "default"
    assert settings.issuer == "http://localhost:9000"


def test_an_unknown_variable_is_refused_and_the_nearest_real_one_named():
    """Security rule 23."""
    told = faults(ACESS_TOKEN_TTL="60", PORTT="1", MASTER_KEY_FLE="x")
    assert "GATEBOOK_ACCESS_TOKEN_TTL?" in told["ACESS_TOKEN_TTL"]
    assert "GATEBOOK_PORT?" in told["PORTT"]
    assert "GATEBOOK_MASTER_KEY_FILE?" in told["MASTER_KEY_FLE"]


def test_variables_of_the_clients_of_the_tests_and_of_others_are_none_of_ours():
    load({"GATEBOOK_CLIENT_URL": "x", "GATEBOOK_TEST_NOW": "y", "PATH": "z", "gatebook_x": "q"})


def test_all_faults_are_told_at_once():
    told = faults(PORT="http", WORKERS="0", ISSUER="auth.example.org", SIGNING_ALGORITHM="HS256")
    assert set(told) == {"PORT", "WORKERS", "ISSUER", "SIGNING_ALGORITHM"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)],
)
def test_a_duration_is_seconds_or_a_number_with_a_unit(text, seconds):
    assert read(SESSION_IDLE=text).settings.session_idle == seconds


@pytest.mark.parametrize("text", ["", " ", "0", "-1", "1.5", "1w", "1 d", "d", "9999999999d", "١"])
def test_anything_else_is_not_a_duration(text):
    assert "SESSION_IDLE" in faults(SESSION_IDLE=text)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ACCESS_TOKEN_TTL", 1, 3600),
        ("JWKS_MAX_AGE", 1, 3600),
        ("REFRESH_RETRY_WINDOW", 0, 3600),
        ("WORKERS", 1, None),
        ("SECRET_MIN_LENGTH", 8, 64),
        ("REGISTRATIONS_PER_HOUR", 0, 1_000_000),
        ("HASH_TIME", 1, 100),
        ("HASH_MEMORY_KIB", 8, 1_048_576),
        ("HASH_THREADS", 1, 256),
    ],
)
def test_a_number_out_of_its_range_is_refused(name, least, most):
    """Security rule 23: a lifetime over an hour is refused, as are others out of range."""
    read(**{name: str(least)})
    assert name in faults(**{name: str(least - 1)})
    if most is not None:
        read(**{name: str(most)})
        assert name in faults(**{name: str(most + 1)})


def test_an_empty_value_is_a_fault_and_never_the_default():
    assert "empty" in faults(MASTER_KEY="")["MASTER_KEY"]
    assert "empty" in faults(DATABASE_URL=" ")["DATABASE_URL"]
    assert read(CORS_ORIGINS="", TRUSTED_PROXIES="").settings.cors_origins == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "auth.example.org"])
def test_on_a_public_address_the_issuer_must_be_set(host):
    """Security rule 23."""
    assert "must be set" in faults(HOST=host)["ISSUER"]
    settings, _ = read(HOST=host, ISSUER="https://auth.example.org/id")
    assert settings.issuer == settings.audience == "https://auth.example.org/id"
    assert not settings.on_loopback


@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("127.8.0.1", "http://127.8.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_on_a_loopback_address_the_issuer_is_that_address(host, issuer):
    settings, _ = read(HOST=host)
    assert settings.issuer == issuer
    assert settings.on_loopback


def test_a_port_chosen_by_the_system_gives_no_issuer():
    assert "ISSUER" in faults(PORT="0")
    assert read(PORT="0", ISSUER="http://127.0.0.1:1").settings.port == 0


@pytest.mark.parametrize(
    "issuer",
    [
        "auth.example.org",
        "ftp://auth.example.org",
        "https://",
        "https://auth.example.org/",
        "https://auth.example.org?x",
        "https://auth.example.org?",
        "https://auth.example.org#",
        "https://me@auth.example.org",
        "https://auth.example.org:99999",
        "https://auth .example.org",
        "https://äuth.example.org",
        "https://[::1",
    ],
)
def test_an_issuer_that_is_not_a_plain_url_is_refused(issuer):
    assert "ISSUER" in faults(ISSUER=issuer)


@pytest.mark.parametrize("host", ["http://x", "127.0.0.1:80", "a b", "-x", "999.1.1.1", "[::1]"])
def test_a_host_that_is_no_address_is_refused(host):
    assert "HOST" in faults(HOST=host, ISSUER="https://a")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file?mode=memory",
        "gatebook.db",
        "postgres://h/db",
        "postgresql://",
        "mysql://u:canary@h/db",
    ],
)
def test_a_database_that_is_neither_a_file_nor_postgresql_is_refused(url):
    told = faults(DATABASE_URL=url)
    assert "sqlite:///FILE" in told["DATABASE_URL"]
    assert "canary" not in told["DATABASE_URL"]


def test_several_workers_need_postgresql():
    assert "PostgreSQL" in faults(WORKERS="2")["WORKERS"]
    settings, _ = read(WORKERS="2", DATABASE_URL="postgresql://a,b/gatebook")
    assert settings.workers == 2
    assert settings.sqlite_path is None


def test_hash_threads_are_the_cores_shared_among_the_workers():
    url = "postgresql://h/db"
    assert read(WORKERS="2", DATABASE_URL=url).settings.hash_threads == 2
    assert read(WORKERS="8", DATABASE_URL=url).settings.hash_threads == 1
    assert read(HASH_THREADS="7").settings.hash_threads == 7


def test_logs_are_for_a_person_on_a_terminal_only():
    assert load({}, terminal=True).settings.log_format == "console"
    assert load({"GATEBOOK_LOG_FORMAT": "json"}, terminal=True).settings.log_format == "json"


@pytest.mark.parametrize(
    "text",
    [KEY_TEXT, KEY_TEXT.rstrip("="), base64.urlsafe_b64encode(KEY).decode(), KEY_TEXT + "\n"],
)
def test_a_master_key_is_32_bytes_in_base64(text):
    assert read(MASTER_KEY=text).settings.master_key == KEY
    # With the two characters in which the alphabets differ.
    odd = b"\xfb\xff" * 16
    assert read(MASTER_KEY=base64.b64encode(odd).decode()).settings.master_key == odd
    assert read(MASTER_KEY=base64.urlsafe_b64encode(odd).decode()).settings.master_key == odd


@pytest.mark.parametrize(
    "text", ["canary", KEY_TEXT[:-4], KEY_TEXT + "AAAA", KEY.hex(), KEY_TEXT.replace("A", "*")]
)
def test_any_other_master_key_is_refused_without_being_shown(text):
    told = faults(MASTER_KEY=text)["MASTER_KEY"]
    assert "openssl rand -base64 32" in told
    assert text not in told


def test_the_key_before_is_for_a_change_only():
    other = base64.b64encode(bytes(32)).decode()
    assert "MASTER_KEY_PREVIOUS" in faults(MASTER_KEY_PREVIOUS=other)
    told = faults(MASTER_KEY=other, MASTER_KEY_PREVIOUS=other)
    assert "different" in told["MASTER_KEY_PREVIOUS"]
    settings, _ = read(MASTER_KEY=KEY_TEXT, MASTER_KEY_PREVIOUS=other)
    assert (settings.master_key, settings.master_key_previous) == (KEY, bytes(32))


def test_a_signing_key_lives_longer_than_its_announcement():
    assert "KEY_MAX_AGE" in faults(KEY_MAX_AGE="15m")
    assert read(KEY_MAX_AGE="16m").settings.key_max_age == 960


def test_a_value_from_a_file_loses_its_last_line_end_only(tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY_TEXT + "\r\n")
    settings, sources = read(MASTER_KEY_FILE=str(file))
    assert settings.master_key == KEY
    assert sources["GATEBOOK_MASTER_KEY"] == f"file {file}"
    file.write_text("on-request\n\n")
    assert "REFRESH_ROTATION" in faults(REFRESH_ROTATION_FILE=str(file))


def test_a_value_and_its_file_together_are_refused(tmp_path):
    file = tmp_path / "port"
    file.write_text("1")
    assert "both" in faults(PORT="1", PORT_FILE=str(file))["PORT"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    told = faults(PORT_FILE=str(tmp_path / "gone"), HOST_FILE=str(tmp_path))
    assert "gone" in told["PORT"]
    assert str(tmp_path) in told["HOST"]
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "UTF-8" in faults(PORT_FILE=str(binary))["PORT"]
    binary.write_bytes(b"1" * 70_000)
    assert "65536" in faults(PORT_FILE=str(binary))["PORT"]


def test_networks_and_origins_are_lists_by_commas():
    settings, _ = read(
        TRUSTED_PROXIES="10.0.0.0/8, ::1,192.0.2.1,10.0.0.0/8",
        CORS_ORIGINS="https://app.example.org,http://localhost:3000",
    )
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1/128", "192.0.2.1/32")
    assert settings.cors_origins == ("https://app.example.org", "http://localhost:3000")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "*", "proxy", "10.0.0.0/33"])
def test_a_network_that_is_none_is_refused(text):
    assert "TRUSTED_PROXIES" in faults(TRUSTED_PROXIES=text)


@pytest.mark.parametrize(
    "text",
    ["*", "null", "https://a/", "https://A", "a.org", "https://*.a", "https://u@a", "https://a:x"],
)
def test_an_origin_that_is_not_exact_is_refused(text):
    assert "CORS_ORIGINS" in faults(CORS_ORIGINS=text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:canary@h/db", "postgresql://me:********@h/db"),
        ("postgresql://me:can@ary@h1:1,h2/db", "postgresql://me:********@h1:1,h2/db"),
        ("postgresql://me:can?ary@h/db", "postgresql://me:********@h/db"),
        ("postgresql://me:can/ary@h/db?a=b", "postgresql://me:********@h/db?a=b"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("postgresql://h/db?password=canary&a=b", "postgresql://h/db?password=********&a=b"),
        ("postgresql://h/db?a=b&sslpassword=canary", "postgresql://h/db?a=b&sslpassword=********"),
    ],
)
def test_nothing_shows_the_password_of_the_database(url, shown):
    """Security rule 19."""
    settings, _ = read(DATABASE_URL=url)
    assert settings.masked()["GATEBOOK_DATABASE_URL"] == shown
    assert shown in repr(settings)
    assert "ary" not in repr(settings)


def test_nothing_shows_the_master_keys():
    """Security rule 19."""
    other = base64.b64encode(b"canary-" * 4 + b"four").decode()
    loaded = read(MASTER_KEY=other, MASTER_KEY_PREVIOUS=KEY_TEXT)
    assert loaded.settings.masked()["GATEBOOK_MASTER_KEY"] == "********"
    for shown in (repr(loaded), str(loaded), str(loaded.settings.masked())):
        assert "canary" not in shown
        assert other not in shown
        assert KEY_TEXT not in shown
        assert repr(KEY)[2:20] not in shown


def test_what_is_shown_can_be_read_again():
    settings, _ = read(TRUSTED_PROXIES="10.0.0.0/8,::1", SESSION_IDLE="2d", HOST="localhost")
    shown = {name: text for name, text in settings.masked().items() if text}
    assert load(shown, cores=1, terminal=True).settings == settings


def test_importing_the_settings_reads_no_environment():
    program = (
        "import os\n"
        "class Closed(dict):\n"
        "    def __getitem__(self, key): raise AssertionError(key)\n"
        "    get = __getitem__\n"
        "import msgspec, urllib.parse, pathlib, typing, domain.errors\n"
        "os.environ = Closed()\n"
        "import app.settings\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
