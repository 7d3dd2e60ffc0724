//! Enums whose words may grow: an unknown word is kept as it came.

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};

macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])* $variant,)+
            /// A word of a newer daemon.
            Other(String),
        }

        impl $name {
            /// Every word that this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl ::utoipa::PartialSchema for $name {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                let about = concat!($($doc,)*);
                $crate::words::schema(about, &[$(($word, concat!($($variant_doc,)*)),)+])
            }
        }

        impl ::utoipa::ToSchema for $name {}

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from(word.as_ref()))
            }
        }
    };
}

pub(crate) use words;

/// Describes an enum whose words may grow: any text, with what the known words mean.
pub(crate) fn schema(about: &str, words: &[(&str, &str)]) -> RefOr<Schema> {
    let lines = words
        .iter()
        .map(|(word, meaning)| format!("* `{word}`: {}", meaning.trim()));
    let description = std::iter::once(format!("{} More words may come.\n", about.trim()))
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n");
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .examples(words.iter().map(|(word, _)| *word))
        .into()
}

#[cfg(test)]
mod tests {
    use crate::{RunStatus, State};

    #[test]
    fn a_known_word_round_trips() {
        for status in RunStatus::ALL {
            let text = serde_json::to_string(status).unwrap();
            assert_eq!(&serde_json::from_str::<RunStatus>(&text).unwrap(), status);
        }
    }

    #[test]
    fn a_word_of_a_newer_daemon_is_kept() {
        let state: State = serde_json::from_str(r#""forked""#).unwrap();
        assert_eq!(state, State::Other("forked".to_owned()));
        assert_eq!(serde_json::to_string(&state).unwrap(), r#""forked""#);
    }

    #[test]
    fn a_number_is_no_word() {
        assert!(serde_json::from_str::<State>("3").is_err());
    }
}
