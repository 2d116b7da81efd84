-- Whether the source published what was to be read: an empty table then means "not known", never zero.
alter table ops.load_run add column published boolean;
comment on column ops.load_run.published is 'Whether the source has this entity; null: not asked / Есть ли этот вид записей в источнике; null: не спрашивали';
