//! The table of results and its page.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

/// What a row promises.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Nothing: it is only told.
    None,
    /// At most so many milliseconds.
    Millis(f64),
    /// At most this share of a peer's time.
    Ratio(&'static str, f64),
}

/// A peer and its times.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its times, in the order in which they alternated with Homing's.
    pub(crate) times: Vec<Duration>,
    /// What else is to be told of it, such as its requests.
    pub(crate) note: String,
}

/// Rows, as they are measured.
#[derive(Debug)]
pub(crate) struct Table {
    runs: usize,
    place: String,
    rows: Vec<String>,
    notes: Vec<String>,
    appendix: Vec<(String, String)>,
}

impl Table {
    /// Returns an empty one.
    pub(crate) fn new(runs: usize, place: String) -> Self {
        Self {
            runs,
            place,
            rows: Vec::new(),
            notes: Vec::new(),
            appendix: Vec::new(),
        }
    }

    /// Adds a row of times.
    pub(crate) fn add(
        &mut self,
        what: &str,
        times: &[Duration],
        peers: &[Peer],
        targets: &[Target],
    ) {
        self.add_noted(what, times, "", peers, targets);
    }

    /// Adds a row of times with what else is to be told of Homing's.
    pub(crate) fn add_noted(
        &mut self,
        what: &str,
        times: &[Duration],
        note: &str,
        peers: &[Peer],
        targets: &[Target],
    ) {
        let own = median(times);
        let mut compared = String::new();
        for peer in peers {
            let theirs = median(&peer.times);
            write!(
                compared,
                "{} {} ({:.2} ×){}; ",
                peer.name,
                millis(theirs),
                own / theirs,
                noted(&peer.note)
            )
            .expect("it is a string");
        }
        let mut verdicts = String::new();
        for target in targets {
            let (text, met) = match target {
                Target::None => continue,
                Target::Millis(most) => (format!("≤ {most} ms"), own <= *most),
                Target::Ratio(name, most) => {
                    let theirs = peers
                        .iter()
                        .find(|peer| peer.name == *name)
                        .map_or(f64::NAN, |peer| median(&peer.times));
                    (format!("≤ {most} × {name}"), own / theirs <= *most)
                }
            };
            write!(
                verdicts,
                "{text}: {}; ",
                if met { "met" } else { "**missed**" }
            )
            .expect("it is a string");
        }
        let (compared, verdicts) = (
            compared.trim_end_matches("; "),
            verdicts.trim_end_matches("; "),
        );
        self.push(format!(
            "| {what} | {}{} | {compared} | {verdicts} |",
            millis(own),
            noted(note)
        ));
    }

    /// Adds a row that is not a time.
    pub(crate) fn tell(&mut self, what: &str, value: &str, verdict: &str) {
        self.push(format!("| {what} | {value} | | {verdict} |"));
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, sentence: String) {
        self.notes.push(sentence);
    }

    /// Adds what a program printed, under a title.
    pub(crate) fn append(&mut self, title: &str, text: String) {
        crate::shell::say(&text);
        self.appendix.push((title.to_owned(), text));
    }

    /// Returns the page.
    pub(crate) fn render(&self) -> Result<String> {
        let mut page = String::from("# Benchmarks\n\n");
        writeln!(
            page,
            "Measured on {} with `cargo xtask bench --runs {}`, which writes this page.\n",
            today()?,
            self.runs
        )?;
        writeln!(page, "* machine: {}", machine()?)?;
        writeln!(page, "* file system: {}", self.place)?;
        writeln!(page, "* versions: {}\n", versions()?)?;
        writeln!(
            page,
            "Times are wall-clock milliseconds of the whole command as a person runs it, medians of {} runs that alternate \
             with the peer's; before each run the file system is synced. A first sync by Homing is durable when it ends, \
             one by rsync or rclone is not. × is Homing's time as a share of the peer's.\n",
            self.runs
        )?;
        self.render_rows(&mut page)?;
        for (title, text) in &self.appendix {
            writeln!(page, "\n## {title}\n\n```text\n{}\n```", text.trim_end())?;
        }
        Ok(page)
    }

