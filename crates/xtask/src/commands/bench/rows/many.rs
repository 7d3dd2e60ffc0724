//! A hundred sources of which nothing changed.

use std::time::Instant;

use anyhow::Result;

use super::super::service::Service;
use super::super::table::{Peer, Table, Target};
use super::files::make_files;
use super::peers::rsync;
use super::{Bench, pair};

/// A hundred sources of 20 files, nothing changed.
pub(crate) fn many_sources(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    for (name, what, most) in [
        (
            "each",
            "100 sources × 20 files unchanged, a target each",
            120.0,
        ),
        (
            "one",
            "100 sources × 20 files unchanged, all into one target",
            150.0,
        ),
    ] {
        let base = bench.place.fresh(&format!("many-{name}"))?;
        let mut pairs = Vec::new();
        for number in 0..100 {
            let source = bench.place.fresh(&format!("many-{name}/source-{number}"))?;
            make_files(&source, 20, 1_024, number)?;
            let target = if name == "each" {
                format!("target-{number}")
            } else {
                "target".to_owned()
            };
            pairs.push(pair(
                &source,
                &bench.place.fresh(&format!("many-{name}/{target}"))?,
            ));
        }
        let service = Service::start(bench.binaries, &base.join("home"), &pairs)?;
        service.time(&["sync", "--all"])?;
        let mut times = Vec::new();
        let mut peer = Peer {
            name: "100 × rsync -a",
            times: Vec::new(),
            note: String::new(),
        };
        for _ in 0..bench.runs {
            bench.place.settle()?;
            times.push(service.time(&["sync", "--all"])?);
            let begun = Instant::now();
            for pair in &pairs {
                rsync(
                    &pair.source,
                    &base
                        .join("rsync")
                        .join(pair.source.file_name().unwrap_or_default()),
                )?;
            }
            peer.times.push(begun.elapsed());
        }
        table.add(what, &times, &[peer], &[Target::Millis(most)]);
    }
    Ok(())
}
