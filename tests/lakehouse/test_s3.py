"""Pools in buckets, against an S3 server on this machine: whose credentials are used, and what is said without them."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from gzip import compress
from pathlib import Path
from typing import Any

import botocore.session
import fsspec
import pytest
import requests

from lakeloom.lakehouse.errors import ConfigError, SourceFailed
from lakeloom.lakehouse.markup import main_text
from lakeloom.lakehouse.pools import PoolConfig, list_files
from lakeloom.lakehouse.sources import WarcReader
from lakeloom.lakehouse.streams import open_stream
from lakeloom.lakehouse.warc import Limits, Page, records
from tests.lakehouse.test_warc import PROSE, archive
from tests.webserver import WebServer, serving

pytestmark = pytest.mark.slow

_S3 = fsspec.get_filesystem_class("s3")
ARCHIVE = archive([f"{PROSE} {i}".encode() for i in range(5)])
SNAPSHOT = "CC-MAIN-2024-10"
WARC = f"crawl-data/{SNAPSHOT}/segments/1/warc/a.warc.gz"
MAY_READ = ["s3:GetObject", "s3:ListBucket"]


@dataclass(frozen=True)
class Store:
    """An S3 server with buckets `public` and `private`, and a user who may read the second alone."""

    endpoint: str
    key: str
    secret: str

    def client(self, service: str = "s3") -> Any:
        """Someone who may do all, as long as nothing is enforced."""
        keys = {"aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
        return botocore.session.Session().create_client(
            service, endpoint_url=self.endpoint, region_name="us-east-1", **keys
        )

    def enforce(self, requests_before: str) -> None:
        """From then on the server looks at keys and policies."""
        answer = requests.post(f"{self.endpoint}/moto-api/reset-auth", data=requests_before, timeout=10)
        assert answer.status_code == 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def filled(server: str) -> Store:
    store = Store(server, "", "")
    s3, iam = store.client(), store.client("iam")
    for bucket, acl in (("public", "public-read"), ("private", "private")):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="pool/sub/a.warc.gz", Body=ARCHIVE, ACL=acl)
    s3.put_object(Bucket="private", Key=f"crawl-data/{SNAPSHOT}/warc.paths.gz", Body=compress(f"{WARC}\n".encode()))
    s3.put_object(Bucket="private", Key=WARC, Body=ARCHIVE)
    allowed = {"Effect": "Allow", "Action": MAY_READ, "Resource": ["arn:aws:s3:::private", "arn:aws:s3:::private/*"]}
    iam.create_user(UserName="weaver")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="weaver", PolicyName="reads", PolicyDocument=policy)
    made = iam.create_access_key(UserName="weaver")["AccessKey"]
    return Store(server, made["AccessKeyId"], made["SecretAccessKey"])


@pytest.fixture
def store(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The server as someone without any credentials meets it."""
    _no_credentials(tmp_path, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", filled.endpoint)
    _S3.clear_instance_cache()
    yield filled
    _S3.clear_instance_cache()


def _no_credentials(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))


@pytest.fixture
def strict(store: Store) -> Iterator[Store]:
    """The same server, which lets nobody in but its user."""
    store.enforce("0")
    yield store
    store.enforce("inf")


@pytest.fixture(params=["variables", "profile"])
def user(request: pytest.FixtureRequest, strict: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "variables":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", strict.key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", strict.secret)
    else:
        lines = ["[loom]", f"aws_access_key_id = {strict.key}", f"aws_secret_access_key = {strict.secret}"]
        (tmp_path / "credentials").write_text("\n".join(lines))
        monkeypatch.setenv("AWS_PROFILE", "loom")
    return strict


def a_pool(path: str) -> PoolConfig:
    return PoolConfig("tried", "warc", path, "", "", "", 0, 0)


def common_crawl(base: str) -> PoolConfig:
    return PoolConfig("tried", "cc", "", SNAPSHOT, base, "0:8", 0, 0)


