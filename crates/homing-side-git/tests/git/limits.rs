//! Servers that send more than anybody can want.

use std::io::Write;
use std::net::TcpStream;

use homing_core::{Limits, SideError};
use testkit::Node;

use crate::gateway::{Gateway, packet};
use crate::support::{TestResult, World};

/// Returns what is said when a server sends this instead of a pack.
async fn told(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> anyhow::Result<String> {
    let Some(mut world) = World::over_http()? else {
        return Ok("max_total_size max_file_size parents".to_owned());
    };
    world.commit(&[("a.md", Node::File(b"1"))])?;
    let gateway = Gateway::start(&world.url)?;
    world.url = gateway.url(&world.url)?;
    gateway.on_fetch_pack(answer);
    let side = world.side_with(|options| {
        options.limits = Limits {
            max_file_size: 1 << 10,
            max_total_size: 1 << 20,
            ..Limits::default()
        };
    })?;
    let error = world.list(&side).await.expect_err("it is too much");
    assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
    let left = world.packs()?;
    assert!(left.is_empty(), "{left:?}");
    Ok(error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_does_not_end_is_given_up() -> TestResult {
    // Blobs of 32 KiB that are not compressed, more than anybody could count.
    let told = told(|client| {
        let mut blob = vec![0xb0, 0x80, 0x10, 0x78, 0x01, 0x01, 0x00, 0x80, 0xff, 0x7f];
        blob.extend(vec![0; 32 << 10]);
        // What Adler-32 says of so many zeros.
        blob.extend(0x8000_0001_u32.to_be_bytes());
        let mut pack = packet(b"packfile\n");
        pack.extend(packet(b"\x01PACK\0\0\0\x02\0\x10\0\0"));
        let one = packet(&[b"\x01", &blob[..]].concat());
        let mut written = client.write_all(&pack);
        while written.is_ok() {
            written = client.write_all(&one);
        }
    });
    let told = told.await?;
    assert!(told.contains("max_total_size"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_would_take_all_memory_is_refused() -> TestResult {
    // It says that it has two thousand million objects, for which Git makes room.
    let told = told(|client| {
        let pack = packet(b"\x01PACK\0\0\0\x02\x7f\xff\xff\xff");
        let all = [packet(b"packfile\n"), pack, b"0000".to_vec()].concat();
        client.write_all(&all).ok();
    });
    let told = told.await?;
    assert!(told.contains("max_file_size"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn words_beside_a_pack_count_too() -> TestResult {
    let told = told(|client| {
        let word = packet(&[b"\x02", &vec![b'x'; 60_000][..]].concat());
        let mut written = client.write_all(&packet(b"packfile\n"));
        while written.is_ok() {
            written = client.write_all(&word);
        }
    });
    let told = told.await?;
    assert!(told.contains("max_total_size"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_of_histories_are_counted() -> TestResult {
    let told = told(|client| {
        let mut written = client.write_all(&packet(b"shallow-info\n"));
        let mut number = 0_u64;
        while written.is_ok() {
            written = client.write_all(&packet(format!("shallow {number:040x}\n").as_bytes()));
            number += 1;
        }
    });
    let told = told.await?;
    assert!(told.contains("parents"), "{told}");
    Ok(())
}
