//! Progress while a run goes on: a line that changes on a terminal, a line a second elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The line.
#[derive(Debug)]
pub struct ProgressLine {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl ProgressLine {
    /// Nothing is printed yet; if `quiet`, nothing ever is.
    pub fn new(quiet: bool) -> ProgressLine {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{elapsed} {msg}").expect("the template is sound");
            ProgressBar::new_spinner().with_style(style)
        });
        ProgressLine { bar, quiet }
    }

    /// Tells it.
    pub fn show(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    /// Takes the line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
