//! What `doctor` says of GPUs: the driver, each library, each card. A machine without one has none, plainly.

use super::Finding;
use crate::gpu::{
    ComputeMode, Device, Found, FoundFile, GpuError, Inventory, Libraries, Library, OnCard, Visible, new_enough,
};
use crate::sys::env;
use crate::units::Bytes;

/// Everything that was asked.
struct Seen {
    libraries: Vec<Found>,
    /// Devices that CUDA shows to this process, or why they are of no use to this program.
    devices: Result<u32, GpuError>,
    inventory: Result<Inventory, GpuError>,
    /// UUIDs of those devices by their numbers, where the driver tells them.
    order: Option<Vec<String>>,
    /// Value of `CUDA_VISIBLE_DEVICES`.
    setting: Option<String>,
}

/// Looks at this machine.
pub fn look() -> Vec<Finding> {
    let libraries = Libraries::get();
    let count = libraries.device_count();
    let order = match &count {
        Ok(count) => (0..*count).map(|number| libraries.device_uuid(number).ok()).collect(),
        Err(GpuError::NoDevice) => Some(Vec::new()),
        Err(_) => None,
    };
    rows(&Seen {
        libraries: libraries.found(),
        order,
        devices: count.and_then(|count| new_enough(libraries).map(|()| count)),
        inventory: Inventory::take(),
        setting: env::var_even_empty("CUDA_VISIBLE_DEVICES"),
    })
}

fn rows(seen: &Seen) -> Vec<Finding> {
    let mut rows = Vec::new();
    for Found { library, state } in &seen.libraries {
        match (library, state) {
            (Library::Driver, Ok(file)) => rows.push(driver(file, seen)),
            (Library::Driver, Err(GpuError::NoDriver)) => rows.push(none()),
            (_, Ok(file)) => rows.push(Finding::good(&name(*library), shown(file))),
            // Without a driver it does not matter what else is missing.
            (_, Err(_)) if !has_driver(seen) => {}
            (_, Err(error)) => rows.push(missing(&name(*library), error)),
        }
    }
    if has_driver(seen) && !cfg!(feature = "candle-cuda") {
        let remedy = "nothing to do for training on a CPU; to train on a GPU, build with `cargo build --release --features \
                      candle-cuda` (scripts/cuda-toolkit installs what that needs)";
        rows.push(Finding::missing("gpu support", "this program was built without", remedy));
    }
    match &seen.inventory {
        Ok(inventory) => {
            // The driver counts the fastest card first, unless it is told otherwise, and NVML does not.
            let by_driver = |order: &Vec<String>| order.iter().map(|uuid| inventory.with_uuid(uuid)).collect();
            let by_variable = || inventory.visible(seen.setting.as_deref());
            let visible: Vec<Visible> = seen.order.as_ref().and_then(by_driver).unwrap_or_else(by_variable);
            rows.extend(inventory.devices.iter().enumerate().map(|(place, card)| device(card, place, &visible)));
        }
        Err(error) if has_driver(seen) && !lacks_nvml(seen) => rows.push(missing("gpu cards", error)),
        Err(_) => {}
    }
    rows
}

fn has_driver(seen: &Seen) -> bool {
    !seen.libraries.iter().any(|f| f.library == Library::Driver && f.state == Err(GpuError::NoDriver))
}

fn lacks_nvml(seen: &Seen) -> bool {
    seen.libraries.iter().any(|f| f.library == Library::Nvml && f.state.is_err())
}

fn none() -> Finding {
    let remedy =
        format!("nothing to do for training on a CPU; to train on an NVIDIA GPU, {}", GpuError::NoDriver.remedy());
    Finding::missing("gpu", "none: no NVIDIA driver", remedy)
}

fn name(library: Library) -> String {
    match library {
        Library::Driver => "gpu driver".into(),
        Library::Nvml => "gpu nvml".into(),
        other => format!("gpu {}", other.stem().trim_start_matches("lib").to_lowercase()),
    }
}

fn missing(what: &str, error: &GpuError) -> Finding {
    Finding::missing(what, error.to_string(), error.remedy())
}

fn shown(file: &FoundFile) -> String {
    let version = file.version.as_ref().map(|version| format!("{version}, ")).unwrap_or_default();
    let opened = if file.opened { "" } else { " (not opened: there is no driver)" };
    format!("{version}{}{opened}", file.path.display())
}

