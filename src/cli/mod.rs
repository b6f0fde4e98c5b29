//! Arguments, one file per command, output and exit codes.
//!
//! The library never prints; this module does. Data goes to stdout, everything else to stderr, and every expected
//! failure leaves as one paragraph with its documented exit code.

mod batch;
mod bench;
mod best;
mod check;
mod cluster;
mod control;
mod counsel;
mod data;
mod demo;
mod detach;
mod doctor;
mod dry_run;
mod export;
mod folder;
mod gc;
mod goal;
mod init;
mod interrupts;
mod literature;
mod logs;
mod narrate;
mod notify;
mod outlook;
mod output;
mod paper;
mod people;
mod pricer;
mod replay;
mod report;
mod resume;
mod review;
mod run;
mod schema;
mod site;
mod smoke;
mod space;
mod status;
mod tick;
mod train;
mod verify_paper;
mod why;
mod worker;

use crate::journal::EVENTS_FILE;
use crate::problem::{Class, Result};
use crate::sys::shell;
use clap::{CommandFactory, Parser, Subcommand};
use std::path::Path;
use std::process::ExitCode;

/// Turns a research question and a compute budget into measured experiments and a report.
#[derive(Debug, Parser)]
#[command(name = "nanoresearch", version, propagate_version = true, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 usage or config; 3 budget spent, goal unmet; 4 device or network \
unavailable; 5 another controller owns the campaign; 75 checkpointed on a signal, run it again; 130 interrupted, 143 told to \
                  end: attempts go on."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a real little campaign on the embedded digits, in under a minute
    Demo(demo::DemoArgs),
    /// Write a campaign to begin with, from a template or for your data, and say what it will cost
    Init(init::InitArgs),
    /// Validate an experiment or campaign and say what it will cost, without running it; or a site and its job script
    Check(check::CheckArgs),
    Train(train::Args),
    /// Start a campaign
    Run(run::RunArgs),
    /// Run somebody else's experiments, one JSON object a line, with prices, budget and recovery; results as JSON lines
    Batch(batch::BatchArgs),
    /// Go on with a campaign whose controller ended
    Resume(resume::ResumeArgs),
    /// One step of a campaign's controller, for cron: see what ended, begin what follows, leave
    Tick(tick::TickArgs),
    /// Show how a campaign stands
    Status(status::StatusArgs),
    /// Show a run's log and metrics, and follow them
    Logs(logs::LogsArgs),
    /// Say why a run was made and what was decided about it
    Why(why::WhyArgs),
    /// Let running attempts end and start nothing new
    Stop(control::ControlArgs),
    /// Kill running attempts and conclude
    Cancel(control::ControlArgs),
    /// Start nothing new for a while
    Pause(people::PauseArgs),
    /// Tell the campaign something that planning should know
    Note(people::NoteArgs),
    /// Agree to what a campaign with `approval` asks before it spends
    Approve(people::ApproveArgs),
    /// Show the best confirmed candidate and its config
    Best(best::BestArgs),
    /// Write report.html and results.tsv
    Report(report::ReportArgs),
    /// Write a paper: facts, TeX, BibTeX, figures, Markdown, HTML, and the PDF where there is a TeX
    Paper(paper::PaperArgs),
    /// Write a campaign as one file that somebody else can check and replay
    Export(export::ExportArgs),
    /// Read a paper back and compute every number in it again from what the runs left
    VerifyPaper(verify_paper::VerifyArgs),
    /// Review a campaign's paper by rules and, where there is one, a language model; the review stands beside the paper
    Review(review::ReviewArgs),
    /// Free checkpoints that nothing needs any more
    Gc(gc::GcArgs),
    /// Measure this machine
    Bench(bench::BenchArgs),
    /// List and fetch datasets
    Data(data::DataArgs),
    /// Search scholarly works, check citations, compare claims with what was published
    Literature(literature::LiteratureArgs),
    /// Print the JSON Schema of experiments or campaigns
    Schema(schema::SchemaArgs),
    /// Say what was found on this machine, and what is missing
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    Worker(worker::Args),
}

/// Parses the arguments, runs the command, prints, and returns the documented exit code.
pub fn main() -> ExitCode {
    crate::sys::signal::survive_file_size_limit();
    let cli = Cli::try_parse().unwrap_or_else(|error| with_advice(error).exit());
    match dispatch(cli.command) {
        Ok(0) if output::cut_short() => ExitCode::from(Class::Failed.exit_code()),
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            output::say(&format!("error: {problem}"));
            ExitCode::from(problem.class.exit_code())
        }
    }
}

/// A campaign's folder that stands where a command takes it by name only is told how to write it.
fn with_advice(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && Path::new(word).join(EVENTS_FILE).is_file()
    {
        let tip = format!("to name a campaign's folder, write '--in {}'", shell::word(word));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn dispatch(command: Command) -> Result<u8> {
    let done = |result: Result<()>| result.map(|()| 0);
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => done(init::run(&args)),
        Command::Check(args) => done(check::run(&args)),
        Command::Train(args) => train::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Tick(args) => tick::run(&args),
        Command::Status(args) => done(status::run(&args)),
        Command::Logs(args) => done(logs::run(&args)),
        Command::Why(args) => done(why::run(&args)),
        Command::Stop(args) => done(control::run(&args, control::Request::Stop)),
        Command::Cancel(args) => done(control::run(&args, control::Request::Cancel)),
        Command::Pause(args) => done(people::pause(&args)),
        Command::Note(args) => done(people::note(&args)),
        Command::Approve(args) => done(people::approve(&args)),
        Command::Best(args) => best::run(&args),
        Command::Report(args) => done(report::run(&args)),
        Command::Paper(args) => done(paper::run(&args)),
        Command::VerifyPaper(args) => verify_paper::run(&args),
        Command::Review(args) => review::run(&args),
        Command::Export(args) => done(export::run(&args)),
        Command::Gc(args) => done(gc::run(&args)),
        Command::Bench(args) => done(bench::run(&args)),
        Command::Data(args) => done(data::run(&args)),
        Command::Literature(args) => literature::run(&args),
        Command::Schema(args) => done(schema::run(&args)),
        Command::Doctor(args) => done(doctor::run(&args)),
        Command::Completions { shell } => {
            // By way of memory: the generator panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nanoresearch", &mut script);
            output::print(&String::from_utf8_lossy(&script));
            Ok(0)
        }
        Command::Worker(args) => Ok(worker::run(&args)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
