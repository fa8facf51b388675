//! Floors and ceilings of the shares that strata have of a selection.
//!
//! Without them one threshold cuts all strata, and a stratum has what lies before it. With them it has at least its floor and at
//! most its ceiling: there is one threshold t such that Σ clamp(what stratum s has before t, floor, ceiling) is the budget, since the
//! sum grows with t. Strata that are clamped get a threshold of their own, all others share t. It is found by fixing strata at
//! their bounds, step by step: where all that is over the ceilings outweighs all that is under the floors, those over are at their
//! ceilings in the solution too (the threshold can only rise by fixing them), and the other way round (variable fixing: Bitran &
//! Hax, Management Science 27(4), 1981, DOI 10.1287/mnsc.27.4.431). Each step fixes one stratum or more, so that it ends.

/// What holds a stratum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Hold {
    /// The threshold that it shares with others.
    #[default]
    Shared,
    /// Its floor.
    Floor,
    /// Its ceiling.
    Ceiling,
}

/// Bounds of a stratum, in the unit of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub floor: u64,
    /// The most.
    pub ceiling: u64,
    /// What there is.
    pub available: u64,
}

/// A wish that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// All floors together are more than the budget.
    #[error("the floors ask for {floors} together, and the budget is {budget}")]
    FloorsOverBudget {
        /// All floors.
        floors: u64,
        /// The budget.
        budget: u64,
    },
    /// All ceilings together, or what there is below them, are less than the budget.
    #[error("the ceilings allow {most} together of what there is, and the budget is {budget}")]
    CeilingsUnderBudget {
        /// The most that can be had.
        most: u64,
        /// The budget.
        budget: u64,
    },
    /// A floor asks for more than there is, by the stratum's place.
    #[error("stratum {stratum} has {available}, and its floor asks for {floor}")]
    FloorOverAvailable {
        /// The stratum's place.
        stratum: usize,
        /// Its floor.
        floor: u64,
        /// What there is.
        available: u64,
    },
    /// A floor is above the ceiling.
    #[error("stratum {stratum} has the floor {floor} above its ceiling {ceiling}")]
    Crossed {
        /// The stratum's place.
        stratum: usize,
        /// Its floor.
        floor: u64,
        /// Its ceiling.
        ceiling: u64,
    },
}

/// Refuses bounds that no selection meets.
///
/// # Errors
/// Which one, and what can be had.
pub fn check_quotas(bounds: &[Bounds], budget: u64) -> Result<(), QuotaError> {
    for (stratum, &Bounds { floor, ceiling, available }) in bounds.iter().enumerate() {
        if floor > ceiling {
            return Err(QuotaError::Crossed { stratum, floor, ceiling });
        }
        if floor > available {
            return Err(QuotaError::FloorOverAvailable { stratum, floor, available });
        }
    }
    let sum = |of: fn(&Bounds) -> u64| bounds.iter().map(of).fold(0, u64::saturating_add);
    let (floors, most) = (sum(|bounds| bounds.floor), sum(|bounds| bounds.ceiling.min(bounds.available)));
    if floors > budget {
        return Err(QuotaError::FloorsOverBudget { floors, budget });
    }
    if most < budget {
        return Err(QuotaError::CeilingsUnderBudget { most, budget });
    }
    Ok(())
}

