//! Losses, their gradients and the sums that are reported, all in f32.

use super::array::{Answer, Array, Compare, Reduce};
use super::context::{Call, Constant};
use super::tokens::one_hot;

/// `logits, target -> loss [N], lse [N]`.
pub(super) fn cross_entropy<A: Array>(call: &Call<A>, smoothing: f32) -> Answer<Vec<A>> {
    let (logits, targets) = (call.matrix(0)?, call.input(1)?);
    let top = logits.reduce(Reduce::Max, 1)?;
    let lse = top.add(&logits.sub(&top)?.exp()?.sum(1)?.ln()?)?;
    let right = lse.sub(&logits.pick(targets)?)?;
    let smoothing = f64::from(smoothing);
    let loss = if smoothing == 0.0 {
        right
    } else {
        // Differences to the log-sum-exp are summed, not the logits, so that large common offsets cancel.
        let mean = logits.sub(&lse)?.sum(1)?.scale(-1.0 / logits.features() as f64)?;
        right.scale(1.0 - smoothing)?.add(&mean.scale(smoothing)?)?
    };
    Ok(vec![call.exact(0, &loss)?, call.exact(1, &lse)?])
}

/// `logits, target, lse, weight -> dlogits`: `weight scale (softmax - (1-s) onehot - s/V)`.
pub(super) fn cross_entropy_grad<A: Array>(call: &Call<A>, smoothing: f32, scale: f32) -> Answer<Vec<A>> {
    let (logits, smoothing) = (call.matrix(0)?, f64::from(smoothing));
    let [rows, classes] = [logits.shape()[0], logits.features()];
    let shares = logits.sub(&call.wide(2)?.reshape(&[rows, 1])?)?.exp()?;
    drop(logits);
    let target = one_hot(call, call.input(1)?, classes)?.affine(1.0 - smoothing, smoothing / classes as f64)?;
    let factor = call.wide(3)?.reshape(&[rows, 1])?.scale(f64::from(scale))?;
    let slopes = shares.sub(&target)?;
    drop((shares, target));
    Ok(vec![call.keep(0, &slopes.mul(&factor)?)?])
}

/// `prediction [N,K], target [N,K] -> loss [N]`.
pub(super) fn squared_error<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let off = call.matrix(0)?.sub(&call.matrix(1)?)?;
    let loss = off.square()?.sum(1)?.scale(1.0 / off.features() as f64)?;
    Ok(vec![call.exact(0, &loss)?])
}

/// `prediction, target, weight -> dprediction`.
pub(super) fn squared_error_grad<A: Array>(call: &Call<A>, scale: f32) -> Answer<Vec<A>> {
    let off = call.matrix(0)?.sub(&call.matrix(1)?)?;
    let factor = call.wide(2)?.reshape(&[off.shape()[0], 1])?.scale(f64::from(scale) * 2.0 / off.features() as f64)?;
    Ok(vec![call.keep(0, &off.mul(&factor)?)?])
}

/// `values, weight -> sum(values * weight)`. A row of weight 0 counts for nothing, whatever its value: padding must not
/// turn a sum into NaN.
pub(super) fn weighted_sum<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (values, weights) = (call.wide(0)?, call.wide(1)?);
    let nothing = weights.scale(0.0)?;
    let counts = weights.compare(Compare::Ne, &nothing)?;
    let terms = counts.choose(&values.mul(&weights)?, &nothing)?;
    Ok(vec![call.exact(0, &terms.total()?)?])
}

/// `logits, target, weight -> weight where the first largest logit is the target, summed`.
pub(super) fn correct_sum<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (logits, targets, weights) = (call.matrix(0)?, call.input(1)?, call.wide(2)?);
    let [rows, classes] = [logits.shape()[0], logits.features()];
    let largest = logits.compare(Compare::Eq, &logits.reduce(Reduce::Max, 1)?)?;
    // The first of equals: the smallest number among them. Numbers of classes are exact in f32.
    let number = call.context.constant(Constant::Count(classes))?.wide()?;
    let behind = largest.wide()?.affine(-(classes as f64), classes as f64)?;
    let first = behind.add(&number)?.reduce(Reduce::Min, 1)?;
    let right = first.compare(Compare::Eq, &targets.reshape(&[rows, 1])?.wide()?)?.wide()?;
    let sum = right.mul(&weights.reshape(&[rows, 1])?)?.total()?;
    Ok(vec![call.exact(0, &sum)?])
}
