//! Values that may be written in more than one shape, read by hand for the sake of the messages.
//!
//! `visit_unit` is what the loader offers for a value that was refused and reported; it stands for
//! anything and ends in no manifest.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::parts::Quantity;
use super::spec::{CloudName, CloudSpec, CustomCloud, ProtectedSetting, Setting};
use super::suggest;

impl<'de> Deserialize<'de> for CloudSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;

        impl<'de> Visitor<'de> for Shapes {
            type Value = CloudSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a cloud, or {name, resourceManager} for one of your own")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CloudSpec, E> {
                const NAMES: [(&str, CloudName); 3] = [
                    ("AzureCloud", CloudName::AzureCloud),
                    ("AzureUSGovernment", CloudName::AzureUSGovernment),
                    ("AzureChinaCloud", CloudName::AzureChinaCloud),
                ];
                if let Some((_, name)) = NAMES.iter().find(|(name, _)| *name == text) {
                    return Ok(CloudSpec::Named(*name));
                }
                let hint = suggest::nearest(text, NAMES.iter().map(|(name, _)| *name))
                    .map(|nearest| format!("did you mean `{nearest}`? "))
                    .unwrap_or_default();
                Err(E::custom(format!(
                    "there is no cloud `{text}`; {hint}Known are AzureCloud, AzureUSGovernment and \
                     AzureChinaCloud; any other is written {{name: …, resourceManager: https://…}}"
                )))
            }

            fn visit_unit<E: de::Error>(self) -> Result<CloudSpec, E> {
                Ok(CloudSpec::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CloudSpec, A::Error> {
                CustomCloud::deserialize(MapAccessDeserializer::new(map)).map(CloudSpec::Custom)
            }
        }

        deserializer.deserialize_any(Shapes)
    }
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;

        impl Visitor<'_> for Shapes {
            type Value = Setting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean, a whole number or a text")
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Setting, E> {
                Ok(Setting::Bool(flag))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Setting, E> {
                Ok(Setting::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Setting, E> {
                i64::try_from(number)
                    .map(Setting::Number)
                    .map_err(|_| E::custom("the number is too large"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Setting, E> {
                Ok(Setting::Text(text.to_owned()))
            }

            fn visit_none<E: de::Error>(self) -> Result<Setting, E> {
                Err(E::custom(
                    "it has no value; remove the line, or write \"\" to reset the setting to its default",
                ))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Setting, E> {
                Ok(Setting::Bool(false))
            }
        }

        deserializer.deserialize_any(Shapes)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;

        impl Visitor<'_> for Shapes {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity: a whole number, or a text such as \"500m\" or \"16Gi\"")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                i64::try_from(number)
                    .map(Quantity::Number)
                    .map_err(|_| E::custom("the number is too large"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity::Text(text.to_owned()))
            }

            fn visit_none<E: de::Error>(self) -> Result<Quantity, E> {
                Err(E::custom("it has no value; give one or remove the line"))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Quantity, E> {
                Ok(Quantity::Number(0))
            }
        }

        deserializer.deserialize_any(Shapes)
    }
}

impl<'de> Deserialize<'de> for ProtectedSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;

        impl<'de> Visitor<'de> for Shapes {
            type Value = ProtectedSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, {fromEnv: NAME}, {fromFile: PATH}, {fromKeyVault: …} or {fromSecret: …}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ProtectedSetting, E> {
                Ok(ProtectedSetting::Text(text.to_owned()))
            }

            fn visit_none<E: de::Error>(self) -> Result<ProtectedSetting, E> {
                Err(E::custom("it has no value; give it one or remove the line"))
            }

            fn visit_unit<E: de::Error>(self) -> Result<ProtectedSetting, E> {
                Ok(ProtectedSetting::Text(String::new()))
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<ProtectedSetting, A::Error> {
                const KEYS: &[&str] = &["fromEnv", "fromFile", "fromKeyVault", "fromSecret"];
                let mut found = None;
                while let Some(key) = map.next_key::<String>()? {
                    let next = match key.as_str() {
                        "fromEnv" => ProtectedSetting::FromEnv { from_env: map.next_value()? },
                        "fromFile" => ProtectedSetting::FromFile { from_file: map.next_value()? },
                        "fromKeyVault" => {
                            ProtectedSetting::FromKeyVault { from_key_vault: map.next_value()? }
                        }
                        "fromSecret" => {
                            ProtectedSetting::FromSecret { from_secret: map.next_value()? }
                        }
                        _ => return Err(de::Error::unknown_field(&key, KEYS)),
                    };
                    if found.replace(next).is_some() {
                        return Err(de::Error::custom("it names two sources; keep one"));
                    }
                }
                found.ok_or_else(|| {
                    de::Error::custom(
                        "it names no source; write {fromEnv: NAME}, {fromFile: PATH}, {fromKeyVault: …} or {fromSecret: …}",
                    )
                })
            }
        }

        deserializer.deserialize_any(Shapes)
    }
}
