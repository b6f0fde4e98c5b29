//! Summaries of made-up looks, and the file that holds looks.
#![allow(clippy::disallowed_methods)]

use super::super::utilization::{UTILIZATION_FILE, UtilizationWriter, read_utilization};
use super::*;
use proptest::prelude::*;
use std::path::Path;

const CARD: DeviceSpec = DeviceSpec::Cuda(0);

fn look(seconds: f64, cores: f64) -> Utilization {
    Utilization { seconds, cores, memory: Bytes(100), gpu: None }
}

fn with(seconds: f64, gpu: GpuSample) -> Utilization {
    Utilization { gpu: Some(gpu), ..look(seconds, 1.0) }
}

fn busy(seconds: f64, busy: Option<f64>) -> Utilization {
    with(seconds, GpuSample { busy, ..GpuSample::default() })
}

fn gpu(looks: &[Utilization]) -> GpuSummary {
    UtilizationSummary::of(looks, CARD, 1).unwrap().gpu.unwrap()
}

fn near(a: Option<f64>, b: f64) {
    assert!(a.is_some_and(|a| (a - b).abs() < 1e-9), "{a:?} is not {b}");
}

#[test]
fn cores_count_for_the_time_since_the_look_before() {
    // The first look's 9 cores are about a time that nobody knows the length of.
    let looks = [look(0.5, 9.0), look(1.5, 2.0), look(4.5, 1.0)];
    let all = UtilizationSummary::of(&looks, DeviceSpec::Cpu, 2).unwrap();
    assert_eq!((all.samples, all.seconds, all.cores), (3, 4.0, Some(1.25)));
    assert_eq!((all.busy(), all.busy_seconds()), (Some(0.625), Some(2.5)));
    let narrow = UtilizationSummary { threads: 1, ..all.clone() };
    assert_eq!((narrow.busy(), narrow.busy_seconds()), (Some(1.0), Some(4.0)), "a slot is never more than busy");
    let unknown = UtilizationSummary { threads: 0, ..all };
    assert_eq!((unknown.busy(), unknown.busy_seconds(), unknown.joules()), (None, None, None));
}

#[test]
fn busy_time_is_the_area_under_the_looks() {
    let looks = [busy(0.0, Some(0.0)), busy(1.0, Some(1.0)), busy(3.0, Some(0.5))];
    let all = gpu(&looks);
    near(all.busy_seconds, 0.5 + 1.5);
    near(all.busy, 2.0 / 3.0);
}

#[test]
fn a_lost_look_is_bridged_and_a_long_silence_is_not() {
    let looks = [busy(0.0, Some(1.0)), look(1.0, 1.0), busy(2.0, None), busy(3.0, Some(1.0)), busy(13.0, Some(1.0))];
    let all = UtilizationSummary::of(&looks, CARD, 1).unwrap();
    assert_eq!(all.seconds, 13.0);
    near(all.busy_seconds(), 3.0);
    near(all.busy(), 1.0);
}

#[test]
fn what_no_look_told_stays_absent() {
    let alone = gpu(&[busy(0.0, Some(0.7))]);
    assert_eq!(alone, GpuSummary::default(), "one look covers no time");
    let silent = gpu(&[busy(0.0, None), busy(1.0, None)]);
    assert_eq!(silent, GpuSummary::default());
    assert_eq!(serde_json::to_string(&silent).unwrap(), "{}");
    let blind = UtilizationSummary::of(&[look(0.0, 1.0), look(1.0, 1.0)], CARD, 1).unwrap();
    assert_eq!(
        (blind.gpu.clone(), blind.busy(), blind.busy_seconds(), blind.device_memory()),
        (None, None, None, None)
    );
    assert_eq!(UtilizationSummary::of(&[], CARD, 1), None);
}

