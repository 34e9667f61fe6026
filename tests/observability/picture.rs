//! The dashboard as a picture: its panels where they are, drawn from what Prometheus answers to their queries.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

use super::prometheus::Prometheus;

/// A unit of the dashboard's grid, of which a row has 24, in pixels.
const UNIT: (i64, i64) = (50, 36);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const COLORS: [RGBColor; 8] = [
    RGBColor(0x1f, 0x6f, 0xb4),
    RGBColor(0xe0, 0x8a, 0x1e),
    RGBColor(0x3a, 0x92, 0x3a),
    RGBColor(0xc4, 0x4e, 0x52),
    RGBColor(0x80, 0x5a, 0xa8),
    RGBColor(0x8a, 0x6a, 0x4f),
    RGBColor(0xc9, 0x74, 0xb2),
    RGBColor(0x70, 0x70, 0x70),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A name, and the points in seconds.
type Series = (String, Vec<(f64, f64)>);

/// An SVG of the dashboard over these last seconds.
pub fn svg(dashboard: &Value, prometheus: &Prometheus, seconds: f64) -> String {
    let mut svg = String::new();
    let panels = dashboard["panels"].as_array().unwrap();
    let place = |panel: &Value, name: &str| panel["gridPos"][name].as_i64().unwrap();
    let height = panels.iter().map(|panel| place(panel, "y") + place(panel, "h")).max().unwrap();
    let size = |width: i64, height: i64| ((width * UNIT.0) as u32, (height * UNIT.1) as u32);
    {
        let area = SVGBackend::with_string(&mut svg, size(24, height)).into_drawing_area();
        area.fill(&WHITE).unwrap();
        for panel in panels {
            let area = area.clone().shrink(
                size(place(panel, "x"), place(panel, "y")),
                size(place(panel, "w"), place(panel, "h")),
            );
            draw(panel, &area, prometheus, seconds);
        }
    }
    svg
}

fn draw(panel: &Value, area: &Area, prometheus: &Prometheus, seconds: f64) {
    let unit = panel.pointer("/fieldConfig/defaults/unit").and_then(Value::as_str);
    let shown = |value: f64| match unit {
        Some("percentunit") => format!("{:.1} %", value * 100.0),
        Some("ms") => format!("{value:.0} ms"),
        Some("s") => format!("{:.1} ms", value * 1000.0),
        Some("reqps") => format!("{value:.0}/s"),
        _ => format!("{value:.0}"),
    };
    let targets = panel["targets"].as_array().unwrap().iter();
    let series: Vec<Series> =
        targets.flat_map(|target| prometheus.range(target, seconds)).collect();
    let area = area.margin(4, 4, 6, 6);
    let title = ("sans-serif", 14).into_font().color(&INK);
    let area = area.titled(panel["title"].as_str().unwrap(), title).unwrap();
    if panel["type"] == "stat" {
        let last = series.first().and_then(|(_, points)| points.last());
        let large = ("sans-serif", 32).into_font().color(&COLORS[0]);
        let text = last.map_or_else(|| "–".to_owned(), |(_, value)| shown(*value));
        area.draw(&Text::new(text, (12, 36), large)).unwrap();
        return;
    }
    let values = series.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let top = values.fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let (width, height) = area.dim_in_pixel();
    let places = wrapped(series.iter().map(|(name, _)| name.as_str()), width as i32);
    let lines = places.last().map_or(0, |(_, y)| y + ROW);
    let (plot, legend) = area.split_vertically(height as i32 - lines);
    let mut chart = ChartBuilder::on(&plot)
        .margin(4)
        .x_label_area_size(16)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..seconds, 0.0..top)
        .unwrap();
    let shown = |value: &f64| shown(*value);
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT).x_labels(6).y_labels(4);
    mesh.x_label_formatter(&|x| format!("{x:.0} s")).y_label_formatter(&shown);
    mesh.draw().unwrap();
    for (((name, points), place), color) in series.iter().zip(places).zip(COLORS.iter().cycle()) {
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2))).unwrap();
        let style = ("sans-serif", 12).into_font().color(color);
        legend.draw(&Text::new(format!("– {name}"), place, style)).unwrap();
    }
}

/// The height of a line of names, in pixels.
const ROW: i32 = 15;

/// Where names of about this many pixels stand, in as many lines as they need.
fn wrapped<'a>(names: impl Iterator<Item = &'a str>, width: i32) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (8, 0);
    let places = names.map(|name| {
        let wide = 20 + 6 * name.chars().count() as i32;
        if x > 8 && x + wide > width {
            (x, y) = (8, y + ROW);
        }
        let place = (x, y);
        x += wide;
        place
    });
    places.collect()
}

impl Prometheus {
    /// What a target of the dashboard showed over these last seconds.
    fn range(&self, target: &Value, seconds: f64) -> Vec<Series> {
        let text = |name: &str| target[name].as_str().unwrap();
        let end = self.now();
        let result = self.query_range(text("expr"), end - seconds, end);
        let series = result.iter().map(|one| {
            let labels: BTreeMap<String, String> =
                serde_json::from_value(one["metric"].clone()).unwrap();
            let legend =
                labels.iter().fold(text("legendFormat").to_owned(), |legend, (name, value)| {
                    legend.replace(&format!("{{{{{name}}}}}"), value)
                });
            let points = one["values"].as_array().unwrap().iter();
            let points = points.map(|point| {
                let value: f64 = point[1].as_str().unwrap().parse().unwrap();
                (point[0].as_f64().unwrap() - end + seconds, value)
            });
            (legend, points.filter(|(_, value)| value.is_finite()).collect())
        });
        series.collect()
    }
}
