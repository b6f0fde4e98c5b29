//! What one job asks for.

use super::compress_nodes;
use super::time::show_duration;
use crate::config::{GpuRequest, Site, SitePartition};
use crate::problem::{Problem, Result};
use crate::sys::shell::word as quote;

/// Resources of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Partition.
    pub partition: String,
    /// Quality of service, where one is to be named.
    pub qos: Option<String>,
    /// GPU type, where the request names one.
    pub gpu_type: Option<String>,
    /// GPUs; 0 for none.
    pub gpus: u32,
    /// CPUs.
    pub cpus: u32,
    /// Host memory in MiB; 0 for the partition's default.
    pub memory_mib: u64,
    /// Time limit in seconds. SLURM rounds it up to a minute.
    pub seconds: f64,
    /// Nodes to stay away from.
    pub exclude: Vec<String>,
}

/// What an attempt needs of a site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Need {
    /// Time limit in seconds.
    pub seconds: f64,
    /// CPUs at least.
    pub cpus: u32,
    /// Host memory in MiB at least; 0 for what the site gives.
    pub memory_mib: u64,
    /// Whether it computes on a GPU.
    pub gpu: bool,
    /// Memory of that GPU in MiB at least; 0 for any.
    pub device_memory_mib: u64,
    /// Nodes to stay away from.
    pub exclude: Vec<String>,
}

impl Request {
    /// The request on a site: the first of its partitions that allows so long and has a GPU as large as is needed, with the
    /// first such GPU type there. At least the CPUs and the memory needed, and what the site gives every attempt.
    pub fn on(site: &Site, need: &Need) -> Result<Request> {
        let Need { seconds, cpus, memory_mib, gpu, device_memory_mib, ref exclude } = *need;
        if gpu && site.gpus == 0 {
            return Err(Problem::usage(format!("the attempt computes on a GPU, and site {} gives none", site.name))
                .at("resources.device")
                .remedy("set gpus = 1 in the site file, or resources.device = \"cpu\""));
        }
        // A GPU of which nothing is said is taken to be large enough.
        let large = |kind: Option<&str>| site.device_memory(kind).is_none_or(|mib| mib >= device_memory_mib);
        let fitting = |p: &SitePartition| match p.gpu_types.is_empty() {
            true => large(None).then_some(None),
            false => p.gpu_types.iter().find(|kind| large(Some(kind))).map(|kind| Some(kind.clone())),
        };
        // Without types the scheduler chooses among all of a partition's.
        let every = |p: &SitePartition| p.gpu_types.iter().all(|kind| large(Some(kind)));
        let fits = |p: &&SitePartition| !gpu || (fitting(p).is_some() && (site.typed_gpus || every(p)));
        let allows = |p: &&SitePartition| p.max_hours == 0.0 || p.max_hours * 3600.0 >= seconds;
        if !site.partitions.iter().any(|p| fits(&p)) {
            return Err(Problem::usage(format!(
                "no partition of site {} has a GPU of {device_memory_mib} MiB to offer",
                site.name
            ))
            .remedy("make the model or resources.micro_batch smaller, or add a partition with larger GPUs"));
        }
        let Some(partition) = site.partitions.iter().filter(fits).find(allows) else {
            let longest = site.partitions.iter().map(|p| p.max_hours).fold(0.0, f64::max);
            return Err(Problem::usage(format!(
                "an attempt of {} (warning and margins included) is longer than any partition of site {} allows, at most {longest} h",
                show_duration(seconds),
                site.name
            ))
            .remedy("allow the run less wall time (resources.wall_seconds), or add a partition with a longer max_hours"));
        };
        Ok(Request {
            partition: partition.name.clone(),
            qos: partition.qos.clone().or_else(|| site.qos.clone()),
            gpu_type: fitting(partition).flatten().filter(|_| site.typed_gpus && gpu),
            gpus: if gpu { site.gpus } else { 0 },
            cpus: site.cpus.max(cpus),
            memory_mib: site.memory_mib.max(memory_mib),
            seconds,
            exclude: exclude.clone(),
        })
    }

    /// Its `sbatch` options, in a fixed order, quoted.
    pub(super) fn options(&self, site: &Site) -> Vec<String> {
        let mut options = vec![format!("--partition={}", self.partition)];
        options.extend(site.account.as_ref().map(|a| format!("--account={a}")));
        options.extend(self.qos.as_ref().map(|q| format!("--qos={q}")));
        options.extend(["--nodes=1", "--ntasks=1"].map(str::to_string));
        options.push(format!("--cpus-per-task={}", self.cpus));
        if self.gpus > 0 {
            let what = match &self.gpu_type {
                Some(kind) => format!("{kind}:{}", self.gpus),
                None => self.gpus.to_string(),
            };
            options.push(match site.gpu_request {
                GpuRequest::Gres => format!("--gres=gpu:{what}"),
                GpuRequest::Gpus => format!("--gpus={what}"),
                GpuRequest::GpusPerNode => format!("--gpus-per-node={what}"),
            });
        }
        if self.memory_mib > 0 {
            options.push(format!("--mem={}M", self.memory_mib));
        }
        options.push(format!("--time={}", show_duration(self.seconds)));
        options.extend(site.constraint.as_ref().map(|c| format!("--constraint={}", quote(c))));
        let exclude = compress_nodes(&self.exclude);
        if !exclude.is_empty() {
            options.push(format!("--exclude={exclude}"));
        }
        options.extend(site.options.iter().map(|o| quote(o)));
        options
    }
}