def pages(address: str) -> list[str]:
    with open_stream(address) as stream:
        size = stream.seek(0, io.SEEK_END)
        found = records(stream, size, main_text, Limits())
        return [row.text for row in found if isinstance(row, Page)]


EXPECTED = [
    row.text for row in records(io.BytesIO(ARCHIVE), len(ARCHIVE), main_text, Limits()) if isinstance(row, Page)
]


@pytest.mark.parametrize("path", ["s3://public/pool", "s3://public/pool/", "s3a://public/pool"])
def test_a_public_bucket_needs_no_credentials(store: Store, path: str) -> None:
    (file,) = list_files(a_pool(path), Path())
    assert (file.path, file.address, file.num_bytes) == (
        "sub/a.warc.gz",
        "s3://public/pool/sub/a.warc.gz",
        len(ARCHIVE),
    )
    assert pages(file.address) == EXPECTED
    assert len(EXPECTED) == 5


def test_one_object_is_a_pool(store: Store) -> None:
    (file,) = list_files(a_pool("s3://public/pool/sub/a.warc.gz"), Path())
    assert (file.path, file.num_bytes) == ("a.warc.gz", len(ARCHIVE))
    assert pages(file.address) == EXPECTED


def test_a_private_bucket_is_read_as_its_user(user: Store) -> None:
    (file,) = list_files(a_pool("s3://private/pool"), Path())
    assert pages(file.address) == EXPECTED


def test_common_crawls_layout_in_a_bucket(user: Store) -> None:
    (file,) = list_files(common_crawl("s3://private"), Path())
    assert (file.path, file.num_bytes) == (WARC, 0)
    assert pages(file.address) == EXPECTED


def test_an_object_added_later_is_listed(store: Store) -> None:
    before = list_files(a_pool("s3://public/pool"), Path())
    client = store.client()
    client.put_object(Bucket="public", Key="pool/sub/b.warc.gz", Body=b"", ACL="public-read")
    try:
        assert [file.path for file in list_files(a_pool("s3://public/pool"), Path())] == [
            *[file.path for file in before],
            "sub/b.warc.gz",
        ]
    finally:
        client.delete_object(Bucket="public", Key="pool/sub/b.warc.gz")


