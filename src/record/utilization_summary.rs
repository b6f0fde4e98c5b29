//! What the looks in `utilization.jsonl` amount to: how much of what an attempt held was busy, and the energy it took.
//!
//! A summary grows look by look, so that an attempt of weeks needs no more memory than one of seconds. What no look told is
//! absent from it, never zero. Levels (busy share, power) are joined by straight lines between looks (the trapezoidal rule);
//! looks more than [`BRIDGE`] seconds apart are not joined, since nobody knows what was between them, so that integrals are
//! lower bounds. The cores of a look are an average since the look before, and count for exactly that time.

use super::utilization::{GpuSample, Utilization};
use crate::config::DeviceSpec;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest time between two looks that are joined, in seconds: a few lost looks do not matter.
pub const BRIDGE: f64 = 5.0;

/// Most different Xid numbers that are kept.
const XIDS: usize = 16;

/// What an attempt used of the machine, by its own looks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UtilizationSummary {
    /// The device that the attempt held.
    pub device: DeviceSpec,
    /// Threads that it could use; 0 where that is not known.
    pub threads: usize,
    /// Looks taken.
    pub samples: u64,
    /// Seconds from the first look to the last.
    pub seconds: f64,
    /// Mean processor time in cores over those seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
    /// Largest resident memory at any look.
    pub memory: Bytes,
    /// What the looks told of the device; absent where they told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuSummary>,
    /// Processor seconds that the looking itself took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler_seconds: Option<f64>,
}

/// What a GPU did while an attempt held it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GpuSummary {
    /// Seconds in which a kernel ran: the integral of the busy share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_seconds: Option<f64>,
    /// Mean busy share, 0 to 1, over the time in which it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<f64>,
    /// Mean share in which device memory was read or written, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_busy: Option<f64>,
    /// Largest device memory of this process, where it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_own: Option<Bytes>,
    /// Largest device memory in use, by everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<Bytes>,
    /// Device memory in use at the first look, before the attempt took any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_before: Option<Bytes>,
    /// Joules by the device's energy counter: its last reading less its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules_counted: Option<f64>,
    /// Joules as the integral of the power draw: the check of the other, and its stand-in where there is no counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joules_integrated: Option<f64>,
    /// Highest temperature in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<u32>,
    /// Reasons for lower clocks, each with its share of the time, 0 to 1. `gpu-idle` is one of NVML's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub throttled: BTreeMap<String, f64>,
    /// Memory errors that ECC could not correct, new since the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecc_uncorrected: Option<u64>,
    /// Numbers of the Xid events that looks saw, each once, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xids: Vec<u64>,
}

impl UtilizationSummary {
    /// Of the looks of one attempt on `device` with `threads` (0: not known); none where there are none.
    pub fn of<'a>(
        looks: impl IntoIterator<Item = &'a Utilization>,
        device: DeviceSpec,
        threads: usize,
    ) -> Option<UtilizationSummary> {
        let mut tally = UtilizationTally::default();
        looks.into_iter().for_each(|look| tally.push(look));
        tally.summary(device, threads)
    }

    /// Seconds in which the device was busy. Of a GPU: the integral of its busy share. Of a CPU slot: the time covered times
    /// the mean share of its threads that computed, at most 1.
    pub fn busy_seconds(&self) -> Option<f64> {
        match self.device {
            DeviceSpec::Cuda(_) => self.gpu.as_ref()?.busy_seconds,
            DeviceSpec::Cpu => Some(self.busy()? * self.seconds),
        }
    }

    /// Mean busy share of the device, 0 to 1, over the time in which it is known.
    pub fn busy(&self) -> Option<f64> {
        match self.device {
            DeviceSpec::Cuda(_) => self.gpu.as_ref()?.busy,
            DeviceSpec::Cpu if self.threads == 0 => None,
            DeviceSpec::Cpu => Some((self.cores? / self.threads as f64).min(1.0)),
        }
    }

    /// Joules of the whole device while the attempt held it: by its counter, else by its power. None for CPUs, which are
    /// not measured.
    pub fn joules(&self) -> Option<f64> {
        self.gpu.as_ref().and_then(|gpu| gpu.joules_counted.or(gpu.joules_integrated))
    }

    /// Largest device memory of the attempt: its own where that was told, else the growth of what everybody used since the
    /// first look. That is right as long as nobody else came or went, and too little where the engine was at work before the
    /// first look. (In a container a driver tells nobody's own.)
    pub fn device_memory(&self) -> Option<Bytes> {
        let gpu = self.gpu.as_ref()?;
        gpu.memory_own.or_else(|| Some(Bytes(gpu.memory_used?.0.saturating_sub(gpu.memory_before?.0))))
    }
}

/// Sums over looks, from which a summary can be made at any time.
#[derive(Debug, Clone, Default)]
pub struct UtilizationTally {
    samples: u64,
    /// Time of the look before.
    last: Option<f64>,
    seconds: f64,
    core_seconds: f64,
    memory: u64,
    gpu: Option<GpuTally>,
}

impl UtilizationTally {
    /// Takes in the next look. One that is not later than the look before begins anew: another process went on in the same
    /// folder, and nothing is known of the time between.
    pub fn push(&mut self, look: &Utilization) {
        let at = look.seconds;
        if !at.is_finite() {
            return;
        }
        self.samples += 1;
        let since = self.last.replace(at).map(|last| at - last).filter(|since| *since > 0.0);
        if let Some(since) = since {
            self.seconds += since;
            self.core_seconds += if look.cores.is_finite() { look.cores.max(0.0) * since } else { 0.0 };
        }
        self.memory = self.memory.max(look.memory.0);
        if let Some(gpu) = &look.gpu {
            self.gpu.get_or_insert_with(GpuTally::default).push(at, gpu);
        }
    }

