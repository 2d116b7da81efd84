-- What a source's mapping feeds: a check must not wait for an entity that this configuration does not have.
alter table ops.source_instance add column entities text[];
comment on column ops.source_instance.entities is 'Entities that the mapping feeds / Сущности, которые заполняет маппинг';
