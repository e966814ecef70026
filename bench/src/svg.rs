//! Line charts as SVG: small, no dependency, and readable on a light and on a dark page because they bring their own ground.

use std::fmt::Write;

/// One panel: lines over a shared x axis with a logarithmic y axis.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    /// Names of the places on the x axis, evenly spaced.
    pub(crate) x_names: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

/// One value for each place on the x axis.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
}

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 92.0;
const HEAD: f64 = 52.0;
/// Told apart by people who see colours differently (Okabe and Ito), and by their marks' order in the legend.
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"];

/// Panels side by side under one title and a line below it.
pub(crate) fn chart(title: &str, below: &str, panels: &[Panel]) -> String {
    let (width, height) = (WIDTH * panels.len() as f64, HEIGHT + HEAD);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#fdfdfb\"/>\n\
         <text x=\"24\" y=\"28\" font-size=\"17\" font-weight=\"600\">{}</text>\n\
         <text x=\"24\" y=\"47\" fill=\"#666\">{}</text>\n",
        escaped(title),
        escaped(below)
    );
    let all = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.values);
    let decades = Decades::of(all.copied());
    for (at, panel) in panels.iter().enumerate() {
        panel.draw(WIDTH * at as f64, decades, &mut svg);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Powers of ten that hold all values.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Decades {
    low: i32,
    high: i32,
}

impl Decades {
    fn of(values: impl Iterator<Item = f64>) -> Decades {
        let logs = values.filter(|value| value.is_finite() && *value > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), log| (low.min(log), high.max(log)));
        if low > high {
            return Decades { low: 0, high: 1 };
        }
        let low = low.floor() as i32;
        Decades { low, high: (high.ceil() as i32).max(low + 1) }
    }

    fn y(self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        HEAD + TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share.clamp(0.0, 1.0))
    }
}

/// Where a panel's lines stand on the page.
struct Frame {
    x0: f64,
    x1: f64,
    floor: f64,
    step: f64,
}

impl Frame {
    fn x(&self, at: usize) -> f64 {
        self.x0 + self.step * at as f64
    }
}

impl Panel {
    fn draw(&self, left: f64, decades: Decades, svg: &mut String) {
        let (x0, x1) = (left + LEFT, left + WIDTH - RIGHT);
        let step = (x1 - x0) / (self.x_names.len().max(2) - 1) as f64;
        let frame = Frame { x0, x1, floor: HEAD + HEIGHT - BOTTOM, step };
        self.draw_axes(&frame, decades, svg);
        for (line, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            line.draw(&frame, decades, colour, svg);
        }
        self.draw_legend(&frame, svg);
    }

    fn draw_axes(&self, frame: &Frame, decades: Decades, svg: &mut String) {
        let Frame { x0, x1, floor, .. } = *frame;
        for power in decades.low..=decades.high {
            let whole = 10f64.powi(power);
            rule(frame, decades.y(whole), "#ddd", svg);
            text(x0 - 8.0, decades.y(whole) + 4.0, "end", &named(whole), svg);
            // The marks between this power and the next; none above the highest.
            for part in (2..10).filter(|_| power < decades.high) {
                rule(frame, decades.y(f64::from(part) * whole), "#f1f1ee", svg);
            }
        }
        rule(frame, floor, "#888", svg);
        for (at, name) in self.x_names.iter().enumerate() {
            text(frame.x(at), floor + 18.0, "middle", name, svg);
        }
        let middle = f64::midpoint(x0, x1);
        text(middle, floor + 36.0, "middle", self.x_title, svg);
        text(middle, HEAD + 28.0, "middle", &self.title, svg);
        let (x, y) = (x0 - LEFT + 20.0, f64::midpoint(floor, HEAD + TOP));
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            svg,
            "<text transform=\"translate({x} {y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(self.y_title)
        );
    }

    /// Two names in a row.
    fn draw_legend(&self, frame: &Frame, svg: &mut String) {
        for (at, (line, colour)) in self.lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
            let x = frame.x0 + (frame.x1 - frame.x0) / 2.0 * (at % 2) as f64;
            let y = frame.floor + 58.0 + 17.0 * (at / 2) as f64;
            let top = y - 6.0;
            let _ =
                writeln!(svg, "<rect x=\"{x:.1}\" y=\"{top}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>");
            text(x + 20.0, y, "start", &line.name, svg);
        }
    }
}

impl Line {
    fn draw(&self, frame: &Frame, decades: Decades, colour: &str, svg: &mut String) {
        let places = self.values.iter().enumerate().map(|(at, value)| (frame.x(at), decades.y(*value)));
        let (mut path, mut marks) = (String::new(), String::new());
        for (x, y) in places {
            let _ = write!(path, "{x:.1},{y:.1} ");
            let _ = writeln!(marks, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let path = path.trim_end();
        let _ = writeln!(
            svg,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        svg.push_str(&marks);
    }
}

fn rule(frame: &Frame, y: f64, colour: &str, svg: &mut String) {
    let Frame { x0, x1, .. } = frame;
    let _ = writeln!(svg, "<line x1=\"{x0}\" x2=\"{x1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\"/>");
}

fn text(x: f64, y: f64, anchor: &str, words: &str, svg: &mut String) {
    let words = escaped(words);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

/// A power of ten as people write it.
fn named(value: f64) -> String {
    if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_hold_all_values() {
        assert_eq!(Decades::of([0.4, 30.0].into_iter()), Decades { low: -1, high: 2 });
        assert_eq!(Decades::of([1.0].into_iter()), Decades { low: 0, high: 1 });
        assert_eq!(Decades::of([0.0, f64::NAN].into_iter()), Decades { low: 0, high: 1 });
        let decades = Decades { low: 0, high: 2 };
        assert!(decades.y(100.0) < decades.y(10.0) && decades.y(10.0) < decades.y(1.0));
        assert!((decades.y(10.0) - f64::midpoint(decades.y(1.0), decades.y(100.0))).abs() < 1e-9);
    }

    #[test]
    fn a_chart_is_well_formed_and_shows_every_line() {
        let line = |name: &str, values| Line { name: name.into(), values };
        let panel = Panel {
            title: "p < 1 & \"so\"".into(),
            x_title: "x",
            y_title: "ms",
            x_names: vec!["50 %".into(), "99 %".into()],
            lines: vec![line("a", vec![1.0, 10.0]), line("b", vec![2.0, 90.0])],
        };
        let svg = chart("t", "b", &[panel]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains("p &lt; 1 &amp; &quot;so&quot;") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