#[test]
fn energy_is_kept_both_ways_and_the_counter_comes_first() {
    let sample = |at, watts, joules| with(at, GpuSample { watts, joules, ..GpuSample::default() });
    let looks = [
        sample(0.0, Some(100.0), Some(5000.0)),
        sample(1.0, Some(300.0), Some(5210.0)),
        sample(2.0, Some(300.0), Some(5500.0)),
    ];
    let all = UtilizationSummary::of(&looks, CARD, 1).unwrap();
    let device = all.gpu.clone().unwrap();
    assert_eq!((device.joules_counted, device.joules_integrated), (Some(500.0), Some(500.0)));
    assert_eq!(all.joules(), Some(500.0));
    let uncounted: Vec<Utilization> = looks[..2].iter().map(|l| sample(l.seconds, Some(200.0), None)).collect();
    assert_eq!(UtilizationSummary::of(&uncounted, CARD, 1).unwrap().joules(), Some(200.0));
    let back = gpu(&[sample(0.0, None, Some(5000.0)), sample(1.0, None, Some(10.0))]);
    assert_eq!((back.joules_counted, back.joules_integrated), (None, None), "the counter began anew");
    assert_eq!(gpu(&[sample(0.0, None, Some(5000.0))]).joules_counted, None, "one reading is no difference");
}

#[test]
fn device_memory_is_ones_own_or_what_was_added() {
    let sample = |at, used, own: Option<u64>| {
        with(at, GpuSample { memory_used: Some(Bytes(used)), memory_own: own.map(Bytes), ..GpuSample::default() })
    };
    let of = |looks: &[Utilization]| UtilizationSummary::of(looks, CARD, 1).unwrap().device_memory();
    assert_eq!(of(&[sample(0.0, 70, None), sample(1.0, 100, Some(25)), sample(2.0, 90, Some(20))]), Some(Bytes(25)));
    assert_eq!(of(&[sample(0.0, 70, None), sample(1.0, 100, None), sample(2.0, 90, None)]), Some(Bytes(30)));
    assert_eq!(of(&[busy(0.0, Some(1.0))]), None);
}

#[test]
fn reasons_for_lower_clocks_have_their_share_of_the_time() {
    let sample = |at, reasons: &[&str]| {
        with(at, GpuSample { throttled: reasons.iter().map(|r| r.to_string()).collect(), ..GpuSample::default() })
    };
    let all = gpu(&[sample(0.0, &["gpu-idle"]), sample(1.0, &["sw-power-cap"]), sample(4.0, &["sw-power-cap"])]);
    let shares: Vec<(&str, f64)> = all.throttled.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(shares, [("gpu-idle", 0.125), ("sw-power-cap", 0.875)]);
    assert_eq!(gpu(&[sample(0.0, &["gpu-idle"])]).throttled["gpu-idle"], 1.0);
}

#[test]
fn faults_are_those_since_the_first_look() {
    let sample = |at, ecc_uncorrected, xid| with(at, GpuSample { ecc_uncorrected, xid, ..GpuSample::default() });
    let all = gpu(&[
        sample(0.0, Some(3), None),
        sample(1.0, Some(5), Some(94)),
        sample(2.0, None, Some(94)),
        sample(3.0, Some(4), Some(13)),
    ]);
    assert_eq!((all.ecc_uncorrected, all.xids), (Some(1), vec![94, 13]));
    assert_eq!(gpu(&[sample(0.0, Some(3), None)]).ecc_uncorrected, Some(0));
}

/// A second process that goes on in the folder counts its seconds from 0 again.
#[test]
fn a_file_with_two_lives_covers_both_and_nothing_between() {
    let looks = [busy(0.0, Some(1.0)), busy(2.0, Some(1.0)), busy(0.0, Some(0.0)), busy(1.0, Some(1.0))];
    let all = UtilizationSummary::of(&looks, CARD, 1).unwrap();
    assert_eq!((all.samples, all.seconds), (4, 3.0));
    near(all.busy_seconds(), 2.5);
}

