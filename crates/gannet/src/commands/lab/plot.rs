//! Plots as SVG: lines or bars over one axis, for eyes.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;
/// Colours that differ for colour-blind readers too.
// Source: Okabe and Ito, Color Universal Design (2008).
const COLOURS: [&str; 6] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00",
];

/// One line or one row of bars.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    /// Horizontal and vertical; what is not finite is left out.
    pub(super) points: Vec<(f64, f64)>,
    pub(super) bars: bool,
}

/// A plot.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) x: String,
    /// What is at 0, 1, 2… of the horizontal axis, if it has no numbers.
    pub(super) labels: Vec<String>,
    pub(super) y: String,
    pub(super) series: Vec<Series>,
}

impl Series {
    pub(super) fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            bars: false,
        }
    }

    pub(super) fn bars(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            bars: true,
            ..Self::line(name, points)
        }
    }

    fn finite(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        self.points.iter().copied().filter(finite)
    }
}

/// An axis: what is shown, in how large steps, and where on the page.
#[derive(Debug, Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
    step: f64,
    /// Where `from` and `to` are on the page.
    page: (f64, f64),
}

impl Axis {
    /// Shows all values and as few more as round numbers at the ends allow.
    fn of(values: impl Iterator<Item = f64>, with_zero: bool, page: (f64, f64)) -> Self {
        let (mut from, mut to) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |bounds, v| {
            (bounds.0.min(v), bounds.1.max(v))
        });
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        if with_zero {
            (from, to) = (from.min(0.0), to.max(0.0));
        }
        if from == to {
            to = from + from.abs().max(1.0);
        }
        let rough = (to - from) / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let fits = |factor: &f64| factor * power >= rough * 0.999;
        let factor = [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0);
        let step = factor * power;
        Self {
            from: (from / step).floor() * step,
            to: (to / step).ceil() * step,
            step,
            page,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value - self.from) / (self.to - self.from);
        self.page.0 + share * (self.page.1 - self.page.0)
    }

    /// The round numbers that are marked, each with its text.
    fn marks(&self) -> Vec<(f64, String)> {
        let mut marks = Vec::new();
        let mut value = self.from;
        while value <= self.to + self.step / 2.0 && marks.len() < 20 {
            // Zero is exact, not what adding up steps makes of it.
            let shown = if value.abs() < self.step / 1e6 {
                0.0
            } else {
                value
            };
            marks.push((shown, number(shown, self.step)));
            value += self.step;
        }
        marks
    }
}

/// A number with as many digits as the step needs; k, M, G for large ones.
fn number(value: f64, step: f64) -> String {
    let (divisor, unit) = match value.abs() {
        1e9.. => (1e9, "G"),
        1e6.. => (1e6, "M"),
        1e4.. => (1e3, "k"),
        _ => (1.0, ""),
    };
    let digits = (0..6_u8).find(|digits| {
        let scaled = step / divisor * 10_f64.powi(i32::from(*digits));
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
    });
    let digits = usize::from(digits.unwrap_or(6));
    format!("{:.digits$}{unit}", value / divisor)
}

