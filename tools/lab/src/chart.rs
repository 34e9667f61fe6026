//! The style that all charts share. Red means a missed target, and the legend of a chart that has any says so.

use std::error::Error;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
pub use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What is ours.
pub const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
/// What it is compared with.
pub const OTHER: RGBColor = RGBColor(0x88, 0x88, 0x88);
/// A missed target.
pub const MISSED: RGBColor = RGBColor(0xc4, 0x4e, 0x52);
/// Words and axes.
pub const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// Lines in the background.
pub const FAINT: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// What a chart is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing ends with.
pub type Drawn<T = ()> = Result<T, Box<dyn Error>>;

/// An SVG of this width and height in pixels.
///
/// # Errors
/// If it cannot be drawn.
pub fn svg(size: (u32, u32), draw: impl FnOnce(&Area) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(owned).and_then(|()| draw(&area));
    let drawn = drawn.and_then(|()| area.present().map_err(owned));
    drawn.map_err(|error| anyhow!("draw a chart: {error}"))?;
    drop(area);
    Ok(svg)
}

/// An error of plotters that does not borrow the chart.
pub fn owned(error: impl Error) -> Box<dyn Error> {
    error.to_string().into()
}

/// Lines over each other, the first one [`OURS`]: each has a name and points.
///
/// # Errors
/// If they cannot be drawn.
pub fn lines(x_words: &str, y_words: &str, lines: &[(&str, &[(f64, f64)])]) -> Result<String> {
    let most = |of: fn(&(f64, f64)) -> f64| {
        lines.iter().flat_map(|(_, points)| points.iter().map(of)).fold(0.0, f64::max)
    };
    let (right, top) = (most(|point| point.0), most(|point| point.1));
    svg((800, 360), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(40)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..right, 0.0..top * 1.15)
            .map_err(owned)?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT).x_desc(x_words).y_desc(y_words);
        mesh.x_label_formatter(&|x| format!("{x:.0}")).y_label_formatter(&|y| format!("{y:.0}"));
        mesh.draw().map_err(owned)?;
        for ((name, points), color) in lines.iter().zip([OURS, OTHER]) {
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
            let line = chart.draw_series(line).map_err(owned)?.label(*name);
            line.legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2))
            });
        }
        let mut legend = chart.configure_series_labels();
        legend.position(SeriesLabelPosition::LowerRight).border_style(TRANSPARENT);
        legend.draw().map_err(owned)
    })
}

/// Words of this size, their middle at this height.
///
/// # Errors
/// If they cannot be drawn.
pub fn words(
    area: &Area,
    words: &str,
    at: (i32, i32),
    anchor: HPos,
    size: i32,
    color: RGBColor,
) -> Drawn {
    let style = ("sans-serif", size).into_font().color(&color).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(words, at, style)).map_err(owned)
}
