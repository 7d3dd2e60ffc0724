//! Figures for a monitoring system, in Prometheus' text format.

use std::time::Duration;

use homing_engine::EngineStatus;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{
    BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::tasks::Tasks;

/// Upper ends of the classes of durations, in seconds.
const CLASSES: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0,
];
/// How often what was counted is sorted into classes, so that it needs no room of its own.
const SORTING: Duration = Duration::from_mins(1);

/// What is counted while homingd runs.
#[derive(Clone)]
pub(crate) struct Figures(PrometheusHandle);

/// What a scrape tells beside what was counted.
pub(crate) struct Moment<'s> {
    /// The engine at a glance, unless there is none.
    pub(crate) status: Option<&'s EngineStatus>,
    /// Bytes of the database and its log.
    pub(crate) database_bytes: Option<u64>,
}

impl Figures {
    /// Counts from now on whatever this process reports. A second call counts nothing.
    pub(crate) fn install() -> Result<Self, BuildError> {
        let recorder = recorder()?;
        let figures = Self(recorder.handle());
        if metrics::set_global_recorder(recorder).is_ok() {
            describe();
        }
        Ok(figures)
    }

    /// Keeps what is counted small until the tasks are told to stop.
    pub(crate) fn keep_small(&self, tasks: &Tasks) {
        let (handle, stopping) = (self.0.clone(), tasks.stopping().clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(SORTING) => handle.run_upkeep(),
                }
            }
        });
    }

    /// Writes everything in Prometheus' text format.
    pub(crate) fn render(&self, moment: &Moment<'_>) -> Result<String, BuildError> {
        // Of its own for each scrape: what is gone, a source for example, is not told any more.
        let recorder = recorder()?;
        metrics::with_local_recorder(&recorder, || now(moment));
        Ok(self.0.render() + &recorder.handle().render())
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    Ok(PrometheusBuilder::new()
        .set_buckets(&CLASSES)?
        .build_recorder())
}

fn describe() {
    describe_counter!(
        "homing_runs_total",
        "Runs that have ended, by verb and status."
    );
    describe_histogram!(
        "homing_run_duration_seconds",
        Unit::Seconds,
        "How long runs took, by verb."
    );
    describe_counter!(
        "homing_items_total",
        "Items of runs that have ended, by what became of them."
    );
    describe_counter!(
        "homing_transferred_bytes_total",
        Unit::Bytes,
        "Bytes that runs moved."
    );
    describe_counter!(
        "homing_requests_total",
        "Requests that runs sent to far sides."
    );
    describe_histogram!(
        "homing_store_transaction_duration_seconds",
        Unit::Seconds,
        "How long transactions of the state database took, by kind."
    );
    describe_histogram!(
        "homing_store_contents_duration_seconds",
        Unit::Seconds,
        "How long it took to make kept contents durable."
    );
}

/// Sets what is so at this moment.
#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floating-point numbers, and these are far below 2^52"
)]
fn now(moment: &Moment<'_>) {
    describe_gauge!(
        "homing_build_info",
        "Always 1; the label tells the version."
    );
    gauge!("homing_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!("homing_configured", "Whether the configuration is valid.");
    gauge!("homing_configured").set(f64::from(u8::from(moment.status.is_some())));
    if let Some(bytes) = moment.database_bytes {
        describe_gauge!(
            "homing_store_database_bytes",
            Unit::Bytes,
            "The state database and its log on the disk."
        );
        gauge!("homing_store_database_bytes").set(bytes as f64);
    }
    if let Some(bytes) = resident_bytes() {
        describe_gauge!(
            "process_resident_memory_bytes",
            Unit::Bytes,
            "Memory in use."
        );
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    let Some(status) = moment.status else { return };
    describe_gauge!("homing_sources", "Configured sources.");
    gauge!("homing_sources").set(status.sources.len() as f64);
    describe_gauge!("homing_targets", "Configured targets.");
    gauge!("homing_targets").set(status.targets.len() as f64);
    let with = |kind: &str| {
        let holds =
            |condition: &homing_engine::Condition| condition.kind == kind && condition.holds;
        let sources = status.sources.iter();
        sources
            .filter(|source| source.conditions.iter().any(holds))
            .count() as f64
    };
    describe_gauge!(
        "homing_sources_stale",
        "Sources whose last success is too old."
    );
    gauge!("homing_sources_stale").set(with("Stale"));
    describe_gauge!("homing_sources_stalled", "Sources that wait for a person.");
    gauge!("homing_sources_stalled").set(with("Stalled"));
    describe_gauge!("homing_conflicts", "Open conflicts, by source.");
    describe_gauge!("homing_files", "Items that Homing holds, by source.");
    describe_gauge!(
        "homing_source_last_success_timestamp_seconds",
        Unit::Seconds,
        "When a source last did its whole work, by source."
    );
    for source in &status.sources {
        let name = source.id.to_string();
        gauge!("homing_conflicts", "source" => name.clone()).set(source.conflicts as f64);
        gauge!("homing_files", "source" => name.clone()).set(source.files as f64);
        if let Some(success) = source.last_success {
            gauge!("homing_source_last_success_timestamp_seconds", "source" => name)
                .set(success.as_millisecond() as f64 / 1000.0);
        }
    }
}

/// Returns how much memory this process has, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_and_what_is_so_are_told_together() {
        let recorder = recorder().unwrap();
        let figures = Figures(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!("homing_runs_total", "verb" => "sync", "status" => "success")
                .increment(2);
            metrics::histogram!("homing_run_duration_seconds", "verb" => "sync").record(0.02);
        });
        let moment = Moment {
            status: None,
            database_bytes: Some(4096),
        };
        let text = figures.render(&moment).unwrap();
        for line in [
            "# TYPE homing_runs_total counter",
            "homing_runs_total{verb=\"sync\",status=\"success\"} 2",
            "# TYPE homing_run_duration_seconds histogram",
            "homing_run_duration_seconds_bucket{verb=\"sync\",le=\"0.05\"} 1",
            "homing_run_duration_seconds_bucket{verb=\"sync\",le=\"0.01\"} 0",
            "homing_run_duration_seconds_count{verb=\"sync\"} 1",
            "homing_configured 0",
            "homing_store_database_bytes 4096",
        ] {
            assert!(
                text.lines().any(|told| told == line),
                "{line} is missing in {text}"
            );
        }
        assert!(!text.contains("homing_sources"), "{text}");
    }
}
