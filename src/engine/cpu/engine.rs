//! The engine around the plan: buffers, threads, and the three programs run on them.

use super::in_step::{Times, in_step};
use super::kernels::optimizer;
use super::kernels::tail::Moment;
use super::lower::{Lowered, part};
use super::memory::{Buffer, Memory};
use super::pool::Pool;
use super::run::{self, Context};
use super::update::{self, update};
use crate::cost::{OpClass, Task};
use crate::data::Batch;
use crate::engine::host::{self, Values};
use crate::engine::plan::{self, Plan, Region};
use crate::engine::{Engine, EngineError, EvalOutput, HostState, PartTime, StepInputs, StepOutput, fingerprint};
use crate::graph::{Program, StepPrograms};
use crate::sys::clock::Stopwatch;
use crate::units::Bytes;
use std::collections::BTreeMap;

/// Raised whenever plans, tiles or kernels give other bits than before.
const PLAN_VERSION: u32 = 4;
/// Executes compiled plans on CPU threads.
pub struct CpuEngine {
    programs: StepPrograms,
    plan: Plan,
    micro: Lowered,
    eval: Lowered,
    state: Buffer,
    arena: Buffer,
    partials: Buffer,
    scratch: Vec<Buffer>,
    sums: Vec<[f64; 2]>,
    pool: Pool,
    /// No micro-batch has been run since the last update: the next one sets the gradients.
    fresh: bool,
    loss_sum: f64,
}

/// Sizes of everything that is allocated, in elements of 4 bytes.
struct Sizes {
    state: usize,
    arena: usize,
    partials: usize,
    scratch: usize,
    packed: usize,
    sums: usize,
}

impl Sizes {
    fn new(plan: &Plan, micro: &Lowered, eval: &Lowered) -> Self {
        Sizes {
            state: plan.layout.elements(),
            arena: plan.arena(),
            partials: micro.partials.max(eval.partials),
            scratch: micro.scratch.max(eval.scratch),
            packed: micro.packed.max(eval.packed),
            sums: micro.sums.max(eval.sums).max(update::tiles(plan)),
        }
    }

    fn bytes(&self, threads: usize) -> Bytes {
        let lines = |elements: usize| elements.div_ceil(16) * 64;
        let each = lines(self.scratch) + 4 * self.packed;
        Bytes((lines(self.state) + lines(self.arena) + lines(self.partials) + threads * each + 16 * self.sums) as u64)
    }
}

impl CpuEngine {
    /// An engine of `threads` threads (at least one) with a state of zeros; [`load`](Engine::load) comes before the first
    /// step.
    pub fn new(programs: StepPrograms, threads: usize) -> Result<Self, EngineError> {
        let plan = Plan::new(&programs)?;
        let (micro, eval) = (Lowered::new(plan.micro.clone()), Lowered::new(plan.eval.clone()));
        let sizes = Sizes::new(&plan, &micro, &eval);
        let pool = Pool::new(threads);
        Ok(CpuEngine {
            state: Buffer::zeroed(sizes.state),
            arena: Buffer::zeroed(sizes.arena),
            partials: Buffer::zeroed(sizes.partials),
            scratch: (0..pool.threads()).map(|_| Buffer::zeroed(sizes.scratch)).collect(),
            sums: vec![[0.0; 2]; sizes.sums],
            programs,
            plan,
            micro,
            eval,
            pool,
            fresh: true,
            loss_sum: 0.0,
        })
    }

    /// Memory that these programs would need on so many threads, without allocating any of it.
    pub fn predict(programs: &StepPrograms, threads: usize) -> Result<Bytes, EngineError> {
        Ok(Self::memory_of(&Plan::new(programs)?, threads))
    }

    /// The same of programs that are planned already.
    pub(in crate::engine) fn memory_of(plan: &Plan, threads: usize) -> Bytes {
        let (micro, eval) = (Lowered::new(plan.micro.clone()), Lowered::new(plan.eval.clone()));
        Sizes::new(plan, &micro, &eval).bytes(threads.max(1))
    }

    /// A state tensor by index, gradients included; for tests.
    #[cfg(test)]
    pub(in crate::engine) fn state(&self, index: usize) -> Vec<f32> {
        let elements: usize = self.programs.state.tensors[index].shape.iter().product();
        let offset = self.plan.layout.offset(index).expect("the loss sum is kept elsewhere");
        self.state.as_slice()[offset..offset + elements].to_vec()
    }

