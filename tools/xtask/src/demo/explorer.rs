//! The API explorer: Swagger UI with `openapi.yaml`, which Envoy itself serves, so that what it sends goes the way of all requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use testkit::{Result, kept, python, workspace};

/// Swagger UI.
pub struct Explorer {
    dist: PathBuf,
}

impl Explorer {
    /// Fetches Swagger UI, once. Without it the demo goes on, and says why.
    pub fn fetch() -> Result<Option<Explorer>> {
        let pins = folder().join("requirements.txt");
        let made_of = fs::read_to_string(&pins).context("reading the explorer's pins")?;
        let packages = kept(&workspace::target_dir().join("explorer"), &made_of, |packages| {
            out!("Downloading the API explorer into target/ (once, 0.7 MB) …");
            python::install("the API explorer", &pins, packages)
        });
        match packages {
            Ok(packages) => Ok(Some(Explorer { dist: packages.join("flask_swagger_ui/dist") })),
            Err(error) => {
                out!("*** There will be no page to try it in a browser: {error:#}");
                Ok(None)
            }
        }
    }

    /// The configuration of Envoy with the explorer; written into `folder` on the way.
    pub fn configure(&self, yaml: &str, written: &Path) -> Result<String> {
        fs::write(written, yaml).with_context(|| format!("writing {}", written.display()))?;
        let mut sed = Command::new("sed");
        let output = sed.arg("-f").arg(folder().join("envoy.sed")).arg(written).output();
        let output = output.context("running sed")?;
        ensure!(output.status.success(), "sed: {}", String::from_utf8_lossy(&output.stderr));
        let mut yaml = String::from_utf8(output.stdout).context("what sed made")?;
        for (file, place) in [
            ("index.html", &folder()),
            ("openapi.yaml", &workspace::root()),
            ("swagger-ui.css", &self.dist),
            ("swagger-ui-bundle.js", &self.dist),
        ] {
            let place = place.join(file).display().to_string();
            yaml = yaml.replace(&format!("/etc/envoy/explorer/{file}"), &place);
        }
        Ok(yaml)
    }
}

/// Where its parts are.
fn folder() -> PathBuf {
    workspace::root().join("demo/explorer")
}
