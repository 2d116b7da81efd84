"""What `polka doctor` found, in sentences that say what to do; Russian and English."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from extractors.onec.doctor import CLOCK_TOLERANCE, EntityReport, SourceReport, Trouble

Language = Literal["ru", "en"]
Level = Literal["problem", "note"]
_SHOWN_FIELDS = 12
# Where 1C's own words tell more than ours; the title of an error page never does.
_QUOTABLE = {"session_refused", "server_error", "too_large"}
_TITLE_LENGTH = 12
_EXAMPLE = (
    '{"conn_type": "http", "host": "https://1c.example.org/ut/odata/standard.odata", '
    '"login": "polka", "password": "..."}'
)
_COMPOSITION_RU = "Администрирование → Синхронизация данных → Настройки автоматического REST-сервиса → Состав"
_CA_RU = (
    "Сохраните сертификат удостоверяющего центра (.pem) на эту машину и задайте переменную окружения "
    "REQUESTS_CA_BUNDLE=<путь к файлу>"
)
_CA_EN = "Save the certificate of its authority (.pem) on this machine and set REQUESTS_CA_BUNDLE=<path of the file>"

# cause -> (Russian, English); fields of `_fill` in braces.
TROUBLES: dict[str, tuple[str, str]] = {
    "no_connection": (
        "Соединение «{connection}» не задано, или его запись не читается. Выполните: "
        "export AIRFLOW_CONN_{variable}='{example}' или заведите его "
        "в Airflow (Admin → Connections).",
        "The connection '{connection}' is not defined, or its record cannot be read. Run: "
        "export AIRFLOW_CONN_{variable}='{example}' or add it in "
        "Airflow (Admin → Connections).",
    ),
    "bad_connection": (
        "Соединение «{connection}» не читается. Проверьте запись AIRFLOW_CONN_{variable}: это JSON с полями conn_type, "
        "host, login, password.",
        "The connection '{connection}' cannot be read. Check AIRFLOW_CONN_{variable}: JSON with conn_type, host, login "
        "and password.",
    ),
    "bad_mapping": (
        "Настройка полей «{mapping}» не годится: {message}. Исправьте файл или укажите другой в mapping: источника.",
        "The mapping '{mapping}' is not usable: {message}. Correct the file, or name another one as mapping: of the "
        "source.",
    ),
    "bad_address": (
        "Адрес «{address}» не похож на адрес 1С. Впишите в host соединения полный адрес с http:// или https://, "
        "который кончается на /odata/standard.odata.",
        "'{address}' is no address of 1C. Put the full address into the connection's host: with http:// or https:// "
        "and ending in /odata/standard.odata.",
    ),
    "unknown_host": (
        "Имя сервера в адресе {address} не находится. Проверьте, нет ли опечатки, и видит ли эта машина нужный DNS "
        "или VPN.",
        "The server's name in {address} cannot be found. Check it for a typo, and that this machine uses the right "
        "DNS or VPN.",
    ),
    "refused": (
        "По адресу {address} никто не отвечает: соединение отвергнуто. Проверьте порт, запущен ли веб-сервер 1С и "
        "пропускает ли его брандмауэр эту машину.",
        "Nobody answers at {address}: the connection was refused. Check the port, that 1C's web server is running, "
        "and that its firewall lets this machine in.",
    ),
    "connect_timeout": (
        "Сервер {address} не принял соединение вовремя. Обычно это брандмауэр или VPN: попросите открыть этой машине "
        "доступ к серверу и порту.",
        "The server {address} did not take the connection in time. Usually it is a firewall or a VPN: ask for access "
        "from this machine to that server and port.",
    ),
    "timeout": (
        "1С не успела ответить. Первый запрос после простоя бывает долгим: повторите, увеличьте --timeout; если не "
        "поможет, посмотрите нагрузку сервера 1С.",
        "1C did not answer in time. The first request after an idle hour is slow: try again, with a larger --timeout; "
        "if that does not help, look at the load of the 1C server.",
    ),
    "broken_off": (
        "Соединение с {address} оборвалось до ответа. Повторите; если обрывается всегда, проверьте прокси и веб-сервер "
        "перед 1С и не нужен ли https:// вместо http://.",
        "The connection to {address} broke off before an answer. Try again; if it always does, look at the proxy and "
        "the web server before 1C, and whether https:// is wanted instead of http://.",
    ),
    "proxy": (
        "Прокси из переменных окружения (HTTPS_PROXY) не пропустил запрос. Добавьте сервер 1С в NO_PROXY или "
        "исправьте прокси.",
        "The proxy of the environment (HTTPS_PROXY) did not let the request through. Add the 1C server to NO_PROXY, "
        "or correct the proxy.",
    ),
    "tls_untrusted": (
        f"Сертификату сервера {{address}} эта машина не доверяет: он самоподписанный или от своего центра. {_CA_RU}.",
        f"This machine does not trust the certificate of {{address}}: it is self-signed or of a private authority. "
        f"{_CA_EN}.",
    ),
    "tls_expired": (
        "Сертификат сервера {address} просрочен. Попросите администратора веб-сервера обновить его; проверьте и часы "
        "этой машины.",
        "The certificate of {address} has expired. Ask the web server's administrator to renew it; check this "
        "machine's clock too.",
    ),
    "tls_other_host": (
        "Сертификат выдан на другое имя, чем в адресе {address}. Впишите в соединение то имя, на которое он выдан, "
        "либо перевыпустите сертификат.",
        "The certificate was issued for another name than the one in {address}. Put the name it was issued for into "
        "the connection, or have the certificate reissued.",
    ),
    "tls_certificate": (
        f"Сертификат сервера {{address}} не прошёл проверку. {_CA_RU} или попросите заменить сертификат.",
        f"The certificate of {{address}} did not pass. {_CA_EN}, or ask for another certificate.",
    ),
    "tls_not_spoken": (
        "По адресу {address} отвечают без шифрования. Замените https:// на http:// или укажите порт, на котором "
        "включён TLS.",
        "At {address} nobody speaks TLS. Write http:// instead of https://, or the port where TLS is switched on.",
    ),
    "tls": (
        "Защищённое соединение с {address} не устанавливается. Попросите администратора включить на веб-сервере "
        "TLS 1.2 или новее.",
        "A secure connection to {address} cannot be set up. Ask the administrator to switch TLS 1.2 or newer on.",
    ),
    "redirect": (
        "1С перенаправляет на другой адрес. Впишите в соединение конечный адрес: {message}",
        "1C redirects elsewhere. Put the final address into the connection: {message}",
    ),
    "web_page": (
        "По адресу {address} пришла веб-страница, а не данные: это сайт или страница входа. Впишите адрес, который "
        "кончается на /odata/standard.odata, и отключите для него единый вход (SSO, OpenID).",
        "A web page came from {address} instead of data: a site, or a login page. Put the address that ends in "
        "/odata/standard.odata into the connection, and switch single sign-on off for it.",
    ),
    "login": (
        "1С не приняла логин или пароль. Проверьте их в соединении, и что пользователю в 1С разрешён вход по "
        "аутентификации 1С:Предприятия.",
        "1C did not accept login or password. Check both in the connection, and that the user may sign in by "
        "1C:Enterprise authentication.",
    ),
    "login_scheme": (
        "Веб-сервер требует вход Windows. Включите для публикации обычную (Basic) или анонимную проверку, чтобы логин "
        "и пароль спрашивала сама 1С.",
        "The web server wants Windows sign-in. Switch Basic or anonymous authentication on for the publication, so "
        "that 1C itself asks for login and password.",
    ),
    "forbidden": (
        "Веб-сервер перед 1С запрещает запрос. Разрешите в нём адрес этой машины и путь /odata.",
        "The web server before 1C forbids the request. Allow this machine's address and the path /odata there.",
    ),
    "session_refused": (
        "1С не начинает сеанс. Если база закрыта на обслуживание, дождитесь его конца; если сеансов или лицензий "
        "слишком мало, попросите администратора 1С освободить их.",
        "1C starts no session. If the base is locked for maintenance, wait for its end; if sessions or licences are "
        "short, ask the 1C administrator to free some.",
    ),
    "no_licence": (
        "У 1С нет свободной лицензии или сеанса (406). Освободите одну (закройте лишние сеансы) или запускайте Polka, "
        "когда работает меньше людей.",
        "1C has no free licence or session (406). Free one by closing idle sessions, or let Polka read when fewer "
        "people work.",
    ),
    "no_odata": (
        "По адресу {address} нет OData. Проверьте имя публикации и что адрес кончается на /odata/standard.odata, и "
        "включите «Публиковать стандартный интерфейс OData».",
        "There is no OData at {address}. Check the name of the publication and that the address ends in "
        "/odata/standard.odata, and publish the standard OData interface.",
    ),
    "only_xml": (
        "База отвечает только XML: платформа старше 8.3.6 не умеет JSON. Обновите платформу 1С.",
        "The base answers in XML only: platforms before 8.3.6 know no JSON. Update 1C's platform.",
    ),
    "empty_composition": (
        f"Вход удался, но состав OData пуст: ни один объект не опубликован. Отметьте объекты: {_COMPOSITION_RU}; "
        "список есть в docs/connect-1c.ru.md.",
        "Signed in, but the OData composition is empty: no object is published. Tick the objects "
        f"({_COMPOSITION_RU}); docs/connect-1c.md has the list.",
    ),
    "server_error": (
        "1С или её веб-сервер сейчас с ошибкой{status}. Повторите через несколько минут; если не пройдёт, "
        "перезапустите публикацию и посмотрите журнал веб-сервера.",
        "1C or its web server fails at the moment{status}. Try again in some minutes; if it stays, restart the "
        "publication and look into the web server's log.",
    ),
    "too_large": (
        "1С не смогла собрать страницу: на её сервере мало памяти или места под временные файлы. Освободите место; "
        "Polka при загрузке возьмёт страницы меньше.",
        "1C could not build a page: its server is short of memory or of room for temporary files. Free some; in a "
        "load Polka takes smaller pages.",
    ),
    "other": ("Непредвиденный ответ: {message}.", "An unexpected answer: {message}."),
}


@dataclass(frozen=True)
class Advice:
    """One sentence. A `problem` keeps the mapping from being read, a `note` does not."""

    level: Level
    cause: str
    text: str


def advice(report: SourceReport, language: Language, connection: str = "") -> list[Advice]:
    """What to do about a report, the gravest first."""
    found = list(_advice(report, language, connection or report.source))
    return sorted(found, key=lambda item: item.level != "problem")


def explain(trouble: Trouble | None, report: SourceReport, language: Language, connection: str = "") -> str:
    """One trouble in a sentence, with 1C's own words when it had some."""
    if trouble is None:
        return ""
    template = TROUBLES.get(trouble.cause, TROUBLES["other"])[_column(language)]
    text = template.format(
        address=report.address,
        mapping=report.mapping,
        message=trouble.message.rstrip("."),
        status=f" (HTTP {trouble.status})" if trouble.status else "",
        connection=connection,
        variable=connection.upper(),
        example=_EXAMPLE,
    )
    if trouble.quoted and trouble.cause in _QUOTABLE and len(trouble.quoted) > _TITLE_LENGTH:
        text += f" {'1С сообщает' if language == 'ru' else '1C says'}: «{trouble.quoted.rstrip('.')}»."
    return text


