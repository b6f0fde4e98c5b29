//! Runs that would need more memory than they may have: refused before the first step, with both numbers.

use super::kit::Lab;
use nanoresearch::record::{End, MemoryKind, Outcome};

/// About 200 MiB of weights, gradients and optimiser state.
const LARGE: &str = "train experiment.toml model.widths=[3500,3500] --out run";

fn refused(lab: &Lab) -> (u64, u64) {
    let outcome = Outcome::read(&lab.at("run")).unwrap().unwrap();
    assert_eq!(outcome.step, 0);
    assert!(!lab.at("run/metrics.jsonl").exists() && !lab.at("run/checkpoints").exists(), "nothing was trained");
    match outcome.end {
        End::OutOfMemory { wanted, limit, of: MemoryKind::Host } => (wanted.0, limit.0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_limit_below_the_predicted_peak_is_told_before_the_first_step() {
    let lab = Lab::new();
    let answer = lab.run(&format!("{LARGE} resources.memory_mib=100"));
    assert_eq!(answer.code, 1, "{answer:?}");
    let says = " of memory, and resources.memory_mib = 100 allows 100.0 MiB: nothing was trained\n  raise it; or choose a smaller";
    assert!(answer.stderr.starts_with("error: this run needs about ") && answer.stderr.contains(says), "{answer:?}");
    assert!(!answer.stderr.contains("watchdog"), "{answer:?}");
    let (wanted, limit) = refused(&lab);
    assert!(limit == 100 << 20 && wanted > 150 << 20, "{wanted} {limit}");
    // Nothing of it is in the way of a run that fits.
    lab.done("train experiment.toml resources.memory_mib=400 --out run");
}

/// Where the address space is limited, an allocation that fails ends the process with an abort. What can be told before is.
#[test]
fn a_limit_on_address_space_is_told_before_anything_is_allocated() {
    let lab = Lab::new();
    let mut shell = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_nanoresearch");
    shell.args(["-c", &format!("ulimit -v 250000; exec {program} {LARGE}")]).current_dir(lab.path());
    let answer = lab.answer(&mut shell);
    assert_eq!(answer.code, 1, "{answer:?}");
    let says = " of memory, and the limit on address space (`ulimit -v`) leaves ";
    assert!(answer.stderr.starts_with("error: this run needs about ") && answer.stderr.contains(says), "{answer:?}");
    let (wanted, left) = refused(&lab);
    assert!(wanted > left && left < 250_000 << 10, "{wanted} {left}");
}
