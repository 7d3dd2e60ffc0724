//! Archives as strangers make them.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::io::{Cursor, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use homing_core::{ContentHash, Hasher, Progress, SideError};
use homing_remote::{
    ArchiveLimits, Client, ClientOptions, Entry, EntryKind, Request, Unpacker, unpack,
};
use testkit::{MemoryContents, RawServer};
use url::Url;
use zip::write::SimpleFileOptions;

const LIMITS: ArchiveLimits = ArchiveLimits {
    max_packed: 4 << 20,
    max_unpacked: 64 << 20,
    max_entries: 100,
};

/// Notes every entry, and keeps what is a file.
struct Noting {
    contents: Arc<MemoryContents>,
    noted: Vec<(String, EntryKind, bool, Option<ContentHash>)>,
}

impl Unpacker for Noting {
    fn entry(&mut self, entry: &mut Entry<'_>) -> Result<(), SideError> {
        let hash = match entry.kind {
            EntryKind::File => Some(entry.keep(self.contents.as_ref(), &mut ())?),
            _ => None,
        };
        self.noted.push((
            String::from_utf8_lossy(entry.name).into_owned(),
            entry.kind.clone(),
            entry.executable,
            hash,
        ));
        Ok(())
    }
}

async fn read_within(limits: ArchiveLimits, bytes: Vec<u8>) -> Result<Noting, SideError> {
    read_by(limits, ClientOptions::default(), bytes).await
}

async fn read_by(
    limits: ArchiveLimits,
    options: ClientOptions,
    bytes: Vec<u8>,
) -> Result<Noting, SideError> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
    let hash = ContentHash::of(&bytes);
    let answer = [std::mem::take(&mut answer).into_bytes(), bytes].concat();
    let server = RawServer::sending(answer).unwrap();
    let url = Url::parse(&server.url("a.tar?token=s3cret")).unwrap();
    let client = Client::new(ClientOptions {
        proxies: false,
        ..options
    })
    .unwrap();
    let session = client
        .session(&url, None, &Progress::default())
        .await
        .unwrap();
    let answer = session.get(Request::get(url)).await.unwrap().unwrap();
    let noting = Noting {
        contents: Arc::default(),
        noted: Vec::new(),
    };
    let mut hasher = Hasher::default();
    let unpacked = unpack(answer.body, limits, noting, &mut hasher).await;
    match &unpacked {
        Ok(_) => assert_eq!(hasher.finish(), hash, "not all of it was seen"),
        Err(error) => assert!(!format!("{error:?}").contains("s3cret"), "{error:?}"),
    }
    unpacked
}

async fn read(bytes: Vec<u8>) -> Result<Noting, SideError> {
    read_within(LIMITS, bytes).await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes an entry with any name, which the library would refuse to write.
fn append(tar: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(if name == "run.sh" { 0o755 } else { 0o644 });
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}

fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "./", tar::EntryType::Directory, b"");
    append(&mut tar, "./a.md", tar::EntryType::Regular, b"one");
    append(&mut tar, "run.sh", tar::EntryType::Regular, b"two");
    append(&mut tar, "../evil", tar::EntryType::Regular, b"evil");
    append(&mut tar, "/etc/evil", tar::EntryType::Regular, b"evil");
    append(&mut tar, "link", tar::EntryType::Symlink, b"");
    append(&mut tar, "hard", tar::EntryType::Link, b"");
    append(&mut tar, "device", tar::EntryType::Block, b"");
    tar.into_inner().unwrap()
}

