//! Memory over requests, as SVG.

use plotters::prelude::*;
use testkit::{Error, Result};

/// A name, and its points: requests and bytes.
type Line<'a> = (&'a str, &'a [(u64, u64)]);

const SIZE: (u32, u32) = (800, 360);
const COLORS: [RGBColor; 2] = [RGBColor(0x1f, 0x6f, 0xb4), RGBColor(0x88, 0x88, 0x88)];

/// Draws the lines over each other, from 0 bytes on.
pub fn draw(lines: &[Line]) -> Result<String> {
    let mut svg = String::new();
    draw_on(&mut svg, lines).map_err(Error::while_doing("draw the chart"))?;
    Ok(svg)
}

fn draw_on(
    svg: &mut String,
    lines: &[Line],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, points)| *points);
    let requests = points().map(|(requests, _)| *requests).max().unwrap_or_default();
    let most = points().map(|(_, bytes)| mebibytes(*bytes)).fold(0.0, f64::max);

    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(40)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0..requests, 0.0..most * 1.15)
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("requests, thousands")
        .x_label_formatter(&|requests| (requests / 1000).to_string())
        .y_desc("resident memory, MiB")
        .y_label_formatter(&|mebibytes| format!("{mebibytes:.0}"))
        .draw()
        .map_err(text)?;
    for ((name, points), color) in lines.iter().zip(COLORS) {
        let points = points.iter().map(|(requests, bytes)| (*requests, mebibytes(*bytes)));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))
            .map_err(text)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    let mut legend = chart.configure_series_labels();
    legend.position(SeriesLabelPosition::LowerRight).border_style(TRANSPARENT);
    legend.draw().map_err(text)?;
    area.present().map_err(text)?;
    Ok(())
}

/// An error that does not borrow the chart.
fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
