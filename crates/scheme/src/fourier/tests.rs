use super::{Transform, c64};
use tfhe::core_crypto::fft_impl::fft64::math::polynomial::{
    FourierPolynomialMutView, FourierPolynomialView,
};
use tfhe::core_crypto::prelude::Polynomial;

/// A fixed sequence of words (splitmix64).
fn words(count: usize, mut state: u64) -> Vec<u64> {
    let next = |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (0..count).map(next).collect()
}

#[test]
fn values_are_those_of_tfhe() {
    for size in [512, 1024, 2048] {
        let transform = Transform::new(size);
        let mut scratch = transform.scratch();
        let input = words(size, 7);
        let mut ours = vec![c64::new(0.0, 0.0); size / 2];
        transform.forward_torus(&mut ours, &input, &mut scratch);
        let mut theirs = ours.clone();
        let view = transform.as_tfhe();
        let mut memory =
            dyn_stack::PodBuffer::new(view.forward_scratch().or(view.backward_scratch()));
        let stack = dyn_stack::PodStack::new(&mut memory);
        view.forward_as_torus(
            FourierPolynomialMutView { data: &mut theirs },
            Polynomial::from_container(input.as_slice()),
            stack,
        );
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours - theirs).norm() < 1e-12);
        }
        let mut back = vec![0u64; size];
        let mut back_theirs = vec![0u64; size];
        transform.backward_torus(&mut back, &ours, &mut scratch);
        view.backward_as_torus(
            Polynomial::from_container(back_theirs.as_mut_slice()),
            FourierPolynomialView { data: &theirs },
            stack,
        );
        for ((input, back), theirs) in input.iter().zip(&back).zip(&back_theirs) {
            assert!(
                (back.wrapping_sub(*input) as i64).unsigned_abs() < 1 << 17,
                "{input:#x} came back as {back:#x}"
            );
            assert!((back.wrapping_sub(*theirs) as i64).unsigned_abs() < 1 << 17);
        }
    }
}

#[test]
fn products_are_negacyclic() {
    let size = 512;
    let transform = Transform::new(size);
    let mut scratch = transform.scratch();
    let torus = words(size, 1);
    let mut integers = vec![0u64; size];
    integers[3] = 5;
    integers[510] = 7u64.wrapping_neg();
    let [mut a, mut b, mut product] = [(); 3].map(|()| vec![c64::new(0.0, 0.0); size / 2]);
    transform.forward_torus(&mut a, &torus, &mut scratch);
    transform.forward_integer(&mut b, &integers, &mut scratch);
    super::multiply_add(&mut product, &a, &b);
    let mut out = vec![0; size];
    transform.backward_torus_in_place(&mut out, &mut product, &mut scratch);
    for (i, out) in out.iter().enumerate() {
        let at = |shift: usize| {
            if i >= shift {
                torus[i - shift]
            } else {
                torus[i + size - shift].wrapping_neg()
            }
        };
        let expected = at(3).wrapping_mul(5).wrapping_sub(at(510).wrapping_mul(7));
        assert!(
            (out.wrapping_sub(expected) as i64).unsigned_abs() < 1 << 24,
            "coefficient {i}"
        );
    }
}
