-- When a message that nobody can look up afterwards was about to leave: before that moment it certainly is not there.
alter table ops.delivery_ledger add column leaving_at timestamptz;

comment on column ops.delivery_ledger.leaving_at is
'Когда письмо или сообщение передано на отправку; пусто — точно не отправлено / When a letter or message was about to leave; empty: certainly not sent';

update ops.delivery_ledger set leaving_at = coalesce(sending_at, now()) where state = 'sending';
