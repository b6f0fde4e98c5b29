//! Matrix products: candle's GEMM.

use super::super::EngineError;
use super::call::Call;
use candle_core::Tensor;

/// `a, b -> a' b'`, both seen as `[rows, features]`.
pub(super) fn matmul(call: &Call, trans_a: bool, trans_b: bool) -> Result<Vec<Tensor>, EngineError> {
    let matrix = |i: usize, transposed: bool| -> Result<Tensor, EngineError> {
        let (x, features) = (call.input(i)?, call.features(i)?);
        let m = x.reshape((x.elem_count() / features.max(1), features))?;
        Ok(if transposed { m.t()? } else { m })
    };
    let product = matrix(0, trans_a)?.matmul(&matrix(1, trans_b)?)?;
    Ok(vec![call.shaped(0, &product)?])
}