/// Fixes strata whose share at the common threshold, `have`, is out of bounds; whether any was fixed. Where none was, the
/// threshold stands.
pub fn fix_quotas(bounds: &[Bounds], have: &[u64], holds: &mut [Hold]) -> bool {
    let (mut over, mut under) = (0_u64, 0_u64);
    for ((bounds, have), hold) in bounds.iter().zip(have).zip(&*holds) {
        if *hold == Hold::Shared {
            over = over.saturating_add(have.saturating_sub(bounds.ceiling));
            under = under.saturating_add(bounds.floor.saturating_sub(*have));
        }
    }
    let mut fixed = false;
    for ((bounds, have), hold) in bounds.iter().zip(have).zip(holds) {
        if *hold != Hold::Shared {
            continue;
        }
        if *have > bounds.ceiling && over >= under {
            (*hold, fixed) = (Hold::Ceiling, true);
        } else if *have < bounds.floor && under >= over {
            (*hold, fixed) = (Hold::Floor, true);
        }
    }
    fixed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Strata of documents with distinct priorities.
    fn strata() -> impl Strategy<Value = Vec<Vec<u32>>> {
        prop::collection::vec(prop::collection::btree_set(0..100_000u32, 1..40), 1..6).prop_map(|all| {
            let mut seen = std::collections::BTreeSet::new();
            all.into_iter().map(|one| one.into_iter().filter(|p| seen.insert(*p)).collect()).collect()
        })
    }

    proptest! {
        #[test]
        fn the_shares_are_those_of_one_threshold_clamped(
            strata in strata(),
            (percent, low, high) in (1..100u64, 0..60u64, 0..100u64),
        ) {
            let all: u64 = strata.iter().map(|one| one.len() as u64).sum();
            let budget = (all * percent / 100).max(1);
            let bounds: Vec<Bounds> = strata
                .iter()
                .enumerate()
                .map(|(at, one)| {
                    let available = one.len() as u64;
                    let floor = (budget * (low * (at as u64 % 3)) / 300).min(available);
                    Bounds { floor, ceiling: floor + budget * high / 100, available }
                })
                .collect();
            if check_quotas(&bounds, budget).is_err() {
                return Ok(());
            }
            let mut holds = vec![Hold::Shared; strata.len()];
            let fixed = |at: usize, hold: Hold| match hold {
                Hold::Floor => Some(bounds[at].floor),
                Hold::Ceiling => Some(bounds[at].ceiling.min(bounds[at].available)),
                Hold::Shared => None,
            };
            let shares = loop {
                let taken: u64 = holds.iter().enumerate().filter_map(|(at, hold)| fixed(at, *hold)).sum();
                let mut open: Vec<(u32, usize)> = strata
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| holds[*at] == Hold::Shared)
                    .flat_map(|(at, one)| one.iter().map(move |priority| (*priority, at)))
                    .collect();
                open.sort_unstable();
                let mut have = vec![0; strata.len()];
                open.iter().take(budget.saturating_sub(taken) as usize).for_each(|(_, at)| have[*at] += 1);
                if !fix_quotas(&bounds, &have, &mut holds) {
                    break (0..strata.len()).map(|at| fixed(at, holds[at]).unwrap_or(have[at])).collect::<Vec<u64>>();
                }
            };
            prop_assert_eq!(shares.iter().sum::<u64>(), budget);
            // The one threshold: by trying all.
            let clamped = |t: u32| -> Vec<u64> {
                strata
                    .iter()
                    .zip(&bounds)
                    .map(|(one, bounds)| {
                        let before = one.iter().filter(|priority| **priority < t).count() as u64;
                        before.clamp(bounds.floor, bounds.ceiling.min(bounds.available).max(bounds.floor))
                    })
                    .collect()
            };
            let mut thresholds: Vec<u32> = strata.iter().flatten().map(|priority| priority + 1).collect();
            thresholds.push(0);
            let found = thresholds.into_iter().map(clamped).find(|shares| shares.iter().sum::<u64>() == budget);
            prop_assert_eq!(Some(shares), found);
        }
    }

    #[test]
    fn wishes_that_cannot_be_met_say_what_can() {
        let of = |floor, ceiling, available| Bounds { floor, ceiling, available };
        let refused = |bounds: &[Bounds]| check_quotas(bounds, 10).unwrap_err();
        assert_eq!(
            refused(&[of(8, 9, 20), of(8, 9, 20)]),
            QuotaError::FloorsOverBudget { floors: 16, budget: 10 }
        );
        assert_eq!(
            refused(&[of(0, 3, 20), of(0, 9, 4)]),
            QuotaError::CeilingsUnderBudget { most: 7, budget: 10 }
        );
        let over = QuotaError::FloorOverAvailable { stratum: 1, floor: 5, available: 4 };
        assert_eq!(refused(&[of(0, 9, 20), of(5, 9, 4)]), over);
        assert_eq!(refused(&[of(4, 3, 20)]), QuotaError::Crossed { stratum: 0, floor: 4, ceiling: 3 });
        assert!(check_quotas(&[of(4, 10, 20), of(0, 5, 20)], 10).is_ok());
    }
}
