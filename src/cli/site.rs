//! What a campaign's site means for the campaign: the margin and the price that every attempt is reserved with.

use crate::campaign::placement::CAMPAIGN_FILE;
use crate::config::{self, Campaign, Loaded, Site};
use crate::problem::{Problem, Result};
use std::path::Path;

/// The site of a campaign as the campaign's folder keeps it.
pub const SITE_FILE: &str = "site.toml";

/// Reads the site that a campaign names, as text for its folder, and reserves with every attempt what a job there may last
/// beyond its wall time.
pub fn site_of(campaign: &mut Campaign, base: &Path) -> Result<Option<String>> {
    let Some(name) = campaign.execution.site.clone() else { return Ok(None) };
    let loaded = config::load_site(&base.join(&name), &[])?;
    fit(campaign, &loaded.value, &name)?;
    Ok(Some(loaded.text))
}

/// The campaign in a folder as a person may have edited it, its site among it: what an attempt costs at the dearest place, and how long
/// a job may last beyond its wall time, are reserved as the site says now.
pub fn edited(folder: &Path, overrides: &[String]) -> Result<Loaded<Campaign>> {
    let mut loaded = config::load_campaign(&folder.join(CAMPAIGN_FILE), overrides)?;
    if loaded.value.execution.site.is_some() {
        let site = config::load_site(&folder.join(SITE_FILE), &[])?.value;
        fit(&mut loaded.value, &site, SITE_FILE)?;
    }
    Ok(loaded)
}

/// Sets what follows from the site. Repeating it changes nothing.
fn fit(campaign: &mut Campaign, site: &Site, name: &str) -> Result<()> {
    refuse_other_gpus(site, campaign, name)?;
    let execution = &mut campaign.execution;
    if execution.device_memory_mib == 0 {
        execution.device_memory_mib = site.largest_device_memory().unwrap_or(0);
    }
    execution.kill_margin_seconds = execution.kill_margin_seconds.max(site.margin_seconds());
    let budget = &mut campaign.budget;
    let dearest = site.dearest_hour(campaign.baseline.resources.device.is_gpu());
    budget.dollars_per_device_hour = budget.dollars_per_device_hour.max(dearest);
    let priced = budget.dollars_per_device_hour > 0.0 || budget.overhead_dollars_per_attempt > 0.0;
    if budget.dollars > 0.0 && !priced && campaign.llm.is_none() {
        let what =
            format!("budget.dollars = {} never limits anything while a device-hour costs nothing", budget.dollars);
        return Err(Problem::usage(what)
            .at("budget.dollars")
            .remedy(format!("set [prices] in {name}, or budget.dollars_per_device_hour, or dollars = 0")));
    }
    if campaign.execution.dollars_per_hour_waited == 0.0 && site.is_priced() {
        // Without prices nobody knows what an hour of a device is worth beside it.
        campaign.execution.dollars_per_hour_waited = site.dollars_per_hour_waited;
    }
    Ok(())
}

/// An attempt uses one device, and none where the site has none.
pub fn refuse_other_gpus(site: &Site, campaign: &Campaign, name: &str) -> Result<()> {
    match site.gpus {
        0 if campaign.baseline.resources.device.is_gpu() => {
            Err(Problem::usage("gpus = 0, and the campaign's attempts compute on a GPU")
                .at(name)
                .remedy("set gpus = 1 in the site file, or baseline.resources.device = \"cpu\""))
        }
        0 | 1 => Ok(()),
        n => Err(Problem::usage(format!("gpus = {n}, and an attempt uses one device"))
            .at(name)
            .remedy("set gpus = 1 in the site file, or 0 for CPU only")),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_site_s_prices_are_reserved_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let site = |price: f64, margin: f64| {
            let text = format!(
                "name = \"x\"\ngpus = 0\nkill_margin_seconds = {margin:?}\n[[partitions]]\nname = \"a\"\nprice = {price:?}\n"
            );
            std::fs::write(dir.path().join(SITE_FILE), text).unwrap();
        };
        let campaign = r#"
            name = "c"
            question = "?"
            objective.metric = "loss"
            budget.device_hours = 1.0
            execution.site = "site.toml"
            [space]
            "optimizer.learning_rate" = { type = "log-float", low = 1e-4, high = 1e-2 }
            [baseline]
            data.kind = "digits"
            model.kind = "mlp"
            optimizer.kind = "sgd"
            training.budget.steps = 10
        "#;
        std::fs::write(dir.path().join(CAMPAIGN_FILE), campaign).unwrap();
        let now = || {
            let campaign = edited(dir.path(), &[]).unwrap().value;
            (campaign.budget.dollars_per_device_hour, campaign.execution.kill_margin_seconds)
        };
        site(0.5, 400.0);
        let (price, before) = now();
        assert_eq!(price, 0.5);
        site(2.0, 900.0);
        let (price, after) = now();
        assert_eq!((price, after - before), (2.0, 500.0));
        std::fs::remove_file(dir.path().join(SITE_FILE)).unwrap();
        assert!(edited(dir.path(), &[]).is_err(), "a campaign of a site without it cannot go on");
    }
}
