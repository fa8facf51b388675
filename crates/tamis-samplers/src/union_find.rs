//! Connected components of a graph that comes link by link.
//!
//! Union–find with path halving (Tarjan & van Leeuwen 1984, DOI 10.1145/62.2160), where the smaller of two roots becomes the root
//! of both: so a component is named by its smallest member, whatever the order of the links. Memory: 4 bytes a member below
//! 2³² members, else 8. Time: O(log n) a link at worst, next to none in practice.

/// Which members are linked, through however many others.
#[derive(Clone, Debug)]
pub struct UnionFind {
    parents: Parents,
}

#[derive(Clone, Debug)]
enum Parents {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl UnionFind {
    /// Members 0 to `members` − 1, none of them linked.
    #[must_use]
    pub fn new(members: u64) -> Self {
        Self {
            parents: match u32::try_from(members) {
                Ok(members) => Parents::Narrow((0..members).collect()),
                Err(_) => Parents::Wide((0..members).collect()),
            },
        }
    }

    fn parent(&self, at: u64) -> u64 {
        match &self.parents {
            Parents::Narrow(parents) => u64::from(parents[at as usize]),
            Parents::Wide(parents) => parents[at as usize],
        }
    }

    fn set(&mut self, at: u64, parent: u64) {
        match &mut self.parents {
            // A parent is a member, and these all fit.
            Parents::Narrow(parents) => parents[at as usize] = parent as u32,
            Parents::Wide(parents) => parents[at as usize] = parent,
        }
    }

    fn root(&mut self, mut at: u64) -> u64 {
        loop {
            let parent = self.parent(at);
            if parent == at {
                return at;
            }
            let above = self.parent(parent);
            self.set(at, above);
            at = above;
        }
    }

    /// Links two members.
    ///
    /// # Panics
    /// A member that there is not.
    pub fn join(&mut self, a: u64, b: u64) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.set(a.max(b), a.min(b));
        }
    }

    /// Makes every member point at the name of its component, for [`Self::label`].
    pub fn settle(&mut self) {
        let members = match &self.parents {
            Parents::Narrow(parents) => parents.len(),
            Parents::Wide(parents) => parents.len(),
        };
        // A parent is never larger, so that it is settled before.
        for at in 0..members as u64 {
            let root = self.parent(self.parent(at));
            self.set(at, root);
        }
    }

    /// The smallest member of a member's component, once all is settled.
    ///
    /// # Panics
    /// A member that there is not.
    #[must_use]
    pub fn label(&self, at: u64) -> u64 {
        self.parent(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Labels by search from every member in turn.
    fn plainly(members: u64, links: &[(u64, u64)]) -> Vec<u64> {
        let mut labels: Vec<Option<u64>> = vec![None; members as usize];
        for start in 0..members {
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                if labels[at as usize].is_some() {
                    continue;
                }
                labels[at as usize] = Some(start);
                open.extend(links.iter().filter(|(a, _)| *a == at).map(|(_, b)| *b));
                open.extend(links.iter().filter(|(_, b)| *b == at).map(|(a, _)| *a));
            }
        }
        labels.into_iter().map(|label| label.expect("every member was a start")).collect()
    }

    fn labels(members: u64, links: &[(u64, u64)], wide: bool) -> Vec<u64> {
        let mut found = UnionFind::new(members);
        if wide {
            found.parents = Parents::Wide((0..members).collect());
        }
        links.iter().for_each(|(a, b)| found.join(*a, *b));
        found.settle();
        (0..members).map(|at| found.label(at)).collect()
    }

    proptest! {
        #[test]
        fn components_are_those_that_a_search_finds_in_any_order(
            links in proptest::collection::vec((0_u64..60, 0_u64..60), 0..80),
            wide in any::<bool>(),
        ) {
            let expected = plainly(60, &links);
            prop_assert_eq!(&labels(60, &links, wide), &expected);
            let mut turned: Vec<(u64, u64)> = links.iter().map(|(a, b)| (*b, *a)).collect();
            turned.reverse();
            prop_assert_eq!(&labels(60, &turned, wide), &expected);
        }
    }

    #[test]
    fn long_chains_are_walked_without_recursion_and_quickly() {
        const LONG: u64 = 1_000_000;
        for links in [
            (1..LONG).map(|at| (at - 1, at)).collect::<Vec<_>>(),
            (1..LONG).rev().map(|at| (at, at - 1)).collect(),
        ] {
            assert!(labels(LONG, &links, false).iter().all(|label| *label == 0));
        }
    }
}
