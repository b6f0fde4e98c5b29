//! Packing lifetimes into one allocation.

/// Blocks begin at multiples of this many elements (64 bytes).
const ALIGN: usize = 16;

/// A block of memory that lives from one step to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) elements: usize,
    pub(super) born: usize,
    pub(super) dies: usize,
}

/// Offsets for the blocks so that no two that live at the same time overlap, and the size of it all. Largest first, each
/// into the lowest gap that holds it (Pisarchyk and Lee, arXiv 2001.03288, "greedy by size").
pub(super) fn pack(blocks: &[Block]) -> (Vec<usize>, usize) {
    let size = |b: &Block| b.elements.max(1).next_multiple_of(ALIGN);
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(size(&blocks[i])), blocks[i].born, i));
    let mut offsets = vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(blocks.len());
    let mut total = 0;
    for i in order {
        let block = &blocks[i];
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| blocks[j].born <= block.dies && block.born <= blocks[j].dies)
            .map(|&j| (offsets[j], offsets[j] + size(&blocks[j])))
            .collect();
        taken.sort_unstable();
        let mut at = 0;
        for (start, end) in taken {
            if at + size(block) <= start {
                break;
            }
            at = at.max(end);
        }
        offsets[i] = at;
        total = total.max(at + size(block));
        placed.push(i);
    }
    (offsets, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn living_blocks_never_overlap(raw in prop::collection::vec((1usize..5000, 0usize..40, 0usize..10), 1..60)) {
            let blocks: Vec<Block> =
                raw.iter().map(|&(elements, born, length)| Block { elements, born, dies: born + length }).collect();
            let (offsets, total) = pack(&blocks);
            for (i, a) in blocks.iter().enumerate() {
                prop_assert!(offsets[i] % ALIGN == 0 && offsets[i] + a.elements <= total);
                for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                    let together = a.born <= b.dies && b.born <= a.dies;
                    let apart = offsets[i] + a.elements <= offsets[j] || offsets[j] + b.elements <= offsets[i];
                    prop_assert!(!together || apart, "{a:?} at {} and {b:?} at {}", offsets[i], offsets[j]);
                }
            }
            // No packing is below what lives at once, and none needs more than everything side by side.
            let size = |b: &Block| b.elements.next_multiple_of(ALIGN);
            let alive = |step| blocks.iter().filter(|b| b.born <= step && step <= b.dies).map(size).sum::<usize>();
            let least = (0..50).map(alive).max().unwrap();
            prop_assert!(total >= least && total <= blocks.iter().map(size).sum(), "{total} for {least}");
        }
    }
}