    /// Returns a section of a page with a title of its own, what was measured with what, and what is to be known of it.
    pub(crate) fn render_section(
        &self,
        title: &str,
        versions: &str,
        about: &str,
    ) -> Result<String> {
        let mut section = format!("\n## {title}\n\n");
        writeln!(
            section,
            "Measured on {} with {} runs; `cargo xtask bench --only network` measures this part alone.\n",
            today()?,
            self.runs
        )?;
        writeln!(section, "* machine: {}", machine()?)?;
        writeln!(section, "* file system: {}", self.place)?;
        writeln!(section, "* versions: {versions}\n\n{about}\n")?;
        self.render_rows(&mut section)?;
        Ok(section)
    }

    fn render_rows(&self, page: &mut String) -> Result<()> {
        writeln!(
            page,
            "| what | Homing | peers | target |\n|---|---|---|---|"
        )?;
        for row in &self.rows {
            writeln!(page, "{row}")?;
        }
        if !self.notes.is_empty() {
            writeln!(page)?;
        }
        for note in &self.notes {
            writeln!(page, "* {note}")?;
        }
        Ok(())
    }

    fn push(&mut self, row: String) {
        crate::shell::say(&row);
        self.rows.push(row);
    }
}

/// Says what was wanted, and whether it is so.
pub(crate) fn verdict(value: f64, most: f64, unit: &str) -> String {
    let met = if value <= most { "met" } else { "**missed**" };
    format!("≤ {most} {unit}: {met}")
}

/// Returns the median in milliseconds.
pub(crate) fn median(times: &[Duration]) -> f64 {
    let mut millis: Vec<f64> = times
        .iter()
        .map(|time| time.as_secs_f64() * 1000.0)
        .collect();
    millis.sort_by(f64::total_cmp);
    match millis.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => f64::midpoint(millis[count / 2 - 1], millis[count / 2]),
        count => millis[count / 2],
    }
}

fn noted(note: &str) -> String {
    if note.is_empty() {
        String::new()
    } else {
        format!(", {note}")
    }
}

fn millis(value: f64) -> String {
    if value < 20.0 {
        format!("{value:.1} ms")
    } else {
        format!("{value:.0} ms")
    }
}

fn today() -> Result<String> {
    first_line(Command::new("date").args(["-u", "+%Y-%m-%d"]))
}

fn machine() -> Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1));
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!(
        "{} × {}, {} GiB, Linux {}",
        cores,
        model.unwrap_or("?").trim(),
        kib / 1024 / 1024,
        kernel.trim()
    ))
}

fn versions() -> Result<String> {
    let rsync = first_line(Command::new("rsync").arg("--version"))?;
    let rclone = first_line(Command::new("rclone").arg("version"))?;
    let rustc = first_line(Command::new("rustc").arg("--version"))?;
    let rsync: Vec<&str> = rsync.split_whitespace().take(3).collect();
    Ok(format!(
        "homing {}, {}, {rclone}, {rustc}",
        env!("CARGO_PKG_VERSION"),
        rsync.join(" ")
    ))
}

/// Returns the first line that a program prints.
pub(crate) fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let times = |millis: &[u64]| {
            millis
                .iter()
                .map(|time| Duration::from_millis(*time))
                .collect::<Vec<_>>()
        };
        assert!((median(&times(&[9, 1, 5])) - 5.0).abs() < 1e-9);
        assert!((median(&times(&[4, 2])) - 3.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_row_says_whether_its_targets_are_met() {
        let mut table = Table::new(1, "here".to_owned());
        let peer = Peer {
            name: "rsync -a",
            times: vec![Duration::from_millis(100)],
            note: "3 requests".to_owned(),
        };
        let targets = [Target::Ratio("rsync -a", 1.5), Target::Millis(120.0)];
        table.add("a row", &[Duration::from_millis(130)], &[peer], &targets);
        assert_eq!(
            table.rows,
            [
                "| a row | 130 ms | rsync -a 100 ms (1.30 ×), 3 requests | ≤ 1.5 × rsync -a: met; ≤ 120 ms: **missed** |"
            ]
        );
    }
}
