use homing_core::{Cron, SideError};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::*;
use crate::testing::spec;

const MINUTE: Duration = Duration::from_mins(1);

fn id() -> SourceId {
    "up".parse().unwrap()
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn moved(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

fn every(interval: Duration) -> SourceSpec {
    SourceSpec {
        cadence: Some(Cadence::Every(interval)),
        ..spec()
    }
}

fn cron(pattern: &str) -> SourceSpec {
    SourceSpec {
        cadence: Some(Cadence::Cron {
            pattern: Cron::parse(pattern).unwrap(),
            zone: Some(TimeZone::get("Europe/Berlin").unwrap()),
        }),
        ..spec()
    }
}

impl Schedule {
    fn is_due(&mut self, spec: &SourceSpec, now: Timestamp) -> bool {
        self.due(spec, now).is_some()
    }
}

/// Returns a schedule whose last run succeeded at a time.
fn synced(spec: &SourceSpec, at: Timestamp) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.ended(&id(), spec, at, (RunStatus::Success, true), None, at);
    schedule
}

fn failed(schedule: &mut Schedule, spec: &SourceSpec, error: SideError, at: Timestamp) {
    let error = EngineError::Side(error);
    schedule.ended(&id(), spec, at, (RunStatus::Error, false), Some(&error), at);
}

fn transient(retry_after: Option<Duration>) -> SideError {
    SideError::Transient {
        message: "away".to_owned(),
        retry_after,
        source: None,
    }
}

#[test]
fn a_pause_doubles_up_to_a_quarter_of_an_hour_or_the_interval() {
    let minutes = Duration::from_mins;
    assert_eq!(backoff(1, minutes(5)), FIRST_BACKOFF);
    assert_eq!(backoff(3, minutes(5)), minutes(2));
    assert_eq!(backoff(40, minutes(5)), LONGEST_BACKOFF);
    assert_eq!(backoff(40, minutes(60)), minutes(60));
}

#[test]
fn a_failure_waits_and_a_success_forgets_it() {
    let spec = every(MINUTE * 60);
    let mut schedule = synced(&spec, now());
    failed(&mut schedule, &spec, transient(None), now());
    assert!(!schedule.is_due(&spec, moved(now(), 29)));
    assert!(schedule.is_due(&spec, moved(now(), 30)));
    failed(&mut schedule, &spec, transient(None), moved(now(), 30));
    assert!(!schedule.is_due(&spec, moved(now(), 89)));
    assert!(schedule.is_due(&spec, moved(now(), 90)));
    let later = moved(now(), 90);
    schedule.ended(&id(), &spec, later, (RunStatus::Success, true), None, later);
    assert_eq!((schedule.failures, schedule.backoff_until), (0, None));
    assert!(!schedule.is_due(&spec, moved(later, 59 * 60)));
}

#[test]
fn what_the_far_side_asks_for_is_waited_for_up_to_a_day() {
    let spec = every(MINUTE);
    for (asked, waited) in [(1, 30), (600, 600), (10_000_000, 24 * 3600)] {
        let mut schedule = synced(&spec, now());
        let error = transient(Some(Duration::from_secs(asked)));
        failed(&mut schedule, &spec, error, now());
        assert!(!schedule.is_due(&spec, moved(now(), waited - 1)), "{asked}");
        assert!(schedule.is_due(&spec, moved(now(), waited)), "{asked}");
    }
}

#[test]
fn a_limit_is_waited_for_however_often_something_failed_before() {
    let spec = every(MINUTE * 60);
    let mut schedule = synced(&spec, now());
    for _ in 0..8 {
        failed(&mut schedule, &spec, transient(None), now());
    }
    let limited = SideError::RateLimited {
        message: "later".to_owned(),
        wait: MINUTE * 2,
    };
    failed(&mut schedule, &spec, limited, now());
    assert_eq!(schedule.next_due, Some(moved(now(), 120)));
}

#[test]
fn what_broke_off_in_the_middle_comes_again_soon_and_then_less_often() {
    let partly = |schedule: &mut Schedule, spec: &SourceSpec, error: SideError| {
        let error = EngineError::Side(error);
        let partial = (RunStatus::Partial, false);
        schedule.ended(&id(), spec, now(), partial, Some(&error), now());
        schedule
            .next_due
            .map(|due| due.duration_since(now()).as_secs())
    };
    let spec = every(MINUTE * 60);
    let mut schedule = synced(&spec, now());
    for wait in [30, 60, 120] {
        let due = partly(&mut schedule, &spec, transient(None));
        assert_eq!(due, Some(wait));
    }
    let asked = transient(Some(MINUTE * 90));
    assert_eq!(partly(&mut schedule, &spec, asked), Some(90 * 60));
    // Who has a turn sooner has it then, and who has none is asked for by hand.
    let often = every(Duration::from_secs(5));
    let mut schedule = synced(&often, now());
    assert!(partly(&mut schedule, &often, transient(None)) < Some(6));
    let by_hand = crate::testing::spec();
    let mut schedule = synced(&by_hand, now());
    assert_eq!(partly(&mut schedule, &by_hand, transient(None)), None);
    let (status, now) = ((RunStatus::Success, true), now());
    schedule.ended(&id(), &by_hand, now, status, None, now);
    assert_eq!(schedule.failures, 0);
}

#[test]
fn what_a_person_must_mend_waits_for_one() {
    let spec = every(MINUTE);
    let mut schedule = synced(&spec, now());
    let refused = SideError::Auth {
        message: "no".to_owned(),
        source: None,
    };
    failed(&mut schedule, &spec, refused, now());
    assert!(schedule.stalled.is_some());
    assert!(!schedule.is_due(&spec, moved(now(), 100 * 24 * 3600)));
}

#[test]
fn a_machine_that_slept_runs_once_and_then_as_before() {
    for (spec, slept) in [
        (every(MINUTE * 15), 8 * 3600),
        (every(Duration::from_secs(10)), 55),
        (cron("0 * * * *"), 8 * 3600),
    ] {
        let mut schedule = synced(&spec, now());
        let woken = moved(now(), slept);
        assert!(schedule.is_due(&spec, woken));
        schedule.ended(&id(), &spec, woken, (RunStatus::Success, true), None, woken);
        assert!(!schedule.is_due(&spec, woken));
        let next = schedule.next_due.unwrap().duration_since(woken);
        assert!(next <= SignedDuration::from_hours(1), "{next}");
    }
}

#[test]
fn fifty_five_seconds_are_no_minute() {
    let spec = every(MINUTE);
    let mut schedule = synced(&spec, now());
    assert!(!schedule.is_due(&spec, moved(now(), 55)));
    assert!(schedule.is_due(&spec, moved(now(), 67)));
}

#[test]
fn a_clock_that_is_set_back_an_hour_puts_nothing_off_for_longer() {
    let spec = every(MINUTE * 15);
    let mut schedule = synced(&spec, now());
    let back = moved(now(), -3600);
    assert!(!schedule.is_due(&spec, back));
    assert!(!schedule.is_due(&spec, moved(back, 14 * 60)));
    assert!(schedule.is_due(&spec, moved(back, 17 * 60)));

    let mut schedule = synced(&spec, now());
    failed(&mut schedule, &spec, transient(None), now());
    assert!(!schedule.is_due(&spec, back));
    assert!(schedule.is_due(&spec, moved(back, 30)));
}

#[test]
fn a_clock_that_is_set_back_does_not_bring_a_time_of_day_again() {
    // 02:30 in Berlin is 01:30 UTC.
    let turn: Timestamp = "2026-01-02T01:31:00Z".parse().unwrap();
    let spec = cron("30 2 * * *");
    let mut schedule = synced(&spec, turn);
    for minutes in 0..24 * 60 {
        let at = moved(turn, -3600 + minutes * 60);
        assert!(!schedule.is_due(&spec, at), "{at}");
    }
    assert!(schedule.is_due(&spec, moved(turn, 24 * 3600 + 60)));
}

#[test]
fn a_clock_that_was_wrong_by_years_does_not_stop_a_source() {
    for spec in [every(MINUTE * 15), cron("30 2 * * *")] {
        let mut schedule = synced(&spec, "2030-01-02T03:04:05Z".parse().unwrap());
        assert!(!schedule.is_due(&spec, now()));
        assert!(schedule.is_due(&spec, moved(now(), 25 * 3600)));
        assert!(!schedule.is_stale(&spec, now()));
    }
}

#[test]
fn a_change_of_the_clock_brings_a_time_of_day_once() {
    let spec = cron("30 2 * * *");
    for day in ["2026-03-29", "2026-10-25"] {
        let midnight: Timestamp = format!("{day}T00:00:00+01:00").parse().unwrap();
        let mut schedule = synced(&spec, midnight);
        let mut runs = 0;
        for minute in 0..12 * 60 {
            let at = moved(midnight, minute * 60);
            if schedule.is_due(&spec, at) {
                runs += 1;
                schedule.ended(&id(), &spec, at, (RunStatus::Success, true), None, at);
            }
        }
        assert_eq!(runs, 1, "{day}");
    }
}

#[test]
fn a_source_is_stale_after_three_intervals() {
    let spec = every(MINUTE * 10);
    let schedule = synced(&spec, now());
    assert!(!schedule.is_stale(&spec, moved(now(), 30 * 60)));
    assert!(schedule.is_stale(&spec, moved(now(), 30 * 60 + 1)));
    let spec = SourceSpec {
        stale_after: Some(MINUTE),
        ..spec
    };
    assert!(synced(&spec, now()).is_stale(&spec, moved(now(), 61)));
    // Friday noon: Monday, Tuesday, Wednesday.
    let spec = cron("0 9 * * MON-FRI");
    let schedule = synced(&spec, "2026-01-02T12:00:00Z".parse().unwrap());
    assert!(!schedule.is_stale(&spec, "2026-01-07T08:00:00Z".parse().unwrap()));
    assert!(schedule.is_stale(&spec, "2026-01-07T08:00:01Z".parse().unwrap()));
    let by_hand = crate::testing::spec();
    assert!(!synced(&by_hand, now()).is_stale(&by_hand, moved(now(), 1_000_000)));
}

/// Returns what the store has of a source after its last run.
fn row(spec: &SourceSpec, synced_at: Timestamp) -> SourceRow {
    let schedule = synced(spec, synced_at);
    SourceRow {
        id: id(),
        kind: "dir".to_owned(),
        url: String::new(),
        revision: None,
        about: None,
        selection: None,
        last_sync_time: schedule.last_attempt,
        last_success_time: schedule.last_success,
        next_due: schedule.next_due,
        etag: None,
        enabled: true,
        failures: 0,
        backoff_until: None,
        stalled: None,
        root: None,
        created_at: synced_at,
        updated_at: synced_at,
    }
}

fn resumed(spec: &SourceSpec, row: Option<&SourceRow>, at: Timestamp) -> Option<Timestamp> {
    Schedule::resume(row, &id(), spec, at).next_due
}

#[test]
fn a_start_goes_on_where_the_last_one_ended() {
    let spec = every(MINUTE * 15);
    let known = row(&spec, now());
    let soon = moved(now(), 60);
    assert_eq!(resumed(&spec, Some(&known), soon), known.next_due);
    let overnight = moved(now(), 8 * 3600);
    assert!(resumed(&spec, Some(&known), overnight).unwrap() <= overnight);
    assert_eq!(resumed(&spec, None, soon), Some(soon));
    assert_eq!(resumed(&crate::testing::spec(), None, soon), None);
    // A shorter interval holds at once, and so does a clock that was set back.
    let shorter = every(MINUTE);
    assert!(resumed(&shorter, Some(&known), soon).unwrap() <= moved(soon, 66));
    let back = moved(now(), -30 * 24 * 3600);
    assert!(resumed(&spec, Some(&known), back).unwrap() <= moved(back, 16 * 60 + 30));
}

#[test]
fn at_start_is_obeyed() {
    let with = |at_start| SourceSpec {
        at_start,
        ..every(MINUTE * 15)
    };
    let known = row(&with(AtStart::Due), now());
    let (soon, overnight) = (moved(now(), 60), moved(now(), 8 * 3600));
    assert_eq!(
        resumed(&with(AtStart::Always), Some(&known), soon),
        Some(soon)
    );
    assert!(resumed(&with(AtStart::Never), Some(&known), overnight).unwrap() > overnight);
    assert!(resumed(&with(AtStart::Never), None, soon).unwrap() > soon);
    assert_eq!(
        resumed(&with(AtStart::Never), Some(&known), soon),
        known.next_due
    );
    let by_hand = SourceSpec {
        at_start: AtStart::Always,
        ..crate::testing::spec()
    };
    assert_eq!(resumed(&by_hand, None, soon), Some(soon));
}

#[test]
fn a_watched_source_runs_at_the_start_for_nobody_watched_before() {
    let spec = SourceSpec {
        watch: true,
        ..crate::testing::spec()
    };
    assert_eq!(resumed(&spec, None, now()), Some(now()));
    let never = SourceSpec {
        at_start: AtStart::Never,
        ..spec.clone()
    };
    assert_eq!(resumed(&never, None, now()), None);
    // It has no turns, so that a failure must bring one.
    let mut schedule = synced(&spec, now());
    assert_eq!(schedule.next_due, None);
    failed(&mut schedule, &spec, transient(None), now());
    assert_eq!(schedule.next_due, Some(moved(now(), 30)));
}

#[test]
fn a_change_is_a_turn_that_keeps_to_the_pauses() {
    let spec = every(MINUTE * 15);
    let mut schedule = synced(&spec, now());
    schedule.changed = true;
    assert_eq!(schedule.due(&spec, now()), Some(Due::Changed));
    failed(&mut schedule, &spec, transient(None), now());
    schedule.changed = true;
    assert!(!schedule.is_due(&spec, moved(now(), 29)));
    assert!(schedule.is_due(&spec, moved(now(), 30)));
}
