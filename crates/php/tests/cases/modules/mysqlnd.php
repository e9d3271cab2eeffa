<?php
// keeps: statistics
function work() {
    mysqli_report(MYSQLI_REPORT_OFF);
    $refused = @new mysqli('127.0.0.1', 'nobody', '', '', 1);
    return [$refused->connect_errno, mysqli_get_client_info(), isset(mysqli_get_client_stats()['connect_failure'])];
}
function left() { return ['statistics' => mysqli_get_client_stats()['connect_failure'] !== '0']; }
