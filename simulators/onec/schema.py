"""Entity sets, their fields and types, named as in 1C:Управление торговлей 11."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

# ref: one type, guid. composite: guid beside a field of kind `type`. fixed: a string padded with spaces.
Kind = Literal[
    "key", "ref", "composite", "type", "string", "fixed", "enum", "date", "boolean", "double", "int64", "int16"
]

EMPTY_GUID = "00000000-0000-0000-0000-000000000000"
EMPTY_DATE = "0001-01-01T00:00:00"

EDM_TYPES: dict[Kind, str] = {
    "key": "Edm.Guid",
    "ref": "Edm.Guid",
    "composite": "Edm.String",
    "type": "Edm.String",
    "string": "Edm.String",
    "fixed": "Edm.String",
    "enum": "Edm.String",
    "date": "Edm.DateTime",
    "boolean": "Edm.Boolean",
    "double": "Edm.Double",
    "int64": "Edm.Int64",
    "int16": "Edm.Int16",
}

# What 1C sends for a field nobody filled, as JSON text.
EMPTY_JSON: dict[Kind, str] = {
    "key": f'"{EMPTY_GUID}"',
    "ref": f'"{EMPTY_GUID}"',
    "composite": '""',
    "type": '"StandardODATA.Undefined"',
    "string": '""',
    "fixed": '""',
    "enum": '""',
    "date": f'"{EMPTY_DATE}"',
    "boolean": "false",
    "double": "0",
    "int64": '"0"',
    "int16": "0",
}


@dataclass(frozen=True)
class Field:
    """One property. `target` is the entity set a reference points to, `length` the width of a fixed string."""

    name: str
    kind: Kind
    target: str | None = None
    length: int | None = None

    @property
    def navigation(self) -> str | None:
        """Name of the navigation property of a reference: `Партнер` for `Партнер_Key`."""
        return self.name.removesuffix("_Key") if self.kind == "ref" and self.target else None


@dataclass(frozen=True)
class Table:
    """A tabular section; Ref_Key and LineNumber come first in every row."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class SetSchema:
    """One entity set. `sort` is what 1C's automatic ordering by presentation amounts to."""

    name: str
    fields: tuple[Field, ...]
    tables: tuple[Table, ...] = ()
    sort: tuple[str, ...] = ("Description",)
    by_name: dict[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields})

    @property
    def is_document(self) -> bool:
        return self.name.startswith("Document_")

    def table(self, name: str) -> Table | None:
        return next((t for t in self.tables if t.name == name), None)


def _fields(text: str) -> tuple[Field, ...]:
    """Parse words: `Имя:kind`, reference `Имя_Key>Catalog_X`, composite with its type `Имя?`, padded `Имя:fixed12`."""
    result: list[Field] = []
    for word in text.split():
        if ">" in word:
            name, target = word.split(">")
            result.append(Field(name, "ref", target))
        elif word.endswith("_Key"):
            result.append(Field(word, "ref"))
        elif word.endswith("?"):
            result += [Field(word[:-1], "composite"), Field(word[:-1] + "_Type", "type")]
        elif ":fixed" in word:
            name, width = word.split(":fixed")
            result.append(Field(name, "fixed", length=int(width)))
        else:
            name, _, kind = word.partition(":")
            result.append(Field(name, _SHORT[kind]))
    return tuple(result)


_SHORT: dict[str, Kind] = {
    "": "string",
    "e": "enum",
    "d": "date",
    "b": "boolean",
    "n": "double",
    "i": "int64",
    "s": "int16",
}

_REF = (Field("Ref_Key", "key"), Field("DataVersion", "string"), Field("DeletionMark", "boolean"))
_PREDEFINED = (Field("Predefined", "boolean"), Field("PredefinedDataName", "string"))
_ROW = (Field("Ref_Key", "key"), Field("LineNumber", "int64"))


def _table(name: str, text: str) -> Table:
    return Table(name, _ROW + _fields(text))


def _catalog(name: str, text: str, *tables: Table) -> SetSchema:
    return SetSchema(f"Catalog_{name}", (*_REF, Field("Description", "string"), *_fields(text), *_PREDEFINED), tables)


def _document(name: str, text: str, *tables: Table) -> SetSchema:
    standard = (Field("Number", "fixed", length=14), Field("Date", "date"), Field("Posted", "boolean"))
    return SetSchema(f"Document_{name}", _REF + standard + _fields(text), tables, sort=("Date",))


