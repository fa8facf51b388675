//! The order in which llama.cpp's converter stores the rows of a Llama's query and key projections.

/// Undoes the converter's order of rows. It stores row (half i, pair j) of a head at 2j + i, so that the two values
/// which the rotation mixes are neighbours; Hugging Face's graph mixes j and j + half.
pub(super) fn restore(values: &[f32], rows: usize, heads: usize) -> Vec<f32> {
    let (head_rows, width) = (rows / heads, values.len() / rows);
    let mut restored = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_rows * width) {
        for half in 0..2 {
            for pair in 0..head_rows / 2 {
                restored.extend_from_slice(&head[(2 * pair + half) * width..][..width]);
            }
        }
    }
    restored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_the_order_of_hugging_face() {
        // Two heads of four rows, one value a row: the converter stores 0 2 1 3 of each head.
        let stored = [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0];
        assert_eq!(restore(&stored, 8, 2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    }
}
