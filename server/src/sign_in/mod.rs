//! People sign in at an OpenID provider: the authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0,
//! section 3.1; RFC 9700).
//!
//! State, nonce and verifier follow from one secret that the browser holds in a cookie for as long as the flow takes, so
//! that whichever server the browser comes back to can go on, and no other browser can. A provider that does not answer
//! is given up after a limit of time, for all its answers together.

mod http;
mod relying;
mod rules;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreAuthenticationFlow, CoreGenderClaim, CoreProviderMetadata};
use openidconnect::{
    AccessToken, AuthorizationCode, ClaimsVerificationError, ClientSecret, CsrfToken, EndUserEmail,
    HttpRequest, IdTokenClaims, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, SignatureVerificationError, SubjectIdentifier,
    UserInfoClaims,
};
use reqwest::Url;
use sandclock_core::error::WithSources;
use sandclock_core::time::Clock;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use self::relying::{More, Relying, SIGNATURES, Tokens};
pub use self::rules::Claims;
use crate::access::{Person, Purpose, derive};
use crate::config::{OidcSection, secret};

/// Where the provider sends browsers back to.
pub const CALLBACK: &str = "/auth/callback";

/// How long what a provider says of itself is taken to be so. Keys that it has changed are asked for at once.
const FRESH: Duration = Duration::from_secs(600);

/// How far the clocks of provider and server may be apart, in seconds.
const SKEW_S: i64 = 60;

/// How many conversations with the provider there are at once; others wait, within their limit of time.
const AT_ONCE: usize = 8;

/// Why nobody is signed in. What it says is for the log.
#[derive(Debug)]
pub enum Failed {
    /// The provider does not answer, or not as one.
    Away(String),
    /// What it answers is not believed, or it refuses.
    Refused(String),
    /// It is somebody, but no rule fits.
    NoRule(String),
}

/// The provider, as this server knows it.
#[derive(Debug)]
pub struct Provider {
    section: OidcSection,
    issuer: IssuerUrl,
    secret: Option<ClientSecret>,
    redirect: RedirectUrl,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// What it said of itself, and when.
    known: Mutex<Option<(Instant, Arc<CoreProviderMetadata>)>>,
    places: Semaphore,
}