fn driver(file: &FoundFile, seen: &Seen) -> Finding {
    let release = seen.inventory.as_ref().ok().and_then(|inventory| inventory.driver.clone()).unwrap_or_default();
    let cuda = file.version.as_ref().map(|version| format!("CUDA {version}")).unwrap_or_default();
    let parts: Vec<String> =
        [release, cuda, file.path.display().to_string()].into_iter().filter(|s| !s.is_empty()).collect();
    let about = parts.join(", ");
    match &seen.devices {
        Ok(0) => {
            Finding::missing("gpu driver", format!("{about}; {}", GpuError::NoDevice), GpuError::NoDevice.remedy())
        }
        Ok(_) => Finding::good("gpu driver", about),
        Err(error) => Finding::missing("gpu driver", format!("{about}; {error}"), error.remedy()),
    }
}

fn device(card: &Device, place: usize, visible: &[Visible]) -> Finding {
    let what = format!("gpu {}", card.index);
    if let Some(problem) = &card.problem {
        return missing(&what, problem);
    }
    let mut parts = vec![card.name.clone()];
    parts.extend(card.capability.map(|(major, minor)| format!("sm_{major}{minor}")));
    parts.extend(free(card.free, card.memory));
    if card.mig == Some(true) {
        let instances: Vec<String> = card.instances.iter().map(|i| format!("{} {}", i.name, i.uuid)).collect();
        parts.push(format!("MIG: {}", if instances.is_empty() { "no instances".into() } else { instances.join("; ") }));
    }
    let numbers: Vec<String> =
        visible.iter().enumerate().filter(|(_, v)| v.device == place).map(|(number, _)| number.to_string()).collect();
    parts.push(match numbers.as_slice() {
        [] => "not shown to this process (CUDA_VISIBLE_DEVICES or MIG)".into(),
        numbers => format!("device {}", numbers.join(" and ")),
    });
    if !card.processes.is_empty() {
        let processes: Vec<String> = card.processes.iter().map(process).collect();
        parts.push(format!("in use by {}", processes.join(", ")));
    }
    match card.mode {
        Some(ComputeMode::Prohibited) => {
            parts.push("compute mode: prohibited".into());
            Finding::missing(&what, parts.join(", "), "ask an administrator for `nvidia-smi -c DEFAULT` on this card")
        }
        Some(ComputeMode::Exclusive) => {
            parts.push("compute mode: one process at a time".into());
            Finding::good(&what, parts.join(", "))
        }
        Some(ComputeMode::Shared) | None => Finding::good(&what, parts.join(", ")),
    }
}

fn free(free: Option<Bytes>, all: Option<Bytes>) -> Option<String> {
    Some(format!("{} free of {}", free?, all?))
}

