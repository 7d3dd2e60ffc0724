//! Every point at which the programs may end themselves is one that a test ends them at.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crash_checker::FAIL_POINTS;

/// What the small worlds of the histories have not, with the test that ends the process there.
const ELSEWHERE: &[(&str, &str)] = &[("hook::begun", "tests/hooks.rs")];

/// Returns the names that the sources below a directory give to `kill_point!`.
fn points_below(directory: &Path, points: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            points_below(&path, points);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source is text");
            let calls = text.split("kill_point!(\"").skip(1);
            points.extend(calls.filter_map(|call| Some(call.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn the_histories_and_the_tests_know_every_point_of_the_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut points = BTreeSet::new();
    for member in fs::read_dir(root.join("crates")).expect("the crates") {
        let sources = member.expect("an entry").path().join("src");
        if sources.is_dir() {
            points_below(&sources, &mut points);
        }
    }
    assert!(points.len() > 10, "the sources were not found: {points:?}");
    let tested_in = |files: &[&str], point: &str| {
        let names_it = |file: &&str| {
            let text = fs::read_to_string(root.join(file)).expect("a test is text");
            text.contains(&format!("{point:?}"))
        };
        assert!(
            files.iter().any(names_it),
            "{files:?} have no test for `{point}`"
        );
    };
    for (point, file) in ELSEWHERE {
        assert!(points.remove(*point), "`{point}` is no point any more");
        tested_in(&[file], point);
    }
    let listed: BTreeSet<String> = FAIL_POINTS
        .iter()
        .map(|point| (*point).to_owned())
        .collect();
    assert_eq!(listed, points, "FAIL_POINTS and the points in the code");
    for point in &points {
        tested_in(&["tests/kill.rs", "tests/kill_choices.rs"], point);
    }
}
