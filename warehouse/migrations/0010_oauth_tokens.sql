-- OAuth pairs whose refresh token works once (amoCRM, Bitrix24): one row per grant, renewed under its lock.
create table ops.oauth_token (
    token_key text primary key,
    secret bytea,
    is_encrypted boolean not null default false,
    expires_at timestamptz,
    generation bigint not null default 0,
    rotated_at timestamptz
);
comment on table ops.oauth_token is 'Current OAuth tokens of the portals, encrypted when POLKA_TOKEN_KEYS is set / Действующие OAuth-токены порталов';
comment on column ops.oauth_token.secret is 'The pair as JSON, as a Fernet token when is_encrypted';
comment on column ops.oauth_token.generation is 'How often the pair was renewed; guards a late write';

revoke all on ops.oauth_token from public;
grant select, insert, update on ops.oauth_token to polka_loader, polka_sender;
