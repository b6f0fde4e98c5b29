//! Convolution as a matrix product over unfolded patches, and pooling. Layout NHWC, kernels `[Cout, k, k, Cin]`.

use super::array::{Answer, Array, Binary, Compare};
use super::context::{Call, Constant};
use candle_core::DType;

/// The dimensions of one convolution.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    samples: usize,
    height: usize,
    width: usize,
    /// Input channels.
    channels: usize,
    kernel: usize,
}

impl Geometry {
    fn new<A: Array>(call: &Call<A>, image: &[usize], kernel: &[usize]) -> Answer<Self> {
        match (image, kernel) {
            (&[samples, height, width, _], &[_, k, across, channels]) if k == across && k % 2 == 1 => {
                Ok(Geometry { samples, height, width, channels, kernel: k })
            }
            _ => Err(call.wrong("a convolution wants images [B,H,W,C] and odd square kernels [Cout,k,k,Cin]")),
        }
    }

    fn patch(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    fn pixels(&self) -> usize {
        self.samples * self.height * self.width
    }

    /// Every place of the kernel, row by row.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let k = self.kernel;
        (0..k * k).map(move |i| (i / k, i % k))
    }

    /// `[B * H * W, k * k * Cin]`, zero outside the image.
    fn unfold<A: Array>(&self, x: &A) -> Answer<A> {
        let border = self.kernel / 2;
        let padded = x.pad(1, border, border)?.pad(2, border, border)?;
        let mut parts = Vec::with_capacity(self.kernel * self.kernel);
        for (y, x) in self.places() {
            parts.push(padded.narrow(1, y, self.height)?.narrow(2, x, self.width)?);
        }
        drop(padded);
        A::cat(&parts, 3)?.reshape(&[self.pixels(), self.patch()])
    }

    /// The transpose of [`unfold`](Self::unfold): every place of the patches added where it came from.
    fn fold<A: Array>(&self, patches: &A) -> Answer<A> {
        let Geometry { samples, height, width, channels, kernel, .. } = *self;
        let border = kernel / 2;
        let mut sum: Option<A> = None;
        for (place, (y, x)) in self.places().enumerate() {
            let part = patches.narrow(1, place * channels, channels)?.reshape(&[samples, height, width, channels])?;
            let placed = part.pad(1, y, 2 * border - y)?.pad(2, x, 2 * border - x)?;
            sum = Some(match sum {
                None => placed,
                Some(sum) => sum.add(&placed)?,
            });
        }
        let sum = sum.ok_or_else(|| super::super::EngineError::Shape("a kernel without places".into()))?;
        if border == 0 { Ok(sum) } else { sum.narrow(1, border, height)?.narrow(2, border, width) }
    }
}

/// `x, w -> y` (cross-correlation, "same" padding).
pub(super) fn conv2d<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (x, w) = (call.input(0)?.cast(call.context.compute)?, call.input(1)?.cast(call.context.compute)?);
    let geometry = Geometry::new(call, x.shape(), w.shape())?;
    let kernels = w.reshape(&[w.shape()[0], geometry.patch()])?;
    Ok(vec![call.keep(0, &geometry.unfold(&x)?.matmul(&kernels, (false, true))?)?])
}

/// `w, dy -> dx`.
pub(super) fn conv2d_grad_input<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (w, dy) = (call.input(0)?.cast(call.context.compute)?, call.input(1)?.cast(call.context.compute)?);
    let geometry = Geometry::new(call, call.declared(0)?, w.shape())?;
    let kernels = w.reshape(&[w.shape()[0], geometry.patch()])?;
    let patches = dy.matrix()?.matmul(&kernels, (false, false))?.wide()?;
    Ok(vec![call.keep(0, &geometry.fold(&patches)?)?])
}

/// `x, dy -> dw`.
pub(super) fn conv2d_grad_weight<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (x, dy) = (call.input(0)?.cast(call.context.compute)?, call.input(1)?.cast(call.context.compute)?);
    let geometry = Geometry::new(call, x.shape(), call.declared(0)?)?;
    Ok(vec![call.exact(0, &dy.matrix()?.matmul(&geometry.unfold(&x)?, (true, false))?)?])
}

