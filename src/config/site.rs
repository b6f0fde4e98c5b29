//! A site: what is known of the cluster that attempts run on. One TOML file a cluster, in `jobs/sites`.
//!
//! Boundary: says what a person knows about the place. What the cluster says of itself (`scontrol`, `sinfo`) is compared
//! with it by `check --cluster`, and never replaces it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cluster under SLURM, as this user may use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Short name for messages. Letters, digits, `-` and `_`.
    pub name: String,
    /// Account that jobs are charged to (`--account`). Default: the user's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Quality of service (`--qos`). Default: the account's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Partitions that may be used, in the order of preference where price and expected completion are equal. At least one.
    pub partitions: Vec<SitePartition>,
    /// How a job asks for GPUs. Default `gres`.
    #[serde(default)]
    pub gpu_request: GpuRequest,
    /// Whether the request names the GPU type (`gpu:h100:1`) or only their number (`gpu:1`). Default true.
    #[serde(default = "yes")]
    pub typed_gpus: bool,
    /// GPUs of an attempt whose `resources.device` is a GPU; 0 where there are none to be had. Attempts on CPUs ask for
    /// none. Default 1.
    #[serde(default = "one")]
    pub gpus: u32,
    /// Memory of a GPU in MiB by GPU type; `default` for the others. Runs that need more than one type has are given
    /// another. Default: not known, and then every type is taken to be large enough.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub device_memory_mib: BTreeMap<String, u64>,
    /// CPUs of an attempt (`--cpus-per-task`); the experiment's threads where those are more. Default 1.
    #[serde(default = "one")]
    pub cpus: u32,
    /// Host memory of an attempt, in MiB (`--mem`); what the cost model expects where that is more. 0: the partition's
    /// default. Default 0.
    #[serde(default)]
    pub memory_mib: u64,
    /// Features of a node (`--constraint`). Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Further `sbatch` options, each written whole: `--licenses=scratch`. Options that this program sets itself are
    /// refused. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Environment modules to load, in this order, after `module purge`. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Shell lines that prepare the environment, after the modules; never secrets. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Run the worker in a container. Default: on the node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Folder for temporary files on the node (TMPDIR); may name `$USER` and `$SLURM_JOB_ID`. Default: the node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// Dollars a device-hour by GPU type; `default` for the others, `cpu` for jobs without GPU. Attempts are charged what the
    /// place costs where they ran, and reserved at the dearest. Default: `budget.dollars_per_device_hour` everywhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, f64>,
    /// Speed of a GPU type as a multiple of the others', for choosing among them: a run takes half as long at 2. Default 1
    /// each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub relative_speed: BTreeMap<String, f64>,
    /// What an hour until an attempt is done is worth, in dollars, beside its price: partition and GPU type are chosen by the
    /// smallest sum. 0: the cheapest, however long it takes. Default 1.
    #[serde(default = "worth", skip_serializing_if = "is_worth")]
    pub dollars_per_hour_waited: f64,
    /// Seconds that a job may last beyond its time limit: KillWait, OverTimeLimit and the scheduler's minute. Reserved with
    /// every attempt. Default 90.
    #[serde(default = "kill_margin")]
    pub kill_margin_seconds: f64,
    /// How long before the limit the worker is told to checkpoint (SIGUSR2), in seconds; SLURM may be up to 60 s early.
    /// Default 120.
    #[serde(default = "warning")]
    pub warning_seconds: u32,
    /// Seconds between looks at the queue, at least 5 (1 is allowed on a cluster of one's own). Default 30.
    #[serde(default = "poll")]
    pub poll_seconds: f64,
    /// Jobs submitted at most in a minute. Default 20.
    #[serde(default = "rate")]
    pub submits_per_minute: u32,
    /// Jobs in the queue at once, waiting or running. Default 50.
    #[serde(default = "jobs")]
    pub max_jobs: u32,
    /// What the site's rules allow on its login nodes. Default `controller`.
    #[serde(default)]
    pub login_node: LoginNode,
    /// The job that a controller is (`run --controller-as-job`). Default: a day in the first partition, 1 CPU, 1 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<ControllerSpec>,
}

/// The job that a controller is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControllerSpec {
    /// Partition; it need not be one that attempts use. Default: the first of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Quality of service. Default: the partition's, then the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Time limit in hours, at most the partition's max_hours; another job follows. Default 24.
    #[serde(default = "day")]
    pub hours: f64,
    /// Host memory in MiB. Default 1024.
    #[serde(default = "gibibyte")]
    pub memory_mib: u64,
    /// How long before the limit the controller hands over, in seconds; SLURM may be up to 60 s early. Default 120.
    #[serde(default = "warning")]
    pub warning_seconds: u32,
}

