//! One look after another at the process and its device, for `utilization.jsonl`.

use super::nvml::NvmlSampler;
use crate::problem::{Problem, Result};
use crate::record::{GpuSample, Utilization};
use crate::sys::clock::Stopwatch;
use crate::sys::{fs, process};
use crate::units::Bytes;
use std::collections::VecDeque;
use std::path::Path;

/// Something that tells of one device.
pub trait DeviceSampler: Send {
    /// What it is doing now; `None` where nothing can be told.
    fn sample(&mut self) -> Option<GpuSample>;
}

/// Plays back what was recorded (or made up) in a file of utilization lines, one a call; then tells nothing.
#[derive(Debug, Clone, Default)]
pub struct RecordedTrace {
    looks: VecDeque<Utilization>,
}

impl RecordedTrace {
    /// Reads a file in the form of `utilization.jsonl`.
    pub fn read(file: &Path) -> Result<RecordedTrace> {
        let text = fs::read_text(file)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let looks = lines.map(|(index, line)| {
            serde_json::from_str(line).map_err(|e| {
                Problem::usage(format!("not a utilization record: {e}")).at(format!("{}:{}", file.display(), index + 1))
            })
        });
        Ok(RecordedTrace { looks: looks.collect::<Result<_>>()? })
    }
}

impl DeviceSampler for RecordedTrace {
    fn sample(&mut self) -> Option<GpuSample> {
        self.looks.pop_front()?.gpu
    }
}

/// What this process uses of the machine.
#[derive(Debug)]
pub struct ProcessSampler {
    processor: f64,
    since: Stopwatch,
}

impl Default for ProcessSampler {
    fn default() -> Self {
        ProcessSampler { processor: process::processor_seconds(), since: Stopwatch::start() }
    }
}

impl ProcessSampler {
    /// Cores kept busy since the last call (or the making of this), and resident memory.
    pub fn sample(&mut self) -> (f64, Bytes) {
        let (processor, elapsed) = (process::processor_seconds(), self.since.seconds());
        let cores = cores(processor - self.processor, elapsed);
        *self = ProcessSampler { processor, since: Stopwatch::start() };
        (cores, Bytes(process::resident_memory().0))
    }
}

/// Processor seconds over seconds, to a thousandth; 0 where no time has passed.
fn cores(processor: f64, seconds: f64) -> f64 {
    let cores = processor / seconds;
    if cores.is_finite() { (cores.max(0.0) * 1e3).round() / 1e3 } else { 0.0 }
}

/// The process and, where it runs on one, its device.
pub struct Sampler {
    process: ProcessSampler,
    device: Option<Box<dyn DeviceSampler>>,
}

impl Sampler {
    /// For a process that computes on the device of this number (CUDA's), or on none. Without NVML its part is absent
    /// from every record.
    pub fn new(device: Option<u32>) -> Sampler {
        let device = device.and_then(|ordinal| NvmlSampler::open(ordinal).ok());
        Sampler { process: ProcessSampler::default(), device: device.map(|d| Box::new(d) as Box<dyn DeviceSampler>) }
    }

    /// With another source for the device's part.
    pub fn with(device: impl DeviceSampler + 'static) -> Sampler {
        Sampler { process: ProcessSampler::default(), device: Some(Box::new(device)) }
    }

    /// One look, `seconds` after the attempt began.
    pub fn sample(&mut self, seconds: f64) -> Utilization {
        let (cores, memory) = self.process.sample();
        Utilization { seconds, cores, memory, gpu: self.device.as_mut().and_then(|device| device.sample()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> RecordedTrace {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpu/made-up-trace.jsonl");
        RecordedTrace::read(&file).unwrap()
    }

    #[test]
    fn a_trace_is_played_back_and_ends() {
        let mut sampler = Sampler::with(trace());
        let looks: Vec<Utilization> = (0..9).map(|i| sampler.sample(f64::from(i))).collect();
        assert!(looks.iter().enumerate().all(|(i, look)| look.seconds == i as f64 && look.memory.0 > 0));
        assert!(looks[2].gpu.as_ref().is_some_and(|gpu| gpu.busy == Some(0.97) && gpu.throttled == ["sw-power-cap"]));
        assert_eq!(looks[5].gpu, None, "a look at which the device told nothing");
        assert!(looks[6].gpu.as_ref().is_some_and(|gpu| gpu.joules.is_none()), "a field that it did not tell");
        assert_eq!(looks[7].gpu.as_ref().and_then(|gpu| gpu.xid), Some(94));
        assert_eq!(looks[8].gpu, None, "the trace is over");
    }

    /// What is recorded is read back as it was, absent fields included.
    #[test]
    fn records_survive_the_file() {
        for look in trace().looks {
            let line = serde_json::to_string(&look).unwrap();
            assert_eq!(serde_json::from_str::<Utilization>(&line).unwrap(), look);
        }
    }

    #[test]
    fn a_damaged_trace_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace.jsonl");
        std::fs::File::create(&file).unwrap();
        assert!(RecordedTrace::read(&file).unwrap().looks.is_empty());
        fs::write_atomic(&file, b"{\"seconds\":0.0,\"cores\":1.0,\"memory\":5}\n\n{\"seconds\":").unwrap();
        let problem = RecordedTrace::read(&file).unwrap_err();
        assert!(problem.place.unwrap().ends_with("trace.jsonl:3"));
    }

    #[test]
    fn cores_are_processor_time_over_time() {
        assert_eq!((cores(3.0, 1.5), cores(0.12345, 1.0), cores(0.0, 0.0)), (2.0, 0.123, 0.0));
        assert_eq!((cores(1.0, 0.0), cores(-1e-9, 1.0)), (0.0, 0.0));
    }

    #[test]
    fn a_busy_process_is_seen_to_be_busy() {
        let mut sampler = ProcessSampler::default();
        let begun = process::processor_seconds();
        while process::processor_seconds() - begun < 0.02 {
            std::hint::spin_loop();
        }
        let (cores, memory) = sampler.sample();
        assert!(cores > 0.0 && memory.0 > 1 << 20, "{cores} {memory}");
    }

    /// It is made in one thread and used in another.
    #[test]
    fn it_may_go_to_a_thread_of_its_own() {
        let mut sampler = Sampler::with(trace());
        assert!(std::thread::spawn(move || sampler.sample(0.0)).join().unwrap().gpu.is_some());
    }

    /// On a CPU nothing is asked of NVML, and a device that is not there is no reason to fail.
    #[test]
    fn without_a_device_its_part_is_absent() {
        assert_eq!(Sampler::new(None).sample(1.5).gpu, None);
        assert_eq!(Sampler::new(Some(4096)).sample(0.0).gpu, None);
    }
}