_CONTACTS = (
    "Тип:e Вид_Key>Catalog_ВидыКонтактнойИнформации Представление ЗначенияПолей Страна Регион Город АдресЭП"
    " ДоменноеИмяСервера НомерТелефона НомерТелефонаБезКодов ВидДляСписка_Key>Catalog_ВидыКонтактнойИнформации"
)
_EXTRA = "Свойство_Key Значение? ТекстоваяСтрока"
_DISCOUNTS = (
    "ПроцентРучнойСкидки:n СуммаРучнойСкидки:n ПроцентАвтоматическойСкидки:n СуммаАвтоматическойСкидки:n КлючСвязи:i"
)
_GOODS = (
    "Номенклатура_Key>Catalog_Номенклатура Характеристика_Key Упаковка_Key>Catalog_УпаковкиЕдиницыИзмерения"
    " КоличествоУпаковок:n Количество:n ВидЦены_Key>Catalog_ВидыЦен Цена:n Сумма:n СтавкаНДС_Key>Catalog_СтавкиНДС"
    " СуммаНДС:n СуммаСНДС:n КодСтроки:i"
)
_TRADE = (
    "Партнер_Key>Catalog_Партнеры Контрагент_Key>Catalog_Контрагенты Организация_Key>Catalog_Организации"
    " Соглашение_Key>Catalog_СоглашенияСКлиентами Менеджер_Key>Catalog_Пользователи Склад_Key>Catalog_Склады"
    " Валюта_Key>Catalog_Валюты СуммаДокумента:n ЦенаВключаетНДС:b ХозяйственнаяОперация:e НалогообложениеНДС:e"
    " Подразделение_Key>Catalog_СтруктураПредприятия Договор_Key Сделка_Key Комментарий Автор_Key>Catalog_Пользователи"
    " ФормаОплаты:e ПорядокРасчетов:e"
)

