-- What SQL cannot compare: phones as people write them, names that are nearly the same. Filled before each build of the marts.
create table ops.match_key (
    kind text not null check (kind in ('phone', 'name')),
    text text not null,
    key text not null,
    primary key (kind, text, key)
);
comment on table ops.match_key is 'Phones in E.164 and names without their legal form, by the text they were found in; personal data / Телефоны в E.164 и названия без организационной формы по исходному тексту; персональные данные';

create table ops.name_likeness (
    crm_name text not null,
    onec_name text not null,
    score numeric(5, 2) not null,
    primary key (crm_name, onec_name)
);
comment on table ops.name_likeness is 'Names of CRM cards and of 1C partners that nearly agree, 0 to 100 / Почти совпадающие названия карточек CRM и партнёров 1С, от 0 до 100';

grant select, insert, update, delete on ops.match_key, ops.name_likeness to polka_transformer;