def _advice(report: SourceReport, language: Language, connection: str) -> Iterator[Advice]:
    russian = language == "ru"
    if report.trouble is not None:
        yield Advice("problem", report.trouble.cause, explain(report.trouble, report, language, connection))
    yield from _publication(report, russian)
    for entity in report.entities:
        yield from _fields(entity, report, russian)
        if entity.trouble is not None and entity.trouble != report.trouble:
            sentence = explain(entity.trouble, report, language, connection)
            yield Advice("problem", entity.trouble.cause, f"{entity.source_set}: {sentence}")
    yield from _rights(report, russian)
    skew = report.clock_skew_seconds
    if skew is not None and abs(skew) > CLOCK_TOLERANCE.total_seconds():
        minutes = abs(skew) / 60
        if russian:
            way = "спешат" if skew > 0 else "отстают"
            text = f"Часы сервера 1С {way} против этой машины на {minutes:.1f} мин. Включите на обеих NTP."
        else:
            way = "ahead of" if skew > 0 else "behind"
            text = f"The clock of the 1C server is {minutes:.1f} min {way} this machine's. Switch NTP on at both."
        yield Advice("note", "clock", text)
    if report.tls == "plain":
        yield Advice(
            "note",
            "plain_http",
            "Пароль и данные идут по сети открыто (http://). Включите на веб-сервере TLS и впишите https://."
            if russian
            else "Password and data cross the network openly (http://). Switch TLS on and write https://.",
        )


