//! What can be wrong with a device, as far as anybody acts on it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a GPU was not to be had, or what became of it in the middle of a run. `failure` says what follows from each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// This program was built without support for the device.
    NoSupport,
    /// No driver, or one that cannot be initialised.
    NoDriver,
    /// The driver shows no device, or not the one that was asked for.
    NoDevice,
    /// The libraries or the code need a newer driver, or one whose parts fit each other.
    DriverTooOld,
    /// The code was made for another chip.
    WrongChip,
    /// A library, or an entry point of one, is not there.
    LibraryMissing,
    /// Somebody else has the device for themselves.
    Busy,
    /// A kernel went where it must not: a fault of the program, or of the device.
    IllegalAccess,
    /// Memory or a link failed beyond correction.
    Ecc,
    /// The driver reported a fault by number.
    Xid,
    /// The device is no longer reachable.
    DeviceLost,
    /// Anything else.
    Other,
}

/// Where a fault lies, which decides what helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The program: it is the same everywhere.
    Program,
    /// The machine's installation: another machine may have what this one lacks.
    Installation,
    /// Other people's work: it passes.
    Others,
    /// The hardware: that device, or its machine, is to be left alone.
    Hardware,
    /// Nobody knows.
    Unknown,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 12] = [
        Fault::NoSupport,
        Fault::NoDriver,
        Fault::NoDevice,
        Fault::DriverTooOld,
        Fault::WrongChip,
        Fault::LibraryMissing,
        Fault::Busy,
        Fault::IllegalAccess,
        Fault::Ecc,
        Fault::Xid,
        Fault::DeviceLost,
        Fault::Other,
    ];

    /// Where it lies. An illegal access is most often the program's, and sometimes the hardware's.
    pub fn blame(self) -> Blame {
        match self {
            Fault::NoSupport | Fault::IllegalAccess => Blame::Program,
            Fault::NoDriver | Fault::NoDevice | Fault::DriverTooOld | Fault::WrongChip | Fault::LibraryMissing => {
                Blame::Installation
            }
            Fault::Busy => Blame::Others,
            Fault::Ecc | Fault::Xid | Fault::DeviceLost => Blame::Hardware,
            Fault::Other => Blame::Unknown,
        }
    }

    /// Whether the device was not to be had at all (exit code 4), as against one that failed under work (exit code 1).
    pub fn is_unavailable(self) -> bool {
        self == Fault::NoSupport || matches!(self.blame(), Blame::Installation | Blame::Others)
    }

    /// As it is written in files: `device-lost`.
    pub fn name(self) -> &'static str {
        match self {
            Fault::NoSupport => "no-support",
            Fault::NoDriver => "no-driver",
            Fault::NoDevice => "no-device",
            Fault::DriverTooOld => "driver-too-old",
            Fault::WrongChip => "wrong-chip",
            Fault::LibraryMissing => "library-missing",
            Fault::Busy => "busy",
            Fault::IllegalAccess => "illegal-access",
            Fault::Ecc => "ecc",
            Fault::Xid => "xid",
            Fault::DeviceLost => "device-lost",
            Fault::Other => "other",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_by_their_names() {
        for fault in Fault::ALL {
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(json, format!("\"{fault}\""));
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        }
    }

    #[test]
    fn what_was_not_to_be_had_is_told_from_what_failed() {
        let unavailable: Vec<&str> = Fault::ALL.iter().filter(|f| f.is_unavailable()).map(|f| f.name()).collect();
        let wanted =
            ["no-support", "no-driver", "no-device", "driver-too-old", "wrong-chip", "library-missing", "busy"];
        assert_eq!(unavailable, wanted);
    }
}
