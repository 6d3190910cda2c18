//! Key switch and bootstrap, as ratios to `tfhe`'s own at n = 866, k = 1, N = 2048, gadget 23 x 1 and
//! a key switch of 3 x 5 (its `V1_6_PARAM_MESSAGE_2_CARRY_2_KS_PBS` but for the numbers here).

use crate::timer::{Timer, line};
use cipherfn_protocol::specs::{BaseLog, Bits, FeatureForm, Gadget, Levels};
use cipherfn_scheme::bootstrap::{Levelled, Lwe, Table};
use cipherfn_scheme::circuit_bootstrap;
use cipherfn_scheme::parameters::{KeyPartContents, ParameterSet};
use cipherfn_scheme::query::{self, LinearQueryShape};
use cipherfn_scheme::{EvaluationKey, Glwe, SchemeError, SecretKey};
use rayon::ThreadPool;
use tfhe::core_crypto::commons::generators::{
    DeterministicSeeder, EncryptionRandomGenerator, SecretRandomGenerator,
};
use tfhe::core_crypto::commons::math::random::{DefaultRandomGenerator, Seed, Seeder};
use tfhe::core_crypto::prelude::{
    CiphertextModulus, ComputationBuffers, DecompositionBaseLog, DecompositionLevelCount, Fft,
    FourierLweBootstrapKey, Gaussian, GlweCiphertext, GlweDimension, GlweSecretKeyOwned,
    LweCiphertext, LweDimension, LweSecretKeyOwned, Plaintext, PolynomialSize, StandardDev,
    allocate_and_encrypt_new_lwe_ciphertext, allocate_and_generate_new_binary_glwe_secret_key,
    allocate_and_generate_new_binary_lwe_secret_key, allocate_and_generate_new_lwe_keyswitch_key,
    convert_standard_lwe_bootstrap_key_to_fourier, keyswitch_lwe_ciphertext,
    par_allocate_and_generate_new_lwe_bootstrap_key,
    programmable_bootstrap_lwe_ciphertext_mem_optimized,
    programmable_bootstrap_lwe_ciphertext_mem_optimized_requirement,
};

/// Numbers of a batch.
const BATCH: usize = 16;

/// The bootstraps of which the name contains `name`, on one thread; decompression on all as well.
pub(crate) fn bench(timer: &Timer, name: &str, one: &ThreadPool) -> Result<(), SchemeError> {
    let mut theirs = None;
    for set in ParameterSet::all() {
        let parts = set.parts.iter().filter(|part| {
            matches!(part.contents, KeyPartContents::Bootstrap(_)) && part.name.contains(name)
        });
        for part in parts {
            let theirs = *theirs.get_or_insert_with(|| one.install(|| reference(timer)));
            ours(timer, set, part.name, theirs, one)?;
        }
    }
    Ok(())
}

fn ours(
    timer: &Timer,
    set: &'static ParameterSet,
    name: &str,
    theirs: f64,
    one: &ThreadPool,
) -> Result<(), SchemeError> {
    println!("{name}");
    let secret = SecretKey::generate(set)?;
    let make = || EvaluationKey::generate_part(&secret, name);
    let part = make()?;
    let bytes = format!("file of {} bytes", part.file_len());
    line("make", timer.time(|| make().is_ok()), &bytes);
    let mut expanded = EvaluationKey::generate(&secret)?.expand()?;
    let threads = rayon::current_num_threads();
    line(
        &format!("decompress on {threads} threads"),
        timer.time(|| expanded.add(&part).is_ok()),
        "",
    );
    let all = timer.time(|| one.install(|| expanded.add(&part).is_ok()));
    line("decompress", all, "");
    let key = expanded.bootstrap(name)?;
    let numbers: Vec<Lwe<Levelled>> = glwes(&secret, set)?
        .iter()
        .map(|glwe| Lwe::extract(glwe, 0))
        .collect();
    let table = Table::of_entries(key.parameters(), &[(0, 1 << 60)])?;
    one.install(|| {
        let mut next = numbers.iter().cycle();
        let switch = timer.time(|| next.next().map(|number| key.from_levelled(number).is_ok()));
        line("key switch to s", switch, "");
        let small = numbers
            .iter()
            .map(|number| Ok((key.from_levelled(number)?, &table)))
            .collect::<Result<Vec<_>, SchemeError>>()?;
        let results = key.bootstrap(&small)?;
        let mut next = results.iter().cycle();
        let back = timer.time(|| next.next().map(|number| key.to_levelled(number).is_ok()));
        line("key switch back to S1", back, "");
        let mut whole = f64::NAN;
        for count in [1, BATCH] {
            let seconds = timer.time(|| key.bootstrap(&small[..count]).is_ok()) / count as f64;
            whole = switch + seconds;
            let ratio = format!("with key switch {:.3} of tfhe", whole / theirs);
            line(&format!("bootstrap in batches of {count}"), seconds, &ratio);
        }
        for (base_log, levels) in [(8, 2), (6, 3)] {
            let gadget = Gadget::new(BaseLog::new(base_log), Levels::new(levels));
            let make = || circuit_bootstrap::selectors(&expanded, key, gadget, &numbers).is_ok();
            let seconds = timer.time(make) / numbers.len() as f64;
            let ratio = format!(
                "{:.2} of key switch and bootstrap in such batches, {:.3} of tfhe",
                seconds / whole,
                seconds / theirs
            );
            let what = format!("number to selector at {base_log}x{levels} in batches of {BATCH}");
            line(&what, seconds, &ratio);
        }
        Ok(())
    })
}

