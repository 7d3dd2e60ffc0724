//! Enums whose words may grow: an unknown word is kept as it came.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
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