    /// Bytes of all buffers, and of those the cache lines that one micro-batch, one update and one evaluation write to; for
    /// tests. What a step needs and does not get would show elsewhere: tensors would overlap.
    #[cfg(test)]
    pub(crate) fn written(&mut self, batch: &Batch, evaluated: &Batch, inputs: &StepInputs) -> (Bytes, Bytes) {
        const STRANGE: f32 = f32::from_bits(0x7fab_cdef);
        let kept = self.save().expect("a state");
        let mut lines = 0;
        // All of it is written when a state is loaded.
        lines += self.state.bytes() / 64;
        let buffers = |engine: &mut Self, act: &mut dyn FnMut(&mut [f32])| {
            act(engine.arena.as_mut_slice());
            act(engine.partials.as_mut_slice());
            engine.scratch.iter_mut().for_each(|scratch| act(scratch.as_mut_slice()));
        };
        buffers(self, &mut |values| values.fill(STRANGE));
        self.load(&kept).expect("its own state");
        self.micro(batch, inputs, 0).expect("a micro-batch");
        self.apply(inputs).expect("an update");
        self.eval(evaluated).expect("an evaluation");
        buffers(self, &mut |values| {
            let strange = |line: &[f32]| line.iter().all(|v| v.to_bits() == STRANGE.to_bits());
            lines += values.chunks(16).filter(|line| !strange(line)).count();
        });
        (self.buffers(), Bytes((64 * lines + 16 * self.sums.len()) as u64))
    }

    /// Bytes of everything that is allocated here; the library beneath products keeps some of its own.
    fn buffers(&self) -> Bytes {
        let scratch: usize = self.scratch.iter().map(Buffer::bytes).sum();
        let buffers = self.state.bytes() + self.arena.bytes() + self.partials.bytes() + scratch;
        Bytes((buffers + 16 * self.sums.len()) as u64)
    }

    /// Bytes that the library beneath products keeps for all threads.
    pub(crate) fn packed(&self) -> Bytes {
        Bytes((4 * self.scratch.len() * self.micro.packed.max(self.eval.packed)) as u64)
    }

    fn memory(&mut self, batch: [*const f32; 3]) -> Memory {
        Memory {
            arena: self.arena.pointer(),
            state: self.state.pointer(),
            batch,
            partials: self.partials.pointer(),
            sums: self.sums.as_mut_ptr(),
        }
    }

    /// Runs a program's jobs; the sums of its loss come back.
    fn run(&mut self, which: Kind, batch: &Batch, moment: Moment) -> Result<[f64; 2], EngineError> {
        self.run_timed(which, batch, moment, None)
    }

    /// The same; with `times`, every job is a stage of its own, and when it ended is written down.
    fn run_timed(
        &mut self,
        which: Kind,
        batch: &Batch,
        moment: Moment,
        times: Option<&Times>,
    ) -> Result<[f64; 2], EngineError> {
        let (program, lowered) = match which {
            Kind::Micro => (&self.programs.micro, &self.micro),
            Kind::Eval => (&self.programs.eval, &self.eval),
        };
        let pointers = columns(program, lowered, batch)?;
        let first = self.fresh;
        let memory = self.memory(pointers);
        let scratch: Vec<Scratch> = self.scratch.iter_mut().map(|b| Scratch(b.pointer(), b.as_slice().len())).collect();
        let lowered = match which {
            Kind::Micro => &self.micro,
            Kind::Eval => &self.eval,
        };
        let context = Context { memory, moment, first };
        let work = |job: usize, tile: usize, thread: usize| {
            let scratch = &scratch[thread];
            // SAFETY: each thread has a buffer of its own; tiles are handed out once and jobs in order (`in_step`).
            unsafe {
                let scratch = std::slice::from_raw_parts_mut(scratch.0, scratch.1);
                run::tile(&context, lowered, lowered.jobs[job], tile, scratch);
            }
        };
        let tiles = |job: usize| lowered.jobs[job].tiles;
        let alone: Vec<_>;
        let stages = match times {
            None => &lowered.stages,
            Some(_) => {
                alone = (0..lowered.jobs.len()).map(|job| job..job + 1).collect();
                &alone
            }
        };
        in_step(&mut self.pool, stages, &tiles, &work, times);
        Ok(self.sums[..lowered.sums].iter().fold([0.0; 2], |sum, part| [sum[0] + part[0], sum[1] + part[1]]))
    }
}

/// A thread's scratch.
struct Scratch(*mut f32, usize);
// SAFETY: each is used by one thread at a time.
unsafe impl Send for Scratch {}
// SAFETY: as above.
unsafe impl Sync for Scratch {}

#[derive(Clone, Copy)]
enum Kind {
    Micro,
    Eval,
}

/// The batch's columns in the program's order, their ids checked.
fn columns(program: &Program, lowered: &Lowered, batch: &Batch) -> Result<[*const f32; 3], EngineError> {
    let mut pointers = [std::ptr::null(); 3];
    for (i, input) in program.batch.iter().enumerate() {
        pointers[i] = match host::column(program, input, batch)? {
            Values::F32(values) => values.as_ptr(),
            Values::U32(ids) => {
                for &(_, below) in lowered.limits.iter().filter(|(column, _)| *column == i) {
                    if let Some(id) = ids.iter().find(|&&id| id as usize >= below) {
                        let what = format!("{} {id} of `{}` is not below {below}", input.name, program.name);
                        return Err(EngineError::Shape(what));
                    }
                }
                ids.as_ptr().cast()
            }
        };
    }
    Ok(pointers)
}

impl Engine for CpuEngine {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn fingerprint(&self) -> BTreeMap<String, String> {
        let mut facts = fingerprint::compiled();
        facts.insert("engine".into(), self.name().into());
        facts.insert("precision".into(), "f32".into());
        facts.insert("plan".into(), PLAN_VERSION.to_string());
        facts
    }

