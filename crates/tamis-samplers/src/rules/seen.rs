//! Which keys came before, in memory that is used again: numbers in the order of first occurrence.
//!
//! Keys are hashes or pairs of numbers; two keys are the same when their 64 bits are. Open addressing, doubled at three quarters:
//! 12 to 19 bytes a different key, however often it comes.

/// A number for every different key, from 0 in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Number of a key; [`FREE`] where none is.
    slots: Vec<u32>,
    keys: Vec<u64>,
}

const FREE: u32 = u32::MAX;

/// Slots that are kept for the next document; a larger table is given back.
const KEPT: usize = 1 << 20;

impl Seen {
    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        if self.slots.len() > KEPT {
            *self = Self::default();
            return;
        }
        // A short document after a long one does not pay for the long one's table.
        self.slots.truncate((2 * self.keys.len()).next_power_of_two().max(64));
        self.slots.fill(FREE);
        self.keys.clear();
    }

    /// The number of a key, and whether it is new.
    #[inline]
    pub(super) fn number(&mut self, key: u64) -> (u32, bool) {
        if 4 * self.keys.len() >= 3 * self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = place(key) & mask;
        loop {
            match self.slots[at] {
                FREE => {
                    let number = u32::try_from(self.keys.len()).unwrap_or(FREE - 1);
                    self.slots[at] = number;
                    self.keys.push(key);
                    return (number, true);
                }
                number if self.keys[number as usize] == key => return (number, false),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Whether a key came before.
    #[inline]
    pub(super) fn again(&mut self, key: u64) -> bool {
        !self.number(key).1
    }

    fn grow(&mut self) {
        let slots = (2 * self.slots.len()).max(64);
        self.slots.clear();
        self.slots.resize(slots, FREE);
        for (number, &key) in self.keys.iter().enumerate() {
            let mut at = place(key) & (slots - 1);
            while self.slots[at] != FREE {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = number as u32;
        }
    }
}

/// Where a key is looked for first: pairs of small numbers must not lie in a row.
#[inline]
fn place(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_get_numbers_in_the_order_of_first_occurrence() {
        let mut seen = Seen::default();
        for round in 0..3 {
            for key in 0..10_000_u64 {
                let half = key / 2;
                let asked = (half << 32) | half;
                assert_eq!(seen.number(asked), (half as u32, key % 2 == 0), "{round} {key}");
            }
            seen.clear();
        }
        assert!(!seen.again(7) && seen.again(7) && !seen.again(0));
    }
}