impl Plot {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(Series::finite);
        // Bars at the ends need room.
        let bars = self.series.iter().any(|series| series.bars);
        let room = if bars { 40.0 } else { 0.0 };
        let across = (LEFT + room, WIDTH - RIGHT - room);
        let x = Axis::of(points().map(|point| point.0), false, across);
        let y = Axis::of(points().map(|point| point.1), true, (HEIGHT - BOTTOM, TOP));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        self.frame(&x, &y, &mut svg);
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            if series.bars {
                draw_bars(series, colour, &x, &y, &mut svg);
            } else {
                draw_line(series, colour, &x, &y, &mut svg);
            }
        }
        self.legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    /// Title, axes, marks.
    fn frame(&self, x: &Axis, y: &Axis, svg: &mut String) {
        let (middle, bottom) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - BOTTOM);
        text(
            svg,
            middle,
            18.0,
            "middle",
            "font-weight=\"bold\"",
            &self.title,
        );
        text(svg, middle, HEIGHT - 12.0, "middle", "", &self.x);
        let turned = format!("transform=\"rotate(-90 16 {0:.1})\"", (TOP + bottom) / 2.0);
        text(svg, 16.0, (TOP + bottom) / 2.0, "middle", &turned, &self.y);
        for (value, shown) in y.marks() {
            let at = y.at(value);
            line(svg, (LEFT, at), (WIDTH - RIGHT, at), "#dddddd");
            text(svg, LEFT - 6.0, at + 4.0, "end", "", &shown);
        }
        let labels = self.labels.iter().zip(0_u32..);
        let mut marks: Vec<(f64, String)> =
            labels.map(|(text, at)| (at.into(), text.clone())).collect();
        if marks.is_empty() {
            marks = x.marks();
        }
        for (value, shown) in marks {
            let at = x.at(value);
            line(svg, (at, bottom), (at, bottom + 5.0), "#444444");
            text(svg, at, bottom + 19.0, "middle", "", &shown);
        }
        line(svg, (LEFT, bottom), (WIDTH - RIGHT, bottom), "#444444");
        line(svg, (LEFT, TOP), (LEFT, bottom), "#444444");
    }

    /// Which colour is what; nothing if there is one series only.
    fn legend(&self, svg: &mut String) {
        if self.series.len() < 2 {
            return;
        }
        let mut at = LEFT + 8.0;
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let _ = writeln!(
                svg,
                "<rect x=\"{at:.1}\" y=\"26\" width=\"14\" height=\"8\" fill=\"{colour}\"/>"
            );
            text(svg, at + 18.0, 34.0, "start", "", &series.name);
            // Letters are some seven units wide.
            let letters = u16::try_from(series.name.chars().count()).unwrap_or(u16::MAX);
            at += 36.0 + 7.0 * f64::from(letters);
        }
    }
}

fn draw_line(series: &Series, colour: &str, x: &Axis, y: &Axis, svg: &mut String) {
    let mut points = String::new();
    for point in series.finite() {
        let _ = write!(points, "{:.1},{:.1} ", x.at(point.0), y.at(point.1));
    }
    let points = points.trim_end();
    let _ = writeln!(
        svg,
        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
    );
}

fn draw_bars(series: &Series, colour: &str, x: &Axis, y: &Axis, svg: &mut String) {
    let places: Vec<f64> = series.finite().map(|point| x.at(point.0)).collect();
    let gaps = places.windows(2).map(|two| (two[1] - two[0]).abs());
    let width = gaps.fold(40.0, f64::min) * 0.8;
    for (point, place) in series.finite().zip(&places) {
        let (zero, top) = (y.at(0.0), y.at(point.1));
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
             fill=\"{colour}\"/>",
            place - width / 2.0,
            zero.min(top),
            (zero - top).abs()
        );
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, more: &str, text: &str) {
    let shown = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{shown}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_its_data() {
        let plot = Plot {
            title: "a < b & c".to_owned(),
            x: "hops".to_owned(),
            labels: vec![String::new(), "one".to_owned()],
            y: "peers".to_owned(),
            series: vec![
                Series::bars("new", vec![(1.0, 4.0), (2.0, 8.0), (3.0, f64::NAN)]),
                Series::line("all", vec![(1.0, 4.0), (2.0, 12.0)]),
            ],
        };
        let svg = plot.svg();
        assert!(
            svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
            "{svg}"
        );
        assert!(svg.contains("a &lt; b &amp; c"), "{svg}");
        // The page, two bars, two colours of the legend.
        assert_eq!(svg.matches("<rect").count(), 5, "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 1, "{svg}");
        assert!(svg.contains(">one</text>"), "{svg}");
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn axes_have_round_marks_around_all_values() {
        for (values, marks) in [
            (vec![0.0, 60.0], "0 10 20 30 40 50 60"),
            (vec![0.1, 0.93], "0.0 0.2 0.4 0.6 0.8 1.0"),
            (vec![0.0, 55_000.0], "0 10k 20k 30k 40k 50k 60k"),
            (vec![7.0], "0 2 4 6 8"),
            (vec![], "0.0 0.2 0.4 0.6 0.8 1.0"),
        ] {
            let axis = Axis::of(values.iter().copied(), true, (0.0, 100.0));
            let shown: Vec<String> = axis.marks().into_iter().map(|mark| mark.1).collect();
            assert_eq!(shown.join(" "), marks, "{values:?}");
            for value in values {
                assert!((0.0..=100.0).contains(&axis.at(value)), "{value}");
            }
        }
    }
}
