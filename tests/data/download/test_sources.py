import hashlib
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sprec.caches import cache_home
from sprec.data.download.sources import Archive, Folder, SourceError, Wheel, find_file

METADATA = "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPREC_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "downloads"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in a local folder, which is all of the index that pip sees."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    path = shelf / "tinydata-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("tinydata/a.txt", "alpha")
        bundle.writestr("tinydata/deep/b.txt", "beta")
        bundle.writestr("tinydata/unwanted.bin", "x" * 100)
        bundle.writestr("tinydata-1.0.dist-info/METADATA", METADATA)
        bundle.writestr("tinydata-1.0.dist-info/WHEEL", WHEEL)
        bundle.writestr("tinydata-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def leftovers(cache):
    return [path.name for path in cache.glob("*") if path.suffix != ".lock"] if cache.exists() else []


class Web:
    """A server on 127.0.0.1 that says what it is told, and counts its visitors."""

    def __init__(self):
        self.pages, self.visits, self.claimed = {}, 0, None
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                web.visits += 1
                body = web.pages.get(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(web.claimed or len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, page):
        return f"http://127.0.0.1:{self.server.server_port}{page}"


@pytest.fixture
def web():
    web = Web()
    yield web
    web.server.shutdown()
    web.server.server_close()


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "ml-tiny.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-tiny/", "")
        archive.writestr("ml-tiny/movies.csv", "movieId,title,genres\n")
        archive.writestr("ml-tiny/README.txt", "read me")
    return path


def archive(web, bundle, checksum=None, members=("*/movies.csv",)):
    web.pages["/ml-tiny.zip"] = bundle.read_bytes()
    return Archive(web.url("/ml-tiny.zip"), checksum or f"sha256:{sha256(bundle)}", members)


def test_the_cache_is_where_the_variable_says_or_in_the_users_cache_folder(monkeypatch, tmp_path):
    assert cache_home() == tmp_path / "home"
    monkeypatch.delenv("SPREC_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_home() == Path("/somewhere/sprec")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "sprec"


def test_a_wheel_gives_its_wanted_members_only_and_leaves_nothing_else(wheel, cache):
    source = Wheel("tinydata", "1.0", sha256(wheel), ("tinydata/*.txt",))
    folder = source.fetch()
    assert names(folder) == ["tinydata/a.txt", "tinydata/deep/b.txt"]
    assert leftovers(cache) == [sha256(wheel)[:16]]
    assert source.digest() == sha256(wheel)


def test_a_second_fetch_needs_no_wheel(wheel):
    source = Wheel("tinydata", "1.0", sha256(wheel), ("tinydata/a.txt",))
    first = source.fetch()
    wheel.unlink()
    assert source.fetch() == first


def test_other_members_of_a_known_wheel_join_the_first(wheel):
    digest = sha256(wheel)
    Wheel("tinydata", "1.0", digest, ("tinydata/a.txt",)).fetch()
    folder = Wheel("tinydata", "1.0", digest, ("tinydata/deep/*",)).fetch()
    assert names(folder) == ["tinydata/a.txt", "tinydata/deep/b.txt"]


def test_a_wheel_with_another_checksum_is_refused_and_removed(wheel, cache):
    with pytest.raises(SourceError) as caught:
        Wheel("tinydata", "1.0", "0" * 64, ("tinydata/a.txt",)).fetch()
    message = str(caught.value)
    assert message.startswith(f"tinydata==1.0 has sha256 {sha256(wheel)}, expected {'0' * 64}; ")
    assert "name a local folder" in message
    assert "\n" not in message
    assert leftovers(cache) == []


def test_a_wheel_without_the_member_says_what_it_holds(wheel, cache):
    with pytest.raises(SourceError, match=r"tinydata==1\.0 has no member 'c\.txt'; it holds tinydata/a\.txt"):
        Wheel("tinydata", "1.0", sha256(wheel), ("c.txt",)).fetch()
    assert leftovers(cache) == []


def test_a_package_that_pip_cannot_have_gives_pips_own_reason_in_one_line(wheel, cache):
    with pytest.raises(SourceError) as caught:
        Wheel("tinydata", "2.0", "0" * 64, ("a",)).fetch()
    assert "pip could not download tinydata==2.0 (No matching distribution found" in str(caught.value)
    assert "check the network" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert leftovers(cache) == []


def test_a_python_without_pip_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(SourceError, match=r"pip could not download tinydata==1\.0 \(no output\)"):
        Wheel("tinydata", "1.0", "0" * 64, ("a",)).fetch()


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_an_archive_is_downloaded_once(web, bundle, algorithm, cache):
    checksum = f"{algorithm}:{hashlib.new(algorithm, bundle.read_bytes()).hexdigest()}"
    source = archive(web, bundle, checksum)
    folder = source.fetch()
    assert names(folder) == ["ml-tiny/movies.csv"]
    assert source.fetch() == folder
    assert web.visits == 1
    assert len(source.digest()) == 64
    assert leftovers(cache) == [source.digest()[:16]]


def test_a_download_that_ends_early_is_told_apart_from_a_wrong_one(web, bundle, cache):
    source = archive(web, bundle)
    web.claimed = 5000
    size = bundle.stat().st_size
    with pytest.raises(SourceError, match=f"ended after {size} of 5000 bytes; run again"):
        source.fetch()
    assert leftovers(cache) == []


def test_an_archive_with_another_checksum_is_refused(web, bundle, cache):
    with pytest.raises(SourceError, match=r"has md5 [0-9a-f]{32}, expected abc; .*try another mirror"):
        archive(web, bundle, "md5:abc").fetch()
    assert leftovers(cache) == []


def test_a_page_that_is_not_there_says_so(web):
    with pytest.raises(SourceError, match=r"cannot download http://127.*404.*; check the network"):
        Archive(web.url("/none.zip"), "md5:abc", ("a",)).fetch()


def test_no_network_says_so(web):
    web.server.server_close()
    with pytest.raises(SourceError, match=r"cannot download .*(refused|reset).*; check the network"):
        Archive(web.url("/none.zip"), "md5:abc", ("a",)).fetch()


def test_what_is_no_zip_is_refused(web, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html>log in first</html>")
    with pytest.raises(SourceError, match="is not a zip archive"):
        archive(web, page).fetch()


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "a\\..\\evil.csv", "c:evil.csv"])
def test_a_member_that_leads_out_of_the_folder_is_refused(web, tmp_path, name, cache):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(name, "x")
    with pytest.raises(SourceError, match="leads out of its folder"):
        archive(web, path, members=("*evil.csv",)).fetch()
    assert leftovers(cache) == []


@pytest.mark.parametrize("checksum", ["crc32:1", "abc", "sha256:"])
def test_a_checksum_names_its_algorithm(web, bundle, checksum):
    with pytest.raises(SourceError, match="must read sha256:<hex> or md5:<hex>"):
        archive(web, bundle, checksum).fetch()


def test_only_web_addresses_are_downloaded():
    with pytest.raises(SourceError, match="must start with https://"):
        Archive("file:///etc/passwd", "md5:abc", ("a",)).fetch()


def test_what_a_killed_run_left_is_cleared(web, bundle, cache):
    source = archive(web, bundle)
    partial = cache / f"{source.digest()[:16]}.partial"
    partial.mkdir(parents=True)
    (partial / "half.zip.part").write_text("half")
    assert names(source.fetch()) == ["ml-tiny/movies.csv"]
    assert not partial.exists()


def test_concurrent_fetches_download_once(web, bundle):
    source = archive(web, bundle)
    threads = [threading.Thread(target=source.fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert web.visits == 1


def test_a_folder_is_named_by_its_files_names_and_contents(tmp_path):
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "a.csv"
    file.write_text("1")
    digests = [Folder(tmp_path / "data").digest()]
    file.write_text("2")
    digests.append(Folder(tmp_path / "data").digest())
    file.rename(file.with_name("b.csv"))
    digests.append(Folder(str(tmp_path / "data")).digest())
    assert len(set(digests)) == 3
    (tmp_path / "data" / "notes.txt").write_text("more")
    assert Folder(tmp_path / "data", ("*.csv",)).digest() == digests[-1]


def test_a_folder_that_is_missing_a_file_or_lacks_a_member_says_what_to_do(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    with pytest.raises(SourceError, match="nowhere does not exist; correct the path"):
        Folder(tmp_path / "nowhere").fetch()
    with pytest.raises(SourceError, match=r"a\.csv is a file; give the folder that holds it"):
        Folder(tmp_path / "a.csv").fetch()
    with pytest.raises(SourceError, match=r"has no file 'b\.csv'; it holds a\.csv"):
        Folder(tmp_path, ("b.csv",)).fetch()


def test_files_are_located_at_any_depth_packed_or_not_the_nearest_first(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "movies.csv").write_text("")
    assert find_file(tmp_path, "u.item", "movies.csv").parent.name == "deep"
    (tmp_path / "movies.csv.gz").write_text("")
    assert find_file(tmp_path, "movies.csv").name == "movies.csv.gz"
    with pytest.raises(
        SourceError, match=r"has no file u\.data or u\.item; it holds deep/movies\.csv, movies"
    ):
        find_file(tmp_path, "u.data", "u.item")


@pytest.mark.parametrize("terminal", [True, False])
def test_pip_shows_its_progress_in_a_terminal_only(wheel, monkeypatch, terminal):
    commands = []
    run = subprocess.run
    monkeypatch.setattr("sprec.data.download.fetch.stderr_is_terminal", lambda: terminal)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options)
    )
    Wheel("tinydata", "1.0", sha256(wheel), ("tinydata/a.txt",)).fetch()
    assert ("-q" not in commands[0]) == terminal


@pytest.mark.parametrize("lies", [False, True], ids=["declared", "undeclared"])
def test_a_download_beyond_the_bound_is_refused(web, bundle, monkeypatch, cache, lies):
    monkeypatch.setattr("sprec.data.download.fetch.MOST_BYTES", 20)
    if lies:
        web.claimed = 20
    with pytest.raises(SourceError, match=r"http://.* is larger than 20 bytes|ended after 20|damaged"):
        archive(web, bundle).fetch()
    assert leftovers(cache) == []


def test_an_archive_that_unpacks_beyond_the_bound_is_refused(web, tmp_path, monkeypatch, cache):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("movies.csv", "0" * 1_000_000)
    monkeypatch.setattr("sprec.data.download.fetch.MOST_BYTES", 100_000)
    with pytest.raises(SourceError, match=r"the unpacked http://.* is larger than 100000 bytes"):
        archive(web, path, members=("movies.csv",)).fetch()
    assert leftovers(cache) == []
