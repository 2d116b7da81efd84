-- Telegram: whose chat is which rep's, and how far a bot's updates were taken in.
create table ops.telegram_chat (
    instance text not null,
    manager_id text not null,
    bot_id bigint not null,
    chat_id bigint not null,
    linked_at timestamptz not null default now(),
    blocked_at timestamptz,
    primary key (instance, manager_id, bot_id)
);
create index telegram_chat_chat on ops.telegram_chat (bot_id, chat_id);
comment on table ops.telegram_chat is 'The chat in which a rep hears of his list; personal data / Чат, в который представитель получает список; персональные данные';

create table ops.telegram_offset (
    bot_id bigint primary key,
    next_update_id bigint not null,
    taken_at timestamptz not null default now()
);
comment on table ops.telegram_offset is 'Updates of a bot before this number are in the warehouse / События бота до этого номера уже учтены';

grant select, insert, update, delete on ops.telegram_chat, ops.telegram_offset to polka_sender;
