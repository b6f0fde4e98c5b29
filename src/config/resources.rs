//! What a run may use: the device, the engine on it, threads, memory, time. None of it is part of a run's identity.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Which engine executes the step programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// The whole step planned once: fused, in one arena, multi-threaded.
    #[default]
    Compiled,
    /// Op by op on candle tensors: slow and plain, what the other is measured against.
    Reference,
}

/// The device that a run computes on: `cpu`, `cuda` (the first GPU that the process sees) or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceSpec {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, counted as CUDA counts: among those that `CUDA_VISIBLE_DEVICES` names.
    Cuda(u32),
}

impl DeviceSpec {
    /// Whether it is a GPU.
    pub fn is_gpu(self) -> bool {
        matches!(self, DeviceSpec::Cuda(_))
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceSpec::Cpu => f.write_str("cpu"),
            DeviceSpec::Cuda(0) => f.write_str("cuda"),
            DeviceSpec::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        let found = match text.split_once(':').unwrap_or((text, "0")) {
            ("cpu", "0") if text == "cpu" => Some(DeviceSpec::Cpu),
            ("cuda", digits) => number(digits).map(DeviceSpec::Cuda),
            _ => None,
        };
        found.ok_or_else(|| format!("`{text}` is no device: write cpu, cuda, or cuda:N with the number of a GPU"))
    }
}

impl TryFrom<String> for DeviceSpec {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceSpec> for String {
    fn from(device: DeviceSpec) -> String {
        device.to_string()
    }
}

impl JsonSchema for DeviceSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeviceSpec".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(cpu|cuda(:[0-9]+)?)$" })
    }
}

/// What a run may use; not part of a run's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcesSpec {
    /// `cpu`, `cuda` or `cuda:N`, an NVIDIA GPU counted as CUDA counts. Default `cpu`.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Default: `compiled` on a CPU in f32, and `reference` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// CPU threads; 0 for all cores, or for an equal part of them where a campaign runs several attempts at once here.
    /// Results do not depend on it. Default 1.
    #[serde(default = "threads")]
    pub threads: usize,
    /// Samples processed at once, a divisor of the batch size; 0 for the whole batch. Less needs less memory. Default 0.
    #[serde(default)]
    pub micro_batch: usize,
    /// Compute activations and norms again for the backward pass instead of keeping them: less memory for a little more time.
    /// Results are the same bits. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recompute: bool,
    /// Wall time an attempt may take, in seconds; 0 for what the cost model predicts with a margin. Default 0.
    #[serde(default)]
    pub wall_seconds: f64,
    /// Host memory an attempt may use, in MiB; 0 for no limit. Default 0.
    #[serde(default)]
    pub memory_mib: u64,
}

impl Default for ResourcesSpec {
    fn default() -> Self {
        ResourcesSpec {
            device: DeviceSpec::default(),
            engine: None,
            threads: threads(),
            micro_batch: 0,
            recompute: false,
            wall_seconds: 0.0,
            memory_mib: 0,
        }
    }
}

fn threads() -> usize {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_written_as_they_are_read() {
        for (text, device) in [("cpu", DeviceSpec::Cpu), ("cuda", DeviceSpec::Cuda(0)), ("cuda:3", DeviceSpec::Cuda(3))]
        {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda:0".parse(), Ok(DeviceSpec::Cuda(0)));
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "CUDA"] {
            assert!(wrong.parse::<DeviceSpec>().unwrap_err().contains("cuda:N"), "{wrong}");
        }
    }
}
