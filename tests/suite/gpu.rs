//! NVIDIA's libraries found, opened and asked on a machine without a GPU: against made-up ones, compiled here from
//! `tests/fixtures/gpu/fake.c` with the C compiler that Rust links with.

use nanoresearch::bench::{Family, profile_path};
use nanoresearch::config::parse_experiment;
use nanoresearch::engine::Placement;
use nanoresearch::gpu::{GpuError, Libraries, Library, NvmlSampler, Sampler, resolve};
use nanoresearch::units::Bytes;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of made-up libraries.
pub(super) struct Fakes {
    folder: tempfile::TempDir,
}

impl Fakes {
    pub(super) fn new() -> Self {
        Fakes { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, sub: &str) -> PathBuf {
        self.folder.path().join(sub)
    }

    /// Builds one library into a folder, without one entry point if so told.
    fn build(&self, sub: &str, library: Library, options: &[&str], without: Option<&str>) -> &Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpu/fake.c");
        let written = std::fs::read_to_string(&source).unwrap();
        let folder = self.path(sub);
        std::fs::create_dir_all(&folder).unwrap();
        let rest: String = library
            .entry_points()
            .iter()
            .filter(|name| !written.contains(&format!("{name}(")) && Some(**name) != without)
            .map(|name| format!("int {name}(void) {{ return 999; }}\n"))
            .collect();
        let extra = folder.join("rest.c");
        std::fs::write(&extra, rest).unwrap();
        let name = library.file_name(library.numbers()[0]);
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(folder.join(&name)).arg(format!("-Wl,-soname,{name}"));
        let output =
            compiler.args(options).arg(source).arg(&extra).output().expect("the C compiler that Rust links with");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::remove_file(extra).unwrap();
        self
    }

    pub(super) fn driver(&self, sub: &str, version: u32, init: u32) -> &Self {
        let (version, init) = (format!("-DFAKE_DRIVER={version}"), format!("-DFAKE_INIT={init}"));
        self.build(sub, Library::Driver, &[&version, &init], None)
    }

    /// cuBLAS and its partner, of CUDA 13; cuBLAS can be opened only where its partner was before.
    pub(super) fn blas(&self, sub: &str, without: Option<&str>) -> &Self {
        self.build(sub, Library::CublasLt, &["-DFAKE_CUBLASLT"], None);
        self.build(sub, Library::Cublas, &["-DFAKE_CUBLAS"], without)
    }

    pub(super) fn rest(&self, sub: &str) -> &Self {
        self.build(sub, Library::Curand, &["-DFAKE_CURAND"], None)
            .build(sub, Library::Nvrtc, &["-DFAKE_NVRTC"], None)
            .build(sub, Library::Nvml, &["-DFAKE_NVML"], None)
    }

    /// A program that sees these folders first, and no settings of this machine.
    pub(super) fn around(&self, program: &Path, subs: &[&str]) -> Command {
        let paths: Vec<String> = subs.iter().map(|sub| self.path(sub).display().to_string()).collect();
        let mut command = Command::new(program);
        command.env_clear().env("LD_LIBRARY_PATH", paths.join(":")).env("HOME", self.folder.path());
        command
    }

