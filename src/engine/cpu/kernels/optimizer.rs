//! Updates over ranges of the flat state.

use crate::engine::cpu::simd::kernel;
use crate::engine::reference::real::sum_by;

kernel! {
    /// Sum of squares: blocks in f32, their sum in f64.
    pub(in crate::engine::cpu) fn sum_of_squares(g: &[f32]) -> f64 {
        let mut sum = 0.0;
        for block in g.chunks(1024) {
            sum += f64::from(sum_by(block, |v| v * v));
        }
        sum
    }
}

/// Settings of an AdamW update; `1 - beta` is computed in f64 before it is rounded.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::cpu) struct AdamW {
    pub(in crate::engine::cpu) clip: f32,
    pub(in crate::engine::cpu) rate: f32,
    pub(in crate::engine::cpu) weight_decay: f32,
    pub(in crate::engine::cpu) beta1: f64,
    pub(in crate::engine::cpu) beta2: f64,
    pub(in crate::engine::cpu) eps: f32,
    pub(in crate::engine::cpu) correction1: f32,
    pub(in crate::engine::cpu) correction2: f32,
}

kernel! {
    /// `p(1 - lr wd) - lr (m'/c1) / (sqrt(v'/c2) + eps)`.
    pub(in crate::engine::cpu) fn adamw(s: AdamW, g: &[f32], p: &mut [f32], m: &mut [f32], v: &mut [f32]) {
        let (b1, b2) = (s.beta1 as f32, s.beta2 as f32);
        let (a1, a2) = ((1.0 - s.beta1) as f32, (1.0 - s.beta2) as f32);
        let kept = 1.0 - s.rate * s.weight_decay;
        // Divisions by the corrections become products: one division an element instead of three.
        let (step, root) = (s.rate / s.correction1, 1.0 / s.correction2);
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * s.clip;
            *m = b1 * *m + a1 * g;
            *v = b2 * *v + a2 * g * g;
            *p = kept * *p - step * *m / ((*v * root).sqrt() + s.eps);
        }
    }
}

kernel! {
    /// Without momentum.
    pub(in crate::engine::cpu) fn sgd(clip: f32, rate: f32, weight_decay: f32, g: &[f32], p: &mut [f32]) {
        let kept = 1.0 - rate * weight_decay;
        p.iter_mut().zip(g).for_each(|(p, &g)| *p = kept * *p - rate * (g * clip));
    }
}

kernel! {
    /// With momentum, in PyTorch's form.
    pub(in crate::engine::cpu) fn sgd_momentum(
        clip: f32, rate: f32, weight_decay: f32, momentum: f32, nesterov: bool, g: &[f32], p: &mut [f32], m: &mut [f32],
    ) {
        let kept = 1.0 - rate * weight_decay;
        for ((p, m), &g) in p.iter_mut().zip(m).zip(g) {
            let g = g * clip;
            *m = momentum * *m + g;
            let direction = if nesterov { g + momentum * *m } else { *m };
            *p = kept * *p - rate * direction;
        }
    }
}

kernel! {
    /// `decay * average + (1 - decay) * p`.
    pub(in crate::engine::cpu) fn average(decay: f64, p: &[f32], average: &mut [f32]) {
        let (kept, new) = (decay as f32, (1.0 - decay) as f32);
        average.iter_mut().zip(p).for_each(|(a, &p)| *a = kept * *a + new * p);
    }
}
