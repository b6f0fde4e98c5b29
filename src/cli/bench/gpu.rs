//! `bench gpu`: what a card does at best, and steps of the standard experiments on it.

use super::subject;
use crate::bench::{GpuRow, Subject, predict_on_gpu, time_on_gpu};
use crate::cli::output::{self, Format, Table, duration, say, significant};
use crate::config::{DeviceSpec, Precision};
use crate::engine::{CardRates, EngineError, card_rates};
use crate::gpu::{self, Inventory};
use crate::problem::{Problem, Result};
use clap::Args;
use serde_json::json;

/// Arguments of `bench gpu`.
#[derive(Debug, Args)]
pub struct GpuArgs {
    /// Experiments by file or by name (default: those in benches/train), and key=value for all of them
    configs: Vec<String>,
    /// The GPU: cuda or cuda:N
    #[arg(long, default_value = "cuda")]
    device: String,
    /// f32 or bf16 (default: both)
    #[arg(long, value_name = "NAME", value_parser = precision)]
    precision: Option<Precision>,
    /// Leave out the card's ceilings, which take 2 GiB of its memory for a second
    #[arg(long)]
    no_ceilings: bool,
    /// Say beside each step time what the cost model predicts; it measures the card first where it does not know it
    #[arg(long)]
    predict: bool,
    /// Seconds for each experiment and precision, about
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Measures and prints.
pub fn run(args: &GpuArgs) -> Result<()> {
    let device: DeviceSpec = args.device.parse().map_err(|e: String| Problem::usage(e).at("--device"))?;
    let DeviceSpec::Cuda(ordinal) = device else {
        return Err(Problem::usage("`bench gpu` measures a GPU, and --device is cpu")
            .at("--device")
            .remedy("use `bench train` for the CPU"));
    };
    let rates = if args.no_ceilings { None } else { Some(card_rates(ordinal).map_err(no_ceilings)?) };
    if let Some(rates) = &rates {
        say(&ceilings(rates));
    }
    let precisions = args.precision.map_or_else(|| vec![Precision::F32, Precision::Bf16], |one| vec![one]);
    let mut rows = Vec::new();
    for named in &subject::subjects(&args.configs)? {
        let subject = Subject { name: named.name.clone(), experiment: &named.experiment, shape: &named.shape };
        for &precision in &precisions {
            let predicted = args.predict.then(|| predict_on_gpu(&subject, device, precision, &mut say)).transpose()?;
            say(&format!("timing {} in {}", named.name, word(precision)));
            rows.push(GpuRow { predicted_step: predicted, ..time_on_gpu(&subject, device, precision, args.seconds)? });
        }
    }
    if args.format == Format::Json {
        let cards: Vec<_> = Inventory::take().map(|all| all.devices).unwrap_or_default();
        let names: Vec<_> = cards.iter().map(|card| card.name.clone()).collect();
        output::print_json(&json!({ "cards": names, "versions": gpu::versions(), "ceilings": rates, "rows": rows }));
        return Ok(());
    }
    output::print(&table(&rows, rates.as_ref()).render());
    if let Some(rates) = &rates {
        output::print(&format!("{}\n", ceilings(rates)));
    }
    Ok(())
}

fn precision(name: &str) -> std::result::Result<Precision, String> {
    serde_json::from_value(name.into()).map_err(|_| format!("{name} is neither f32 nor bf16"))
}

fn no_ceilings(error: EngineError) -> Problem {
    let memory = matches!(error, EngineError::OutOfMemory { .. });
    let problem = Problem::from(error);
    if memory {
        problem.remedy("leave the card's ceilings out with --no-ceilings, or free the card of others")
    } else {
        problem
    }
}

fn word(precision: Precision) -> String {
    format!("{precision:?}").to_lowercase()
}

fn ceilings(rates: &CardRates) -> String {
    format!(
        "the card: bf16 matrix product {} TFLOP/s, f32 {} TFLOP/s, copy {} GB/s, {} from one small op to the next",
        significant(rates.matmul_bf16 / 1e12, 3),
        significant(rates.matmul_f32 / 1e12, 3),
        significant(rates.copy / 1e9, 3),
        duration(rates.launch_seconds)
    )
}

fn table(rows: &[GpuRow], rates: Option<&CardRates>) -> Table {
    let mut table = Table::new(&[
        "experiment",
        "in",
        ">step",
        ">fastest to slowest",
        ">predicted step",
        ">tokens/s",
        ">TFLOP/s",
        ">of matrix rate",
        ">arrays",
        ">reserved",
        ">outside",
        ">predicted memory",
    ]);
    for row in rows {
        let rate = row.step_flops / row.seconds;
        let best = rates.map(|r| if row.precision == Precision::F32 { r.matmul_f32 } else { r.matmul_bf16 });
        let memory = |of: fn(&crate::engine::DeviceMemory) -> String| row.memory.as_ref().map_or("-".into(), of);
        table.row(vec![
            row.config.clone(),
            word(row.precision),
            duration(row.seconds),
            format!("{} to {}", duration(row.spread.0), duration(row.spread.1)),
            row.predicted_step.map_or_else(
                || "-".into(),
                |step| format!("{} ({} to {})", duration(step.seconds), duration(step.low), duration(step.high)),
            ),
            significant(row.tokens as f64 / row.seconds, 3),
            significant(rate / 1e12, 3),
            best.map_or_else(|| "-".into(), |best| format!("{:.1}%", 100.0 * rate / best)),
            memory(|m| m.arrays_peak.to_string()),
            memory(|m| m.reserved_peak.to_string()),
            memory(|m| m.outside_peak.to_string()),
            row.predicted_memory.to_string(),
        ]);
    }
    table
}