    fn doctor(&self, subs: &[&str]) -> serde_json::Value {
        let program = Path::new(env!("CARGO_BIN_EXE_nanoresearch"));
        let output = self.around(program, subs).args(["doctor", "--format", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// This binary, with one of the tests below that do nothing unless they are called so.
    pub(super) fn child(&self, subs: &[&str], test: &str) -> Output {
        let mut command = self.around(&std::env::current_exe().unwrap(), subs);
        let output = command.args(["--exact", test, "--nocapture"]).env("FAKE_GPU", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        output
    }
}

pub(super) fn is_child() -> bool {
    std::env::var_os("FAKE_GPU").is_some()
}

fn row<'a>(report: &'a serde_json::Value, what: &str) -> &'a serde_json::Value {
    report
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["what"] == what)
        .unwrap_or_else(|| panic!("no {what} in {report:#}"))
}

#[test]
fn doctor_lists_driver_libraries_and_cards() {
    let fakes = Fakes::new();
    fakes.driver("a", 13000, 0).blas("a", None).rest("a");
    let report = fakes.doctor(&["a"]);
    let at = |name: &str| fakes.path("a").join(name).display().to_string();
    let good = |what: &str, found: String| {
        assert_eq!((&row(&report, what)["ok"], &row(&report, what)["found"]), (&true.into(), &found.into()), "{what}");
    };
    good("gpu driver", format!("580.00.01, CUDA 13.0, {}", at("libcuda.so.1")));
    good("gpu cublaslt", format!("13.0.2, {}", at("libcublasLt.so.13")));
    good("gpu cublas", format!("13.0.2, {}", at("libcublas.so.13")));
    good("gpu curand", format!("13.0.2, {}", at("libcurand.so.10")));
    good("gpu nvrtc", format!("13.0, {}", at("libnvrtc.so.13")));
    good("gpu nvml", at("libnvidia-ml.so.1"));
    // CUDA counts the second card first here.
    good("gpu 0", "Slow, sm_90, 70.0 GiB free of 80.0 GiB, device 1".into());
    let second = row(&report, "gpu 1")["found"].as_str().unwrap();
    assert!(second.starts_with("Fast, sm_80, 70.0 GiB free of 80.0 GiB, device 0, in use by process 1 (1.0 GiB)"));
    let support = report.as_array().unwrap().iter().any(|row| row["what"] == "gpu support");
    assert_eq!(support, !cfg!(feature = "candle-cuda"), "said where a driver would be of no use");
}

#[test]
fn doctor_says_what_is_wrong_and_goes_on() {
    let fakes = Fakes::new();
    fakes.driver("old", 11040, 0).blas("old", None);
    let report = fakes.doctor(&["old"]);
    let blas = row(&report, "gpu cublas");
    assert!(blas["found"].as_str().unwrap().contains("too old: it supports CUDA 11.4"), "{blas}");
    assert!(blas["remedy"].as_str().unwrap().contains("update NVIDIA's driver"), "{blas}");

    // Libraries of 12 would do, and this program's kernels would not.
    fakes.driver("twelve", 12040, 0).build("twelve", Library::Nvml, &["-DFAKE_NVML"], None);
    let report = fakes.doctor(&["twelve"]);
    let driver = row(&report, "gpu driver");
    assert_eq!(driver["ok"], !cfg!(feature = "candle-cuda"), "{driver}");

    fakes.driver("waits", 13000, 802);
    let report = fakes.doctor(&["waits"]);
    let driver = row(&report, "gpu driver");
    assert!(driver["found"].as_str().unwrap().contains("not ready"), "{driver}");

    std::fs::create_dir_all(fakes.path("broken")).unwrap();
    std::fs::write(fakes.path("broken/libcuda.so.1"), "no library at all").unwrap();
    let report = fakes.doctor(&["broken"]);
    let gpu: Vec<_> =
        report.as_array().unwrap().iter().filter(|r| r["what"].as_str().unwrap().starts_with("gpu")).collect();
    // Another driver may be further down the road; on most machines there is none, and this copy is told to be broken.
    let told = gpu[0]["found"].as_str().unwrap();
    assert!(gpu[0]["ok"] == true || told.contains("broken/libcuda.so.1 cannot be opened: "), "{gpu:?}");
}

#[test]
fn a_device_is_watched_through_nvml() {
    let fakes = Fakes::new();
    fakes.driver("a", 13000, 0).rest("a");
    fakes.child(&["a"], "gpu::child_that_samples");
}

#[test]
fn child_that_samples() {
    if !is_child() {
        return;
    }
    assert_eq!(Libraries::get().device_count(), Ok(2));
    assert_eq!(Libraries::get().device_uuid(0).unwrap(), "01010101-0101-0101-0101-010101010101");
    assert_eq!(Libraries::get().device_uuid(2), Err(GpuError::NoDevice));
    assert_eq!(Libraries::get().device_kind(0).unwrap(), ("Made Up".to_string(), Bytes(8 << 30)));
    assert_eq!(Libraries::get().device_kind(2), Err(GpuError::NoDevice));
    assert!(matches!(NvmlSampler::open(2), Err(GpuError::NoDevice)));
    // CUDA's device 0 is NVML's second card, on which this process holds memory.
    let mut sampler = Sampler::new(Some(0));
    let look = sampler.sample(2.5);
    assert_eq!(look.seconds, 2.5);
    let gpu = serde_json::to_value(look.gpu.expect("NVML tells")).unwrap();
    let expected = serde_json::json!({
        "busy": 0.97, "memory_busy": 0.42, "memory_used": 9_u64 << 30, "memory_own": 8_u64 << 30, "watts": 512.5,
        "sm_mhz": 1755, "memory_mhz": 2619, "celsius": 55, "throttled": ["sw-power-cap", "hw-thermal-slowdown"],
        "ecc_uncorrected": 3, "xid": 94,
    });
    assert_eq!(gpu, expected, "energy is not supported, and absent");
    // The newest fault stays.
    assert_eq!(sampler.sample(3.5).gpu.and_then(|gpu| gpu.xid), Some(94));
    // The other card has no process of ours.
    assert_eq!(Sampler::new(Some(1)).sample(0.0).gpu.map(|gpu| gpu.memory_own), Some(None));
}

#[test]
fn a_copy_without_an_entry_point_is_passed_over() {
    let fakes = Fakes::new();
    fakes.driver("a", 13000, 0).blas("a", Some("cublasGemmEx")).blas("b", None).rest("b");
    fakes.child(&["a", "b"], "gpu::child_that_resolves");
    fakes.child(&["a"], "gpu::child_that_misses");
}

#[test]
fn child_that_resolves() {
    if !is_child() {
        return;
    }
    let libraries = Libraries::open().unwrap();
    let blas = &libraries.need(Library::Cublas).unwrap().path;
    assert!(blas.ends_with("b/libcublas.so.13"), "{}", blas.display());
    assert_ne!(resolve(Library::Cublas, c"cublasGemmEx"), 0);
    assert_eq!(resolve(Library::Cublas, c"cublasGemmEx"), resolve(Library::Cublas, c"cublasGemmEx"));
    assert_ne!(resolve(Library::Nvrtc, c"nvrtcCompileProgram"), 0);
    assert_eq!(resolve(Library::Driver, c"cuNoSuchThing"), 0);
    assert!(libraries.found().iter().all(|found| found.state.as_ref().is_ok_and(|file| file.opened)));
}

#[test]
fn child_that_misses() {
    if !is_child() {
        return;
    }
    // On a machine with libraries of its own those are found instead, which is as it should be.
    if let Err(error) = Libraries::get().need(Library::Cublas) {
        assert!(matches!(&error, GpuError::SymbolMissing { name, .. } if name == "cublasGemmEx"), "{error:?}");
        assert_eq!(Libraries::open().unwrap_err(), error);
        assert_eq!(resolve(Library::Cublas, c"cublasGemmEx"), 0);
    }
}

/// Wheels in a virtual environment, in a folder that the dynamic linker does not know: cuBLAS finds its partner since
/// that was opened before.
#[test]
fn libraries_of_an_active_environment_are_opened_by_their_paths() {
    let fakes = Fakes::new();
    let site = "venv/lib/python3.11/site-packages/nvidia/cu13/lib";
    fakes.driver("a", 13000, 0).blas(site, None).build(site, Library::Curand, &["-DFAKE_CURAND"], None);
    let partner = format!("-L{}", fakes.path(site).display());
    fakes.build(
        site,
        Library::Cublas,
        &["-DFAKE_CUBLAS", "-Wl,--no-as-needed", &partner, "-l:libcublasLt.so.13"],
        None,
    );
    let mut command = fakes.around(&std::env::current_exe().unwrap(), &["a"]);
    command.env("VIRTUAL_ENV", fakes.path("venv")).env("FAKE_GPU", "1");
    let output = command.args(["--exact", "gpu::child_that_opens", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn child_that_opens() {
    if is_child() {
        let libraries = Libraries::open().unwrap();
        assert_eq!(libraries.need(Library::Cublas).unwrap().version.as_deref(), Some("13.0.2"));
    }
}

/// `cuda:0` is another card on another machine, in another job, under another `CUDA_VISIBLE_DEVICES`; the cache may be the same.
#[test]
fn a_profile_is_kept_for_the_kind_of_card_and_its_driver() {
    let fakes = Fakes::new();
    fakes.driver("a", 13000, 0).rest("a");
    fakes.driver("newer", 13010, 0).rest("newer");
    let named = |sub: &str, mib: &str| {
        let mut command = fakes.around(&std::env::current_exe().unwrap(), &[sub]);
        command.args(["--exact", "gpu::child_that_names_a_profile", "--nocapture"]).env("FAKE_GPU", "1");
        let output = command.env("FAKE_MEMORY", mib).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said.lines().find(|line| line.contains("kept at")).unwrap_or_else(|| panic!("{output:?}"));
        line.split_once("kept at ").unwrap().1.to_string()
    };
    let profile = named("a", "8192");
    assert!(profile.ends_with(".json"), "{profile}");
    assert_eq!(named("a", "8192"), profile);
    assert_ne!(named("a", "4096"), profile, "a card with less memory is another kind");
    assert_ne!(named("newer", "8192"), profile, "another driver");
}

#[test]
fn child_that_names_a_profile() {
    if is_child() {
        let text =
            "data.kind = \"digits\"\nmodel.kind = \"mlp\"\noptimizer.kind = \"adamw\"\nresources.device = \"cuda\"";
        let experiment = parse_experiment(text, "t", &[]).unwrap();
        println!("kept at {}", profile_path(Placement::of(&experiment), Family::Mlp).display());
    }
}