def _publication(report: SourceReport, russian: bool) -> Iterator[Advice]:
    missing = [entity for entity in report.entities if not entity.published]
    required = [entity for entity in missing if not entity.optional]
    optional = [entity for entity in missing if entity.optional]
    if required:
        names = ", ".join(entity.source_set for entity in required)
        hints = [f"{entity.source_set} ~ {', '.join(entity.similar)}" for entity in required if entity.similar]
        if russian:
            text = f"Не опубликовано: {names}. Отметьте эти объекты в составе OData ({_COMPOSITION_RU})."
            text += f" Если они у вас называются иначе ({'; '.join(hints)})," if hints else " Если их у вас нет,"
            text += f" получите черновик своей настройки: polka mapping init --source {report.source}."
        else:
            text = f"Not published: {names}. Tick these objects in the OData composition ({_COMPOSITION_RU})."
            text += (
                f" If yours are called otherwise ({'; '.join(hints)})," if hints else " If you have no such objects,"
            )
            text += f" get a draft of your own mapping: polka mapping init --source {report.source}."
        yield Advice("problem", "not_published", text)
    if optional:
        yield Advice("note", "not_published_optional", _stand_ins(optional, russian))
    for entity in report.entities:
        if entity.stands_in_for is not None:
            yield Advice(
                "note",
                "stands_in",
                f"{entity.stands_in_for} не опубликован: вместо него читается {entity.source_set}."
                if russian
                else f"{entity.stands_in_for} is not published: {entity.source_set} is read instead.",
            )


