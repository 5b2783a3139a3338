//! Values that may be written in more than one shape, read by hand for the sake of the messages.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, MapAccess, Unexpected, Visitor};

use super::parts::Quantity;
use super::spec::{CloudName, CloudSpec, CustomCloud, ProtectedSetting, Setting};
use super::suggest;

/// A type that is read from several shapes.
pub(super) trait Shapes: Sized {
    /// The shapes, for messages.
    const EXPECTED: &'static str;

    /// From one that stands alone; an error without words: of another shape.
    fn alone(value: Alone<'_>) -> Result<Self, Option<String>>;

    /// From a map.
    fn map<'de, A: MapAccess<'de>>(_: A) -> Result<Self, A::Error> {
        Err(de::Error::invalid_type(Unexpected::Map, &Self::EXPECTED))
    }
}

/// A value that is no list and no map.
pub(super) enum Alone<'a> {
    /// What the loader offers for a value that was refused and reported; it stands for anything and
    /// ends in no manifest.
    Anything,
    /// A key with nothing after it.
    Nothing,
    Flag(bool),
    Number(i64),
    Text(&'a str),
}

/// What serde shows the shapes to.
pub(super) struct ShapeVisitor<T>(pub(super) PhantomData<T>);

impl<T: Shapes> ShapeVisitor<T> {
    fn read<E: de::Error>(value: Alone<'_>) -> Result<T, E> {
        T::alone(value).map_err(|why| match why {
            Some(why) => E::custom(why),
            None => E::invalid_type(Unexpected::Other("another"), &T::EXPECTED),
        })
    }
}

impl<'de, T: Shapes> Visitor<'de> for ShapeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<T, E> {
        Self::read(Alone::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Self::read(Alone::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let number = number.try_into().map_err(|_| E::custom("the number is too large"))?;
        Self::read(Alone::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Self::read(Alone::Text(text))
    }

    fn visit_none<E: de::Error>(self) -> Result<T, E> {
        Self::read(Alone::Nothing)
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Self::read(Alone::Anything)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
}

/// Reads these types by their shapes.
macro_rules! shaped {
    ($($kind:ty),*) => {$(
        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
                value.deserialize_any($crate::language::shapes::ShapeVisitor(std::marker::PhantomData))
            }
        }
    )*};
}
pub(super) use shaped;

shaped!(CloudSpec, Setting, Quantity, ProtectedSetting);

impl Shapes for CloudSpec {
    const EXPECTED: &'static str =
        "the name of a cloud, or {name, resourceManager} for one of your own";

    fn alone(value: Alone<'_>) -> Result<Self, Option<String>> {
        let text = match value {
            Alone::Text(text) => text,
            Alone::Anything => return Ok(Self::default()),
            _ => return Err(None),
        };
        const CLOUDS: [CloudName; 3] =
            [CloudName::AzureCloud, CloudName::AzureUSGovernment, CloudName::AzureChinaCloud];
        if let Some(name) = CLOUDS.into_iter().find(|name| name.as_str() == text) {
            return Ok(Self::Named(name));
        }
        let near = suggest::nearest(text, CLOUDS.map(CloudName::as_str));
        let hint = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        Err(Some(format!(
            "there is no cloud `{text}`; {hint}Known are AzureCloud, AzureUSGovernment and \
             AzureChinaCloud; any other is written {{name: …, resourceManager: https://…}}"
        )))
    }

    fn map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        CustomCloud::deserialize(MapAccessDeserializer::new(map)).map(Self::Custom)
    }
}

impl Shapes for Setting {
    const EXPECTED: &'static str = "a boolean, a whole number or a text";

    fn alone(value: Alone<'_>) -> Result<Self, Option<String>> {
        Ok(match value {
            Alone::Flag(flag) => Self::Bool(flag),
            Alone::Number(number) => Self::Number(number),
            Alone::Text(text) => Self::Text(text.to_owned()),
            Alone::Anything => Self::Bool(false),
            Alone::Nothing => {
                let why = "it has no value; remove the line, or write \"\" to reset the setting to its default";
                return Err(Some(why.to_owned()));
            }
        })
    }
}

impl Shapes for Quantity {
    const EXPECTED: &'static str =
        "a quantity: a whole number, or a text such as \"500m\" or \"16Gi\"";

    fn alone(value: Alone<'_>) -> Result<Self, Option<String>> {
        match value {
            Alone::Number(number) => Ok(Self::Number(number)),
            Alone::Text(text) => Ok(Self::Text(text.to_owned())),
            Alone::Anything => Ok(Self::Number(0)),
            Alone::Nothing => Err(Some("it has no value; give one or remove the line".to_owned())),
            Alone::Flag(_) => Err(None),
        }
    }
}

impl Shapes for ProtectedSetting {
    const EXPECTED: &'static str =
        "a text, {fromEnv: NAME}, {fromFile: PATH}, {fromKeyVault: …} or {fromSecret: …}";

    fn alone(value: Alone<'_>) -> Result<Self, Option<String>> {
        match value {
            Alone::Text(text) => Ok(Self::Text(text.to_owned())),
            Alone::Anything => Ok(Self::Text(String::new())),
            Alone::Nothing => {
                Err(Some("it has no value; give it one or remove the line".to_owned()))
            }
            Alone::Flag(_) | Alone::Number(_) => Err(None),
        }
    }

    fn map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        const KEYS: &[&str] = &["fromEnv", "fromFile", "fromKeyVault", "fromSecret"];
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            let next = match key.as_str() {
                "fromEnv" => Self::FromEnv { from_env: map.next_value()? },
                "fromFile" => Self::FromFile { from_file: map.next_value()? },
                "fromKeyVault" => Self::FromKeyVault { from_key_vault: map.next_value()? },
                "fromSecret" => Self::FromSecret { from_secret: map.next_value()? },
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
