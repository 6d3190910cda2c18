//! Pictures as SVG: bars, and points between two axes.

use super::escape;
use crate::quantity::significant;
use std::fmt::Write;

/// Width of a picture and where its bars start and end, in its own units.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 220.0;
const RIGHT: f64 = 540.0;

/// Bars below each other, each a label, a value with its text, and a class of colour.
pub(super) fn bars(bars: &[(String, f64, String, &str)], caption: &str) -> String {
    let most = bars
        .iter()
        .map(|bar| bar.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut picture = String::new();
    for (index, (label, value, text, colour)) in bars.iter().enumerate() {
        let y = index as f64 * 22.0;
        let width = (RIGHT - LEFT) * value / most;
        let _ = write!(
            picture,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT:.0}\" y=\"{:.0}\" width=\"{width:.1}\" height=\"14\" rx=\"2\" fill=\"var(--{colour})\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LEFT - 8.0,
            y + 14.0,
            escape(&shortened(label)),
            y + 3.0,
            LEFT + width + 6.0,
            y + 14.0,
            escape(text)
        );
    }
    let height = bars.len() as f64 * 22.0;
    let caption = escape(caption);
    format!(
        "<figure>\n<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{caption}\">{picture}</svg>\n\
         <figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

/// A point of a picture.
pub(super) struct Point {
    /// Along and up.
    pub(super) at: [f64; 2],
    /// Beside it.
    pub(super) label: String,
    /// Filled.
    pub(super) is_chosen: bool,
}

/// Where the axes of points start and end.
const AXES: [[f64; 2]; 2] = [[80.0, 700.0], [300.0, 20.0]];

/// Points between two axes that reach from the least to the largest of them. What is no number is
/// left out.
pub(super) fn points(points: &[Point], axes: [&str; 2], caption: &str) -> String {
    let is_number = |point: &&Point| point.at.iter().all(|value| value.is_finite());
    let points: Vec<&Point> = points.iter().filter(is_number).collect();
    let along = |axis: usize| {
        let values = points.iter().map(|point| point.at[axis]);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (low, high)
    };
    if points.is_empty() {
        return String::new();
    }
    let ranges = [along(0), along(1)];
    let place = |axis: usize, value: f64| {
        let ([start, end], (low, high)) = (AXES[axis], ranges[axis]);
        let part = if high > low {
            (value - low) / (high - low)
        } else {
            0.5
        };
        start + (end - start) * (0.04 + 0.92 * part)
    };
    let [[left, right], [bottom, top]] = AXES;
    let mut picture = format!(
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"var(--line)\"/>\
         <text class=\"soft\" x=\"{right}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
         <text class=\"soft\" x=\"{:.0}\" y=\"12\">{}</text>",
        bottom + 34.0,
        escape(axes[0]),
        left - 70.0,
        escape(axes[1])
    );
    for (axis, (low, high)) in ranges.into_iter().enumerate() {
        let ends = if high > low {
            vec![low, high]
        } else {
            vec![low]
        };
        for value in ends {
            let at = place(axis, value);
            let text = significant(value);
            let _ = if axis == 0 {
                write!(
                    picture,
                    "<text class=\"soft\" x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{text}</text>",
                    bottom + 18.0
                )
            } else {
                write!(
                    picture,
                    "<text class=\"soft\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                    left - 6.0,
                    at + 4.0
                )
            };
        }
    }
    for point in &points {
        let [x, y] = [place(0, point.at[0]), place(1, point.at[1])];
        let (kind, size) = if point.label.is_empty() {
            ("row", 2.5)
        } else {
            ("choice", 6.0)
        };
        let fill = if point.is_chosen { "bar" } else { "paper" };
        let _ = write!(
            picture,
            "<circle class=\"{kind}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\" fill=\"var(--{fill})\" stroke=\"var(--bar)\"/>"
        );
        if !point.label.is_empty() {
            // To the side on which there is room.
            let (anchor, shift) = if x > f64::midpoint(left, right) {
                ("end", -10.0)
            } else {
                ("start", 10.0)
            };
            let _ = write!(
                picture,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                x + shift,
                y + 4.0,
                escape(&point.label)
            );
        }
    }
    let height = bottom + 44.0;
    let caption = escape(caption);
    format!(
        "<figure>\n<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{caption}\">{picture}</svg>\n\
         <figcaption>{caption}</figcaption>\n</figure>\n"
    )
}

/// At most 28 characters of a label, for which there is room.
fn shortened(label: &str) -> String {
    match label.char_indices().nth(28) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.to_owned(),
    }
}
