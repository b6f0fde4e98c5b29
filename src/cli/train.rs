//! `nanoresearch train FILE --out DIR`: one experiment, here and now.

use super::check::with_device;
use super::output::{self, say};
use super::pricer::expected;
use crate::config::{DeviceSpec, Experiment, load_experiment};
use crate::problem::{Problem, Result};
use crate::record::{End, Manifest, MemoryKind, Outcome, SpeedSource, shortage};
use crate::sys::signal::StopFlag;
use crate::sys::{env, process, shell};
use crate::train::{Event, Observer, Stepped};
use crate::units::Bytes;
use crate::worker::{Here, exit_code, train_here};
use clap::Args as Arguments;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Train one experiment on this machine
#[derive(Debug, Arguments)]
pub struct Args {
    /// The experiment, TOML or JSON
    file: PathBuf,
    /// Settings that replace the file's, as key=value (training.seed=3)
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Train on this device instead of the file's: cpu, cuda, or cuda:N (the same as resources.device=...)
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceSpec>,
    /// Folder for metrics, checkpoints and the model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with the run that is in the folder
    #[arg(long)]
    resume: bool,
}

impl Args {
    /// The command that goes on with this run, for a shell.
    fn again(&self) -> String {
        let mut words = vec![self.file.display().to_string()];
        words.extend(with_device(&self.overrides, "resources.device", self.device));
        words.extend(["--out".to_string(), self.out.display().to_string(), "--resume".to_string()]);
        let words: Vec<String> = words.iter().map(|word| shell::word(word)).collect();
        format!("nanoresearch train {}", words.join(" "))
    }
}

/// Trains, shows progress on a terminal, and prints the result; 75 means checkpointed and to be resumed.
pub fn run(args: &Args) -> Result<u8> {
    let loaded = load_experiment(&args.file, &with_device(&args.overrides, "resources.device", args.device))?;
    let stop = StopFlag::for_terminal().map_err(|e| {
        Problem::failed(format!("signals cannot be caught: {e}")).remedy("see the system's message above")
    })?;
    let mut progress = Progress::default();
    let here = Here {
        experiment: &loaded.value,
        base: &loaded.base,
        folder: &args.out,
        resume: args.resume,
        stop: &stop,
        expect: &|dataset, programs| expected(&loaded.value, dataset, programs),
    };
    let outcome = train_here(&here, &mut progress);
    progress.finish();
    let outcome = outcome.map_err(|p| loaded.places.locate(p))?;
    match &outcome.end {
        End::Completed | End::Diverged { .. } => output::print(&summary(&outcome, args)),
        End::Checkpointed | End::Paused => {
            say(&format!("checkpointed at step {}; go on with\n  {}", outcome.step, args.again()))
        }
        End::TimedOut { limit_seconds } => say(&format!(
            "error: the wall-clock limit of {limit_seconds} s passed at step {}\n  raise resources.wall_seconds and \
             repeat the command with --resume",
            outcome.step
        )),
        End::OutOfMemory { wanted, limit, of: MemoryKind::Host }
            if outcome.step == 0 && wanted.0 > 0 && limit.0 > 0 =>
        {
            say(&refused_for_memory(*wanted, *limit, &loaded.value))
        }
        End::OutOfMemory { wanted, limit, of } => say(&format!(
            "error: out of {}memory at step {}{}\n  choose a smaller resources.micro_batch or resources.recompute=true, which change no result and help where \
             activations are the most of it; where weights and optimiser state are (see `nanoresearch check`), a smaller model; or {}",
            of.prefix(),
            outcome.step,
            shortage(*wanted, *limit),
            match of {
                MemoryKind::Host => "raise resources.memory_mib",
                MemoryKind::Device => "a GPU with more free memory",
            }
        )),
        End::DeviceFailed { fault, message } if fault.is_unavailable() => say(&format!("error: {message}")),
        End::Missing { message } | End::Refused { message } => say(&format!("error: {message}")),
        End::DeviceFailed { message, .. } | End::Full { message } | End::Failed { message } => {
            say(&format!("error: {message}\n  go on with `{}`", args.again()))
        }
    }
    Ok(exit_code(&outcome.end))
}

