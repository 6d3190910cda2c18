//! Rows such that the first so many of them are from all over the table.
//!
//! Tables come sorted, by class, by target, by time. What is fitted or simulated on a part of the rows takes the
//! first ones, and a range that the first rows have says nothing of the others.

/// Most of `rows`, evenly far from each other, and every how manieth they are.
///
/// # Errors
/// The rows' own.
pub(super) fn thinned<T, E>(
    rows: impl Iterator<Item = Result<T, E>>,
    most: usize,
) -> Result<Thinned<T>, E> {
    let mut thinned = Thinned {
        rows: Vec::new(),
        stride: 1,
        count: 0,
    };
    for row in rows {
        let row = row?;
        if thinned.count.is_multiple_of(thinned.stride) {
            if thinned.rows.len() == most {
                let mut index = 0;
                thinned.rows.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                thinned.stride *= 2;
            }
            if thinned.count.is_multiple_of(thinned.stride) {
                thinned.rows.push(row);
            }
        }
        thinned.count += 1;
    }
    Ok(thinned)
}

/// Rows of a table.
pub(super) struct Thinned<T> {
    pub(super) rows: Vec<T>,
    /// One in so many.
    pub(super) stride: usize,
    /// Rows of the table.
    pub(super) count: usize,
}

/// Rows of a table of which nothing takes a part.
const WHOLE: usize = 128;

/// The numbers below `len` such that the first so many, [`WHOLE`] or more, are evenly spread over all (van der
/// Corput's sequence to base 2).
pub(super) fn order(len: usize) -> impl Iterator<Item = usize> {
    let bits = len.next_power_of_two().trailing_zeros();
    let reversed = move |index: usize| {
        if len <= WHOLE {
            index
        } else {
            index.reverse_bits() >> (usize::BITS - bits)
        }
    };
    (0..1_usize << bits)
        .map(reversed)
        .filter(move |index| *index < len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_from_everywhere() {
        for len in [0, 1, 2, 3, 10, 1_000] {
            let mut all: Vec<usize> = order(len).collect();
            if len == 1_000 {
                // No gap between the first 100 is much longer than ten.
                let mut first = all[..100].to_vec();
                first.sort_unstable();
                first.push(len);
                let gap = first.windows(2).map(|two| two[1] - two[0]).max();
                assert!(gap <= Some(16), "{gap:?}");
            }
            all.sort_unstable();
            assert!(all.into_iter().eq(0..len));
        }
    }

    #[test]
    fn what_is_left_of_many_rows_is_every_so_manieth() {
        for (count, stride) in [(0, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 4), (100, 16)] {
            let rows = (0..count).map(Ok::<usize, ()>);
            let thinned = thinned(rows, 8).unwrap();
            assert_eq!((thinned.stride, thinned.count), (stride, count));
            let wanted: Vec<usize> = (0..count).step_by(stride).collect();
            assert_eq!(thinned.rows, wanted);
        }
        assert_eq!(
            thinned([Ok(1), Err("row 2")].into_iter(), 8).err(),
            Some("row 2")
        );
    }
}
