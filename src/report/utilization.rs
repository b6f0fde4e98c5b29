//! The report's section on devices: what was allocated, what was busy of it, energy, and how that went over time.

use super::figures::Drawn;
use super::html::Page;
use super::percent;
use crate::analysis::Point;
use crate::campaign::{Attempt, Purpose, Run, State, Usage, attempt_path, energy};
use crate::figures::{self, PARTS, Spread, Timeline, time_unit};
use crate::plot::{Axis, Figure, Mark};
use crate::record::{UtilizationSummary, read_utilization};
use std::collections::BTreeMap;
use std::path::Path;

/// Attempts whose looks are drawn at most; of more, as many evenly chosen ones.
const DRAWN: usize = 40;
/// The style of what belongs to all kinds of runs.
const GREY: usize = 6;
/// The kinds of runs, as tables and legends name them.
const KINDS: [(&str, &str); 3] = [("baseline", "baseline"), ("candidate", "candidates"), ("confirm", "confirmations")];

/// Writes the section. A campaign whose attempts left no looks has a sentence that says so.
pub fn section(page: &mut Page, folder: &Path, state: &State) {
    page.heading("What the devices did");
    let usage = Usage::of(state);
    if looked(state).next().is_none() {
        page.paragraph(match usage.attempts {
            0 => "No attempt has ended yet, so there is nothing to say of how busy the devices were.",
            _ => {
                "How busy the devices were is not known: no attempt of this campaign left a record of it. Attempts of \
                 nanoresearch versions before such records left none, and neither do those that end before their first look."
            }
        });
        return;
    }
    page.paragraph(&format!(
        "Ended attempts: {}. Allocated is the time that a device was held and paid for. Busy is the time of it in which a GPU ran \
         kernels, as NVML tells it, or the share of a CPU slot's threads that computed; energy is that of the whole device \
         while it was held, and that of processors is not measured.",
        usage.words()
    ));
    let (titles, rows) = table(state);
    page.table(&titles, &rows);
    for remark in remarks(state) {
        page.paragraph(&remark);
    }
    let (svg, caption) = devices_figure(state);
    page.figure(&svg, &caption);
    let drawn = looks_figures(folder, state);
    if drawn.is_empty() {
        page.paragraph("The looks themselves (utilization.jsonl of the attempts) are not in the folder any more.");
    } else {
        page.figures(&drawn);
    }
}

/// Ended attempts with a summary of their looks.
fn looked(state: &State) -> impl Iterator<Item = (&Run, &Attempt, &UtilizationSummary)> {
    let attempts = state.runs.iter().flat_map(|run| run.attempts.iter().map(move |attempt| (run, attempt)));
    attempts.filter_map(|(run, attempt)| Some((run, attempt, attempt.ended.as_ref()?.evidence.utilization.as_deref()?)))
}

/// Allocated, busy, energy by kind of run. Columns that nothing is known for are left out.
fn table(state: &State) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let mut parts: Vec<(&str, Vec<&Run>)> =
        KINDS.iter().map(|(kind, name)| (*name, runs_of(state, kind).collect())).collect();
    parts.retain(|(_, runs)| !runs.is_empty());
    parts.push(("all", state.runs.iter().collect()));
    let usages: Vec<Usage> = parts.iter().map(|(_, runs)| Usage::of_runs(runs.iter().copied())).collect();
    let metered = usages.iter().any(|usage| usage.joules.is_some());
    let memory = usages.iter().any(|usage| usage.device_memory.is_some());
    let mut titles = vec!["runs", ">number", ">attempts", ">allocated", ">busy", ">share"];
    titles.extend(metered.then_some([">energy", ">a run", ">mean power"]).into_iter().flatten());
    titles.extend(memory.then_some(">device memory"));
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
    let rows = parts.iter().zip(&usages).map(|((name, runs), usage)| {
        let mut row = vec![
            name.to_string(),
            runs.len().to_string(),
            usage.attempts.to_string(),
            usage.allocated.to_string(),
            dash(usage.busy.map(|busy| busy.to_string())),
            percent(usage.busy_share),
        ];
        if metered {
            let with = runs.iter().filter(|run| Usage::of_run(run).joules.is_some()).count().max(1);
            row.push(dash(usage.joules.map(energy)));
            row.push(dash(usage.joules.map(|joules| energy(joules / with as f64))));
            row.push(dash(usage.watts().map(|watts| format!("{watts:.0} W"))));
        }
        if memory {
            row.push(dash(usage.device_memory.map(|bytes| bytes.to_string())));
        }
        row
    });
    (titles, rows.collect())
}

fn runs_of<'a>(state: &'a State, kind: &'a str) -> impl Iterator<Item = &'a Run> {
    state.runs.iter().filter(move |run| run.purpose.name() == kind)
}