def _stand_ins(entities: list[EntityReport], russian: bool) -> str:
    """What is missing without harm to the rest, and what stands in for each."""
    if russian:
        head = "Необязательные объекты не опубликованы; их таблицы останутся пустыми («неизвестно», а не ноль):"
    else:
        head = 'Optional objects are not published; their tables stay empty ("not known", never zero):'
    language = "ru" if russian else "en"
    return "\n".join(
        [head, *(f"{entity.source_set}: {entity.without.get(language, '')}".rstrip(": ") for entity in entities)]
    )


def _fields(entity: EntityReport, report: SourceReport, russian: bool) -> Iterator[Advice]:
    absent = [gap.name for gap in entity.gaps if not gap.optional and gap.found_type is None]
    optional = [gap.name for gap in entity.gaps if gap.optional and gap.found_type is None]
    typed = [gap for gap in entity.gaps if gap.found_type is not None]
    if absent:
        names = _listed(absent, russian)
        yield Advice(
            "problem",
            "fields_missing",
            f"{entity.source_set}: нет полей {names}. Проверьте настройку {report.mapping} (другая конфигурация или "
            f"поле названо иначе?): polka mapping init --source {report.source} предложит замену."
            if russian
            else f"{entity.source_set}: fields missing: {names}. Check the mapping {report.mapping} (another "
            f"configuration, or another name?): polka mapping init --source {report.source} proposes what to use.",
        )
    for gap in typed:
        yield Advice(
            "note" if gap.optional else "problem",
            "wrong_type",
            f"{entity.source_set}: поле {gap.name} имеет тип {gap.found_type}, столбец его не примет. Укажите в "
            f"настройке {report.mapping} другое поле."
            if russian
            else f"{entity.source_set}: the field {gap.name} is {gap.found_type}, which its column cannot take. Name "
            f"another field in the mapping {report.mapping}.",
        )
    if optional:
        names = _listed(optional, russian)
        yield Advice(
            "note",
            "fields_optional",
            f"{entity.source_set}: нет необязательных полей {names}; их столбцы останутся пустыми."
            if russian
            else f"{entity.source_set}: optional fields missing: {names}; their columns stay empty.",
        )


def _rights(report: SourceReport, russian: bool) -> Iterator[Advice]:
    denied = [entity.source_set for entity in report.entities if entity.rights == "none"]
    partial = [entity.source_set for entity in report.entities if entity.rights == "part"]
    if denied:
        names = ", ".join(denied)
        yield Advice(
            "problem",
            "no_rights",
            f"Нет права читать: {names} (401, код 20). Добавьте пользователю 1С роль с правом «Чтение» на эти объекты."
            if russian
            else f"No right to read: {names} (401, code 20). Give the 1C user a role with the right to read these "
            "objects.",
        )
    if partial:
        names = ", ".join(partial)
        yield Advice(
            "note",
            "partial_rights",
            f"Видна только часть записей: {names}. Действуют ограничения на уровне записей; если нужны все филиалы, "
            "снимите их для этого пользователя."
            if russian
            else f"Only some records are visible: {names}. Record-level restrictions apply; lift them for this user if "
            "every branch is wanted.",
        )


def _listed(names: list[str], russian: bool) -> str:
    shown = ", ".join(names[:_SHOWN_FIELDS])
    rest = len(names) - _SHOWN_FIELDS
    if rest <= 0:
        return shown
    return f"{shown} {f'и ещё {rest}' if russian else f'and {rest} more'}"


def _column(language: Language) -> int:
    return 0 if language == "ru" else 1