/// A run that was not begun, since it would need more memory than it may have.
fn refused_for_memory(wanted: Bytes, limit: Bytes, experiment: &Experiment) -> String {
    let allowed = Bytes(experiment.resources.memory_mib.saturating_mul(1 << 20));
    let (place, remedy) = match process::address_space_left() {
        _ if limit == allowed => {
            (format!("resources.memory_mib = {} allows {limit}", experiment.resources.memory_mib), "raise it")
        }
        Some(_) => (format!("the limit on address space (`ulimit -v`) leaves {limit}"), "raise that limit"),
        None => (format!("this machine has {limit} available"), "use a machine with more memory"),
    };
    format!(
        "error: this run needs about {wanted} of memory, and {place}: nothing was trained\n  {remedy}; or choose a smaller \
         resources.micro_batch or resources.recompute=true, which change no result, or a smaller model (see `nanoresearch check`)"
    )
}

/// Lines of `name value` for stdout.
fn summary(outcome: &Outcome, args: &Args) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    match &outcome.end {
        End::Diverged { reason } => rows.push(("diverged", reason.clone())),
        _ => rows.push(("completed", format!("{} steps", outcome.step))),
    }
    rows.extend(outcome.metrics.iter().map(|(name, value)| (name.as_str(), format!("{value:.5}"))));
    rows.push(("time", format!("{:.2} s, of which {:.2} s training", outcome.seconds, outcome.training_seconds)));
    rows.extend(Manifest::read(&args.out).ok().flatten().and_then(|m| predicted(&m, args)).map(|p| ("predicted", p)));
    rows.push(("memory", outcome.peak_memory.to_string()));
    rows.push(("folder", args.out.display().to_string()));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.into_iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// What the last attempt was predicted to take.
fn predicted(manifest: &Manifest, args: &Args) -> Option<String> {
    let seconds = manifest.predicted_seconds?;
    let whose = match manifest.predicted_from {
        Some(SpeedSource::Assumed) => {
            let mut check = vec![args.file.display().to_string()];
            check.extend(with_device(&args.overrides, "resources.device", args.device));
            let check: Vec<String> = check.iter().map(|word| shell::word(word)).collect();
            format!(" at another machine's speeds; `nanoresearch check {}` measures this one's", check.join(" "))
        }
        _ => String::new(),
    };
    Some(format!("{seconds:.2} s{whose}"))
}

/// A bar on a terminal; elsewhere a line for each evaluation.
#[derive(Default)]
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn bar(&mut self, length: u64, template: &str) -> Option<&ProgressBar> {
        if !env::stderr_is_terminal() {
            return None;
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Some(self.bar.insert(ProgressBar::new(length).with_style(style)))
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn on_download(&mut self, bytes: u64, total: Option<u64>) {
        if self.bar.is_none() {
            self.bar(total.unwrap_or(0), "downloading {wide_bar} {bytes}/{total_bytes} {eta}");
        }
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }
    fn on_start(&mut self, total: u64, done: u64) {
        self.finish();
        if let Some(bar) = self.bar(total, "{wide_bar} {pos}/{len} {msg} {eta}") {
            bar.set_position(done);
        }
    }
    fn on_step(&mut self, step: &Stepped) {
        if let Some(bar) = &self.bar {
            bar.set_position(step.step);
            bar.set_message(format!("loss {:.4} {:.0}/s", step.loss, step.timing.samples_per_second));
        }
    }
    fn on_eval(&mut self, step: u64, metrics: &BTreeMap<String, f64>) {
        let values: Vec<String> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        self.say(&format!("step {step}: {}", values.join(", ")));
    }
    fn on_event(&mut self, event: &Event) {
        if !matches!(event, Event::Checkpoint { .. }) {
            self.say(&event.to_string());
        }
    }
}
