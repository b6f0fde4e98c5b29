//! Choices on made-up trees.

use super::super::surroundings::fake::Tree;
use super::*;

const BLAS_13: &[&str] = &["libcublas.so.13", "libcublasLt.so.13", "libcublas.so", "libcublas.so.13.0.2.14"];
const BLAS_12: &[&str] = &["libcublas.so.12", "libcublasLt.so.12"];
const ALL_13: &[&str] = &["libcublas.so.13", "libcublasLt.so.13", "libnvrtc.so.13", "libcurand.so.10"];
const ALL_12: &[&str] = &["libcublas.so.12", "libcublasLt.so.12", "libnvrtc.so.12", "libcurand.so.10"];
const DRIVER_13: Option<CudaVersion> = Some(CudaVersion(13000));
const DRIVER_12: Option<CudaVersion> = Some(CudaVersion(12040));

/// The cuBLAS that would be opened first, or why none.
fn chosen(tree: &Tree, driver: Option<CudaVersion>) -> Result<String, GpuError> {
    let pairs = Survey::of(tree).blas_pairs(driver)?;
    assert!(pairs.iter().all(|pair| pair.lt.number == pair.blas.number), "a pair is of one major");
    Ok(pairs[0].blas.path.display().to_string())
}

fn missing(name: &str, result: Result<impl std::fmt::Debug, GpuError>) {
    match result {
        Err(GpuError::LibraryMissing { name: told, .. }) => assert_eq!(told, name),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_driver_of_13_runs_libraries_of_12() {
    let tree = Tree::default().files("/usr/local/cuda/lib64", ALL_12);
    assert_eq!(chosen(&tree, DRIVER_13).unwrap(), "/usr/local/cuda/lib64/libcublas.so.12");
}

#[test]
fn a_driver_of_12_is_never_given_libraries_of_13() {
    let tree = Tree::default().var("LD_LIBRARY_PATH", "/new:/old").files("/new", ALL_13);
    let need = GpuError::DriverTooOld { have: DRIVER_12, need: Some(CudaVersion(13000)) };
    assert_eq!(chosen(&tree, DRIVER_12), Err(need));
    let both = tree.files("/old", ALL_12);
    assert_eq!(chosen(&both, DRIVER_12).unwrap(), "/old/libcublas.so.12");
    assert_eq!(chosen(&both, DRIVER_13).unwrap(), "/new/libcublas.so.13");
    assert_eq!(chosen(&both, None).unwrap(), "/new/libcublas.so.13", "where the driver does not say");
}

#[test]
fn the_first_place_counts_then_the_newest() {
    let tree =
        Tree::default().var("LD_LIBRARY_PATH", "/mine").files("/mine", ALL_12).files("/usr/local/cuda/lib64", ALL_13);
    assert_eq!(chosen(&tree, DRIVER_13).unwrap(), "/mine/libcublas.so.12");
    let one = Tree::default().files("/usr/lib/x86_64-linux-gnu", ALL_12).files("/usr/lib/x86_64-linux-gnu", ALL_13);
    assert_eq!(chosen(&one, DRIVER_13).unwrap(), "/usr/lib/x86_64-linux-gnu/libcublas.so.13");
}

#[test]
fn the_major_that_has_a_compiler_is_taken() {
    let tree = Tree::default().var("LD_LIBRARY_PATH", "/a:/b").files("/a", BLAS_12).files("/b", ALL_13);
    assert_eq!(chosen(&tree, DRIVER_13).unwrap(), "/b/libcublas.so.13");
    let survey = Survey::of(&tree);
    assert_eq!(survey.compilers(13).unwrap()[0].path, Path::new("/b/libnvrtc.so.13"));
    missing("libnvrtc.so.12", survey.compilers(12));
    // Without any compiler the order of places decides.
    let tree = Tree::default().var("LD_LIBRARY_PATH", "/a:/b").files("/a", BLAS_12).files("/b", BLAS_13);
    assert_eq!(chosen(&tree, DRIVER_13).unwrap(), "/a/libcublas.so.12");
}

#[test]
fn cublas_without_its_partner_is_no_choice() {
    let tree = Tree::default()
        .var("LD_LIBRARY_PATH", "/a")
        .files("/a", &["libcublas.so.13", "libcublasLt.so.12", "libnvrtc.so.13"]);
    missing("libcublasLt.so.13", chosen(&tree, DRIVER_13));
    // A whole pair anywhere is better than a mixed one that comes first.
    let tree = Tree::default()
        .var("LD_LIBRARY_PATH", "/a:/b:/c")
        .files("/a", &["libcublas.so.13"])
        .files("/b", &["libcublasLt.so.13"])
        .files("/c", ALL_13);
    assert_eq!(chosen(&tree, DRIVER_13).unwrap(), "/c/libcublas.so.13");
    let pairs = Survey::of(&tree).blas_pairs(DRIVER_13).unwrap();
    assert_eq!(
        pairs[1].lt.path,
        Path::new("/b/libcublasLt.so.13"),
        "the mixed one is left for when nothing else opens"
    );
}

#[test]
fn nothing_at_all_is_said_with_the_names_that_would_do() {
    let empty = Tree::default();
    missing("libcublas.so.13 or libcublas.so.12", chosen(&empty, DRIVER_13));
    missing("libcublas.so.12", chosen(&empty, DRIVER_12));
    missing("libcublas.so.13 or libcublas.so.12", chosen(&empty, None));
    let old = Some(CudaVersion(11040));
    assert_eq!(chosen(&empty, old), Err(GpuError::DriverTooOld { have: old, need: Some(CudaVersion(12000)) }));
    missing("libcuda.so.1", Survey::of(&empty).near(Library::Driver, None));
}

#[test]
fn stubs_and_unversioned_names_are_passed_over() {
    let tree = Tree::default()
        .var("LD_LIBRARY_PATH", "/usr/local/cuda/lib64/stubs:/dev")
        .files("/usr/local/cuda/lib64/stubs", &["libcuda.so", "libcuda.so.1", "libnvidia-ml.so.1"])
        .files("/dev", &["libcuda.so", "libcublas.so", "libcublas.so.11"])
        .files("/usr/lib64", &["libcuda.so.1"]);
    let survey = Survey::of(&tree);
    let paths: Vec<&Path> = survey.files.iter().map(|file| file.path.as_path()).collect();
    assert_eq!(paths, [Path::new("/usr/lib64/libcuda.so.1")]);
}

/// Wheels of CUDA 12 have a folder for each library, those of 13 one for all.
#[test]
fn random_numbers_come_from_where_cublas_comes_from() {
    let site = "/v/lib/python3.12/site-packages/nvidia";
    let tree = Tree::default()
        .var("LD_LIBRARY_PATH", "/else")
        .var("VIRTUAL_ENV", "/v")
        .files("/else", &["libcurand.so.10"])
        .files(&format!("{site}/cublas/lib"), BLAS_12)
        .files(&format!("{site}/cuda_nvrtc/lib"), &["libnvrtc.so.12"])
        .files(&format!("{site}/curand/lib"), &["libcurand.so.10"])
        .files(&format!("{site}/cu13/lib"), ALL_13);
    let survey = Survey::of(&tree);
    let nearest = |driver| {
        let pair = survey.blas_pairs(driver).unwrap().remove(0);
        survey.near(Library::Curand, Some(&pair.blas.path)).unwrap()[0].path.display().to_string()
    };
    assert_eq!(nearest(DRIVER_12), format!("{site}/curand/lib/libcurand.so.10"));
    assert_eq!(
        nearest(DRIVER_13),
        format!("{site}/cu13/lib/libcurand.so.10"),
        "NVRTC of both is there; `cu13` sorts first"
    );
    assert_eq!(survey.near(Library::Curand, None).unwrap()[0].path, Path::new("/else/libcurand.so.10"));
}