fn process(process: &OnCard) -> String {
    let memory = process.memory.map(|memory| format!(" ({memory})")).unwrap_or_default();
    format!("process {}{memory}", process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{CudaVersion, MigInstance};

    fn good(library: Library, path: &str, version: &str) -> Found {
        let version = (!version.is_empty()).then(|| version.to_string());
        Found { library, state: Ok(FoundFile { path: path.into(), version, opened: true }) }
    }

    fn bad(library: Library, error: GpuError) -> Found {
        Found { library, state: Err(error) }
    }

    fn lacking(name: &str) -> GpuError {
        GpuError::LibraryMissing { name: name.into(), looked: vec!["/a".into()] }
    }

    /// Without the row that only a program without GPU support has.
    fn shown_rows(seen: &Seen) -> Vec<String> {
        let support = |f: &&Finding| f.what == "gpu support";
        assert_eq!(rows(seen).iter().any(|f| support(&f)), has_driver(seen) && !cfg!(feature = "candle-cuda"));
        rows(seen)
            .iter()
            .filter(|f| !support(f))
            .map(|f| format!("{} {}: {}", if f.ok { "ok" } else { "--" }, f.what, f.found))
            .collect()
    }

    #[test]
    fn a_machine_without_a_gpu_has_one_row_and_nothing_to_do() {
        let mut libraries: Vec<Found> = Library::ALL.into_iter().map(|l| bad(l, lacking(l.stem()))).collect();
        libraries[0] = bad(Library::Driver, GpuError::NoDriver);
        let mut seen = Seen {
            libraries,
            devices: Err(GpuError::NoDriver),
            inventory: Err(lacking("libnvidia-ml.so.1")),
            order: None,
            setting: None,
        };
        assert_eq!(shown_rows(&seen), ["-- gpu: none: no NVIDIA driver"]);
        assert!(rows(&seen)[0].remedy.as_ref().unwrap().starts_with("nothing to do for training on a CPU; "));
        // A login node may have a toolkit.
        let file = FoundFile { path: "/usr/local/cuda/lib64/libnvrtc.so.13".into(), version: None, opened: false };
        seen.libraries[4].state = Ok(file);
        let expected = "ok gpu nvrtc: /usr/local/cuda/lib64/libnvrtc.so.13 (not opened: there is no driver)";
        assert_eq!(shown_rows(&seen)[1..], [expected]);
    }

    #[test]
    fn a_machine_with_cards_is_told_in_a_row_for_each_thing() {
        let card = |index: u32| Device {
            index,
            name: "NVIDIA H100 80GB HBM3".into(),
            uuid: format!("GPU-{index}"),
            capability: Some((9, 0)),
            memory: Some(Bytes(80 << 30)),
            free: Some(Bytes(79 << 30)),
            mode: Some(ComputeMode::Shared),
            ..Device::default()
        };
        let instance = MigInstance { uuid: "MIG-x".into(), name: "MIG 1g.10gb".into(), ..MigInstance::default() };
        let on = |pid, memory| OnCard { pid, memory };
        let devices = vec![
            Device { processes: vec![on(17, Some(Bytes(3 << 30))), on(18, None)], ..card(0) },
            Device { mode: Some(ComputeMode::Exclusive), ..card(1) },
            Device { mode: Some(ComputeMode::Prohibited), ..card(2) },
            Device { mig: Some(true), instances: vec![instance], ..card(3) },
            Device { index: 4, problem: Some(GpuError::DeviceLost), ..Device::default() },
        ];
        let libraries = vec![
            good(Library::Driver, "/usr/lib/libcuda.so.1", "13.0"),
            good(Library::CublasLt, "/c/libcublasLt.so.13", "13.0.2"),
            bad(Library::Nvrtc, lacking("libnvrtc.so.13")),
        ];
        let inventory = Inventory { driver: Some("580.82.07".into()), cuda: Some(CudaVersion(13000)), devices };
        let seen =
            Seen { libraries, devices: Ok(2), inventory: Ok(inventory), order: None, setting: Some("1,0".into()) };
        let h100 = "NVIDIA H100 80GB HBM3, sm_90, 79.0 GiB free of 80.0 GiB";
        let hidden = "not shown to this process (CUDA_VISIBLE_DEVICES or MIG)";
        let expected = [
            "ok gpu driver: 580.82.07, CUDA 13.0, /usr/lib/libcuda.so.1".to_string(),
            "ok gpu cublaslt: 13.0.2, /c/libcublasLt.so.13".into(),
            "-- gpu nvrtc: libnvrtc.so.13 was not found in the 1 folders looked through".into(),
            format!("ok gpu 0: {h100}, device 1, in use by process 17 (3.0 GiB), process 18"),
            format!("ok gpu 1: {h100}, device 0, compute mode: one process at a time"),
            format!("-- gpu 2: {h100}, {hidden}, compute mode: prohibited"),
            format!("ok gpu 3: {h100}, MIG: MIG 1g.10gb MIG-x, {hidden}"),
            "-- gpu 4: the GPU is no longer reachable".into(),
        ];
        assert_eq!(shown_rows(&seen), expected);
        // What the driver says goes before what the variable lets expect.
        let seen = Seen { order: Some(vec!["1".into(), "x".into()]), ..seen };
        let rows_now = shown_rows(&seen);
        assert!(rows_now[3].contains(hidden) && rows_now[4].contains("device 0, compute"), "{rows_now:?}");
        assert!(rows_now[6].ends_with("device 1"), "{rows_now:?}");
        assert!(rows(&seen).iter().all(|f| f.ok == f.remedy.is_none()));
    }

    #[test]
    fn a_driver_that_does_not_start_is_told_with_its_reason() {
        let libraries =
            vec![good(Library::Driver, "/libcuda.so.1", "13.0"), good(Library::Nvml, "/libnvidia-ml.so.1", "")];
        let seen = Seen {
            libraries,
            devices: Err(GpuError::NotReady),
            inventory: Err(GpuError::DriverMismatch),
            order: None,
            setting: None,
        };
        let shown = shown_rows(&seen);
        assert!(
            shown[0].starts_with("-- gpu driver: CUDA 13.0, /libcuda.so.1; the NVIDIA driver is not ready"),
            "{shown:?}"
        );
        assert_eq!(shown[1], "ok gpu nvml: /libnvidia-ml.so.1");
        assert!(shown[2].starts_with("-- gpu cards: the NVIDIA driver's library does not fit"), "{shown:?}");
    }
}