#[test]
fn the_committed_trace_amounts_to_what_a_person_finds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpu/made-up-trace.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let looks: Vec<Utilization> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all = UtilizationSummary::of(&looks, CARD, 4).unwrap();
    let device = all.gpu.clone().unwrap();
    assert_eq!((all.samples, all.seconds), (8, 7.0));
    // 0.31 + 0.795 + 0.975 + 0.975, then two seconds over the look that told nothing, then the end.
    near(device.busy_seconds, 0.31 + 0.795 + 0.975 + 0.975 + 2.0 * 0.975 + 0.55);
    near(device.joules_counted, 8126900.0 - 8123456.1);
    assert!((device.joules_counted.unwrap() / device.joules_integrated.unwrap() - 1.0).abs() < 0.01, "{device:?}");
    assert_eq!((device.celsius, device.ecc_uncorrected, device.xids), (Some(59), Some(1), vec![94]));
    assert_eq!(all.device_memory(), Some(Bytes(21474836480)));
    // Three looks, joined to their neighbours by half; the time of the look that told nothing counts as the trace's.
    near(device.throttled.get("sw-power-cap").copied(), (0.5 + 1.0 + 1.0 + 1.0) / 7.0);
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

#[test]
fn looks_are_read_back_and_a_torn_last_line_is_left_out_and_cut_off() {
    let folder = folder();
    assert_eq!(read_utilization(folder.path()).unwrap(), []);
    let looks = [look(0.0, 1.5), busy(1.0, Some(0.25)), look(2.0, 0.5)];
    let mut writer = UtilizationWriter::open(folder.path()).unwrap();
    looks[..2].iter().for_each(|l| writer.append(l).unwrap());
    drop(writer);
    let path = folder.path().join(UTILIZATION_FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"seconds\":2.0,\"co"].concat()).unwrap();
    assert_eq!(read_utilization(folder.path()).unwrap(), looks[..2]);
    // A process that goes on in the folder must not make a damaged line of it.
    UtilizationWriter::open(folder.path()).unwrap().append(&looks[2]).unwrap();
    assert_eq!(read_utilization(folder.path()).unwrap(), looks);
}

#[test]
fn fields_of_later_versions_are_passed_over_and_damage_is_named() {
    let folder = folder();
    let path = folder.path().join(UTILIZATION_FILE);
    let newer = b"{\"seconds\":1.0,\"cores\":1.0,\"memory\":5,\"npu\":{\"a\":1},\"gpu\":{\"busy\":0.5,\"fan\":3}}\n";
    std::fs::write(&path, newer).unwrap();
    let expected = GpuSample { busy: Some(0.5), ..GpuSample::default() };
    assert_eq!(read_utilization(folder.path()).unwrap()[0].gpu, Some(expected));
    std::fs::write(&path, [&newer[..], b"{\"seconds\":}\n"].concat()).unwrap();
    let problem = read_utilization(folder.path()).unwrap_err();
    assert!(problem.place.is_some_and(|place| place.ends_with("utilization.jsonl:2")) && problem.remedy.is_some());
}

proptest! {
    /// Whatever the looks say, a summary has no number that JSON cannot hold, and comes back from it.
    #[test]
    fn summaries_survive_any_looks(
        numbers in proptest::collection::vec((any::<f64>(), any::<f64>(), any::<f64>(), any::<Option<f64>>()), 0..20),
    ) {
        let looks: Vec<Utilization> = numbers.iter().map(|&(seconds, cores, watts, joules)| {
            let clip = |v: f64| v.clamp(-1e100, 1e100);
            let gpu = GpuSample { watts: Some(clip(watts)), joules: joules.map(clip), ..GpuSample::default() };
            Utilization { seconds: clip(seconds), cores: clip(cores), memory: Bytes(1), gpu: Some(gpu) }
        }).collect();
        if let Some(summary) = UtilizationSummary::of(&looks, CARD, 1) {
            let text = serde_json::to_string(&summary).unwrap();
            prop_assert!(!text.contains("null"), "{}", text);
            prop_assert_eq!(serde_json::from_str::<UtilizationSummary>(&text).unwrap(), summary);
        }
    }
}
