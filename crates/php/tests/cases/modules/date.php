<?php
function work() {
    date_default_timezone_set('Asia/Tokyo');
    $days = new DatePeriod(new DateTime('2024-02-28'), new DateInterval('P1D'), 2);
    return [date('c', 0), @date_sunrise(1700000000, SUNFUNCS_RET_STRING, 52, 13, 90, 1), array_map(fn ($d) => $d->format('D'), iterator_to_array($days)),
        count(DateTimeZone::listIdentifiers()) > 400, date_parse('no date')['error_count']];
}
function left() { return ['zone' => date_default_timezone_get() === 'Asia/Tokyo', 'errors' => (bool) DateTime::getLastErrors()]; }