impl Provider {
    /// The provider of the configuration; `here` is where this server listens.
    ///
    /// # Errors
    /// Names the field, if the secret cannot be read or an address is none.
    pub fn new(
        section: &OidcSection,
        here: &str,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Arc<Self>> {
        let file = section.client_secret_file.as_ref();
        let secret = secret("oidc.client_secret", section.client_secret.as_ref(), file)?;
        let public = section.public_url.as_deref().unwrap_or(here);
        let redirect = format!("{}{CALLBACK}", public.trim_end_matches('/'));
        Ok(Arc::new(Self {
            section: section.clone(),
            issuer: IssuerUrl::new(section.issuer.clone()).context("oidc.issuer")?,
            secret: secret.map(ClientSecret::new),
            redirect: RedirectUrl::new(redirect).context("oidc.public_url")?,
            http: http::client()?,
            clock,
            known: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
        }))
    }

    /// Where a browser that holds this secret is sent to sign in.
    ///
    /// # Errors
    /// If the provider does not answer.
    pub async fn begin(&self, secret: &str) -> Result<Url, Failed> {
        let client = self.within(self.metadata()).await?;
        let client = self.relying(&client);
        let (state, nonce) = (
            derive(secret, Purpose::State),
            derive(secret, Purpose::Nonce),
        );
        let verifier = PkceCodeVerifier::new(derive(secret, Purpose::Pkce));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let mut asked = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .set_pkce_challenge(challenge);
        for scope in &self.section.scopes {
            asked = asked.add_scope(Scope::new(scope.clone()));
        }
        Ok(asked.url().0)
    }

    /// Who it is whom the provider has sent back with this code, to the browser that holds this secret.
    ///
    /// # Errors
    /// If the provider does not answer, is not believed, or nobody has said what the person may do.
    pub async fn finish(&self, code: String, secret: &str) -> Result<Person, Failed> {
        let claims = self.within(self.ask(code, secret)).await?;
        let name = claims.name();
        let Some(grant) = claims.grant(&self.section.rules) else {
            return Err(Failed::NoRule(name));
        };
        Ok(Person {
            subject: format!("oidc:{}", claims.subject),
            name,
            grant,
            token: None,
        })
    }

    /// Whether an answer that names this issuer may be the provider's (RFC 9207).
    pub fn is(&self, issuer: &str) -> bool {
        issuer == self.issuer.as_str()
    }

    /// Does what has a limit of time.
    async fn within<T>(&self, asked: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        let limit = Duration::from_secs(self.section.timeout_s);
        let placed = async {
            let _place = self.places.acquire().await;
            asked.await
        };
        let late = |_| Failed::Away(format!("no answer within {} s", limit.as_secs()));
        timeout(limit, placed).await.map_err(late)?
    }

    async fn ask(&self, code: String, secret: &str) -> Result<Claims, Failed> {
        let mut metadata = self.metadata().await?;
        let mut client = self.relying(&metadata);
        let send = |request: HttpRequest| http::send(self.http.clone(), request);
        let verifier = PkceCodeVerifier::new(derive(secret, Purpose::Pkce));
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| away(&error))?
            .set_pkce_verifier(verifier)
            .request_async(&send);
        let tokens = tokens.await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(said) => {
                Failed::Refused(said.to_string())
            }
            error => away(&error),
        })?;
        let nonce = Nonce::new(derive(secret, Purpose::Nonce));
        let verified = match self.verified(&client, &tokens, &nonce) {
            // It may have other keys by now.
            Err(error) if is_of_keys(&error) => {
                self.forget();
                metadata = self.metadata().await?;
                client = self.relying(&metadata);
                self.verified(&client, &tokens, &nonce)
            }
            verified => verified,
        };
        let verified = verified.map_err(|error| Failed::Refused(in_words(&error)))?;
        let email = (verified.email(), verified.email_verified());
        let more = verified.additional_claims();
        let mut claims = self.claims(verified.subject(), email, more);
        let whole = claims.email.is_some() && !claims.groups.is_empty();
        if !whole && metadata.userinfo_endpoint().is_some() {
            let access = tokens.access_token().clone();
            let more = self.more(&client, access, &verified).await?;
            claims.email = claims.email.or(more.email);
            claims.groups.extend(more.groups);
        }
        Ok(claims)
    }

    /// What an ID token says, if it is of this provider, for us, for this flow, and of now.
    fn verified(
        &self,
        client: &Relying,
        tokens: &Tokens,
        nonce: &Nonce,
    ) -> Result<IdTokenClaims<More, CoreGenderClaim>, ClaimsVerificationError> {
        let none = || ClaimsVerificationError::Other("there is no ID token".to_owned());
        let token = tokens.extra_fields().id_token().ok_or_else(none)?;
        let now = self.now();
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(SIGNATURES)
            .set_time_fn(move || now - chrono::Duration::seconds(SKEW_S))
            .set_issue_time_verifier_fn(move |issued| {
                match issued <= now + chrono::Duration::seconds(SKEW_S) {
                    true => Ok(()),
                    false => Err(format!("it is of {issued}, which is to come")),
                }
            });
        token.claims(&verifier, nonce).cloned()
    }

    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.clock.now().as_millis()).unwrap_or_default()
    }

    /// What is said of a person, in an ID token or elsewhere.
    fn claims(
        &self,
        subject: &SubjectIdentifier,
        (email, verified): (Option<&EndUserEmail>, Option<bool>),
        more: &More,
    ) -> Claims {
        let email = email.filter(|_| verified == Some(true));
        let mut claims = Claims {
            subject: subject.to_string(),
            email: email.map(|email| email.to_string()),
            groups: Vec::new(),
        };
        claims.add_groups(&more.0, &self.section.groups_claim);
        claims
    }

    /// What the provider says of a person when it is asked: many put little into ID tokens.
    async fn more(
        &self,
        client: &Relying,
        access: AccessToken,
        of: &IdTokenClaims<More, CoreGenderClaim>,
    ) -> Result<Claims, Failed> {
        let send = |request: HttpRequest| http::send(self.http.clone(), request);
        let subject = of.subject().clone();
        let asked = client
            .user_info(access, Some(subject))
            .map_err(|error| away(&error))?;
        let said: UserInfoClaims<More, CoreGenderClaim> = asked
            .request_async(&send)
            .await
            .map_err(|error| away(&error))?;
        let email = (said.email(), said.email_verified());
        Ok(self.claims(of.subject(), email, said.additional_claims()))
    }

    fn relying(&self, metadata: &CoreProviderMetadata) -> Relying {
        let (id, redirect) = (&self.section.client_id, self.redirect.clone());
        relying::client(metadata, id, self.secret.clone(), redirect)
    }

    /// What the provider says of itself, its keys included.
    async fn metadata(&self) -> Result<Arc<CoreProviderMetadata>, Failed> {
        let known = self.known().clone();
        if let Some((at, known)) = known
            && at.elapsed() < FRESH
        {
            return Ok(known);
        }
        let send = |request: HttpRequest| http::send(self.http.clone(), request);
        let said = CoreProviderMetadata::discover_async(self.issuer.clone(), &send).await;
        let said = Arc::new(said.map_err(|error| away(&error))?);
        *self.known() = Some((Instant::now(), Arc::clone(&said)));
        Ok(said)
    }

    fn forget(&self) {
        *self.known() = None;
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Arc<CoreProviderMetadata>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away(error: &(dyn std::error::Error + 'static)) -> Failed {
    Failed::Away(in_words(error))
}

fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    WithSources(error).to_string()
}

/// Whether a token would be believed with another key.
fn is_of_keys(error: &ClaimsVerificationError) -> bool {
    use SignatureVerificationError::{AmbiguousKeyId, CryptoError, NoMatchingKey};
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(
            NoMatchingKey | CryptoError(_) | AmbiguousKeyId(_)
        )
    )
}
