use super::Bitsliced;
use crate::random::aes::{Aes128, Block, Cipher};

/// FIPS 197, appendix C.1.
#[test]
fn blocks_are_those_of_the_standard() {
    let mut blocks = [std::array::from_fn(|i| i as u8 * 0x11)];
    Bitsliced::<u128>::new(&std::array::from_fn(|i| i as u8)).encrypt(&mut blocks);
    assert_eq!(
        u128::from_be_bytes(blocks[0]),
        0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a
    );
}

/// As many blocks as do not fill the vectors, too.
#[test]
fn blocks_are_those_of_the_processor() {
    let byte = |i: usize| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8;
    for count in [1, 8, 31] {
        for seed in 0..20 {
            let mut ours: Vec<Block> = (0..count)
                .map(|block| std::array::from_fn(|i| byte(1000 * seed + 16 * block + i)))
                .collect();
            let mut theirs = ours.clone();
            let key = std::array::from_fn(|i| byte(600 + 1000 * seed + i));
            Bitsliced::<u128>::new(&key).encrypt(&mut ours);
            Aes128::new(&key).encrypt(&mut theirs);
            assert_eq!(ours, theirs);
        }
    }
}