/// What slowed or threatened the devices.
fn remarks(state: &State) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut slowed: BTreeMap<&str, f64> = BTreeMap::new();
    let (mut seconds, mut hottest, mut faults) = (0.0, None, Vec::new());
    for (_, attempt, looks) in looked(state) {
        let Some(gpu) = &looks.gpu else { continue };
        seconds += looks.seconds;
        hottest = hottest.max(gpu.celsius);
        // An idle card lowers its clocks too, which slows nothing.
        for (reason, share) in gpu.throttled.iter().filter(|(reason, _)| *reason != "gpu-idle") {
            *slowed.entry(reason).or_default() += share * looks.seconds;
        }
        let ecc = gpu.ecc_uncorrected.filter(|n| *n > 0).map(|n| format!("{n} uncorrected memory errors"));
        let xids = gpu.xids.iter().map(|xid| format!("Xid {xid}"));
        faults.extend(ecc.into_iter().chain(xids).map(|fault| format!("{fault} (attempt {})", attempt.id)));
    }
    if seconds > 0.0 && !slowed.is_empty() {
        let list: Vec<String> =
            slowed.iter().map(|(reason, time)| format!("{reason} {}", percent(Some(time / seconds)))).collect();
        remarks.push(format!("Clocks were held down, by share of the time: {}.", list.join(", ")));
    }
    if let Some(celsius) = hottest {
        remarks.push(format!("Highest temperature: {celsius} degrees Celsius."));
    }
    if !faults.is_empty() {
        let more = faults.len().saturating_sub(12);
        faults.truncate(12);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        remarks.push(format!("Faults of devices: {}{more}.", faults.join(", ")));
    }
    remarks
}

/// Devices allocated and devices busy over the campaign's time.
fn devices_figure(state: &State) -> Drawn {
    let caption = format!(
        "Devices allocated to attempts and how many of them were busy, as means over {PARTS} equal parts of the campaign's time; \
         each attempt counts with its mean over its whole time and its part of the device, one without a record as idle. The area between the lines is \
         device time that was paid for and not used."
    );
    (figures::devices(state).svg(), caption)
}

/// Busy share, memory and power over the attempts' own time, where they left looks.
fn looks_figures(folder: &Path, state: &State) -> Vec<Drawn> {
    let all: Vec<(&Run, &Attempt, &UtilizationSummary)> = looked(state).collect();
    let chosen = (0..all.len().min(DRAWN)).map(|i| all[i * all.len() / all.len().min(DRAWN)]);
    let lines: Vec<(Purpose, Timeline)> = chosen
        .filter_map(|(run, attempt, summary)| {
            // A damaged file is shown as missing, never guessed at.
            let looks = read_utilization(&folder.join(attempt_path(attempt.id))).unwrap_or_default();
            let line = Timeline::of(&looks, summary.device, summary.threads);
            (!looks.is_empty()).then_some((run.purpose, line))
        })
        .collect();
    let gpu = all.iter().any(|(_, _, summary)| summary.device.is_gpu());
    let memory = if gpu { "device memory (GiB)" } else { "resident memory (MiB)" };
    let unit = if gpu { (1u64 << 30) as f64 } else { (1u64 << 20) as f64 };
    let figures = [
        over_time("Busy share", "busy share (%)", 0.01, Some(104.0), all.len(), &lines, |l| &l.busy),
        over_time("Memory", memory, unit, None, all.len(), &lines, |l| &l.memory),
        over_time("Power", "power (W)", 1.0, None, all.len(), &lines, |l| &l.watts),
    ];
    figures.into_iter().flatten().collect()
}

/// One quantity over the attempts' own time: the mean of each kind of run, and the range of all. None where nobody told it.
fn over_time(
    title: &str,
    label: &str,
    unit: f64,
    top: Option<f64>,
    of: usize,
    lines: &[(Purpose, Timeline)],
    quantity: impl Fn(&Timeline) -> &[Point],
) -> Option<Drawn> {
    let curves: Vec<(&str, Vec<Point>)> = lines
        .iter()
        .map(|(purpose, line)| (purpose.name(), quantity(line).iter().map(|p| (p.0, p.1 / unit)).collect()))
        .filter(|(_, curve): &(_, Vec<Point>)| !curve.is_empty())
        .collect();
    let all = Spread::of(curves.iter().map(|(_, curve)| &curve[..]));
    let longest = all.mean.last()?.0;
    let (name, scale) = time_unit(longest);
    // From zero on both axes: these are quantities, and a share of little is little.
    let highest = curves.iter().flat_map(|(_, curve)| curve).map(|p| p.1).fold(0.0, f64::max);
    let top = top.or((highest > 0.0).then_some(1.08 * highest)).unwrap_or(1.0);
    let x = Axis::linear(format!("time since the attempt began ({name})"));
    let x = if longest > 0.0 { x.over(0.0, 1.02 * longest / scale) } else { x };
    let band = all.range.iter().map(|r| (r.0 / scale, r.1, r.2)).collect();
    let mut figure = Figure::new(title, x, Axis::linear(label).over(0.0, top));
    figure = figure.with(if curves.len() > 1 { "range of all" } else { "" }, GREY, Mark::Band(band));
    let mut numbers = Vec::new();
    for (style, (kind, legend)) in KINDS.iter().enumerate() {
        let own: Vec<&[Point]> = curves.iter().filter(|(k, _)| k == kind).map(|(_, curve)| &curve[..]).collect();
        if own.is_empty() {
            continue;
        }
        numbers.push(format!("{legend}: n = {}", own.len()));
        let mean = Spread::of(own).mean.iter().map(|p| (p.0 / scale, p.1)).collect();
        figure = figure.with(*legend, style, Mark::Line(mean));
    }
    let some = if of > DRAWN { format!(", {DRAWN} of {of} evenly chosen") } else { String::new() };
    let caption = format!(
        "{title} of attempts over their own time ({}{some}): means over the attempts that lasted so long, and the range from the \
         lowest to the highest.",
        numbers.join("; ")
    );
    Some((figure.svg(), caption))
}
