//! Controls, in builds for tests alone: each attack once more without the layers that stop it, and then it must get through.
//!
//! Else nobody would know whether an attack was stopped or did nothing. No shipped program has this.

use hostel_config::Site;
use hostel_sys::layers::{Layer, Layers};
use serde_json::{Value, json};

use super::attack::{Against, Attack, Control, Need, Stopper};
use super::attacks;
use super::canaries::ServerCanaries;
use super::ground::Ground;
use super::report::attack_document;
use super::scene::{Scene, Setting, Verdict};
use super::{ProveError, progress};

/// The setting without all of these layers. Without its user, an attacker of another site has the other site's; any other has root's.
pub(super) fn setting(layers: impl IntoIterator<Item = Layer>, against: Against) -> Setting {
    let mut setting = Setting {
        layers: Layers::ALL,
        shares_user: false,
    };
    for layer in layers {
        if layer == Layer::User && against == Against::Victim {
            setting.shares_user = true;
        } else {
            setting.layers = setting.layers.without(layer);
        }
    }
    setting
}

/// The layers of these names.
pub(super) fn named(names: &[String]) -> Result<Vec<Layer>, ProveError> {
    let layer = |name: &String| {
        let mut all = Layer::ALL.iter().copied();
        let found = all.find(|layer| layer.name() == name);
        found.ok_or_else(|| ProveError::NoLayer(name.clone()))
    };
    names.iter().map(layer).collect()
}

/// Run every attack twice.
pub(super) fn run(
    ground: &Ground,
    site: &Site,
    other: Option<&Site>,
    server: &mut ServerCanaries,
) -> Result<Value, ProveError> {
    let mut verdicts = Vec::new();
    // One after the other: a site can be victim once at a time.
    let mut scene = Scene::new(ground, site, other, setting([], Against::Victim));
    for attack in attacks::all() {
        let verdict = scene.run(attack, attack.steps, server)?;
        progress(site, attack, &verdict, "");
        verdicts.push((attack, verdict));
    }
    drop(scene);
    let mut documents = Vec::new();
    for (attack, verdict) in &verdicts {
        let (how, control) = control(ground, site, other, attack, server)?;
        progress(site, attack, &control, "control of ");
        let mut document = attack_document(attack, verdict);
        if let Some(document) = document.as_object_mut() {
            let control = json!({
                "how": how,
                "outcome": control.outcome.name(),
                "why": control.outcome.why(),
                "evidence": control.evidence,
            });
            document.insert("control".to_owned(), control);
        }
        documents.push(document);
        if server.is_interrupted {
            return Err(ProveError::Interrupted);
        }
    }
    Ok(json!({
        "site": site.name,
        "victim": other.map(|site| site.name.as_str()),
        "attacks": documents,
    }))
}

/// Run every attack with one layer of those that stop it, for each of them: whether that alone stops it.
pub(super) fn run_alone(
    ground: &Ground,
    site: &Site,
    other: Option<&Site>,
    server: &mut ServerCanaries,
) -> Result<Value, ProveError> {
    let mut documents = Vec::new();
    for attack in attacks::all() {
        let layers: Vec<Layer> = attack.stoppers.iter().filter_map(layer).collect();
        for kept in layers.iter().filter(|_| layers.len() > 1) {
            let others = layers.iter().copied().filter(|layer| layer != kept);
            let mut scene = Scene::new(ground, site, other, setting(others, attack.against));
            let verdict = scene.run(attack, attack.steps, server)?;
            progress(site, attack, &verdict, &format!("{kept} alone, "));
            documents.push(json!({
                "id": attack.id,
                "layer": kept.name(),
                "outcome": verdict.outcome.name(),
                "evidence": verdict.evidence,
            }));
        }
        if server.is_interrupted {
            return Err(ProveError::Interrupted);
        }
    }
    Ok(json!({ "site": site.name, "alone": documents }))
}

fn control(
    ground: &Ground,
    site: &Site,
    other: Option<&Site>,
    attack: &Attack,
    server: &mut ServerCanaries,
) -> Result<(String, Verdict), ProveError> {
    let layers: Vec<Layer> = attack.stoppers.iter().filter_map(layer).collect();
    let names: Vec<&str> = layers.iter().map(|layer| layer.name()).collect();
    let without = (
        match names.as_slice() {
            [] => "none".to_owned(),
            names => format!("without {}", names.join(", ")),
        },
        attack.steps,
        setting(layers.iter().copied(), attack.against),
    );
    let (how, steps, setting) = match attack.control {
        Control::WithoutLayers => without,
        Control::WithoutLayersWhere(condition) if (condition.is_so)() => without,
        Control::WithoutLayersWhere(condition) => {
            let why = format!("it needs {}", condition.what);
            return Ok((without.0, Verdict::not_tried(why)));
        }
        Control::WithoutRules if ground.lacking(&[Need::Firewall], site).is_none() => {
            let why =
                "it needs a run without the server, which keeps the rules in force".to_owned();
            return Ok(("without the rules".to_owned(), Verdict::not_tried(why)));
        }
        Control::WithoutRules => {
            let usual = setting([], attack.against);
            ("without the rules".to_owned(), attack.steps, usual)
        }
        Control::Permitted(how, steps) => (how.to_owned(), steps, setting([], attack.against)),
    };
    let mut scene = Scene::new(ground, site, other, setting);
    Ok((how, scene.run(attack, steps, server)?))
}

fn layer(stopper: &Stopper) -> Option<Layer> {
    match stopper {
        Stopper::Layer(layer) => Some(*layer),
        Stopper::Rule(_) => None,
    }
}
