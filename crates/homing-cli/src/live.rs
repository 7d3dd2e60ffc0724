//! Output that goes on while a command runs: lines of a stream, and a screen that is drawn anew.

use std::io::{self, Write};

use homing_api::{Problem, ProblemKind};

use crate::error::CliError;

/// Prints a line at once. `false`: the reader went away and has seen enough.
pub(crate) fn print_line(line: &str) -> Result<bool, CliError> {
    written(write_all(&io::stdout(), &format!("{line}\n")))
}

/// Draws on the whole terminal, and gives it back as it was when it is dropped.
pub(crate) struct FullScreen(io::Stdout);

/// Another screen than the one with the user's history; no cursor; long lines are cut and not wrapped.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

impl FullScreen {
    /// Takes the terminal.
    pub(crate) fn enter() -> Result<Self, CliError> {
        let screen = Self(io::stdout());
        written(write_all(&screen.0, ENTER))?;
        Ok(screen)
    }

    /// Draws as many of the lines as there is room for. `false`: the terminal is gone.
    pub(crate) fn draw(&self, text: &str, rows: u16) -> Result<bool, CliError> {
        written(write_all(&self.0, &frame(text, rows)))
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to give back.
        write_all(&self.0, LEAVE).unwrap_or_default();
    }
}

/// Returns what draws `text` from the upper left corner over whatever is there.
fn frame(text: &str, rows: u16) -> String {
    let mut frame = String::from("\x1b[H");
    for (row, line) in text.lines().take(usize::from(rows)).enumerate() {
        if row > 0 {
            frame.push_str("\r\n");
        }
        frame.push_str(line);
        frame.push_str("\x1b[0m\x1b[K");
    }
    frame.push_str("\x1b[J");
    frame
}

/// Returns columns and rows of the terminal on standard output; `None` when it is none.
pub(crate) fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    // A terminal that does not know its size says zero.
    let or = |number: u16, usual| if number == 0 { usual } else { number };
    Some((or(size.ws_col, 80), or(size.ws_row, 24)))
}

fn write_all(stdout: &io::Stdout, text: &str) -> io::Result<()> {
    let mut stdout = stdout.lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn written(result: io::Result<()>) -> Result<bool, CliError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(
            Problem::new(ProblemKind::Internal, "standard output cannot be written")
                .with_causes(vec![error.to_string()])
                .with_hint("see whether there is room where it goes to")
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_no_more_lines_than_the_terminal_and_clears_the_rest() {
        assert_eq!(
            frame("a\nb\nc\n", 2),
            "\x1b[Ha\x1b[0m\x1b[K\r\nb\x1b[0m\x1b[K\x1b[J"
        );
        assert_eq!(frame("", 2), "\x1b[H\x1b[J");
    }
}
