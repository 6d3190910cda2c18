//! Sums under a public key.

use crate::timer::{Timer, line};
use cipherfn_scheme::parameters::ParameterSet;
use cipherfn_scheme::public::{PublicCiphertext, PublicKey};
use cipherfn_scheme::{SchemeError, SecretKey};

/// Words of a regression on 30 columns.
const WORDS: usize = 529;

/// `theirs` is `tfhe`'s encryption of a GLWE ciphertext under the secret key.
pub(crate) fn bench(
    timer: &Timer,
    key: &SecretKey,
    set: &'static ParameterSet,
    theirs: f64,
) -> Result<(), SchemeError> {
    let public = PublicKey::generate(key)?;
    let words = [1 << 40; WORDS];
    let encrypt = timer.time(|| public.encrypt(&words).is_ok());
    let ratio = format!("{:.3} of tfhe under the secret key", encrypt / theirs);
    line("encrypt under a public key", encrypt, &ratio);
    let bytes = public.encrypt(&words)?.to_bytes();
    let mut sum = public.encrypt(&words)?;
    let add = timer.time(|| {
        let other = PublicCiphertext::from_bytes(set, WORDS, &bytes)?;
        sum.add(&other)
    });
    line("read and add it", add, &format!("{} bytes", bytes.len()));
    line("decrypt it", timer.time(|| sum.decrypt(key).is_ok()), "");
    Ok(())
}
