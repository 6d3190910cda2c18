//! What a client does for many rows, side by side on the threads that there are.

/// What `made` makes of each item and its number, in order.
#[cfg(not(target_family = "wasm"))]
pub fn map<T: Sync, R: Send>(items: &[T], made: impl Fn(usize, &T) -> R + Sync + Send) -> Vec<R> {
    use rayon::prelude::*;
    let numbered = items.par_iter().enumerate();
    numbered.map(|(number, item)| made(number, item)).collect()
}

/// The same in a browser, which has one thread here: rayon would be a tenth of what a page loads.
#[cfg(target_family = "wasm")]
pub fn map<T, R>(items: &[T], made: impl Fn(usize, &T) -> R) -> Vec<R> {
    let numbered = items.iter().enumerate();
    numbered.map(|(number, item)| made(number, item)).collect()
}
