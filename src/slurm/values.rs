//! Exit codes and memory.

use crate::units::Bytes;

/// `code:signal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// Exit code; 127 for a command not found.
    pub code: u32,
    /// Signal that ended it, or one of SLURM's own numbers above 64 (125: memory). 53 with a job that failed at once: its
    /// log or working folder was missing.
    pub signal: u32,
}

impl ExitStatus {
    /// Reads `0:9`.
    pub fn parse(text: &str) -> Option<ExitStatus> {
        let (code, signal) = text.trim().split_once(':')?;
        let number = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse().ok()).flatten();
        Some(ExitStatus { code: number(code)?, signal: number(signal)? })
    }

    /// The kernel's or SLURM's word for too much memory (`0:125`).
    pub fn is_out_of_memory(self) -> bool {
        self.signal == 125
    }

    /// The job could not begin: the folder of its log or its working folder is missing (`0:53`).
    pub fn is_launch_failure(self) -> bool {
        self.code == 0 && self.signal == 53
    }
}

/// Bytes of `941432K`, `100G`, `200` (MiB, as SLURM's default), `4000Mc` or `4Gn` (per CPU or node, which is dropped).
/// Units are binary.
pub fn parse_memory(text: &str) -> Option<Bytes> {
    let text = text.trim().trim_end_matches(['c', 'n']);
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    let power = match unit {
        "K" | "k" | "KB" => 1,
        "" | "M" | "m" | "MB" => 2,
        "G" | "g" | "GB" => 3,
        "T" | "t" | "TB" => 4,
        "P" => 5,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    (bytes < 9e18).then_some(Bytes(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        assert_eq!(ExitStatus::parse("7:0"), Some(ExitStatus { code: 7, signal: 0 }));
        assert!(ExitStatus::parse("0:125").unwrap().is_out_of_memory());
        assert!(ExitStatus::parse("0:53").unwrap().is_launch_failure());
        for text in ["", ":", "1", "1:", "-1:0", "a:b", "1:2:3", "99999999999:0"] {
            assert_eq!(ExitStatus::parse(text), None, "{text}");
        }
    }

    #[test]
    fn memory_is_binary_and_megabytes_by_default() {
        assert_eq!(parse_memory("1"), Some(Bytes(1 << 20)));
        assert_eq!(parse_memory("376K"), Some(Bytes(376 << 10)));
        assert_eq!(parse_memory("1.5G"), Some(Bytes(3 << 29)));
        assert_eq!(parse_memory("4Gn"), Some(Bytes(4 << 30)));
        for text in ["", "K", "-1", "1X", "nan", "1e30P", "..", "99999999999P"] {
            assert_eq!(parse_memory(text), None, "{text}");
        }
    }
}
