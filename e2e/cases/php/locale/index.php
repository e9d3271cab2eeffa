<?php
echo setlocale(LC_ALL, 0), ' ', date_default_timezone_get(), ' ', PHP_INT_SIZE, ' ', number_format(1234.5, 2), ' ', strtoupper('ä'), ' ', json_encode(0.1 + 0.2), "\n";
echo iconv('UTF-8', 'ASCII//TRANSLIT', 'ü'), ' ', mb_strtoupper('ä'), ' ', class_exists('IntlDateFormatter') ? 'intl' : '', "\n";