/// Numbers under the secret key.
fn glwes(secret: &SecretKey, set: &'static ParameterSet) -> Result<Vec<Glwe>, SchemeError> {
    let shape = LinearQueryShape {
        set,
        features: 1,
        block: 1,
        stride: 1,
        form: FeatureForm::Apart,
        body_bits: Bits::new(48),
    };
    (0..BATCH as u64)
        .map(|i| {
            let row = query::encrypt_linear(secret, &shape, &[i << 59])?;
            Ok(query::decode_linear(&shape, &row)?.remove(0))
        })
        .collect()
}

/// Seconds of `tfhe`'s own key switch and bootstrap.
fn reference(timer: &Timer) -> f64 {
    println!("tfhe, n = 866, k = 1, N = 2048");
    let (base, level) = (DecompositionBaseLog, DecompositionLevelCount);
    let mut seeder = DeterministicSeeder::<DefaultRandomGenerator>::new(Seed(0));
    let mut secret = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
    let mut noise =
        EncryptionRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed(), &mut seeder);
    let gaussian =
        |log2: f64| Gaussian::from_dispersion_parameter(StandardDev(2f64.powf(log2)), 0.0);
    let (small_noise, glwe_noise) = (gaussian(-18.90), gaussian(-48.32));
    let modulus = CiphertextModulus::new_native();
    let small: LweSecretKeyOwned<u64> =
        allocate_and_generate_new_binary_lwe_secret_key(LweDimension(866), &mut secret);
    let glwe: GlweSecretKeyOwned<u64> = allocate_and_generate_new_binary_glwe_secret_key(
        GlweDimension(1),
        PolynomialSize(2048),
        &mut secret,
    );
    let big = glwe.clone().into_lwe_secret_key();
    let switching = allocate_and_generate_new_lwe_keyswitch_key(
        &big,
        &small,
        base(3),
        level(5),
        small_noise,
        modulus,
        &mut noise,
    );
    let standard = par_allocate_and_generate_new_lwe_bootstrap_key(
        &small,
        &glwe,
        base(23),
        level(1),
        glwe_noise,
        modulus,
        &mut noise,
    );
    let mut rotation = FourierLweBootstrapKey::new(
        LweDimension(866),
        GlweDimension(1).to_glwe_size(),
        PolynomialSize(2048),
        base(23),
        level(1),
    );
    convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut rotation);
    let number = allocate_and_encrypt_new_lwe_ciphertext(
        &big,
        Plaintext(1 << 61),
        glwe_noise,
        modulus,
        &mut noise,
    );
    let mut switched = LweCiphertext::new(0u64, LweDimension(866).to_lwe_size(), modulus);
    let mut result = LweCiphertext::new(0u64, LweDimension(2048).to_lwe_size(), modulus);
    let mut table = GlweCiphertext::new(
        0u64,
        GlweDimension(1).to_glwe_size(),
        PolynomialSize(2048),
        modulus,
    );
    table.get_mut_body().as_mut().fill(1 << 61);
    let fft = Fft::new(PolynomialSize(2048));
    let mut buffers = ComputationBuffers::new();
    buffers.resize(
        programmable_bootstrap_lwe_ciphertext_mem_optimized_requirement::<u64>(
            GlweDimension(1).to_glwe_size(),
            PolynomialSize(2048),
            fft.as_view(),
        )
        .unaligned_bytes_required(),
    );
    let switch = timer.time(|| keyswitch_lwe_ciphertext(&switching, &number, &mut switched));
    line("tfhe key switch 3 x 5", switch, "");
    let bootstrap = timer.time(|| {
        programmable_bootstrap_lwe_ciphertext_mem_optimized(
            &switched,
            &mut result,
            &table,
            &rotation,
            fft.as_view(),
            buffers.stack(),
        );
    });
    line("tfhe bootstrap 23 x 1", bootstrap, "");
    switch + bootstrap
}