    fn load(&mut self, state: &HostState) -> Result<(), EngineError> {
        let values = host::kept_values(&self.programs.state, state)?;
        let flat = self.state.as_mut_slice();
        flat.fill(0.0);
        for (index, values) in values.into_iter().enumerate() {
            if let (Some(values), Some(offset)) = (values, self.plan.layout.offset(index)) {
                flat[offset..offset + values.len()].copy_from_slice(values);
            }
        }
        (self.fresh, self.loss_sum) = (true, 0.0);
        Ok(())
    }

    fn save(&self) -> Result<HostState, EngineError> {
        let flat = self.state.as_slice();
        let kept = self.programs.state.kept();
        let tensors = kept.filter_map(|(index, tensor)| {
            let offset = self.plan.layout.offset(index)?;
            let elements = tensor.shape.iter().product::<usize>();
            Some((tensor.name.clone(), (tensor.shape.clone(), flat[offset..offset + elements].to_vec())))
        });
        Ok(HostState { tensors: tensors.collect() })
    }

    fn micro(&mut self, batch: &Batch, inputs: &StepInputs, first_sample: u32) -> Result<(), EngineError> {
        let moment = Moment { seed: inputs.seed, step: inputs.step as u32, first_sample };
        let [loss, _] = self.run(Kind::Micro, batch, moment)?;
        self.loss_sum += loss;
        self.fresh = false;
        Ok(())
    }

    fn apply(&mut self, inputs: &StepInputs) -> Result<StepOutput, EngineError> {
        if self.fresh {
            // Without a micro-batch the gradient is zero, not what the last step left.
            let (start, length) = (self.plan.layout.start(Region::Grads), self.plan.layout.region);
            self.state.as_mut_slice()[start..start + length].fill(0.0);
        }
        let memory = self.memory([std::ptr::null(); 3]);
        let (plan, region) = (&self.plan, self.plan.layout.region);
        let tiles = update::tiles(plan);
        let each = region.div_ceil(tiles).next_multiple_of(16);
        let norm = |memory: &Memory| {
            // SAFETY: the first stage wrote them, and it is over.
            let parts = unsafe { std::slice::from_raw_parts(memory.sums, tiles) };
            parts.iter().map(|p| p[0]).sum::<f64>().sqrt()
        };
        let work = |job: usize, tile: usize, _: usize| {
            let range = part(region, each, tile);
            let flat = |r: Region| {
                // SAFETY: tiles are disjoint ranges of each region.
                unsafe {
                    std::slice::from_raw_parts_mut(memory.state.add(plan.layout.start(r) + range.start), range.len())
                }
            };
            if job == 0 {
                // SAFETY: one tile, one entry.
                unsafe { *memory.sums.add(tile) = [optimizer::sum_of_squares(flat(Region::Grads)), 0.0] };
            } else {
                update(plan, inputs, norm(&memory) as f32, &range, &flat);
            }
        };
        in_step(&mut self.pool, &[0..1, 1..2], &|_| tiles, &work, None);
        let output = StepOutput { loss_sum: self.loss_sum, grad_norm: norm(&memory) };
        (self.fresh, self.loss_sum) = (true, 0.0);
        Ok(output)
    }

    fn profile(&mut self, batch: &Batch, inputs: &StepInputs) -> Result<Vec<PartTime>, EngineError> {
        let moment = Moment { seed: inputs.seed, step: inputs.step as u32, first_sample: 0 };
        let times = Times::start();
        let [loss, _] = self.run_timed(Kind::Micro, batch, moment, Some(&times))?;
        (self.loss_sum, self.fresh) = (self.loss_sum + loss, false);
        let ends = times.ends.into_inner().unwrap_or_default();
        let part = |step: &plan::Step| {
            let shape = step.outputs.first().map_or(String::new(), |t| format!(" {:?}", t.shape));
            PartTime { what: plan::name(step) + &shape, seconds: 0.0, work: step.work, tasks: plan::of_step(step) }
        };
        let mut parts: Vec<PartTime> = self.micro.schedule.steps.iter().map(part).collect();
        let mut before = 0.0;
        for (job, end) in self.micro.jobs.iter().zip(ends) {
            parts[job.step].seconds += end - before;
            before = end;
        }
        let watch = Stopwatch::start();
        self.apply(inputs)?;
        let work = self.programs.apply.total_work();
        let tasks = vec![Task { class: OpClass::Update, work }];
        parts.push(PartTime { what: "apply".to_string(), seconds: watch.seconds(), work, tasks });
        Ok(parts)
    }

    fn eval(&mut self, batch: &Batch) -> Result<EvalOutput, EngineError> {
        let [loss_sum, correct_sum] = self.run(Kind::Eval, batch, Moment { seed: 0, step: 0, first_sample: 0 })?;
        let weight_sum = batch.weight.iter().map(|&w| f64::from(w)).sum();
        Ok(EvalOutput { loss_sum, correct_sum, weight_sum })
    }

    fn footprint(&self) -> Bytes {
        Bytes(self.buffers().0 + self.packed().0)
    }
}