UT11: tuple[SetSchema, ...] = (
    _catalog(
        "Организации",
        "Code НаименованиеПолное НаименованиеСокращенное ИНН КПП ОГРН ЮрФизЛицо:e Префикс:fixed4"
        " ОбособленноеПодразделение:b",
    ),
    _catalog("БизнесРегионы", "Parent_Key>Catalog_БизнесРегионы"),
    _catalog(
        "Пользователи",
        "Недействителен:b Подразделение_Key>Catalog_СтруктураПредприятия ФизическоеЛицо_Key Служебный:b Комментарий",
        _table("КонтактнаяИнформация", _CONTACTS),
    ),
    _catalog(
        "Партнеры",
        "Code:fixed12 Parent_Key>Catalog_Партнеры НаименованиеПолное БизнесРегион_Key>Catalog_БизнесРегионы"
        " ОсновнойМенеджер_Key>Catalog_Пользователи ГруппаДоступа_Key ДатаРегистрации:d ЮрФизЛицо:e Клиент:b"
        " Поставщик:b"
        " Конкурент:b ПрочиеОтношения:b ОбслуживаетсяТорговымиПредставителями:b Комментарий"
        " Полка_ФорматТочки Полка_Канал Полка_ДатаЗакрытия:d",
        _table("КонтактнаяИнформация", _CONTACTS),
        _table("ДополнительныеРеквизиты", _EXTRA),
    ),
    _catalog(
        "Контрагенты",
        "НаименованиеПолное ЮрФизЛицо:e ИНН КПП Партнер_Key>Catalog_Партнеры"
        " ГоловнойКонтрагент_Key>Catalog_Контрагенты ОбособленноеПодразделение:b СтранаРегистрации_Key КодПоОКПО"
        " РегистрационныйНомер ДополнительнаяИнформация",
        _table("КонтактнаяИнформация", _CONTACTS),
    ),
    _catalog(
        "СоглашенияСКлиентами",
        "Номер Дата:d Партнер_Key>Catalog_Партнеры Контрагент_Key>Catalog_Контрагенты"
        " Организация_Key>Catalog_Организации Менеджер_Key>Catalog_Пользователи Статус:e Согласован:b"
        " ДатаНачалаДействия:d ДатаОкончанияДействия:d"
        " ВидЦен_Key>Catalog_ВидыЦен Валюта_Key>Catalog_Валюты Типовое:b ПорядокРасчетов:e ПроцентРучнойСкидки:n"
        " Полка_ЗаказРазВНедель:n Полка_ДниЗаказа",
    ),
    _catalog("Марки", "Производитель_Key"),
    _catalog(
        "Номенклатура",
        "Code:fixed12 Parent_Key>Catalog_Номенклатура IsFolder:b НаименованиеПолное Артикул"
        " Марка_Key>Catalog_Марки"
        " ЕдиницаИзмерения_Key>Catalog_УпаковкиЕдиницыИзмерения ТипНоменклатуры:e ВидНоменклатуры_Key"
        " СтавкаНДС_Key>Catalog_СтавкиНДС ВесИспользовать:b ВесЧислитель:n ВесЗнаменатель:n СрокГодности:i"
        " ЦеноваяГруппа_Key ТоварнаяКатегория_Key Производитель_Key Качество:e КодДляПоиска",
    ),
    _catalog("ПричиныОтменыЗаказовКлиентов", ""),
    _catalog("УпаковкиЕдиницыИзмерения", "Code:fixed4 НаименованиеПолное Числитель:n Знаменатель:n ТипУпаковки:e"),
    _catalog("СтавкиНДС", "Ставка:n ПеречислениеСтавкаНДС:e"),
    _catalog("Склады", "Parent_Key>Catalog_Склады IsFolder:b ТипСклада:e БизнесРегион_Key>Catalog_БизнесРегионы"),
    _catalog("Валюты", "Code:fixed3 НаименованиеПолное"),
    _catalog("ВидыЦен", "ЦенаВключаетНДС:b ВалютаЦены_Key>Catalog_Валюты Статус:e"),
    _catalog("СтруктураПредприятия", "Code:fixed9 Parent_Key>Catalog_СтруктураПредприятия"),
    _catalog("ВидыКонтактнойИнформации", "Тип:e"),
    _document(
        "ЗаказКлиента",
        _TRADE + " Статус:e Согласован:b ДатаСогласования:d ДатаОтгрузки:d АдресДоставки СпособДоставки:e"
        " НеОтгружатьЧастями:b НомерПоДаннымКлиента ДатаПоДаннымКлиента:d МаксимальныйКодСтроки:i ДокументОснование?",
        _table(
            "Товары",
            _GOODS + f" {_DISCOUNTS} ДатаОтгрузки:d Склад_Key>Catalog_Склады ВариантОбеспечения:e Отменено:b"
            " ПричинаОтмены_Key>Catalog_ПричиныОтменыЗаказовКлиентов Содержание СтатусУказанияСерий:s Обособленно:b",
        ),
        _table("ДополнительныеРеквизиты", _EXTRA),
    ),
    _document(
        "РеализацияТоваровУслуг",
        _TRADE + " Статус:e Согласован:b АдресДоставки СпособДоставки:e ЗаказКлиента? РеализацияПоЗаказам:b"
        " СуммаВзаиморасчетов:n ВалютаВзаиморасчетов_Key>Catalog_Валюты Основание",
        _table(
            "Товары",
            _GOODS
            + f" {_DISCOUNTS} Склад_Key>Catalog_Склады ЗаказКлиента? СуммаВзаиморасчетов:n СтатусУказанияСерий:s",
        ),
    ),
    _document(
        "ВозвратТоваровОтКлиента",
        _TRADE + " Статус:e АдресДоставки ДокументРеализации? ПричинаВозврата",
        _table("Товары", _GOODS + " ДокументРеализации? Склад_Key>Catalog_Склады Серия_Key"),
    ),
    _document(
        "СписаниеНедостачТоваров",
        "Организация_Key>Catalog_Организации Склад_Key>Catalog_Склады Подразделение_Key>Catalog_СтруктураПредприятия"
        " ХозяйственнаяОперация:e Ответственный_Key>Catalog_Пользователи ВидЦены_Key>Catalog_ВидыЦен Комментарий",
        _table(
            "Товары",
            "Номенклатура_Key>Catalog_Номенклатура Характеристика_Key Упаковка_Key>Catalog_УпаковкиЕдиницыИзмерения"
            " КоличествоУпаковок:n Количество:n Цена:n Сумма:n",
        ),
    ),
    _document(
        "СписаниеЗадолженности",
        "Организация_Key>Catalog_Организации Партнер_Key>Catalog_Партнеры Контрагент_Key>Catalog_Контрагенты"
        " ХозяйственнаяОперация:e СуммаДокумента:n Валюта_Key>Catalog_Валюты Комментарий",
        _table("Задолженность", "Партнер_Key>Catalog_Партнеры Сумма:n СуммаРегл:n ТипРасчетов:e Комментарий"),
    ),
)


def by_set_name(schemas: Iterable[SetSchema] = UT11) -> dict[str, SetSchema]:
    """The schemas keyed by set name."""
    return {schema.name: schema for schema in schemas}
