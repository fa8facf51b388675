//! A hash table of n-grams: open addressing with linear probing over 16-byte slots, four to a cache line.
//!
//! An n-gram is known by a 64-bit hash, as in kenlm's probing model: of n stored ones a query that is absent finds a wrong
//! one with probability n · 2⁻⁶⁴.

/// An n-gram's logarithms. The sign of `prob` tells whether a longer n-gram ends in this one: log probabilities are never
/// positive, so that it is free.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    prob: f32,
    backoff: f32,
}

/// What is stored of an n-gram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// log₁₀ of the probability, ≤ 0.
    pub(super) prob: f32,
    /// log₁₀ of the back-off weight; 0 where none is stored.
    pub(super) backoff: f32,
    /// Whether a longer n-gram ends in this one.
    pub(super) extends: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    len: usize,
}

/// Hash of a word.
pub(super) fn hash_word(word: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(word.as_bytes())
}

/// Hash of an n-gram from that of its last words and that of the word before them.
#[inline]
pub(super) fn extend(key: u64, before: u64) -> u64 {
    let product = u128::from(key ^ 0x9e37_79b9_7f4a_7c15) * u128::from(before ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ ((product >> 64) as u64)
}

/// 0 marks a free slot.
#[inline]
fn stored(key: u64) -> u64 {
    key | u64::from(key == 0)
}

impl Table {
    pub(super) fn with_capacity(entries: usize) -> Self {
        Self { slots: vec![Slot::default(); (entries + entries / 2).max(16)], len: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.slots.len() * size_of::<Slot>()) as u64
    }

    /// Where the search for a key begins.
    #[inline]
    pub(super) fn home(&self, key: u64) -> usize {
        ((u128::from(stored(key)) * self.slots.len() as u128) >> 64) as usize
    }

    #[inline]
    fn find_slot(&self, key: u64, home: usize) -> Result<usize, usize> {
        let key = stored(key);
        let mut at = home;
        loop {
            let found = self.slots[at].key;
            if found == key {
                return Ok(at);
            }
            if found == 0 {
                return Err(at);
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    #[inline]
    pub(super) fn find_from(&self, key: u64, home: usize) -> Option<Entry> {
        let slot = &self.slots[self.find_slot(key, home).ok()?];
        Some(Entry { prob: -slot.prob.abs(), backoff: slot.backoff, extends: slot.prob.is_sign_positive() })
    }

    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<Entry> {
        self.find_from(key, self.home(key))
    }

    /// Marks an entry as the end of a longer one; `false` where there is no such entry.
    pub(super) fn mark(&mut self, key: u64) -> bool {
        match self.find_slot(key, self.home(key)) {
            Ok(at) => {
                let slot = &mut self.slots[at];
                slot.prob = slot.prob.abs();
                true
            }
            Err(_) => false,
        }
    }

    /// Adds an entry; `false`, and nothing changed, where the key is there already.
    pub(super) fn insert(&mut self, key: u64, entry: Entry) -> bool {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let Err(at) = self.find_slot(key, self.home(key)) else { return false };
        let size = entry.prob.abs();
        let prob = if entry.extends { size } else { -size };
        self.slots[at] = Slot { key: stored(key), prob, backoff: entry.backoff };
        self.len += 1;
        true
    }

    /// Slots are spread by the key's upper bits, so that growing walks both tables from front to back.
    fn grow(&mut self) {
        let larger = Self { slots: vec![Slot::default(); self.slots.len() * 2], len: self.len };
        let smaller = std::mem::replace(self, larger);
        for slot in smaller.slots {
            if slot.key != 0
                && let Err(at) = self.find_slot(slot.key, self.home(slot.key))
            {
                self.slots[at] = slot;
            }
        }
    }
}
