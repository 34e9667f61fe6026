//! What was measured, as tables.

use serde_json::{Value, json};

use super::counts::Cell;
use super::database::Load;
use super::judge;
use super::measure::{CONNECTIONS, Many, Overhead, Times};
use super::queries::FILTERS;
use super::rows::{SIZES, Side, Watched};

/// The section.
pub fn text(
    loads: &[Load],
    cells: &[Cell],
    overhead: Option<&Overhead>,
    many: Option<&Many>,
    chart: &str,
) -> String {
    let mut text = format!(
        "Time of a count in µs: the least, in SQLite alone (in the bench's process) and, behind it, \
         through the service over one connection that stays open. All counts of all tables take \
         turns, round after round, for the machine is not always as fast. The project shares as many \
         backups as the second column says; all other rows are of other projects. What is shared \
         *to* a project was measured too; see the JSON.\n\n\
         ![Time of a count over the rows of the table]({chart})\n\n{}",
        counts(cells)
    );
    text.push_str(&others(cells));
    text.push_str(&matches(cells));
    if let Some(overhead) = overhead {
        text.push_str(&added(overhead));
    }
    if let Some(many) = many {
        text.push_str(&format!(
            "\n{CONNECTIONS} connections that ask for one volume of a project with 1000 sharings, and \
             the service with one core: {:.0} answers per second, {:.1} µs of processor time for \
             each, {:.1} MiB of memory.\n",
            many.per_second,
            many.cpu,
            many.memory as f64 / f64::from(1 << 20),
        ));
    }
    text.push_str(&sizes(loads));
    text
}

/// A line for each filter and size of project; a column for each table.
fn counts(cells: &[Cell]) -> String {
    let mut tables: Vec<u64> = cells.iter().map(|cell| cell.rows).collect();
    tables.dedup();
    let names: Vec<String> = tables.iter().map(|rows| format!("{rows} rows")).collect();
    let mut text = format!(
        "| filter | sharings | {} |\n|---|---:|{}\n",
        names.join(" | "),
        "---:|".repeat(tables.len())
    );
    for filters in FILTERS {
        for size in SIZES {
            let times = tables.iter().map(|&rows| {
                let cell = cells.iter().find(|cell| {
                    cell.rows == rows
                        && cell.project == Watched { side: Side::From, size }
                        && cell.filters.name == filters.name
                });
                cell.map_or("".to_owned(), |cell| {
                    format!("**{:.1}** {:.0}", cell.alone.least, cell.service.least)
                })
            });
            let times: Vec<String> = times.collect();
            if times.iter().any(|time| !time.is_empty()) {
                text.push_str(&format!("| {} | {size} | {} |\n", filters.name, times.join(" | ")));
            }
        }
    }
    text
}

/// Whether other projects' rows matter.
fn others(cells: &[Cell]) -> String {
    let pairs = judge::pairs(cells);
    if pairs.is_empty() {
        return String::new();
    }
    let same = pairs.iter().filter(|(few, many)| few.steps == many.steps).count();
    let mut ratios: Vec<f64> = pairs.iter().map(|(few, many)| judge::ratio(few, many)).collect();
    ratios.sort_by(f64::total_cmp);
    format!(
        "\nOther projects' rows: {} counts were made in a small and in a large table. {same} of them \
         take as many steps of SQLite's virtual machine in both. Their times in the largest are \
         {:.2} to {:.2} of those in the smallest, {:.2} in the middle.\n",
        pairs.len(),
        ratios.first().copied().unwrap_or(f64::NAN),
        ratios.last().copied().unwrap_or(f64::NAN),
        crate::statistics::median(&ratios),
    )
}

/// What an equality costs, in the largest table.
fn matches(cells: &[Cell]) -> String {
    let last = cells.iter().map(|cell| cell.rows).max().unwrap_or_default();
    let size = cells.iter().map(|cell| cell.project.size).max().unwrap_or_default();
    let mut text = format!(
        "\nAn equality costs with its matches. The project that shares {size}, among {last} rows:\n\n\
         | filter | matches | steps | steps for each | µs |\n|---|---:|---:|---:|---:|\n"
    );
    for cell in cells.iter().filter(|cell| {
        cell.rows == last && cell.project.size == size && cell.project.side == Side::From
    }) {
        let each = f64::from(cell.steps) / cell.matches.max(1) as f64;
        text.push_str(&format!(
            "| {} | {} | {} | {each:.1} | {:.1} |\n",
            cell.filters.name, cell.matches, cell.steps, cell.alone.least
        ));
    }
    text
}

fn added(overhead: &Overhead) -> String {
    let Overhead { cell, alone, service, alone_cpu, service_cpu } = overhead;
    let added = judge::added(overhead);
    format!(
        "\nWhat the service adds to a millisecond ({} of {}, among {} rows), in µs, SQLite alone and the \
         service in turn:\n\n| | SQLite alone | the service | added | target |\n|---|---:|---:|---:|---|\n\
         | least | {:.0} | {:.0} | **{:.1} %** | {} 30 % |\n| median | {:.0} | {:.0} | {:.1} % | |\n\
         | processor time | {alone_cpu:.0} | {service_cpu:.0} | {:.1} % | |\n",
        cell.filters.name,
        cell.project.size,
        cell.rows,
        alone.least,
        service.least,
        added * 100.0,
        if added <= judge::ADDED { "≤" } else { "missed: >" },
        alone.median,
        service.median,
        (service.median / alone.median - 1.0) * 100.0,
        (service_cpu / alone_cpu - 1.0) * 100.0,
    )
}

fn sizes(loads: &[Load]) -> String {
    let mut text = "\nLoads of a CSV file into a new database:\n\n\
        | rows | s | rows/s | bytes/row in the file | bytes/row in the database |\n\
        |---:|---:|---:|---:|---:|\n"
        .to_owned();
    for Load { rows, csv, bytes, seconds } in loads {
        let each = |bytes: u64| bytes as f64 / *rows as f64;
        text.push_str(&format!(
            "| {rows} | {seconds:.2} | {:.0} | {:.0} | {:.0} |\n",
            *rows as f64 / seconds,
            each(*csv),
            each(*bytes),
        ));
    }
    text
}

/// All of it, for programs.
pub fn data(
    loads: &[Load],
    cells: &[Cell],
    overhead: Option<&Overhead>,
    many: Option<&Many>,
) -> Value {
    let times = |times: &Times| json!({"least_us": times.least, "median_us": times.median});
    let cell = |cell: &Cell| {
        json!({
            "rows": cell.rows,
            "side": format!("{:?}", cell.project.side),
            "sharings": cell.project.size,
            "filter": cell.filters.name,
            "matches": cell.matches,
            "steps": cell.steps,
            "alone": times(&cell.alone),
            "service": times(&cell.service),
        })
    };
    json!({
        "loads": loads.iter().map(|load| json!({
            "rows": load.rows,
            "seconds": load.seconds,
            "csv_bytes": load.csv,
            "database_bytes": load.bytes,
        })).collect::<Value>(),
        "counts": cells.iter().map(cell).collect::<Value>(),
        "overhead": overhead.map(|overhead| json!({
            "count": cell(&overhead.cell),
            "alone": times(&overhead.alone),
            "service": times(&overhead.service),
            "alone_cpu_us": overhead.alone_cpu,
            "service_cpu_us": overhead.service_cpu,
        })),
        "many": many.map(|many| json!({
            "per_second": many.per_second,
            "cpu_us": many.cpu,
            "memory_bytes": many.memory,
        })),
    })
}