    /// What it amounts to so far; none before the first look.
    pub fn summary(&self, device: DeviceSpec, threads: usize) -> Option<UtilizationSummary> {
        (self.samples > 0).then(|| UtilizationSummary {
            device,
            threads,
            samples: self.samples,
            seconds: self.seconds,
            cores: (self.seconds > 0.0).then(|| self.core_seconds / self.seconds),
            memory: Bytes(self.memory),
            gpu: self.gpu.as_ref().map(GpuTally::summary),
            sampler_seconds: None,
        })
    }
}

/// The integral of a level over the time in which it is known.
#[derive(Debug, Clone, Default)]
struct Integral {
    last: Option<(f64, f64)>,
    area: f64,
    seconds: f64,
}

impl Integral {
    fn push(&mut self, at: f64, value: Option<f64>) {
        let Some(value) = value.filter(|v| v.is_finite()) else { return };
        if let Some((before, old)) = self.last.replace((at, value))
            && at > before
            && at - before <= BRIDGE
        {
            self.area += (old + value) / 2.0 * (at - before);
            self.seconds += at - before;
        }
    }

    fn area(&self) -> Option<f64> {
        (self.seconds > 0.0).then_some(self.area)
    }

    fn mean(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.area / self.seconds)
    }
}

/// A counter that only grows: how far it went since its first reading.
#[derive(Debug, Clone, Copy, Default)]
struct Counter<T> {
    ends: Option<(T, T)>,
}

impl<T: Copy + PartialOrd> Counter<T> {
    fn push(&mut self, value: Option<T>) {
        if let Some(value) = value {
            let first = self.ends.map_or(value, |(first, _)| first);
            self.ends = Some((first, value));
        }
    }
}

#[derive(Debug, Clone, Default)]
struct GpuTally {
    busy: Integral,
    memory_busy: Integral,
    watts: Integral,
    joules: Counter<f64>,
    joule_readings: u64,
    memory_own: Option<Bytes>,
    memory_used: Option<Bytes>,
    memory_before: Option<Bytes>,
    celsius: Option<u32>,
    /// Integral of "this reason holds", by reason.
    throttled: BTreeMap<String, f64>,
    looks: BTreeMap<String, u64>,
    /// Time and reasons of the look before.
    before: Option<(f64, Vec<String>)>,
    seconds: f64,
    samples: u64,
    ecc: Counter<u64>,
    xids: Vec<u64>,
}

impl GpuTally {
    fn push(&mut self, at: f64, look: &GpuSample) {
        self.busy.push(at, look.busy);
        self.memory_busy.push(at, look.memory_busy);
        self.watts.push(at, look.watts);
        let joules = look.joules.filter(|j| j.is_finite());
        self.joules.push(joules);
        self.joule_readings += u64::from(joules.is_some());
        self.memory_own = self.memory_own.max(look.memory_own);
        self.memory_used = self.memory_used.max(look.memory_used);
        self.memory_before = self.memory_before.or(look.memory_used);
        self.celsius = self.celsius.max(look.celsius);
        self.ecc.push(look.ecc_uncorrected);
        if let Some(xid) = look.xid
            && !self.xids.contains(&xid)
            && self.xids.len() < XIDS
        {
            self.xids.push(xid);
        }
        self.throttle(at, &look.throttled);
    }

    /// As every level, a reason holds from half-way to the look before to half-way to the next.
    fn throttle(&mut self, at: f64, reasons: &[String]) {
        self.samples += 1;
        let before = self.before.replace((at, reasons.to_vec()));
        for reason in reasons {
            *self.looks.entry(reason.clone()).or_default() += 1;
        }
        let Some((then, old)) = before else { return };
        let since = at - then;
        if since > 0.0 && since <= BRIDGE {
            self.seconds += since;
            for reason in old.iter().chain(reasons) {
                *self.throttled.entry(reason.clone()).or_default() += since / 2.0;
            }
        }
    }

    fn summary(&self) -> GpuSummary {
        let share = |(reason, looks): (&String, &u64)| {
            let share = match self.seconds > 0.0 {
                true => self.throttled.get(reason).copied().unwrap_or(0.0) / self.seconds,
                // No time has passed: the share of the looks says as much as can be said.
                false => *looks as f64 / self.samples as f64,
            };
            (reason.clone(), share)
        };
        // A counter that went back began anew (its driver was loaded again), and one reading is no difference.
        let counted = self.joules.ends.filter(|(a, b)| self.joule_readings > 1 && b >= a).map(|(a, b)| b - a);
        GpuSummary {
            busy_seconds: self.busy.area(),
            busy: self.busy.mean(),
            memory_busy: self.memory_busy.mean(),
            memory_own: self.memory_own,
            memory_used: self.memory_used,
            memory_before: self.memory_before,
            joules_counted: counted,
            joules_integrated: self.watts.area(),
            celsius: self.celsius,
            throttled: self.looks.iter().map(share).collect(),
            ecc_uncorrected: self.ecc.ends.map(|(first, last)| last.saturating_sub(first)),
            xids: self.xids.clone(),
        }
    }
}

#[cfg(test)]
#[path = "utilization_tests.rs"]
mod tests;
