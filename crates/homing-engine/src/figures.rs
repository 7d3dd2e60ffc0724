//! What is counted, by Prometheus' conventions; whoever runs the engine decides whether it is kept.

use crate::report::RunReport;

/// Counts a run that has ended.
pub(crate) fn run_ended(report: &RunReport) {
    let verb = report.verb.as_str();
    metrics::counter!("homing_runs_total", "verb" => verb, "status" => report.status.as_str())
        .increment(1);
    metrics::histogram!("homing_run_duration_seconds", "verb" => verb).record(report.duration);
    for (result, items) in [
        ("synced", report.synced),
        ("cached", report.cached),
        ("removed", report.removed),
        ("failed", report.failed),
    ] {
        metrics::counter!("homing_items_total", "result" => result).increment(items);
    }
    metrics::counter!("homing_transferred_bytes_total").increment(report.bytes);
    metrics::counter!("homing_requests_total").increment(report.requests);
}
