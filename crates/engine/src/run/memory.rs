//! Memory of evaluations. It grows to what a circuit needs and is used again: fresh memory costs a
//! page fault every 4 KB.

use crate::schedule::{GROUP, Group, Load};
use aligned_vec::{AVec, CACHELINE_ALIGN};
use cipherfn_circuit::circuit::SelectorId;
use cipherfn_scheme::carriers::FourierCarriers;
use cipherfn_scheme::fourier::{TransformScratch, c64};
use cipherfn_scheme::selectors::{FourierSelectors, GgswShape};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One input of a row, as the circuit computes with it.
#[derive(Debug)]
pub(crate) enum Expanded {
    /// GGSW ciphertexts.
    Selectors(FourierSelectors),
    /// GGSW ciphertexts that are expanded as they are needed.
    Streamed,
    /// The ciphertexts of a feature vector.
    Features(FourierCarriers),
    /// Encrypted values.
    Values(FourierCarriers),
    /// All rows' tables, by their place among the inputs of tables.
    Tables(usize),
}

/// The tables that all rows share, one entry an input of tables.
#[derive(Debug, Default)]
pub struct SharedTables(pub(crate) Vec<FourierCarriers>);

/// Memory for the selectors that are expanded as they are needed.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    frames: Vec<FourierSelectors>,
    /// The frame of each group in memory.
    places: HashMap<Group, usize>,
}

impl Frames {
    /// Makes room for `count` groups; whatever they hold is forgotten.
    pub(super) fn fit(&mut self, count: usize) {
        self.places.clear();
        self.frames.resize_with(count, FourierSelectors::default);
    }

    /// Fills frames with groups, on all threads if `parallel`. `shape` and number of the selectors
    /// of a group are those that `size` says.
    pub(super) fn load<E: Send>(
        &mut self,
        loads: &[Load],
        parallel: bool,
        size: impl Fn(Group) -> (GgswShape, usize) + Sync,
        expand: impl Fn(Group, &mut FourierSelectors) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        let mut groups = vec![None; self.frames.len()];
        for load in loads {
            groups[load.frame as usize] = Some(load.group);
        }
        self.places
            .retain(|_, frame| groups.get(*frame).is_none_or(Option::is_none));
        let placed = loads.iter().map(|load| (load.group, load.frame as usize));
        self.places.extend(placed);
        let one = |(frame, group): (&mut FourierSelectors, &Option<Group>)| match group {
            Some(group) => {
                let (shape, count) = size(*group);
                frame.reset(shape, count);
                expand(*group, frame)
            }
            None => Ok(()),
        };
        if parallel {
            self.frames.par_iter_mut().zip(&groups).try_for_each(one)
        } else {
            self.frames.iter_mut().zip(&groups).try_for_each(one)
        }
    }

    /// The selectors among which this one is, and its place.
    pub(super) fn find(&self, selector: SelectorId) -> (&FourierSelectors, usize) {
        let frame = self.places[&Group::of(selector)];
        (&self.frames[frame], (selector.index % GROUP) as usize)
    }
}

/// The values between steps, each behind a lock of its own: the blocks of a stage write different
/// ones and read those of earlier stages.
#[derive(Default)]
pub(crate) struct Values {
    slots: Vec<RwLock<AVec<c64>>>,
    scratch: Mutex<Vec<Scratch>>,
}

/// Working memory of one thread.
pub(super) struct Scratch {
    pub(super) difference: AVec<c64>,
    pub(super) working: Working,
}

pub(super) struct Working {
    pub(super) digits: AVec<c64>,
    pub(super) fft: TransformScratch,
}

impl Values {
    /// Makes room for `slots` values of `len`, with scratch of `digits`.
    pub(super) fn fit(&mut self, slots: usize, len: usize, digits: usize) {
        let other = |slot: &mut RwLock<AVec<c64>>| {
            slot.get_mut().unwrap_or_else(PoisonError::into_inner).len() != len
        };
        if self.slots.iter_mut().any(other) {
            self.slots.clear();
        }
        self.slots.resize_with(slots, || RwLock::new(zeroed(len)));
        self.scratch
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|scratch| {
                scratch.working.digits.len() == digits && scratch.difference.len() == len
            });
    }

    pub(super) fn read(&self, slot: u32) -> RwLockReadGuard<'_, AVec<c64>> {
        self.slots[slot as usize]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, slot: u32) -> RwLockWriteGuard<'_, AVec<c64>> {
        self.slots[slot as usize]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` with working memory, which is kept for the next caller.
    pub(super) fn with_scratch<T>(
        &self,
        make: impl FnOnce() -> Scratch,
        work: impl FnOnce(&mut Scratch) -> T,
    ) -> T {
        let idle = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut scratch = taken.unwrap_or_else(make);
        let result = work(&mut scratch);
        idle().push(scratch);
        result
    }
}

pub(super) fn zeroed(len: usize) -> AVec<c64> {
    AVec::from_iter(
        CACHELINE_ALIGN,
        std::iter::repeat_n(c64::new(0.0, 0.0), len),
    )
}