fn expect_all(noting: &Noting) {
    let names: Vec<&str> = noting
        .noted
        .iter()
        .map(|(name, ..)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "",
            "a.md",
            "run.sh",
            "../evil",
            "/etc/evil",
            "link",
            "hard",
            "device"
        ]
    );
    let kinds: Vec<&EntryKind> = noting.noted.iter().map(|(_, kind, ..)| kind).collect();
    assert_eq!(kinds[0], &EntryKind::Directory);
    assert_eq!(
        kinds[5..],
        [&EntryKind::Link, &EntryKind::Link, &EntryKind::Special]
    );
    assert_eq!(noting.noted[1].3, Some(ContentHash::of(b"one")));
    assert_eq!((noting.noted[1].2, noting.noted[2].2), (false, true));
    assert_eq!(
        noting.contents.get(&ContentHash::of(b"two")).unwrap(),
        b"two"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_is_read_entry_by_entry_plain_and_compressed() {
    let tar = tar();
    expect_all(&read(tar.clone()).await.unwrap());
    expect_all(&read(gzip(&tar)).await.unwrap());
    expect_all(
        &read(zstd::encode_all(tar.as_slice(), 3).unwrap())
            .await
            .unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_are_read_and_endless_ones_are_not() {
    let long = format!("{}/b.md", "deep/".repeat(60));
    let mut gnu = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    gnu.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let mut pax = tar::Builder::new(Vec::new());
    pax.append_pax_extensions([("path", long.as_bytes())])
        .unwrap();
    append(&mut pax, "short", tar::EntryType::Regular, b"x");
    for tar in [gnu, pax] {
        let noting = read(tar.into_inner().unwrap()).await.unwrap();
        assert_eq!(
            noting.noted[0].0.replace("//", "/"),
            long.replace("//", "/")
        );
    }
    let mut endless = tar::Builder::new(Vec::new());
    append(
        &mut endless,
        "name",
        tar::EntryType::GNULongName,
        &vec![b'a'; 1 << 20],
    );
    append(&mut endless, "short", tar::EntryType::Regular, b"x");
    let error = read(endless.into_inner().unwrap()).await.err().unwrap();
    assert!(error.to_string().contains("too long"), "{error}");
}

fn zip(write: impl FnOnce(&mut zip::ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    write(&mut writer);
    writer.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_is_read_entry_by_entry() {
    let plain = SimpleFileOptions::default();
    let bytes = zip(|zip| {
        zip.add_directory("d/", plain).unwrap();
        zip.start_file("d/a.md", plain).unwrap();
        zip.write_all(b"one").unwrap();
        zip.start_file("run.sh", plain.unix_permissions(0o755))
            .unwrap();
        zip.write_all(b"two").unwrap();
        zip.start_file("../evil", plain).unwrap();
        zip.write_all(b"evil").unwrap();
        zip.add_symlink("link", "/etc/passwd", plain).unwrap();
    });
    let noting = read(bytes).await.unwrap();
    let seen: Vec<(&str, &EntryKind, bool)> = noting
        .noted
        .iter()
        .map(|(name, kind, executable, _)| (name.as_str(), kind, *executable))
        .collect();
    assert_eq!(
        seen[1..],
        [
            ("d/a.md", &EntryKind::File, false),
            ("run.sh", &EntryKind::File, true),
            ("../evil", &EntryKind::File, false),
            ("link", &EntryKind::Link, true),
        ]
    );
    assert_eq!(seen[0].1, &EntryKind::Directory);
    assert!(noting.contents.has(&ContentHash::of(b"one")));
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_stopped_before_they_go_off() {
    let zeros = vec![0; 20 << 20];
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "zeros", tar::EntryType::Regular, &zeros);
    let tar = tar.into_inner().unwrap();
    let zipped = zip(|zip| {
        for name in ["a", "b"] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(&zeros[..10 << 20]).unwrap();
        }
    });
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
    for bomb in [gzip(&tar), zstd, zipped] {
        let error = read(bomb.clone()).await.err().unwrap();
        assert!(
            matches!(&error, SideError::Untrusted { message } if message.contains("bomb")),
            "{error:?}"
        );
        let narrow = ArchiveLimits {
            max_unpacked: 1 << 20,
            ..LIMITS
        };
        let error = read_within(narrow, bomb).await.err().unwrap();
        assert!(error.to_string().contains("unpacks to more"), "{error}");
    }
    let large = ArchiveLimits {
        max_packed: 10_000,
        ..LIMITS
    };
    let error = read_within(large, vec![b'x'; 20_000]).await.err().unwrap();
    assert!(error.to_string().contains("max_total_size"), "{error}");
    let few = ArchiveLimits {
        max_entries: 3,
        ..LIMITS
    };
    let error = read_within(few, self::tar()).await.err().unwrap();
    assert!(error.to_string().contains("max_files"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_zip_is_not_read_when_it_is_too_long() {
    let of = |count: usize, length: usize| {
        zip(|zip| {
            for number in 0..count {
                let name = format!("{number}{}", "x".repeat(length));
                zip.start_file(name, SimpleFileOptions::default()).unwrap();
            }
        })
    };
    let limits = ArchiveLimits {
        max_packed: 64 << 20,
        ..LIMITS
    };
    assert_eq!(
        read_within(limits, of(100, 100)).await.unwrap().noted.len(),
        100
    );
    // In the second one the count is beyond what the first record holds.
    for count in [101, 70_000] {
        let error = read_within(limits, of(count, 1)).await.err().unwrap();
        assert!(error.to_string().contains("max_files"), "{error}");
    }
    let error = read_within(limits, of(99, 60_000)).await.err().unwrap();
    assert!(
        matches!(&error, SideError::Untrusted { message } if message.contains("too long")),
        "{error:?}"
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_zip_is_put_where_the_client_says() {
    let noise = zip(|zip| {
        let plain = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file("a", plain).unwrap();
        zip.write_all(&vec![b'x'; 2 << 20]).unwrap();
    });
    let directory = tempfile::tempdir().unwrap();
    // Nobody can put a file there.
    for (directory, is_possible) in [(directory.path(), true), ("/proc".as_ref(), false)] {
        let options = ClientOptions {
            directory: Some(directory.into()),
            ..ClientOptions::default()
        };
        match read_by(LIMITS, options, noise.clone()).await {
            Ok(noting) => assert!(is_possible && noting.noted.len() == 1),
            Err(error) => {
                assert!(!is_possible, "{error:?}");
                assert!(matches!(error, SideError::Storage { .. }), "{error:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_or_cut_off_fails_whole() {
    let tar = tar();
    let packed = gzip(&tar);
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let mut zip = zip(|zip| {
        zip.start_file("a", SimpleFileOptions::default()).unwrap();
        zip.write_all(b"some bytes to be damaged").unwrap();
    });
    zip[40] ^= 0xff;
    for bytes in [
        packed[..packed.len() - 10].to_vec(),
        damaged,
        tar[..1100].to_vec(),
        tar[..1600].to_vec(),
        zip,
        b"<html>404</html>".to_vec(),
        b"PK\x03\x04".to_vec(),
        Vec::new(),
    ] {
        let length = bytes.len();
        let error = read(bytes).await.err();
        assert!(
            matches!(&error, Some(SideError::Untrusted { message }) if message.contains("cannot be read")),
            "{length}: {error:?}"
        );
    }
}
