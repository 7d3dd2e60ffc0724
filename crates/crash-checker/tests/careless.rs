//! The checker must be able to fail: a program that copies without looking is caught.

use crash_checker::{Binaries, Plan, run_plan};

#[test]
fn a_program_that_copies_without_looking_is_caught() {
    let careless = std::path::PathBuf::from(env!("CARGO_BIN_EXE_careless"));
    let binaries = Binaries {
        homing: careless.clone(),
        homingd: careless,
    };
    let plan = Plan {
        binaries,
        first_seed: 7,
        histories: 4,
        power_cuts: false,
        workers: 2,
        keep_worlds: false,
    };
    let report = run_plan(&plan, |_, _| ());
    assert_eq!(report.passed, 0, "{:?}", report.tally);
    let told: Vec<String> = report
        .failures
        .iter()
        .map(|(_, error)| format!("{error:#}"))
        .collect();
    assert!(told.iter().any(|text| text.contains("LOST: ")), "{told:?}");
}
