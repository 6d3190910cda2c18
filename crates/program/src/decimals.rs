//! Numbers of few decimals as 32-bit floats: which floats stand for them, and which of these a split
//! point separates.

/// Most decimals that can be declared: 32-bit floats have no more of interest.
pub const MAX_DECIMALS: u32 = 9;

/// Whether `value` stands for a number of at most `decimals` decimals: such a number, rounded to 32
/// bits in any direction.
pub fn has_decimals(value: f32, decimals: u32) -> bool {
    let exact = f64::from(value);
    let nearest = (exact * scale(decimals)).round() / scale(decimals);
    (exact - nearest).abs() < unit(value)
}

/// The largest float at most `split` that stands for a number of at most `decimals` decimals. A value
/// that stands for one exceeds both or neither, so one split point is as good as the other.
pub fn split_of_decimals(split: f32, decimals: u32) -> f32 {
    let number = (f64::from(split) * scale(decimals)).floor();
    let around = |number: f64| {
        let nearest = (number / scale(decimals)) as f32;
        [nearest.next_down(), nearest, nearest.next_up()]
    };
    [number - 1.0, number, number + 1.0]
        .into_iter()
        .flat_map(around)
        .chain([split])
        .filter(|value| *value <= split && has_decimals(*value, decimals))
        .fold(f32::NEG_INFINITY, f32::max)
        .max(f32::MIN)
}

fn scale(decimals: u32) -> f64 {
    10_f64.powi(decimals.min(MAX_DECIMALS) as i32)
}

/// The distance to the next float, the larger of the two.
fn unit(value: f32) -> f64 {
    let value_64 = f64::from(value);
    let above = f64::from(value.next_up()) - value_64;
    let below = value_64 - f64::from(value.next_down());
    above.max(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_counted_as_they_are_written() {
        for (text, decimals) in [
            ("0", 0),
            ("-0", 0),
            ("3", 0),
            ("1.5", 1),
            ("0.1", 1),
            ("-19.99", 2),
            ("123456.78", 2),
            ("0.001", 3),
            ("16777216", 0),
            ("3.0e30", 0),
        ] {
            let value: f32 = text.parse().unwrap();
            assert!(has_decimals(value, decimals), "{text}");
            // The same number rounded down and up, as casts of 64 bits may do.
            let wide: f64 = text.parse().unwrap();
            let down = if f64::from(value) > wide {
                value.next_down()
            } else {
                value
            };
            let up = if f64::from(value) < wide {
                value.next_up()
            } else {
                value
            };
            assert!(
                has_decimals(down, decimals) && has_decimals(up, decimals),
                "{text}"
            );
            if decimals > 0 && value.abs() < 1e5 {
                assert!(!has_decimals(value, decimals - 1), "{text}");
            }
        }
        for odd in [f32::MIN_POSITIVE, 1e-30, 0.333_333_34] {
            assert!(!has_decimals(odd, 2), "{odd}");
        }
    }

    #[test]
    fn no_number_lies_between_a_split_point_and_the_one_in_its_place() {
        let mut state = 0x9e37_79b9_u32;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        for case in 0..20_000 {
            let decimals = case % 4;
            let size = 10_f64.powi((random() % 8) as i32 - 2);
            let split = ((f64::from(random()) / f64::from(u32::MAX) - 0.5) * size) as f32;
            let own = split_of_decimals(split, decimals);
            assert!(own <= split && has_decimals(own, decimals), "{split} {own}");
            // Every float between them, or those next to both where there are too many.
            let mut value = split;
            let mut steps = 0;
            while value > own && steps < 2_000 {
                assert!(
                    !has_decimals(value, decimals),
                    "{value} between {own} and {split}"
                );
                value = value.next_down();
                steps += 1;
            }
            let mut value = own.next_up();
            for _ in 0..2_000 {
                if value > split {
                    break;
                }
                assert!(
                    !has_decimals(value, decimals),
                    "{value} between {own} and {split}"
                );
                value = value.next_up();
            }
            // No number of these decimals, as it is read from text, is on another side.
            let scale = 10_f64.powi(decimals as i32);
            let number = (f64::from(split) * scale).floor();
            for number in [number - 1.0, number, number + 1.0, number + 2.0] {
                let value = format!("{number}e-{decimals}").parse::<f32>().unwrap();
                assert!(has_decimals(value, decimals), "{value} {decimals}");
                assert_eq!(value > split, value > own, "{value}: {split} {own}");
            }
        }
    }
}
