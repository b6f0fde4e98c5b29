//! What is known of a dataset by its name alone, so that engines can be measured without having it.

use crate::config::{DataShape, DataSpec, InputShape, TargetShape, TextTokens};

/// Characters in the Shakespeare text.
const SHAKESPEARE_CHARACTERS: usize = 65;

/// The shape of data that is embedded, computed, or known by name; `None` where the files must be looked at.
pub fn known_shape(spec: &DataSpec) -> Option<DataShape> {
    let image = |side| InputShape::Image { height: side, width: side, channels: 1 };
    let ten = TargetShape::Class { classes: 10 };
    match spec {
        DataSpec::Digits(_) => Some(DataShape { input: image(8), target: ten }),
        // All registered images are MNIST's.
        DataSpec::Idx(idx) if idx.name.is_some() => Some(DataShape { input: image(28), target: ten }),
        DataSpec::Modular(modular) => {
            let classes = modular.modulus as usize;
            Some(DataShape {
                input: InputShape::Tokens { vocabulary: classes + 1, fixed: Some(3) },
                target: TargetShape::Class { classes },
            })
        }
        DataSpec::Text(text) => {
            let vocabulary = match (text.tokens, text.name.as_deref()) {
                (TextTokens::Byte, _) => 256,
                (TextTokens::Char, Some("tinyshakespeare")) => SHAKESPEARE_CHARACTERS,
                _ => return None,
            };
            Some(DataShape {
                input: InputShape::Tokens { vocabulary, fixed: None },
                target: TargetShape::NextToken { vocabulary },
            })
        }
        DataSpec::Idx(_) | DataSpec::Csv(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_experiment;
    use crate::data::{Dataset, SetKind, registry};
    use crate::sys::http::FakeFetch;
    use std::path::Path;

    #[test]
    fn known_shapes_are_those_of_the_data() {
        for section in ["kind = \"digits\"", "kind = \"modular\"", "kind = \"modular\"\nmodulus = 7"] {
            let text = format!("[data]\n{section}\n[model]\nkind = \"mlp\"\n[optimizer]\nkind = \"adamw\"\n");
            let spec = parse_experiment(&text, "t", &[]).unwrap().data;
            let base = Path::new(".");
            let data = Dataset::load(&spec, base, base, &FakeFetch::default(), &mut |_, _| {}).unwrap();
            assert_eq!(known_shape(&spec), Some(data.shape()), "{section}");
        }
    }

    #[test]
    fn every_registered_image_set_is_mnist() {
        for set in registry().iter().filter(|set| set.kind == SetKind::Images) {
            assert!(
                set.name.starts_with("mnist"),
                "{}: known_shape takes it for 28x28 pixels and 10 classes",
                set.name
            );
        }
    }
}