impl Default for ControllerSpec {
    fn default() -> Self {
        let (hours, memory_mib, warning_seconds) = (day(), gibibyte(), warning());
        ControllerSpec { partition: None, qos: None, hours, memory_mib, warning_seconds }
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SitePartition {
    /// Its name (`--partition`).
    pub name: String,
    /// GPU types that it offers, as `sinfo -o %G` writes them (`h100`). Default none: CPU only, or untyped GPUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpu_types: Vec<String>,
    /// Longest time limit to ask for, in hours; 0 for what the partition allows. Default 0.
    #[serde(default)]
    pub max_hours: f64,
    /// Quality of service here, instead of the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Dollars a device-hour here, instead of the site's prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<f64>,
    /// Whether jobs here may be preempted: then their runs checkpoint, and lost time is expected. Default false.
    #[serde(default)]
    pub preemptible: bool,
    /// How often an hour a job here is preempted, as far as is known; only counts where it is preemptible. Default 0.1.
    #[serde(default = "seldom", skip_serializing_if = "is_seldom")]
    pub preemptions_per_hour: f64,
}

/// How a job asks for GPUs: sites accept one form or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRequest {
    /// `--gres=gpu:h100:1`
    #[default]
    Gres,
    /// `--gpus=h100:1`
    Gpus,
    /// `--gpus-per-node=h100:1`
    GpusPerNode,
}

/// What may run on a login node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoginNode {
    /// A controller that lasts as long as the campaign; it sleeps between looks.
    #[default]
    Controller,
    /// Nothing that lasts: the controller is a job of its own (`run --controller-as-job`).
    Job,
    /// Only what cron starts: one step at a time (`tick`).
    Cron,
}

/// A container around the worker: nothing is writable but the attempt's folder, and there is no home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// Program that runs it. Default `apptainer`; `singularity` takes the same options.
    #[serde(default = "apptainer")]
    pub program: String,
    /// Image file, an absolute path.
    pub image: String,
    /// Absolute paths that are visible inside, read-only: datasets, libraries. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_only: Vec<String>,
}

impl Site {
    /// Seconds that an attempt may hold its nodes beyond its wall time: the warning, which comes up to a minute early and not
    /// before the worker's own limit, and what a job may last beyond its limit.
    pub fn margin_seconds(&self) -> f64 {
        const EARLY: f64 = 60.0;
        f64::from(self.warning_seconds) + EARLY + self.kill_margin_seconds
    }

    /// Dollars a device-hour in a partition on a GPU type (`None`: without GPU). 0 where nothing is said.
    pub fn price(&self, partition: &SitePartition, gpu: Option<&str>) -> f64 {
        let named = |name: &str| self.prices.get(name).copied();
        let listed = match gpu {
            Some(gpu) => named(gpu).or_else(|| named("default")),
            None => named("cpu").or_else(|| named("default")),
        };
        partition.price.or(listed).unwrap_or(0.0)
    }

    /// Whether anything is said of what a device-hour costs here.
    pub fn is_priced(&self) -> bool {
        !self.prices.is_empty() || self.partitions.iter().any(|p| p.price.is_some())
    }

    /// Dollars a device-hour of an attempt in a partition: on a GPU (of that type, where one is known) or on CPUs.
    pub fn hour(&self, partition: &SitePartition, gpu: bool, kind: Option<&str>) -> f64 {
        self.price(partition, if gpu { kind.or(Some("default")) } else { None })
    }

    /// Dollars of the dearest device-hour that an attempt on a GPU, or on CPUs, may be sent to: what is reserved for it.
    pub fn dearest_hour(&self, gpu: bool) -> f64 {
        let of = |p: &SitePartition| {
            let untyped = self.hour(p, gpu, None);
            let open = !gpu || p.gpu_types.is_empty() || !self.typed_gpus;
            let typed = p.gpu_types.iter().filter(|_| gpu).map(|kind| self.hour(p, gpu, Some(kind)));
            typed.fold(if open { untyped } else { 0.0 }, f64::max)
        };
        self.partitions.iter().map(of).fold(0.0, f64::max)
    }

    /// Memory of a GPU of this type in MiB (`None`: of no type); none where nothing is said.
    pub fn device_memory(&self, gpu: Option<&str>) -> Option<u64> {
        gpu.and_then(|gpu| self.device_memory_mib.get(gpu)).or_else(|| self.device_memory_mib.get("default")).copied()
    }

    /// Memory of the largest GPU of its partitions in MiB; none where one is not known: it might be larger.
    pub fn largest_device_memory(&self) -> Option<u64> {
        let of = |p: &SitePartition| -> Option<u64> {
            match p.gpu_types.is_empty() {
                true => self.device_memory(None),
                false => p.gpu_types.iter().map(|t| self.device_memory(Some(t))).try_fold(0, |m, x| Some(m.max(x?))),
            }
        };
        self.partitions.iter().map(of).try_fold(0, |most, memory| Some(most.max(memory?))).filter(|most| *most > 0)
    }

    /// The partition of this name.
    pub fn partition(&self, name: &str) -> Option<&SitePartition> {
        self.partitions.iter().find(|p| p.name == name)
    }
}

fn yes() -> bool {
    true
}
fn one() -> u32 {
    1
}
fn worth() -> f64 {
    1.0
}
fn is_worth(dollars: &f64) -> bool {
    *dollars == worth()
}
fn seldom() -> f64 {
    0.1
}
fn is_seldom(rate: &f64) -> bool {
    *rate == seldom()
}
fn day() -> f64 {
    24.0
}
fn gibibyte() -> u64 {
    1024
}
fn kill_margin() -> f64 {
    90.0
}
fn warning() -> u32 {
    120
}
fn poll() -> f64 {
    30.0
}
fn rate() -> u32 {
    20
}
fn jobs() -> u32 {
    50
}
fn apptainer() -> String {
    "apptainer".to_string()
}