CURE = r"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role, or FSSPEC_S3_ANON=true for none$"


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        (
            a_pool("s3://nobucket/x"),
            r"^pool path 's3://nobucket/x' can't be read: .*bucket does not exist; is the address",
        ),
        (a_pool("s3://public/none"), "^pool path 's3://public/none': no file is there$"),
        (common_crawl("s3://nobucket"), r"snapshot 'CC-MAIN-2024-10', s3://nobucket/.*bucket does not exist"),
        (common_crawl("s3://public"), r"snapshot 'CC-MAIN-2024-10', s3://public/.*isn't there.*index.commoncrawl.org"),
    ],
)
def test_what_is_not_there_is_told(store: Store, pool: PoolConfig, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        list_files(pool, Path())


def test_a_bucket_of_someone_else_is_told(user: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(ConfigError, match=rf"'s3://public/pool' can't be read: PermissionError: .*; {CURE}") as listing:
        list_files(a_pool("s3://public/pool"), Path())
    with pytest.raises(
        ConfigError, match=rf"s3://public/crawl-data.* can't be read: PermissionError: .*; {CURE}"
    ) as crawl:
        list_files(common_crawl("s3://public"), Path())
    with pytest.raises(PermissionError) as reading:
        open_stream("s3://public/pool/sub/a.warc.gz")
    told = [str(error.value) for error in (listing, crawl, reading)]
    assert not any("\n" in text for text in told)
    assert not any(user.secret in text for text in (caplog.text, *told))


def test_a_wrong_key_is_told(strict: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with pytest.raises(ConfigError, match=rf"Key Id you provided does not exist in our records\.; {CURE}") as raised:
        list_files(a_pool("s3://private/pool"), Path())
    assert "hush" not in str(raised.value)


def test_an_unknown_profile_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match=r"ProfileNotFound: The config profile \(nobody\) could not be found"):
        list_files(a_pool("s3://private/pool"), Path())


def test_an_executor_without_credentials_fails_its_task(store: Store) -> None:
    with pytest.raises(SourceFailed, match="NoCredentials: Forbidden to a machine without credentials for S3; run"):
        open_stream("s3://private/pool/sub/a.warc.gz")


def test_an_executor_with_a_wrong_key_fails_its_task(strict: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with pytest.raises(SourceFailed, match=r"NoCredentials: InvalidAccessKeyId: .*run the job again") as raised:
        open_stream("s3://private/pool/sub/a.warc.gz")
    assert "hush" not in str(raised.value)


def test_an_executor_with_a_wrong_secret_fails_its_task(strict: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", strict.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with pytest.raises(SourceFailed, match="NoCredentials: SignatureDoesNotMatch: "):
        open_stream("s3://private/pool/sub/a.warc.gz")


def test_common_crawls_bucket_wants_credentials(store: Store) -> None:
    with pytest.raises(ConfigError, match=rf"s3://private/.* can't be read: NoCredentials: Forbidden .*; {CURE}"):
        list_files(common_crawl("s3://private"), Path())


def test_a_missing_object_is_gone(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        open_stream("s3://public/pool/none.warc.gz")


def test_credentials_are_left_out_when_the_user_says_so(store: Store) -> None:
    """FSSPEC_S3_ANON, in a process of its own since fsspec reads it once: the wrong key is then no matter."""
    code = "from lakeloom.lakehouse.streams import file_system; print(file_system('s3://public/pool')[0].anon)"
    keys = {"AWS_ACCESS_KEY_ID": "AKIANOBODY", "AWS_SECRET_ACCESS_KEY": "hush"}
    for settings, expected in (({}, "False"), ({"FSSPEC_S3_ANON": "true"}, "True")):
        environment = {**os.environ, **keys, **settings}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


@pytest.fixture
def flaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server is as much of S3 as an anonymous read of one object needs."""
    _no_credentials(tmp_path, monkeypatch)
    _S3.clear_instance_cache()
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.warc.gz").write_bytes(ARCHIVE)
    with serving(tmp_path) as web:
        web.headers = {"ETag": '"1"'}
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.address)
        yield web
    _S3.clear_instance_cache()


@pytest.mark.parametrize("trouble", [{"statuses": [503, 503]}, {"breaks": [3000, 3000]}], ids=["busy", "breaks"])
def test_an_object_is_asked_for_again(flaky: WebServer, trouble: dict[str, list[int]]) -> None:
    for name, value in trouble.items():
        setattr(flaky, name, value)
    assert pages("s3://bucket/a.warc.gz") == EXPECTED
    assert len(flaky.asked) > 3


@pytest.mark.parametrize("trouble", [{"statuses": [503] * 999}, {"breaks": [3000] * 999}], ids=["busy", "breaks"])
def test_a_store_that_stays_broken_fails_the_task(flaky: WebServer, trouble: dict[str, list[int]]) -> None:
    for name, value in trouble.items():
        setattr(flaky, name, value)
    reader = WarcReader({"files": '[["x", "s3://bucket/a.warc.gz", 0]]', "pool": "p"})
    (partition,) = reader.partitions()
    with pytest.raises(SourceFailed, match=r"^s3://bucket/a.warc.gz: .*; run the job again to go on$"):
        list(reader.read(partition))


def test_no_store_at_that_endpoint(flaky: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(flaky.folder) as gone:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone.address)
    with pytest.raises(ConfigError, match=r"EndpointConnectionError: .*; is the address right, and the server up\?"):
        list_files(a_pool("s3://bucket/x"), Path())