/// The four pixels of each 2x2 window, row by row: `[B, H/2, W/2, C]` each. Odd edges are dropped.
fn corners<A: Array>(x: &A, [samples, height, width, channels]: [usize; 4]) -> Answer<Vec<A>> {
    let (h, w) = (height / 2, width / 2);
    let x = if height % 2 == 1 { x.narrow(1, 0, 2 * h)? } else { x.clone() };
    let x = if width % 2 == 1 { x.narrow(2, 0, 2 * w)? } else { x };
    let x = x.reshape(&[samples * h, 2, w, 2 * channels])?;
    let mut parts = Vec::with_capacity(4);
    for row in 0..2 {
        let row = x.narrow(1, row, 1)?;
        for column in 0..2 {
            parts.push(row.narrow(3, column * channels, channels)?.reshape(&[samples, h, w, channels])?);
        }
    }
    Ok(parts)
}

/// The inverse of [`corners`], with zeros at odd edges.
fn join<A: Array>(parts: &[A], [samples, height, width, channels]: [usize; 4]) -> Answer<A> {
    let (h, w) = (height / 2, width / 2);
    let mut rows = Vec::with_capacity(2);
    for pair in parts.chunks(2) {
        let wide: Vec<A> = pair.iter().map(|p| p.reshape(&[samples * h, w, 1, channels])).collect::<Answer<_>>()?;
        rows.push(A::cat(&wide, 2)?.reshape(&[samples * h, 1, 2 * w * channels])?);
    }
    let image = A::cat(&rows, 1)?.reshape(&[samples, 2 * h, 2 * w, channels])?;
    image.pad(1, 0, height % 2)?.pad(2, 0, width % 2)
}

fn image_shape<A: Array>(call: &Call<A>) -> Answer<[usize; 4]> {
    call.declared(0)?.try_into().map_err(|_| call.wrong("images have four dimensions"))
}

/// `x -> y, index`: the first maximum of each window wins; what is no number wins over all.
pub(super) fn max_pool<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let parts = corners(&call.wide(0)?, call.dims(0)?)?;
    let mut best = parts[0].clone();
    let mut index = A::filled(&call.context.device, best.shape(), 0.0)?;
    for (number, part) in parts.iter().enumerate().skip(1) {
        let larger = part.compare(Compare::Gt, &best)?;
        let broken = part.compare(Compare::Ne, part)?;
        let better = larger.binary(Binary::Max, &broken)?;
        let here = index.affine(0.0, number as f64)?;
        index = better.choose(&here, &index)?;
        best = better.choose(part, &best)?;
    }
    Ok(vec![call.keep(0, &best)?, call.exact(1, &index.cast(DType::U32)?)?])
}

/// `index, dy -> dx`.
pub(super) fn max_pool_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let (index, dy) = (call.input(0)?.wide()?, call.wide(1)?);
    let numbers = call.context.constant(Constant::Count(4))?.wide()?;
    let mut parts = Vec::with_capacity(4);
    for number in 0..4 {
        let here = index.compare(Compare::Eq, &numbers.narrow(1, number, 1)?)?.wide()?;
        parts.push(here.mul(&dy)?);
    }
    Ok(vec![call.keep(0, &join(&parts, image_shape(call)?)?)?])
}

/// `x -> y`: mean over 2x2 windows.
pub(super) fn mean_pool<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let parts = corners(&call.wide(0)?, call.dims(0)?)?;
    let sum = parts[0].add(&parts[1])?.add(&parts[2].add(&parts[3])?)?;
    Ok(vec![call.keep(0, &sum.scale(0.25)?)?])
}

/// `dy -> dx`.
pub(super) fn mean_pool_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let quarter = call.wide(0)?.scale(0.25)?;
    let parts = [quarter.clone(), quarter.clone(), quarter.clone(), quarter];
    Ok(vec![call.keep(0, &join(&parts, image_shape(call)?)?)?])
}

/// `x [B,H,W,C] -> y [B,C]`.
pub(super) fn mean_pixels<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let [samples, height, width, channels] = call.dims::<4>(0)?;
    let pixels = height * width;
    let sum = call.wide(0)?.reshape(&[samples, pixels, channels])?.sum(1)?;
    Ok(vec![call.keep(0, &sum.scale(1.0 / pixels as f64)?)?])
}

/// `dy [B,C] -> dx [B,H,W,C]`.
pub(super) fn mean_pixels_grad<A: Array>(call: &Call<A>) -> Answer<Vec<A>> {
    let [samples, height, width, channels] = image_shape(call)?;
    let pixels = height * width;
    let share = call.wide(0)?.scale(1.0 / pixels as f64)?.reshape(&[samples, 1, channels])?;
    let nothing = A::filled(&call.context.device, &[samples, pixels, channels], 0.0)?;
    Ok(vec![call.keep(0, &nothing.add(&share)?)?])
}
