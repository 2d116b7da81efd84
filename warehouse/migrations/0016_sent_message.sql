-- The words of every message, so that a past list can be shown as it was sent, whatever templates say by then. Phones of
-- clients are cut out; the digest is that of the whole text, phones included.
create table ops.sent_message (
    channel text not null,
    message_key text not null,
    as_of date not null,
    instance text not null,
    manager_id text not null,
    followup_ids text[] not null,
    body text not null,
    digest text not null,
    written_at timestamptz not null default now(),
    primary key (channel, message_key)
);
create index sent_message_as_of on ops.sent_message (as_of, channel);
comment on table ops.sent_message is 'The words of each message, written before it leaves; the delivery ledger says whether it did';
grant select, insert, update on ops.sent_message to polka_sender;
