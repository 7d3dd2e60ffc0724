//! Homing's build, test, demo and benchmark commands: `cargo xtask …`.

mod commands;
mod shell;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Homing's build, test, demo and benchmark commands"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what Homing does in a throwaway home
    Demo(commands::demo::DemoArgs),
    /// Install what the tests need and run them all
    Test(commands::test::TestArgs),
    /// Check everything that a commit must pass
    Ci,
    /// Write the files that are made from the code: the configuration's schema and reference
    Generate(commands::generate::GenerateArgs),
    /// Measure against rsync, rclone, curl and claude-mpm and write docs/benchmarks.md
    Bench(commands::bench::BenchArgs),
    /// Measure line coverage and fail below the floor
    Coverage(commands::coverage::CoverageArgs),
    /// Run random histories with crashes and check the promises
    Crash(commands::crash::CrashArgs),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => commands::demo::run(&args).map(drop),
        Command::Test(args) => commands::test::run(&args),
        Command::Ci => commands::ci::run(),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Coverage(args) => commands::coverage::run(&args),
        Command::Crash(args) => commands::crash::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::complain(&error);
            ExitCode::FAILURE
        }
    }
}
